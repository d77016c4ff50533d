"""What soft edges save: 30 tasks with known file sets are replayed on a simulated clock, dispatched by the planner's
own rule, once as it is and once without a word of which files a task is about.

`python bench/overlap.py [--replays 20]` prints its table. The same numbers come out every time. A conflict is a task
that, when it is merged, finds a file of its own changed by another that was merged after it had begun.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from coordinator.domain.planfile import Delivery, PlanFile, PlanTask, Undertaking
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.planning.actions import Begin
from coordinator.planning.policy import Policy
from coordinator.planning.rules import dispatch
from coordinator.planning.snapshot import Snapshot

TASKS, SLOTS, AREAS, FILES = 30, 4, 8, 6
START = datetime(2026, 1, 1, tzinfo=UTC)
HOT = "src/registry.py"
POLICY = Policy(provider="command", max_workers=SLOTS, sessions_per_day=0, intake=False)


@dataclass(frozen=True)
class Job:
    """One task: what its file says of it, and what it really does."""

    one: PlanTask
    truth: frozenset[str]
    minutes: int


@dataclass(frozen=True)
class Run:
    """When each task was at work, by its id; `ended` in the order in which they were merged."""

    began: Mapping[str, int]
    ended: Mapping[str, int]

    @property
    def minutes(self) -> int:
        return max(self.ended.values())


def jobs(seed: int) -> list[Job]:
    """Tasks as plans have them: most name their files, some only in their words, some not at all; one in five changes a
    file that nobody expected, and one in six the file that everybody's work ends up in."""
    random = Random(seed)
    made: list[Job] = []
    for number in range(1, TASKS + 1):
        area = random.randrange(AREAS)
        files = random.sample([f"src/area{area}/part{part}.py" for part in range(FILES)], random.randint(2, 4))
        told = sorted(files) if random.random() < 0.8 else [f"src/area{area}/"]
        known = random.random()
        location = tuple(told) if known < 0.65 else ()
        words = f"Work on {' and '.join(told)}." if known < 0.9 else "Make it better."
        elsewhere = f"src/area{random.randrange(AREAS)}/part{random.randrange(FILES)}.py"
        surprise = {elsewhere} if random.random() < 0.2 else set()
        hot = {HOT} if random.random() < 1 / 6 else set()
        after = tuple(job.one.id for job in random.sample(made, min(len(made), random.choice((0, 0, 0, 1)))))
        one = PlanTask(f"T{number}", f"task {number}", number, after, "shop", location, words)
        made.append(Job(one, frozenset(files) | surprise | hot, random.randint(10, 60)))
    return made


def replay(work: Sequence[Job], *, soft: bool) -> Run:
    """Runs the tasks to their end; without `soft` the planner is told of no files."""
    under = _plan(work if soft else [replace(job, one=replace(job.one, location=(), description="")) for job in work])
    by_key = {under.key(job.one): job for job in work}
    tasks = {key: _task(under, key, place) for place, key in enumerate(by_key)}
    began: dict[str, int] = {}
    ended: dict[str, int] = {}
    running: list[tuple[int, int, str]] = []
    order, now = count(), 0
    while len(ended) < len(work):
        seen = {key: by_key[key].truth for _, _, key in running
                if soft and now - began[by_key[key].one.id] >= by_key[key].minutes / 2}  # fmt: skip
        snapshot = Snapshot(START + timedelta(minutes=now), POLICY, tasks=tasks, plans={under.id: under}, touched=seen)
        for action in dispatch.rule(snapshot):
            if isinstance(action, Begin):
                job = by_key[action.task.id]
                tasks[action.task.id] = replace(action.task, state=TaskState.RUNNING)
                began[job.one.id] = now
                heapq.heappush(running, (now + job.minutes, next(order), action.task.id))
        now, _, key = heapq.heappop(running)
        tasks[key] = replace(tasks[key], state=TaskState.DONE)
        ended[by_key[key].one.id] = now
    return Run(began, ended)


def _plan(work: Sequence[Job]) -> Undertaking:
    file = PlanFile("replay", "Replay", tuple(job.one for job in work))
    return Undertaking(file, "replay-plan.md", START, {"shop": Delivery("shop", "shop", "feature-replay")})


def _task(under: Undertaking, key: str, place: int) -> Task:
    at = START + timedelta(seconds=place)
    return Task(key, Pin(key, "", "", 0, "plan"), f"rpi/{key}", at, at, at, provider="command", plan=under.id)


def conflicts(work: Sequence[Job], run: Run) -> int:
    """Tasks that had a file in common with another, merged while they were at work."""
    by_id = {job.one.id: job for job in work}
    merged = list(run.ended)
    return sum(
        any(run.ended[other] > run.began[name] and by_id[other].truth & by_id[name].truth for other in merged[:place])
        for place, name in enumerate(merged)
    )


@dataclass(frozen=True)
class Sum:
    """Conflicts and minutes of all replays, without and with soft edges."""

    plain_conflicts: int = 0
    soft_conflicts: int = 0
    plain_minutes: int = 0
    soft_minutes: int = 0

    @property
    def conflict_ratio(self) -> float:
        return self.soft_conflicts / self.plain_conflicts

    @property
    def time_ratio(self) -> float:
        return self.soft_minutes / self.plain_minutes


def measured(seed: int) -> Sum:
    work = jobs(seed)
    plain, soft = replay(work, soft=False), replay(work, soft=True)
    return Sum(conflicts(work, plain), conflicts(work, soft), plain.minutes, soft.minutes)


def total(sums: Sequence[Sum]) -> Sum:
    return Sum(sum(one.plain_conflicts for one in sums), sum(one.soft_conflicts for one in sums),
               sum(one.plain_minutes for one in sums), sum(one.soft_minutes for one in sums))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replays", type=int, default=20)
    sums = [measured(seed) for seed in range(parser.parse_args().replays)]
    print(f"{TASKS} tasks, {SLOTS} at once, {len(sums)} replays; simulated minutes; a conflict costs no time here.\n")
    print("| replay | conflicts, plain | with soft edges | minutes, plain | with soft edges |\n|---|---|---|---|---|")
    for number, one in enumerate(sums, 1):
        print(f"| {number} | {one.plain_conflicts} | {one.soft_conflicts} | {one.plain_minutes} | {one.soft_minutes} |")
    whole = total(sums)
    print(f"| all | {whole.plain_conflicts} | {whole.soft_conflicts} | {whole.plain_minutes} | {whole.soft_minutes} |")
    print(f"\nConflicts: {whole.conflict_ratio:.2f} of the plain scheduler's (0.50 at most); total time: "
          f"{whole.time_ratio:.2f} of its (1.30 at most).")  # fmt: skip


if __name__ == "__main__":
    main()
