"""What is asked of the coordinator of a label or a plan, which alone moves its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.asking import PATIENCE, SLOW_PATIENCE, ask
from coordinator.cli.trouble import Trouble

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.app.batch_verbs import Done
    from coordinator.app.batches import Batch, Scope


def ask_batch(scope: Scope, kind: str, ids: Sequence[str] = (), **args: str) -> None:
    """hold_batch, resume_batch or cancel_batch; prints the answer. `ids` are those whose work is concerned, which alone
    moves where nobody runs. Raises Trouble."""
    given = {"batch": scope.name if scope.kind == "label" else scope.key,
             **{key: value for key, value in {**args, "tasks": " ".join(ids)}.items() if value}}
    ask(_place(scope), kind, "", given, SLOW_PATIENCE if kind == "cancel_batch" else PATIENCE)


def ask_cancel(batch: Batch, ids: Sequence[str], reason: str) -> None:
    """Of a batch without a gate each task is stopped by itself."""
    if batch.gate():
        ask_batch(batch.scope, "cancel_batch", ids, reason=reason)
        return
    place = _place(batch.scope)
    for name in ids:
        ask(place, "stop", name, {"reason": reason}, SLOW_PATIENCE)


def need_a_coordinator(batch: Batch) -> None:
    """Raises Trouble where none runs: whoever is tried first would never end."""
    from coordinator.app import daemon_pid

    if not daemon_pid(_place(batch.scope)):
        raise Trouble("no coordinator runs here, so the one that is tried first would not start",
                      "coordinator run, then again; or queue all of them: --no-smoke")


def retried(batch: Batch, ids: Sequence[str]) -> Iterator[Done]:
    """Each is queued again."""
    from coordinator.app.batch_verbs import Done

    place, attempts = _place(batch.scope), {one.id: one.attempts for one in batch.members()}
    for name in ids:
        ask(place, "retry", name, {}, PATIENCE)
        yield Done(name, ok=True, words="queued", run=f"{name} attempt {attempts.get(name, 0) + 1}")


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
    if scope.kind == "plan" and not daemon_pid(place) and not place.store.exists():
        raise Trouble(f"nobody runs the plan {scope.name}, and its memory is gone", "coordinator plan run PLAN")
    return place
