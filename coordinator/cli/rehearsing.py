"""rehearse: the main job on a stand-in GitHub, shown as it happens, with a verdict at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from coordinator.cli.trouble import NO_AUTH, NO_PROVIDER, USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.cli.views.fitting import Line
    from coordinator.rehearsal.demo import Result
    from coordinator.rehearsal.stage import Play


def add_to(app: typer.Typer) -> None:
    app.command()(rehearse)


def rehearse(
    agent: Annotated[str, typer.Option(help="`command` (scripted, needs nothing) or `claude`.")] = "command",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder to be looked at.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Only serve the stand-in GitHub, until Ctrl-C.")] = False,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where to play; must be empty.")] = None,
    executor: Annotated[str, typer.Option(help="Where the agents run: `local`, `ssh` or `slurm`.")] = "local",
    address: Annotated[str, typer.Option(help="The host for --executor ssh, as ssh takes it.")] = "localhost",
) -> int:
    """Play the whole main job on a stand-in GitHub: six issues, each with a known end."""
    if executor not in ("local", "ssh", "slurm"):
        raise Trouble(f"there is no executor {executor!r}", "Choose local, ssh or slurm.", code=USAGE)
    if agent not in ("command", "claude"):
        raise Trouble(f"there is no agent {agent!r} for the rehearsal", "Choose command or claude.", code=USAGE)
    if agent != "command":
        _check(agent)
    from coordinator.rehearsal.stage import Play

    where, temporary, how = *_folder(folder), Play(agent, executor, address)
    try:
        if serve:
            _serve(where, how)
        return _play(where, how)
    finally:
        if temporary and not keep:
            import shutil

            shutil.rmtree(where, ignore_errors=True)
        else:
            print(f"kept: {where}")


def _check(agent: str) -> None:
    """Raises Trouble for a real agent that could not even be started: the play would only wait for it."""
    from coordinator.app import host

    ready = host.agent_ready(agent, os.environ)
    if not ready.ok:
        code = NO_PROVIDER if ready.reason.endswith("binary_missing") else NO_AUTH
        raise Trouble(ready.words, ready.cure, "Or play it with the scripted agent: coordinator rehearse", code=code)


def _folder(given: Path | None) -> tuple[Path, bool]:
    import tempfile

    if given is None:
        return Path(tempfile.mkdtemp(prefix="coordinator-rehearsal-")), True
    if given.exists() and (not given.is_dir() or any(given.iterdir())):
        raise Trouble(f"{given} is not an empty folder", "Name one that is empty or does not exist.", code=USAGE)
    given.mkdir(parents=True, exist_ok=True)
    return given.absolute(), False


def _serve(where: Path, how: Play) -> NoReturn:
    from coordinator.rehearsal.demo import serve
    from coordinator.rehearsal.stage import BOT_TOKEN

    def ready(stage: Any) -> None:
        print("\n".join(served(stage.github.url, stage.log, stage.clone)), flush=True)

    def ended(stage: Any) -> None:
        print("\n".join(again(stage.clone, BOT_TOKEN)), flush=True)

    serve(where, ready, Diary(), ended, how)


def served(url: str, log: Path, clone: Path) -> tuple[str, ...]:
    """What is said once it is served; the commands can be pasted, whatever the folder's name holds."""
    from shlex import quote

    return (
        f"a stand-in GitHub at {url}; the coordinator works in {clone}",
        f"  tail -f {quote(str(log))}      # what it says",
        f"  cd {quote(str(clone))} && coordinator status",
        "Ctrl-C ends it.",
    )


def again(clone: Path, token: str) -> tuple[str, ...]:
    """What is said once the coordinator has ended, while its GitHub is still served."""
    from shlex import quote

    return (
        "the coordinator has ended; the stand-in GitHub goes on. What it left is found again by:",
        f"  cd {quote(str(clone))} && GITHUB_TOKEN={token} coordinator run",
    )


# --- the play ------------------------------------------------------------------------------------------


def _play(where: Path, how: Play) -> int:
    from coordinator.rehearsal.demo import DEADLINE, rehearse

    deadline = DEADLINE * (5 if how.agent == "claude" else 1 if how.executor == "local" else 3)
    if sys.stdout.isatty():
        result = _live(lambda show: rehearse(where, show, how, deadline))
    else:
        result = rehearse(where, Diary(), how, deadline)
    _print(result)
    return 0 if result.well else 1


class Diary:
    """One line for each move of a task, for logs."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def __call__(self, data: dict[str, Any]) -> None:
        for row in data.get("tasks", []):
            if self._seen.get(row["id"]) != row["state"]:
                self._seen[row["id"]] = row["state"]
                print(f"{row['id']} {str(row['state']).lower().replace('_', ' ')} {row.get('reason') or ''}".rstrip(),
                      flush=True)


def _live(play: Any) -> Result:
    from rich.console import Console
    from rich.live import Live

    from coordinator.cli.screen import styled

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        result: Result = play(lambda data: live.update(styled(_board_lines(data, console.width)), refresh=True))
    return result


def _board_lines(data: dict[str, Any], width: int) -> list[Line]:
    from coordinator import app
    from coordinator.cli.board import board_of
    from coordinator.cli.views.status import status

    return status(board_of(data, daemon=1), app.now(), width)


def _print(result: Result) -> None:
    for issue in result.issues:
        labels = ", ".join(sorted(str(label) for label in issue.labels))
        print(f"\nissue #{issue.number} {issue.state}: {issue.title}   [{labels}]")
        for comment in issue.comments:
            _indented(comment.body)
    for pull in result.pulls:
        print(f"\npull request #{pull.number} {pull.state}: {pull.title}")
        _indented(pull.body)
    print(f"\ntasks.md\n{result.tasks_md}\nadws/metrics.json\n{result.metrics_json}")
    for one in result.seen:
        mark = "✓" if one.well else "✗"
        print(f"{mark} #{one.case.number} {one.case.title}: {one.seen}")
    print(f"\n{'all six ended as they must' if result.well else 'NOT as it must be'} after {result.seconds:.1f} s")
    if not result.well:
        print(f"\nthe coordinator said:\n{result.log[-6000:]}")


def _indented(text: str | None) -> None:
    for line in (text or "").strip().splitlines():
        print(f"    {line}")
