"""A stage's part of an attempt: what the others left is put before its agent, and what it left is looked at.

What stages leave is kept in the store too: the files of a worktree may be changed by the next agent, or go with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending, Evidence
from coordinator.domain.task import Task, TaskState
from coordinator.domain.workflow import CHANGES, COMMITS, Left, Stage
from coordinator.engine.world import World
from coordinator.planning import stages
from coordinator.planning.actions import Settle
from coordinator.ports import Store
from coordinator.wording.workflow import stage_words


class NoStage(Exception):
    """The workflow of a begun attempt changed, so that nobody knows what its agent should do; words for people."""


Handed = Mapping[str, tuple[tuple[str, str], ...]]
"""By stage, the files that it left: (path in the worktree, text)."""


def handed(store: Store, task_id: str) -> Handed:
    kept = json.loads(store.document(_key(task_id)) or "{}")
    return {stage: tuple((path, text) for path, text in files) for stage, files in kept.items()}


def keep(action: Settle, store: Store) -> None:
    """What an ended stage left, before its task moves on; nothing of it once the work goes out."""
    task, left = action.task, action.evidence.left
    if action.settlement.to is TaskState.PUBLISHING:
        forget(task, store)
    elif left is not None and left.files and action.evidence.outcome.ending is Ending.SUCCEEDED:
        kept = {**handed(store, task.id), action.attempt.stage: left.files}
        store.keep_document(_key(task.id), json.dumps(kept, ensure_ascii=False))


def forget(task: Task, store: Store) -> None:
    if store.document(_key(task.id)) is not None:
        store.keep_document(_key(task.id), None)


def _key(task_id: str) -> str:
    return f"handoff:{task_id}"


# --- before the agent ---------------------------------------------------------------------------------


def require(world: World, task: Task, attempt: Attempt) -> None:
    """Raises NoStage."""
    if stages.ran(world.workflows(), task, attempt) is None:
        raise NoStage(stages.gone(world.workflows(), task, attempt))


def hand_on(world: World, task: Task, attempt: Attempt) -> None:
    """The other stages' files stand in the worktree as they were left, and of this stage's own none that an earlier
    round left: it would be taken for the new one. Raises GitError."""
    found = stages.ran(world.workflows(), task, attempt)
    if found is None or (len(found[0].stages) == 1 and not found[0].stages[0].files):
        return
    stage = found[0].stages[found[1]]
    kept = {} if task.fresh else handed(world.store, task.id)
    files = {path: text for name, left in kept.items() if name != stage.name for path, text in left}
    last = _last(world, task.id)
    goes_on = last is not None and last.stage == stage.name and last.ending is not Ending.SUCCEEDED and not task.fresh
    world.repo_of(task).hand(task.id, files, () if goes_on else stage.files)


def _last(world: World, task_id: str) -> Attempt | None:
    return next((old for old in reversed(world.store.attempts().get(task_id, ())) if old.ending), None)


def previous(world: World, attempt: Attempt) -> Attempt | None:
    """The ended attempt of the same stage that its agent follows."""
    history = world.store.attempts().get(attempt.task_id, ())
    return next((old for old in reversed(history) if old.ending and old.stage in (attempt.stage, "")), None)


def words(world: World, task: Task, attempt: Attempt) -> str:
    """What the prompt says of the stage; "" for a task of one stage that leaves commits."""
    found = stages.ran(world.workflows(), task, attempt)
    if found is None:
        return ""
    last = _last(world, task.id)
    unmet = last.detail if last is not None and last.stage == attempt.stage and last.reason == stages.GATE else ""
    kept = handed(world.store, task.id)
    left = [(name, path, text) for name, files in kept.items() for path, text in files]
    return stage_words(*found, left, unmet)


# --- after it -----------------------------------------------------------------------------------------


def commits(world: World, task: Task, attempt: Attempt) -> bool:
    """Whether changes that the agent forgot to commit are work of its stage."""
    found = stages.ran(world.workflows(), task, attempt)
    return found is None or COMMITS in found[0].stages[found[1]].leaves


def look(world: World, task: Task, attempt: Attempt, evidence: Evidence, env: Mapping[str, str]) -> Evidence:
    """The evidence with what the stage left, and its outcome after that and its gate. `env` is the gate command's."""
    found = stages.ran(world.workflows(), task, attempt)
    outcome = evidence.outcome
    if found is None or evidence.work is None or evidence.blocked_note or outcome.ending not in stages.WELL:
        return evidence
    stage = found[0].stages[found[1]]
    idle = outcome.ending is Ending.NO_CHANGE and COMMITS in stage.leaves
    if idle or not (stage.files or stage.gate.file or stage.gate.command):
        return evidence
    left = _left(world, task, stage, env)
    return replace(evidence, outcome=stages.judge(stage, outcome, left), left=left)


def _left(world: World, task: Task, stage: Stage, env: Mapping[str, str]) -> Left:
    wanted = (*stage.files, *((stage.gate.file,) if stage.gate.file else ()))
    found = world.repo_of(task).left(task.id, wanted)
    files = {path: world.mask(text) for pattern in stage.files for path, text in found[pattern]}
    verdict, first = stages.verdict_of(stage, files.items())
    left = Left(tuple(files.items()), tuple(one for one in wanted if not found[one]), verdict=verdict, first=first)
    undecided = stage.sends_back_to and verdict in ("", CHANGES)
    if not stage.gate.command or left.missing or undecided:
        return left
    ok, tail = world.repo_of(task).run_hook(task.id, stage.gate.command, "gate", stage.gate.timeout, env)
    return left if ok else replace(left, gate=world.mask(tail) or "it printed nothing")
