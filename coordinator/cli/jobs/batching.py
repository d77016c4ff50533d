"""batch: starts every job of a list, or, where any line of it is wrong, none."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs.common import FaceContext, JsonFlag, LogDir, acting, face_of, read_prompt
from coordinator.cli.trouble import GENERAL, USAGE, Trouble
from coordinator.cli.views.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.app.faces import Face
    from coordinator.app.verbs import Desk, Launched, Order
    from coordinator.wording.batch_list import Entry


def add_to(app: typer.Typer) -> None:
    app.command()(batch)


def batch(
    ctx: FaceContext,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Lines `id:prompt:repo`; # begins a comment.")],
    stagger: Annotated[str, typer.Option(help="The pause between two starts.")] = "2s",
    worktree_root: Annotated[
        str, typer.Option("--worktree-root", metavar="DIR", help="Each works in DIR/ID/REPO; /tmp/agents.")] = "",
    provider: Annotated[str, typer.Option(help="Which agent.")] = "",
    log_dir: LogDir = "",
    as_json: JsonFlag = False,
) -> None:
    """Start every job of a list, each in a worktree of its own and with a terminal."""
    from coordinator.app import jobs, verbs

    face = face_of(ctx)
    pause, entries = _span(stagger), _entries(file)
    root = Path(worktree_root or jobs.AGENTS).absolute()
    with acting(face, log_dir) as desk:
        orders = _orders(desk, entries, file, root, provider or face.provider)
        done = []
        for launched in verbs.start_all(desk, orders, pause):
            done.append(launched)
            _tell(launched, quiet=as_json)
    failed = sum(one.started is None for one in done)
    if as_json:
        print(json.dumps({"jobs": [_facts(one) for one in done], "started": len(done) - failed, "failed": failed},
                         ensure_ascii=False))
    else:
        print(f"{len(done) - failed} of {len(done)} started; next: {_next(face, log_dir)}")
    if failed:
        raise typer.Exit(GENERAL)


def _span(text: str) -> timedelta:
    from coordinator.config.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise Trouble(f"--stagger {text!r} {wrong}", "Nothing was started.", code=USAGE) from wrong


def _entries(file: str) -> Sequence[Entry]:
    """The list, whole. Raises Trouble that names every line that is wrong."""
    from coordinator.wording import batch_list

    try:
        text = Path(file).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Trouble(f"{file} is no UTF-8 text", f"Write one {batch_list.FORM} a line.") from error
    entries, faults = batch_list.parse(text)
    if faults:
        raise _wrong(file, [(fault.line, fault.words) for fault in faults])
    if not entries:
        raise Trouble(f"{file} lists no job", f"Write one {batch_list.FORM} a line.")
    return entries


def _orders(desk: Desk, entries: Sequence[Entry], file: str, root: Path, provider: str) -> Sequence[Order]:
    """One order a line, every prompt read. Raises Trouble before anything is started."""
    found, faults = [], []
    for entry in entries:
        try:
            found.append(_order(desk, entry, root, provider))
        except Exception as error:  # one line's trouble is told beside the others'
            words = _words(error)
            if words is None:
                raise
            faults.append((entry.line, words))
    if faults:
        raise _wrong(file, faults)
    return found


def _words(error: Exception) -> str | None:
    if isinstance(error, Trouble):
        return error.words
    from coordinator.app.expected import expected

    known = expected(error)
    return None if known is None else known.words


def _order(desk: Desk, entry: Entry, root: Path, provider: str) -> Order:
    from coordinator.app.verbs import Order

    prompt = Path(entry.prompt).expanduser()
    repo = str(Path(entry.repo).expanduser()) if "/" in entry.repo else entry.repo
    repository = desk.repository(repo)
    name = repository.name if repository is not None else Path(repo).name
    worktree = root / entry.job / name
    if repository is None and not worktree.is_dir():
        raise Trouble(f"no repository {repo!r} is known, and {worktree} does not exist")
    return Order(
        job_id=entry.job, provider=provider, prompt=read_prompt(str(prompt)), prompt_file=str(prompt.absolute()),
        cwd=Path.cwd(), repo=repo if repository is None else str(repository), worktree=worktree, pty=True,
    )  # fmt: skip


def _wrong(file: str, faults: Sequence[tuple[int, str]]) -> Trouble:
    lines = [f"{file}:{number}: {words}" for number, words in sorted(faults)]
    return Trouble("\n".join(lines), "Nothing was started. Mend the list and try again.")


def _tell(launched: Launched, *, quiet: bool) -> None:
    started = launched.started
    for note in started.notes if started is not None else ():
        print(f"note: {harmless(note)}", file=sys.stderr)
    if started is None:
        print(f"not started: {launched.order.job_id}: {harmless(launched.words)}", file=sys.stderr)
        if launched.cure:
            print(f"  {harmless(launched.cure)}", file=sys.stderr)
    elif not quiet:
        place = harmless(str(launched.order.worktree))
        print(f"started {started.job_id} ({started.provider}, pid {started.pid}) in {place}", flush=True)


def _facts(launched: Launched) -> dict[str, object]:
    started, order = launched.started, launched.order
    facts: dict[str, object] = {"beads": order.job_id, "provider": order.provider, "worktree": str(order.worktree)}
    if started is None:
        return {**facts, "state": "failed", "exit_code": launched.code, "words": launched.words}
    return {**facts, "state": "started", "pid": started.pid, "run_instance": started.run_instance}


def _next(face: Face, log_dir: str) -> str:
    return f"{face.name} status" + (f" --log-dir {shlex.quote(log_dir)}" if log_dir else "")
