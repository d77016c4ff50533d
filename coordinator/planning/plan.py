"""plan(snapshot): the one decision. Every rule proposes; a task is named by the first that has something to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from coordinator.domain.task import ENDED, TaskState
from coordinator.planning.actions import Action, Held, Plan, Wait, work_lane
from coordinator.planning.claiming import held_back
from coordinator.planning.rules import (
    adopt,
    approve,
    attention,
    batch,
    claim,
    dispatch,
    launch,
    plans,
    poll,
    publish,
    requests,
    review,
    settle,
    supervise,
    tell,
    tidy,
)
from coordinator.planning.snapshot import Snapshot

Proposal = Action | Wait | Held
Rule = Callable[[Snapshot], Iterable[Proposal]]

RULES: tuple[Rule, ...] = (
    requests.rule,
    claim.rule,
    batch.rule,
    poll.rule,
    settle.rule,
    supervise.rule,
    launch.rule,
    plans.rule,
    publish.rule,
    review.rule,
    adopt.rule,
    approve.rule,
    dispatch.rule,
    tell.rule,
    tidy.rule,
    attention.rule,
)
"""In order of precedence: a person's word first, then what is under way, then what is new."""


def plan(snapshot: Snapshot) -> Plan:
    """Actions to apply now and, for every task that is not moving, why. Pure: equal snapshots, equal plans."""
    actions: list[Action] = []
    waits: dict[str, Wait] = {}
    held: list[Held] = []
    taken: set[str] = set()
    for rule in RULES:
        for proposal in rule(snapshot):
            if isinstance(proposal, Wait):
                waits.setdefault(proposal.task_id, proposal)
            elif isinstance(proposal, Held):
                held.append(proposal)
            elif _claims(proposal, taken):
                actions.append(proposal)
    for task in snapshot.tasks.values():
        waits.setdefault(task.id, _at_rest(task.id, task.state))
    waits = {task_id: _troubled(snapshot, wait) for task_id, wait in waits.items()} if snapshot.troubles else waits
    made = Plan(tuple(actions), waits, tuple(held), _next_time(snapshot, waits))
    return held_back(made, snapshot.claim, snapshot.tasks)


def _claims(action: Action, taken: set[str]) -> bool:
    """One change of memory a task a plan, and one effect a lane: what comes later is planned anew."""
    task = getattr(action, "task", None)
    keys = {action.lane} if action.lane else set()
    if task is not None and not action.lane.startswith("say:"):
        keys.add(f"task:{task.id}")
    if not keys.isdisjoint(taken):
        return False
    taken |= keys
    return True


def _at_rest(task_id: str, state: TaskState) -> Wait:
    if state is TaskState.DONE:
        return Wait(task_id, "done", "finished: its pull request was merged")
    if state in ENDED:
        return Wait(task_id, str(state).lower(), "waits for a person", f"coordinator retry {task_id}")
    return Wait(task_id, "moving", "is being worked on now")


def _troubled(snapshot: Snapshot, wait: Wait) -> Wait:
    """With what keeps failing: that a task is at work is no answer to why it gets no further."""
    count, words = snapshot.troubles.get(work_lane(wait.task_id), (0, ""))
    often = f"failed {count} times, the last time" if count > 1 else "failed"
    return replace(wait, words=f"{wait.words}; this {often}: {words}") if words else wait


def _next_time(snapshot: Snapshot, waits: dict[str, Wait]) -> datetime | None:
    """When time alone will change something."""
    moments = [wait.until for wait in waits.values() if wait.until is not None]
    moments += list(snapshot.holdoff.values())
    moments += [at for at in (snapshot.github_until, snapshot.claim.due, snapshot.claim.until) if at is not None]
    return min((moment for moment in moments if moment > snapshot.now), default=None)


