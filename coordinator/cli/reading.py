"""status, why, view: they read files that the coordinator wrote and load nothing that asks or changes the world."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli import screen
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.cli.board import Board
    from coordinator.cli.views.fitting import Line


PLAN_TASK = "plan-"
"""How the ids of tasks begin that come from a plan file."""


def add_to(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(why)
    app.command()(view)


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The board as JSON: ISO times, bytes.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every task, however many.")] = False,
    state: Annotated[str, typer.Option(help="Only tasks in this state, such as running.")] = "",
    summary: Annotated[bool, typer.Option(help="Two blocks of counts first.")] = False,
) -> None:
    """Show what is under way, what waits, and what wants a person."""
    wanted = _state(state)
    if as_json:
        _print_json(_board(_place()), wanted)
        return
    place = _place_or_none() if summary else _place()

    def picture(width: int) -> list[Line]:
        return _picture(place, width, everything=everything, state=wanted, summary=summary)

    if watch:
        screen.watch(picture)
    else:
        screen.show(picture(screen.width()))


def _state(text: str) -> str:
    from coordinator.domain.task import TaskState

    name = text.strip().upper().replace(" ", "_").replace("-", "_")
    if name and name not in set(TaskState):
        known = ", ".join(str(one).lower() for one in TaskState)
        raise Trouble(f"there is no state {text!r}", f"The states are {known}.", code=USAGE)
    return name


def _place() -> Place:
    from coordinator import app

    return app.place()


def place_of(task: str) -> Place:
    """Where this task's memory lies: the repository one stands in, for a task of a plan run by hand the plan's own."""
    if task.startswith(PLAN_TASK):
        import os

        from coordinator.app.plans import place_of_task

        place = place_of_task(task, os.environ)
        if place is not None:
            return place
    return _place()


def _place_or_none() -> Place | None:
    from coordinator import app

    try:
        return app.place()
    except app.NoRepository:
        return None


def _board(place: Place) -> Board:
    from coordinator import app
    from coordinator.cli.board import read_board

    return read_board(place.board, place.jobs, app.daemon_pid(place), app.now())


def _picture(place: Place | None, width: int, *, everything: bool, state: str, summary: bool) -> list[Line]:
    from coordinator import app
    from coordinator.cli.views.fitting import Line
    from coordinator.cli.views.status import status

    lines = [Line("", text) for text in _summary(place)] if summary else []
    if place is not None:
        lines += status(_board(place), app.now(), width, everything=everything, state=state)
    return lines


def _summary(place: Place | None) -> tuple[str, ...]:
    """Of the working directory's own files where it has one of them, else of the repository's."""
    from coordinator.wording.summary import summary_lines

    here = Path.cwd()
    local = any((here / name).is_file() for name in ("tasks.md", "adws/metrics.json"))
    root = here if local or place is None else place.root
    return summary_lines(_text(root / "adws" / "metrics.json"), _text(root / "tasks.md"))


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _print_json(board: Board, state: str) -> None:
    import json

    data: dict[str, Any] = dict(board.data)
    data["tasks"] = [row for row in board.rows if not state or row["state"] == state]
    data["held"] = list(board.held)
    data["daemon_pid"] = board.daemon or None
    data["warnings"] = list(board.warnings)
    print(json.dumps(data, ensure_ascii=False, indent=2))


# --- why and view --------------------------------------------------------------------------------------


def task_id(issue: str) -> str:
    """471, #471 and gh-471 are one task. Raises Trouble for what can be none."""
    from coordinator.cli.view import task_of

    try:
        return task_of(issue.strip())
    except ValueError as error:
        raise Trouble(str(error), "`coordinator status --all` lists the tasks.", code=USAGE) from error


def why(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="471, gh-471 or m-3.")],
    as_json: Annotated[bool, typer.Option("--json", help="Code, words and what moves it, as JSON.")] = False,
) -> None:
    """Say why a task stands where it stands, and what would move it."""
    name = task_id(issue)
    board = _board(place_of(name))
    row = board.row(name)
    number = name.removeprefix("gh-")
    held = board.held_issue(int(number)) if row is None and number.isdigit() else None
    if row is None and held is None:
        here = "; ".join(board.warnings) or "`coordinator status --all` lists the tasks."
        raise Trouble(f"there is no task {name}, and no labelled issue of that number", here)
    for words in () if as_json else board.warnings:
        print(f"! {words}", file=sys.stderr)
    answer = _why_task(row, board) if row is not None else _why_held(held or {})
    if as_json:
        import json

        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        from coordinator.cli.views.harmless import harmless

        print("\n".join(harmless(line) for line in answer["lines"]))


def _why_task(row: dict[str, Any], board: Board) -> dict[str, Any]:
    from coordinator import app
    from coordinator.wording.why import why as explain

    wait = row.get("wait") or {}
    resting = str(wait.get("code")) in ("moving", str(row["state"]).lower())   # says no more than the state does
    row = {**row, "wait": None} if resting else row
    answer = explain(row, labels=board.labels, now=app.now(), local=app.local)
    return {
        "task": row["id"],
        "state": row["state"],
        "code": answer.code,
        "wait": row.get("wait"),
        "moves": [{"how": one.how, "words": one.words} for one in answer.remedies],
        "attempts": row["attempts"],
        "lines": list(answer.lines),
    }


def _why_held(held: dict[str, Any]) -> dict[str, Any]:
    from coordinator.cli.views.fitting import clean

    title = f" ({clean(held['title'])})" if held.get("title") else ""
    lines = [f"#{held.get('number')}{title} is not a task yet: {clean(held.get('words') or '')}.", "What moves it:"]
    lines.append(f"  {clean(held.get('moves') or 'coordinator status')}")
    return {
        "issue": held.get("number"),
        "state": "HELD",
        "code": held.get("code"),
        "moves": [{"how": held.get("moves"), "words": ""}],
        "lines": lines,
    }


def view(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="471, gh-471 or m-3.")],
    attempt: Annotated[int | None, typer.Option(min=1, help="An earlier attempt.")] = None,
    detailed: Annotated[bool, typer.Option("--detailed", help="All parameters and results.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it is written.")] = False,
    tools: Annotated[bool, typer.Option("--tools", help="Only tool uses.")] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Only what went wrong.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Its account: tokens, cost, tools, errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The events as they are stored, or the account.")] = False,
) -> int:
    """Read a worker's conversation, or its account."""
    from coordinator.cli.view import ViewOptions, transcript_path
    from coordinator.cli.view import view as show

    name = task_id(issue)
    if summary and (detailed or follow or tools or errors):
        raise Trouble("the account is of the whole transcript as it is now", "Give --summary alone, or with --json.",
                      code=USAGE)  # fmt: skip
    options = ViewOptions(detailed=detailed, tools=tools, errors=errors, as_json=as_json, follow=follow,
                          summary=summary)  # fmt: skip
    return show(transcript_path(place_of(name).root, name, attempt), options, sys.stdout, sys.stderr)
