"""What is asked of the coordinator of a label or a plan, which alone moves its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.asking import PATIENCE, SLOW_PATIENCE, ask
from coordinator.cli.trouble import Trouble

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.app.batches import Batch, Scope


def ask_batch(scope: Scope, kind: str, ids: Sequence[str] = (), **args: str) -> None:
    """hold_batch, resume_batch or cancel_batch; prints the answer. `ids` are those whose work is concerned, which alone
    moves where nobody runs. Raises Trouble."""
    given = {"batch": scope.name if scope.kind == "label" else scope.key,
             **{key: value for key, value in {**args, "tasks": " ".join(ids)}.items() if value}}
    ask(_place(scope), kind, "", given, SLOW_PATIENCE if kind == "cancel_batch" else PATIENCE)


def ask_clean(scope: Scope, ids: Sequence[str]) -> None:
    ask(_place(scope), "clean", "", {"tasks": " ".join(ids)}, SLOW_PATIENCE)


def ask_again(batch: Batch, ids: Sequence[str], fix: str, *, smoke: bool) -> None:
    """All of them are queued again; with `smoke` behind a closed gate, that lets one through first."""
    scope = batch.scope
    before = {one.id: one.attempts for one in batch.members()}
    if smoke:
        ask_batch(scope, "hold_batch", reason=fix or "the failed ones are tried again, one first")
    for name in ids:
        ask(_place(scope), "retry", name, {}, PATIENCE)
    if smoke:
        ask_batch(scope, "resume_batch", canary="1")
    made = {f"{name} attempt {before.get(name, 0)}": f"{name} attempt {before.get(name, 0) + 1}" for name in ids}
    batch.note("resubmit", fix, ids, made)


def _place(scope: Scope) -> Place:
    from coordinator.app import Place, daemon_pid

    place = Place(Path(scope.place))
    if scope.kind == "plan" and not daemon_pid(place) and not (place.root / ".git").exists():
        raise Trouble(f"nobody runs the plan {scope.name} now, so nobody can be asked", "coordinator plan resume PLAN")
    return place
