"""The gate of each batch: held when it fails systemically, opened for one task, then for one wave, then for the rest.

Nothing here stops a running worker, and a gate holds no task but those of its own batch. A person opens it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coordinator.domain.issue import Issue
from coordinator.domain.request import Request, RequestKind
from coordinator.domain.task import COMPLETED, NEEDS_PERSON, PENDING, Task, TaskState
from coordinator.planning.actions import Wait
from coordinator.planning.batch.cohort import BatchWord, Health, judge
from coordinator.planning.batch.members import Stand
from coordinator.planning.batch.membership import (
    LABEL,
    batches_of,
    by_age,
    member,
    members_of,
    needs,
    resolve,
    title_of,
)
from coordinator.planning.batch.scope import Scope, parse_key
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.plans.waves import waves_of
from coordinator.planning.snapshot import Snapshot

_P = GatePhase
_K = RequestKind
REQUESTS = frozenset({_K.HOLD_BATCH, _K.RESUME_BATCH, _K.CANCEL_BATCH})
OPEN = Standing()
SLACK = timedelta(minutes=1)


@dataclass(frozen=True)
class Turn:
    """A batch comes to stand otherwise. `words` say so to people; `request` is what a person asked, if it was one;
    `again` is a task that failed and is to be queued for it, first."""

    key: str
    after: Standing
    words: str
    request: Request | None = None
    again: Task | None = None


def standing(s: Snapshot, key: str) -> Standing:
    return s.batches.get(key, OPEN)


def healths(s: Snapshot) -> Mapping[str, Health]:
    """How each batch stands, by what was begun since it was let go on last."""
    return {key: judge(members_of(s, key, since=_past(s, standing(s, key).judged_from)), s.policy.bands)
            for key in batches_of(s)}


def _past(s: Snapshot, moment: datetime | None) -> datetime | None:
    """None for a moment that a clock told which has been set back since: what is begun now would be too old for it."""
    return moment if moment is not None and moment <= s.now + SLACK else None


def turns(s: Snapshot) -> Iterator[Turn]:
    """What changes now: by a person's word, else by what was seen. At most one a batch."""
    asked: set[str] = set()
    for request in s.requests:
        key = resolve(s, request.args.get("batch", "")) if request.kind in (_K.HOLD_BATCH, _K.RESUME_BATCH) else ""
        turn = _asked(s, key, request) if key and key not in asked else None
        if turn is not None:
            asked.add(key)
            yield turn
    for key, health in healths(s).items():
        turn = _seen(s, key, standing(s, key), health) if key not in asked else None
        if turn is not None:
            yield turn


# --- a person's word ---


def _asked(s: Snapshot, key: str, request: Request) -> Turn | None:
    """None where nothing changes by it: `refusal` says why."""
    now, name = standing(s, key), title_of(key)
    if refusal(s, key, request):
        return None
    if request.kind is _K.HOLD_BATCH:
        words = request.args.get("reason") or f"a person held it ({request.source})"
        after = replace(now, phase=_P.HELD, since=s.now, number=now.number + 1, told=now.number + 1, why=words,
                        cause="", share=0.0, evidence=(), by=words, canary="")
        return Turn(key, after, f"batch {name} is held: {words}", request)
    after = replace(now, phase=_P.FREE, since=s.now, canary="", wave=0, judged_from=s.now)
    if not request.args.get("canary"):
        return Turn(key, after, f"batch {name} goes on: its tasks start again", request)
    canary = canary_of(s, key)
    assert canary is not None
    return Turn(key, replace(after, phase=_P.CANARY, canary=canary.id, attempts=canary.attempts),
                f"batch {name}: {canary.id} is tried alone; its success releases the next wave", request,
                canary if canary.state in NEEDS_PERSON else None)


def refusal(s: Snapshot, key: str, request: Request) -> str:
    """Why nothing changes by a request to hold a batch or to let it go on; ""."""
    now, name = standing(s, key), title_of(key)
    if request.kind is _K.HOLD_BATCH:
        return f"batch {name} is held already: {now.why}" if now.phase is _P.HELD else ""
    if now.phase is _P.FREE:
        return f"batch {name} is not held: its tasks start as they come"
    if not request.args.get("canary"):
        return ""
    if now.phase is _P.CANARY:
        return f"batch {name}: {now.canary} is being tried already"
    if now.phase is _P.WAVE:
        return f"batch {name}: its canary succeeded, wave {now.wave} is being tried"
    if canary_of(s, key) is None:
        return (f"batch {name}: none of its tasks can be tried alone: each runs, is done, waits for others or was "
                f"withdrawn; `{Scope(*parse_key(key)).command('resume')}` lets all of them go on")
    return ""


def canary_of(s: Snapshot, key: str) -> Task | None:
    """The one task to be tried: of the lowest wave, the oldest one that is queued and waits for nobody; where none is
    queued, one that failed."""
    tasks = [task for task in batches_of(s).get(key, ()) if _wanted(s, task)]
    waves = _waves(s, key)
    queued = [task for task in tasks if task.state in PENDING]
    failed = [task for task in tasks if task.state in NEEDS_PERSON and task.state is not TaskState.CANCELLED]
    ready = [task for task in queued if not _open_needs(s, key, task)]
    ready = ready or [task for task in failed if not _open_needs(s, key, task)]
    return min(ready, key=lambda task: (waves.get(task.id, 1), *by_age(task)), default=None)


def _wanted(s: Snapshot, task: Task) -> bool:
    """Whether a person still wants it: its issue is open and labelled, and not paused."""
    issue, labels = s.issue_of(task), s.policy.labels
    if issue is None:
        return task.issue is None
    return issue.open and labels.auto in issue.labels and labels.pause not in issue.labels


def _waves(s: Snapshot, key: str) -> Mapping[str, int]:
    return waves_of(needs(s, batches_of(s).get(key, ())))


def _open_needs(s: Snapshot, key: str, task: Task) -> bool:
    """Whether something it waits for is not done: an open issue, or a task of its plan that is not merged."""
    if task.plan:
        mine = needs(s, batches_of(s).get(key, ())).get(task.id, frozenset())
        return any(s.tasks[name].state is not TaskState.DONE for name in mine)
    vet = s.vets.get(task.issue) if task.issue is not None else None
    numbers = {*task.depends_on, *(vet.blocked_by if vet is not None else ())}
    return any((issue := s.issues.get(number)) is not None and issue.open for number in numbers)


# --- what was seen ---


def _seen(s: Snapshot, key: str, now: Standing, health: Health) -> Turn | None:
    if now.phase is _P.HELD:
        return None
    if now.phase is _P.CANARY:
        return _canary(s, key, now, health)
    if health.word is BatchWord.SYSTEMIC:
        return _hold(s, key, now, health, health.why)
    return _wave(s, key, now, health) if now.phase is _P.WAVE else None


def _hold(s: Snapshot, key: str, now: Standing, health: Health, why: str) -> Turn:
    cause = health.cause
    after = replace(now, phase=_P.HELD, since=s.now, number=now.number + 1, why=why,
                    cause=cause.code if cause is not None else now.cause,
                    share=cause.share if cause is not None else 0.0, evidence=health.evidence, by="", canary="")
    return Turn(key, after, f"batch {title_of(key)} is held: {why}. {cure(key)}")


def cure(key: str) -> str:
    """What opens the gate, as a sentence."""
    return f"Mend the cause, then `{command(key)}` tries one task."


def command(key: str) -> str:
    return f"{Scope(*parse_key(key)).command('resume')} --canary"


def _canary(s: Snapshot, key: str, now: Standing, health: Health) -> Turn | None:
    """Its success opens the gate for a wave; whatever else ends it closes the gate again."""
    task = s.tasks.get(now.canary)
    if task is None:
        return _hold(s, key, now, health, f"its canary {now.canary} is no task any more")
    published = task.state is TaskState.PUBLISHING and not task.plan   # a plan's task has its validation before it
    if task.state in COMPLETED or published:
        return _release(s, key, now)
    one = member(s, task, {})
    failed = one.stand is Stand.BAD or (one.stand is Stand.WAITING and one.reason and not one.excluded)
    if failed and task.attempts > now.attempts:
        return _hold(s, key, now, health, f"its canary {task.id} failed: {one.reason}: {one.words}".rstrip(": ")[:300])
    if task.state in NEEDS_PERSON:
        return _hold(s, key, now, health, f"its canary {task.id} ended without a trial: {task.reason}")
    return None


def _release(s: Snapshot, key: str, now: Standing) -> Turn:
    """Opens the gate for the lowest wave in which something waits, or for good where nothing does."""
    name = title_of(key)
    waves = [one.wave for one in members_of(s, key) if one.stand is Stand.WAITING]
    if not waves:
        return Turn(key, _free(s, now), f"batch {name}: nothing of it waits any more")
    after = replace(now, phase=_P.WAVE, since=s.now, canary="", wave=min(waves))
    return Turn(key, after, f"batch {name}: wave {min(waves)} is released; its health decides the rest")


def _free(s: Snapshot, now: Standing) -> Standing:
    return replace(now, phase=_P.FREE, since=s.now, canary="", wave=0)


def _wave(s: Snapshot, key: str, now: Standing, health: Health) -> Turn | None:
    """A wave that stands well opens the gate for good once enough of it ended; one that is over and stands not so well
    opens it for the next."""
    here = [one for one in members_of(s, key, since=_past(s, now.since)) if one.wave <= now.wave]
    ended = sum(one.stand in (Stand.GOOD, Stand.BAD) and not one.excluded for one in here)
    every = needs(s, batches_of(s).get(key, ()))
    going = any(one.stand is Stand.RUNNING or (one.stand is Stand.WAITING and not _stuck(s, every, one.id))
                for one in here)
    if health.word is BatchWord.HEALTHY and (ended >= s.policy.bands.min_ended or not going):
        return Turn(key, _free(s, now), f"batch {title_of(key)}: wave {now.wave} stands well; all of it goes on")
    if going:
        return None
    later = [one.wave for one in members_of(s, key) if one.stand is Stand.WAITING and one.wave > now.wave]
    if not later:
        return Turn(key, _free(s, now), f"batch {title_of(key)}: no later wave waits")
    after = replace(now, since=s.now, wave=min(later))
    return Turn(key, after, f"batch {title_of(key)}: wave {min(later)} is released: {health.why}")


def _stuck(s: Snapshot, every: Mapping[str, frozenset[str]], task_id: str) -> bool:
    """Whether it waits for a task that only a person can set going again."""
    seen: set[str] = set()
    todo = list(every.get(task_id, ()))
    while todo:
        name = todo.pop()
        if s.tasks[name].state in NEEDS_PERSON:
            return True
        if name not in seen:
            seen.add(name)
            todo += every.get(name, ())
    return False


# --- what it keeps from starting ---


def shut(s: Snapshot) -> dict[str, Wait]:
    """The queued tasks that a gate keeps from starting, by what holds now and by what is about to hold."""
    coming = {turn.key: turn.after for turn in turns(s)}
    found: dict[str, Wait] = {}
    for key, tasks in batches_of(s).items():
        gates = [gate for gate in (standing(s, key), coming.get(key, OPEN)) if gate.phase is not _P.FREE]
        waves = _waves(s, key) if gates else {}
        for task in tasks if gates else ():
            words = _words(key, gates, task, waves.get(task.id, 1))
            if words and task.state is TaskState.QUEUED:
                found[task.id] = Wait(task.id, "batch_held", words, command(key))
    return found


def _words(key: str, gates: Iterable[Standing], task: Task, wave: int) -> str:
    """What keeps the task; "" when it may start."""
    for gate in gates:
        since = f" since {gate.since:%Y-%m-%d %H:%M} UTC" if gate.since is not None else ""
        if gate.phase is _P.HELD:
            return f"its batch {title_of(key)} is held{since}: {gate.why}"
        if gate.phase is _P.CANARY and task.id != gate.canary:
            return f"its batch {title_of(key)} is held while {gate.canary} is tried{since}: {gate.why}"
        if gate.phase is _P.WAVE and wave > gate.wave:
            return f"its batch {title_of(key)} is held after wave {gate.wave}, whose health decides (this is {wave})"
    return ""


# --- who is told ---


def umbrella(s: Snapshot, key: str) -> Issue | None:
    """The issue that stands for a batch: the first open one with its label that is no work itself, nor ever was."""
    labels, work = s.policy.labels, {task.issue for task in s.tasks.values()}
    found = [issue for issue in s.issues.values()
             if key.startswith(LABEL) and title_of(key) in issue.labels
             and issue.open and not issue.is_pull and labels.auto not in issue.labels and issue.number not in work]
    return min(found, key=lambda issue: issue.number, default=None)
