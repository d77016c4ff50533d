"""The stages of a workflow: which one a task stands at, what the one that ended was worth, and what follows it.

A stage is an attempt; the engine's other rules see a task of one stage at a time. Nothing here speaks of plan files: a
task of a plan has one stage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending, Evidence, Outcome
from coordinator.domain.task import Task, TaskState
from coordinator.domain.workflow import APPROVED, BUILD, CHANGES, COMMITS, VERDICT, Left, Library, Stage, Workflow
from coordinator.planning import completion
from coordinator.planning.actions import Move, Settlement, Wait
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot

_S = TaskState
WELL = (Ending.SUCCEEDED, Ending.NO_CHANGE)
APPROVAL, GATE, NEXT = "approval", "gate_failed", "next_stage"
SHOWN = 1500
"""Characters of what a stage left that a person is shown on the issue."""


def workflow_of(library: Library, task: Task) -> Workflow | None:
    """None where its file is gone or cannot be used."""
    return BUILD if task.plan else library.get(task.workflow)


def stage_of(library: Library, task: Task) -> Stage:
    """The stage that the task stands at; the last one of a workflow that became shorter meanwhile."""
    stages = (workflow_of(library, task) or BUILD).stages
    return stages[min(task.stage, len(stages) - 1)]


def ran(library: Library, task: Task, attempt: Attempt) -> tuple[Workflow, int] | None:
    """The workflow and the place in it of the stage that the attempt worked on; None when there is no such stage any
    more. An attempt that was begun before there were stages is of the one the task stands at."""
    workflow = workflow_of(library, task)
    if workflow is None:
        return None
    at = workflow.place(attempt.stage) if attempt.stage else min(task.stage, len(workflow.stages) - 1)
    return None if at is None else (workflow, at)


def gone(library: Library, task: Task, attempt: Attempt) -> str:
    """Words for an attempt whose stage is not there any more."""
    name = task.workflow or BUILD.name
    return library.broken.get(name, f"the workflow {name!r} has no stage {attempt.stage!r} any more")


def dressed(library: Library, policy: Policy, task: Task) -> Task:
    """The task with provider, model and template of its stage, to be looked at and never saved. What a person chose
    goes first: a provider other than the usual one, or a model of it."""
    stage = stage_of(library, task)
    own = bool(stage.provider) and task.provider == policy.provider
    provider = stage.provider if own else task.provider
    chosen = task.model if provider == task.provider else ""
    fits = not stage.provider or provider == stage.provider
    model, template = chosen or (stage.model if fits else ""), stage.template or task.template
    if (provider, model, template) == (task.provider, task.model, task.template):
        return task
    return replace(task, provider=provider, model=model, template=template)


def turns(library: Library, task: Task) -> int:
    """By how much the cap of sessions is raised: it is meant for each stage. 0 while nobody knows them: then nothing is
    begun, and a cap should not take the task from a file that is about to be mended."""
    workflow = workflow_of(library, task)
    return len(workflow.stages) if workflow is not None else 0


def hindrance(s: Snapshot, task: Task) -> Wait | Move | None:
    """What of its workflow keeps a queued task from being begun. A wrong name on the issue is told there; what the host
    must mend waits for it and goes on by itself."""
    name = task.workflow or BUILD.name
    if workflow_of(s.workflows, task) is None:
        words = s.workflows.broken.get(name, "")
        if words:
            return Wait(task.id, "workflow_error", words, f"mend adws/workflows/{name}.toml")
        known = ", ".join(sorted(set(s.workflows.known) - set(s.workflows.broken)))
        words = f"there is no workflow {name!r} (known: {known})"
        if name == s.policy.workflow:
            return Wait(task.id, "workflow_error", words, f"set workers.workflow, or add adws/workflows/{name}.toml")
        return Move(task, _S.BLOCKED, "workflow_error", words)
    if task.reason != APPROVAL:
        return None
    refused = s.refused.get(task.id)
    label, again = s.policy.labels.approved, f"coordinator retry {task.id}"
    words = f"{stage_of(s.workflows, task).name} is done and waits for a person's approval"
    if refused is not None:
        return Wait(task.id, APPROVAL, f"{words}: {refused.words}", f"set the label {label} anew, or: {again}")
    return Wait(task.id, APPROVAL, words, f"set the label {label}, or: {again}" if task.issue is not None else again)


# --- what an ended stage was worth ----------------------------------------------------------------------


def judge(stage: Stage, outcome: Outcome, left: Left) -> Outcome:
    """The outcome of an agent that ended well, after a look at what its stage must leave and at its gate."""
    if outcome.ending not in WELL or (outcome.ending is Ending.NO_CHANGE and COMMITS in stage.leaves):
        return outcome
    words = _unmet(stage, left)
    if words:
        return replace(outcome, ending=Ending.FAILED, reason=GATE, detail=words)
    if outcome.ending is Ending.NO_CHANGE:
        return replace(outcome, ending=Ending.SUCCEEDED, reason="process_exit")
    return outcome


def _unmet(stage: Stage, left: Left) -> str:
    if left.missing:
        return f"stage {stage.name} left no file {left.missing[0]}"
    if stage.sends_back_to and not left.verdict:
        words = f"the first line of {stage.files[0]} is {left.first[:80]!r}"
        return f"{words}; expected is `{VERDICT} {APPROVED}` or `{VERDICT} {CHANGES}`"
    return f"`{stage.gate.command}` failed: {left.gate}" if left.gate else ""


def verdict_of(stage: Stage, files: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """(what the reviewer decided, the first line of its file); ("", line) when the line says neither."""
    text = dict(files).get(stage.files[0], "") if stage.sends_back_to else ""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    plain = " ".join(first.strip("#*_` ").lower().split())
    known = {f"{VERDICT.lower()} {word}": word for word in (APPROVED, CHANGES)}
    return known.get(plain.rstrip(".*_` "), ""), first


def settle(s: Snapshot, task: Task, attempt: Attempt, evidence: Evidence) -> Settlement:
    """What an ended attempt means for its task, its stage included. Total, as completion.settle is."""
    found = ran(s.workflows, task, attempt)
    look = dressed(s.workflows, s.policy, task)
    stage = found[0].stages[found[1]] if found is not None else BUILD.stages[0]
    policy = s.policy if stage.retries is None else replace(s.policy, retry_max=stage.retries)
    plain = completion.settle(look, attempt, evidence, policy, s.now)
    well = evidence.outcome.ending in WELL
    if evidence.outcome.reason == GATE and plain.to is _S.BLOCKED and not evidence.blocked_note:
        return replace(plain, reason=GATE, detail=evidence.outcome.detail)
    if found is None:
        lost = well and plain.to in (_S.PUBLISHING, _S.FAILED)
        return Settlement(_S.BLOCKED, "workflow_error", gone(s.workflows, task, attempt)) if lost else plain
    if len(found[0].stages) == 1 or plain.to not in (_S.PUBLISHING, _S.FAILED):
        return plain
    if not well:
        at = evidence.outcome.reset_at
        return completion.failure(look, attempt, evidence.outcome.reason, evidence.outcome.detail, policy, s.now,
                                  reset_at=at)
    return _passed(task, *found, plain, evidence)


def _passed(task: Task, workflow: Workflow, at: int, plain: Settlement, evidence: Evidence) -> Settlement:
    """The agent of one of several stages ended well."""
    stage, left = workflow.stages[at], evidence.left or Left()
    if plain.to is _S.FAILED and COMMITS in stage.leaves:
        return plain
    if left.verdict == CHANGES:
        return _back(task, workflow, stage, left)
    if at + 1 == len(workflow.stages):
        return replace(plain, stage=0) if plain.to is _S.PUBLISHING else plain
    if stage.gate.approval:
        return Settlement(_S.QUEUED, APPROVAL, _shown(left, stage))
    return Settlement(_S.QUEUED, NEXT, f"{stage.name} is done, {workflow.stages[at + 1].name} follows", stage=at + 1)


def _back(task: Task, workflow: Workflow, stage: Stage, left: Left) -> Settlement:
    """To the earlier stage, while it may; then a person has its turn, and after it that stage again."""
    to = workflow.place(stage.sends_back_to)
    if task.sent_back >= stage.sends_back:
        return Settlement(_S.BLOCKED, "changes_needed", _shown(left, stage), stage=to)
    return Settlement(_S.QUEUED, "changes_needed", _shown(left, stage), stage=to, sends_back=True)


def _shown(left: Left, stage: Stage) -> str:
    text = dict(left.files).get(stage.files[0], "") if stage.files else ""
    return text if len(text) <= SHOWN else text[:SHOWN] + " …"


def counted(task: Task, settlement: Settlement) -> dict[str, Any]:
    """The fields of the task that a settlement with a stage sets: a new stage begins with all its retries."""
    if settlement.stage is None:
        return {}
    return {
        "stage": settlement.stage,
        "sent_back": task.sent_back + (1 if settlement.sends_back else 0),
        "retries_used": 0,
        "spent": (),
    }


def again(*, anew: bool) -> dict[str, object]:
    """What a person's retry sets: where it stopped, with all its turns; from the first stage when the work is begun
    anew or other words or another workflow ask for it."""
    return {"sent_back": 0, "stage": 0} if anew else {"sent_back": 0}


def approved(task: Task, who: str) -> dict[str, Any]:
    """The fields that an approval sets: the next stage, with all its retries."""
    done = Settlement(task.state, NEXT, f"approved by {who}", stage=task.stage + 1)
    return {**counted(task, done), "reason": done.reason, "detail": done.detail}
