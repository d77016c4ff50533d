"""What a person should hear of at once: each cause once, not each time it is seen. What has the same cause is told in
the same words."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from coordinator.domain.room import FLOORS, OF_A_FOLDER
from coordinator.domain.task import HOLDS_SLOT, PENDING, Task, TaskState
from coordinator.planning.actions import NOTIFY_LANE, Notify, Picture, room_lane, work_lane
from coordinator.planning.batch import gate
from coordinator.planning.batch.membership import USED_UP, batches_of, title_of
from coordinator.planning.batch.standing import GatePhase
from coordinator.planning.berths import LOCAL, occupied
from coordinator.planning.snapshot import Snapshot
from coordinator.planning.stays import Overdue, overdue

LONG = timedelta(minutes=5)
"""GitHub's short rests are nobody's business."""
SILENT = timedelta(minutes=30)
"""How long no poll may end well until a person is called."""
_NAMED = 5
STUCK = 7
"""Failures in a row of what is done for one task; then two minutes have gone by."""

_STUCK = frozenset({TaskState.BLOCKED, TaskState.FAILED, TaskState.BACKOFF})


def rule(s: Snapshot) -> Iterator[Notify]:
    """At most one a plan: the lane is one, and what is still true is proposed again."""
    if s.free(NOTIFY_LANE):
        for cause in _CAUSES:
            yield from (notice for notice in cause(s) if notice.key not in s.notified)


def _notify(s: Snapshot, key: str, words: str, cure: str, along: Sequence[str] = ()) -> Notify:
    return Notify(key, words, cure, tuple(along), picture(s))


def picture(s: Snapshot) -> Picture:
    failing: defaultdict[str, list[str]] = defaultdict(list)
    for task in s.tasks.values():
        if task.state in _STUCK and task.reason:
            failing[task.reason].append(task.id)
    tasks = s.tasks.values()
    return Picture(
        active=sum(task.state in HOLDS_SLOT for task in tasks),
        slots=s.policy.max_workers,
        waiting=sum(task.state in PENDING for task in tasks),
        failing=tuple((reason, tuple(those)) for reason, those in failing.items()),
    )


def _failing(s: Snapshot) -> Iterator[Notify]:
    """What is tried again and again for one task; GitHub's rests are told of once for all. Of several that say the same
    one call is enough, also where another comes to it later: a network that is away is away for all."""
    alike: defaultdict[str, list[tuple[int, Task]]] = defaultdict(list)
    for lane, (count, words) in s.troubles.items():
        task = s.tasks.get(lane.removeprefix(work_lane("")))
        if count >= STUCK and task is not None:
            alike[words].append((count, task))
    for words, those in alike.items():
        first, *others = keys = [f"failing:{task.id}:{task.state_since.isoformat()}" for _, task in those]
        if s.notified.isdisjoint(keys):
            get = "gets" if len(those) == 1 else "get"
            yield _notify(s, first, f"{_names([task.id for _, task in those])} {get} no further, "
                          f"{max(count for count, _ in those)} failures in a row: {words}",
                          f"coordinator why {those[0][1].id}", others)


def _worktrees(s: Snapshot) -> Iterator[Notify]:
    if s.worktree_errors > s.policy.max_worktree_errors:
        yield _notify(s, f"worktrees:{s.errors_reset_at or 'ever'}",
                      f"worktree trouble: {s.worktree_errors} errors; dead worktrees are being cleaned up",
                      "coordinator doctor")


def _leaked(s: Snapshot) -> Iterator[Notify]:
    for task_id, pids in s.survivors.items():
        names, attempt = " ".join(str(pid) for pid in pids), s.attempt(task_id)
        yield _notify(s, f"leaked:{task_id}:{attempt.number if attempt is not None else 0}",
                      f"{task_id}: killed, yet processes live on: {names}", f"kill -9 {names}")


def _parked(s: Snapshot) -> Iterator[Notify]:
    for name, parked in s.parked.items():
        if parked.until > s.now:
            yield _notify(s, f"parked:{name}:{parked.until:%Y-%m-%d}",
                          f"{name} is parked until {parked.until:%Y-%m-%d %H:%M} UTC: {parked.words}",
                          "coordinator status")


def _limit(s: Snapshot) -> Iterator[Notify]:
    until = s.github_until
    if until is not None and until - s.now >= LONG:
        yield _notify(s, f"github:{until:%Y-%m-%d}",
                      f"GitHub's rate limit: nothing is asked before {until:%Y-%m-%d %H:%M} UTC: {s.github_words}",
                      "coordinator status")
    if s.reserve is not None:
        yield _notify(s, f"reserve:{s.now:%Y-%m-%d}", f"GitHub's rate limit: {s.reserve.words}",
                      s.reserve.cure or "coordinator status")


def _silent(s: Snapshot) -> Iterator[Notify]:
    """Of its end only whoever heard of it is told."""
    if s.silence is None:
        return
    key = f"silent:{s.silence.since.isoformat()}"
    since = f"{s.silence.since:%Y-%m-%d %H:%M} UTC"
    if s.silence.until is None and s.now - s.silence.since >= SILENT:
        yield _notify(s, key, f"GitHub could not be followed since {since}: {s.github_words or 'no poll ended well'}",
                      "coordinator doctor")
    if s.silence.until is not None and key in s.notified:
        yield _notify(s, f"answers:{s.silence.since.isoformat()}",
                      f"GitHub answers again since {s.silence.until:%Y-%m-%d %H:%M} UTC; it did not since {since}",
                      "coordinator status")


def _room(s: Snapshot) -> Iterator[Notify]:
    """Once the janitor has done what it may. Memory and load come back with the end of a worker: a person is called
    where none runs that could give them back."""
    used = occupied(s)
    for host, gates in {LOCAL: (*s.floors, *s.short.get(LOCAL, ())), **dict(s.short)}.items():
        for one in gates:
            tried = s.holdoff.get(room_lane(host), s.now) > s.now
            done = (tried or bool(one.elsewhere)) if one.code in OF_A_FOLDER else not used.get(host)
            if one.code in FLOORS and done:
                yield _notify(s, f"room:{host}:{one.code}:{s.now:%Y-%m-%d}", f"new work is held: {one.words}", one.cure)


def _batches(s: Snapshot) -> Iterator[Notify]:
    """A batch that is held since its tasks fail alike; of those that this cause blocked nobody is told one by one."""
    for key, now in s.batches.items():
        if now.phase is not GatePhase.HELD or now.by:
            continue
        alike = {now.cause, *USED_UP}
        along = [_block(task) for task in batches_of(s).get(key, ())
                 if task.state is TaskState.BLOCKED and task.reason in alike]
        yield Notify(f"batch:{key}:{now.number}",
                     f"batch {title_of(key)} is held, several of its tasks fail alike: {now.why}", gate.command(key),
                     tuple(along), replace(picture(s), evidence=now.evidence))


def _plans(s: Snapshot) -> Iterator[Notify]:
    """What was refused of a whole plan, which is no task's trouble."""
    for under in s.plans.values():
        for name, delivery in under.deliveries.items():
            if delivery.words and delivery.delivered_at is None:
                where = f" in {name}" if name else ""
                yield _notify(s, f"plan:{under.id}:{name}:{delivery.pushed_sha}:{delivery.words[:100]}",
                              f"plan {under.id} is not delivered{where}: {delivery.words}",
                              f"coordinator plan resume {shlex.quote(under.path)}")


def _blocked(s: Snapshot) -> Iterator[Notify]:
    """Several for one reason are told of together."""
    fresh: defaultdict[str, list[Task]] = defaultdict(list)
    for task in s.tasks.values():
        if task.state is TaskState.BLOCKED and _block(task) not in s.notified:
            fresh[task.reason].append(task)
    for reason, tasks in fresh.items():
        first = tasks[0]
        are = "is" if len(tasks) == 1 else "are"
        yield Notify(_block(first),
                     f"{_names([task.id for task in tasks])} {are} blocked: {reason}: {first.detail[:200]}",
                     f"coordinator why {first.id}", tuple(_block(task) for task in tasks[1:]),
                     replace(picture(s), evidence=_file(first)))


def _file(task: Task) -> tuple[str, ...]:
    """How all that is known of a session comes into one file. A plan by hand keeps its run files elsewhere."""
    if task.plan or not task.attempts:
        return ()
    return (f"everything about it in one file, without secrets: coordinator job diagnose --beads {task.id}",)


def _block(task: Task) -> str:
    """Each stay in BLOCKED is a cause of its own, whether or not a session lay between two."""
    return f"blocked:{task.id}:{task.state_since.isoformat()}:{task.reason}"


def _aged(s: Snapshot) -> Iterator[Notify]:
    """One for each state: what was labelled together is over its limit together."""
    fresh: defaultdict[str, list[Overdue]] = defaultdict(list)
    for one in overdue(s):
        if _age(one) not in s.notified:
            fresh[one.state].append(one)
    for state, those in fresh.items():
        limit = f"longer than {s.policy.ages[state] / timedelta(hours=1):g} h (notify.ages)"
        oldest = min(those, key=lambda one: one.since)
        names = _names([one.name for one in those])
        yield _notify(s, _age(oldest), f"{names}: {state} for {limit}, since {oldest.since:%Y-%m-%d %H:%M} UTC",
                      f"coordinator why {oldest.name}", [_age(one) for one in those if one is not oldest])


def _age(one: Overdue) -> str:
    return f"age:{one.name}:{one.state}:{one.stay}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _rebuilt(s: Snapshot) -> Iterator[Notify]:
    if s.rebuilt:
        yield _notify(s, f"rebuilt:{s.rebuilt}", s.rebuilt, "coordinator status")


_CAUSES: tuple[Callable[[Snapshot], Iterator[Notify]], ...] = (
    _rebuilt, _failing, _worktrees, _leaked, _parked, _limit, _silent, _room, _batches, _plans, _blocked, _aged,
)  # fmt: skip
