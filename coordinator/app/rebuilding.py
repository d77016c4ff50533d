"""The memory of a repository when its file is damaged, went back in time or is gone: it is kept aside, and a new one is
made of what the last board, the run files and, from the first poll on, GitHub tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coordinator.adapters.store import SqlStore
    from coordinator.app import Place
    from coordinator.planning.recall import Recalled

_NAME = "memory"
REBUILDS = 3
"""How often one process makes its memory anew: a disk that damages it again and again wants a person."""


def on_a_sound_memory(where: Place, say: Callable[[str], None], serve: Callable[[], None]) -> None:
    """Serves; where the memory proves damaged meanwhile, it is made anew and serving begins again. To be called by who
    holds the repository. Raises what `mend` and `serve` raise."""
    from coordinator.ports import StoreDamaged

    for left in range(REBUILDS, -1, -1):
        mend(where, say)
        try:
            serve()
            return
        except StoreDamaged as error:
            if not left:
                raise
            say(f"nothing moves: {error}")


def mend(where: Place, say: Callable[[str], None]) -> None:
    """Looks whether the memory is what was stored, and makes a new one where it is not; a plan's own is left to people.
    To be called by who holds the repository. Raises NewerSchema, StoreError, OSError."""
    from coordinator.adapters.store import trouble
    from coordinator.app.plans import is_own
    from coordinator.ports import StoreDamaged

    if is_own(where):
        return
    board = _board(where)
    try:
        if not where.store.exists() and _begun(where, board):
            raise trouble.gone(where.store)
        _check(where, board)
        return
    except StoreDamaged as error:
        words = error.words.partition("\n")[0]
    _rebuild(where, board, words, say)


def begun(where: Place) -> bool:
    """Whether a coordinator has worked here and can go on, by its memory or by what one can be made of."""
    from coordinator.app.plans import is_own

    return where.store.exists() or (not is_own(where) and _begun(where, _board(where)))


def _begun(where: Place, board: dict[str, Any] | None) -> bool:
    """Whether there was a memory: the last board knows it or tasks of it, an earlier one was kept aside, or a run was
    begun that no person started."""
    from coordinator.adapters.executors.shelf import Shelf
    from coordinator.adapters.store.opening import asides
    from coordinator.planning.recall import runs_of_ours

    return bool(_noted(board)[0] or (board or {}).get("tasks") or asides(where.store)
                or runs_of_ours(Shelf(where.jobs, flat=False).all()))


def _board(where: Place) -> dict[str, Any] | None:
    """The board of the last tick; None where there is none that can be read."""
    try:
        board = json.loads(where.board.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return board if isinstance(board, dict) else None


def _noted(board: dict[str, Any] | None) -> tuple[str, int]:
    """The name of the memory that the board was written from, and how many changes it had."""
    noted = (board or {}).get(_NAME)
    noted = noted if isinstance(noted, dict) else {}
    name, changes = noted.get("id"), noted.get("changes")
    return name if isinstance(name, str) else "", changes if isinstance(changes, int) else 0


def _check(where: Place, board: dict[str, Any] | None) -> None:
    """Raises StoreDamaged. The board is written after the memory: what it counted must be in there. A memory without a
    name is that of a first run, or of a version that gave none: it is another's place that it stands in where the board
    knows a name, or where it is empty and work was begun."""
    import secrets

    from coordinator.adapters.store import SqlStore, trouble

    store = SqlStore(where.store)
    try:
        store.check()
        (noted, changes), name = _noted(board), store.document(_NAME)
        if name is None:
            if noted or (not store.changes() and _begun(where, board)):
                raise trouble.blank(where.store)
            store.keep_document(_NAME, secrets.token_hex(8))
        elif noted == name and changes > store.changes():
            raise trouble.gone_back(where.store, store.changes(), changes)
    finally:
        store.close()


def _rebuild(where: Place, board: dict[str, Any] | None, words: str, say: Callable[[str], None]) -> None:
    """The new memory is whole before it stands in the old one's place: died in between, it is made once more."""
    from coordinator.adapters.executors.shelf import Shelf
    from coordinator.adapters.store import SqlStore
    from coordinator.adapters.store.opening import aside, forget, set_aside
    from coordinator.adapters.system.seam import crossing
    from coordinator.app import now
    from coordinator.planning.recall import UnusableBoard, recall

    at, jobs = now(), Shelf(where.jobs, flat=False).all()
    try:
        found = recall(board, jobs, at)
    except UnusableBoard:
        board, found = None, recall(None, jobs, at)
    fresh = where.home / "state.db.new"
    forget(fresh)
    store = SqlStore(fresh)
    told = _words(found, board, words)
    try:
        _fill(store, found, at)
        kept = str(aside(where.store, at)) if where.store.exists() else ""
        told += f"; the old one is kept as {kept}" if kept else ""
        store.keep_document("rebuilt", json.dumps({"at": at.isoformat(), "words": told, "kept": kept}))
    finally:
        store.close()
    if where.store.exists():
        set_aside(where.store, at)
    with crossing("file", where.store.name):
        fresh.replace(where.store)
    for line in told.split("; "):
        say(line)


def _fill(store: SqlStore, found: Recalled, at: datetime) -> None:
    import secrets

    from coordinator.domain.request import Event

    for task, attempts in found.tasks:
        kind = "completed" if task.pr_number is not None else "recalled"
        store.add(task, Event(task.id, task.completed_at or at, kind, f"{task.state} {task.reason}".rstrip()))
        for attempt in attempts:
            store.record(attempt, Event(task.id, at, "recalled", attempt.worker_id, attempt.number))
    parked = {name: {**one, "at": at.isoformat()} for name, one in found.parked.items()}
    for name, text in (
        (_NAME, secrets.token_hex(8)),
        ("recalled", json.dumps(dict(found.unsure))),
        ("paused", "1" if found.paused else None),
        ("parked", json.dumps(parked)),
        ("repository", found.repository or None),
    ):
        store.keep_document(name, text)


def _words(found: Recalled, board: dict[str, Any] | None, words: str) -> str:
    """What people are told, on the log, the board and by notify."""
    running = sum(task.state == "RUNNING" for task, _ in found.tasks)
    said = [f"the memory was lost and is made anew: {words}",
            f"{len(found.tasks)} tasks are known again, {running} of them with a worker that is looked at"]
    if board is None:
        said.append("the board of the last tick cannot be read either: sessions and money of today count from 0")
    if found.unsure:
        said.append(f"of {', '.join(sorted(found.unsure))} only run files tell: GitHub is asked what became of them")
    if found.paused:
        said.append(f"paused, since {found.paused}: coordinator resume")
    said += [f"the plan {path} must be given anew: coordinator plan resume {path}" for path in found.plans]
    return "; ".join(said)
