"""Everything that may be known, read once a tick: the store, the run files, the floor under our feet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue
from coordinator.domain.outcome import Ending, Evidence, Usage
from coordinator.domain.reasons import provider_reason
from coordinator.domain.task import ACTIVE, PENDING, Task, TaskState
from coordinator.domain.worker import Missing, Unknown, WorkerView
from coordinator.engine import silence
from coordinator.engine.effects.examining import recording
from coordinator.engine.effects.starting import watched
from coordinator.engine.gates import members, standings
from coordinator.engine.inheritance import inheritance_of
from coordinator.engine.memory import Memory
from coordinator.engine.plans import plans_of
from coordinator.engine.room import admitted
from coordinator.engine.staying import stays_of
from coordinator.engine.world import World
from coordinator.planning import stages
from coordinator.planning.actions import work_lane
from coordinator.planning.berths import LOCAL, names_for
from coordinator.planning.claiming import Hold
from coordinator.planning.limits import caps
from coordinator.planning.rules.dispatch import SET_BACK
from coordinator.planning.snapshot import NO_LABEL, RESERVE, Gate, Parked, Proof, Snapshot
from coordinator.ports import Settings

WELL = frozenset({Ending.SUCCEEDED, Ending.NO_CHANGE})
READY_FOR = timedelta(seconds=30)
"""How long a provider's readiness is believed before it is asked again."""


def observe(world: World, memory: Memory) -> Snapshot:
    """The snapshot of this moment. Changes nothing outside."""
    store, now = world.store, world.clock.now()
    memory.look(now)
    tasks = {task.id: task for task in store.tasks()}
    attempts = store.attempts()
    views = _views(world, tasks, attempts)
    memory.views = dict(views)
    _follow(world, memory, tasks, attempts, now)
    usage = _usage(world, memory, tasks, attempts)
    hosts = world.executor.hosts()
    planned = any(task.plan and task.state in ACTIVE | PENDING for task in tasks.values())
    admission = admitted(world, memory, hosts, plans=planned)
    return Snapshot(
        now=now,
        policy=world.policy,
        tasks=tasks,
        attempts=attempts,
        issues=store.issues(),
        vets=store.vets(),
        pulls=store.pulls(),
        views=views,
        evidence=_evidence(memory, attempts),
        usage=usage,
        survivors=dict(memory.survivors),
        outward=store.outward(),
        speech=memory.speeches.of(tasks.values(), attempts, world.policy),
        requests=store.requests(),
        busy=frozenset(memory.busy),
        holdoff={**memory.looked, **memory.holdoff},
        troubles=memory.lasting(tasks),
        github_until=memory.github_until,
        github_words=memory.github_words,
        silence=silence.of(store),
        poll_due=memory.poll_due,
        listed_at=memory.listed_at,
        woke_at=memory.woke_at,
        plans=plans_of(store),
        touched=dict(memory.touched),
        paused=bool(store.document("paused")),
        draining=memory.draining or _stop_file(world),
        stop_workers=memory.stop_workers,
        floors=(*admission.of_all, *_reserve(world, now), *_label(world)),
        short=admission.of_hosts,
        parked=_parked(world, now),
        unready=_unready(world, memory, tasks, now),
        proofs=_proofs(world, attempts, now),
        sessions_today=_sessions_today(world, attempts, now),
        money_today=_money_today(world, attempts, usage, now),
        worktree_errors=worktree_errors(world),
        swept_at=_moment(store.document("swept_at")),
        errors_reset_at=store.document("errors_reset_at") or "",
        notified=frozenset(json.loads(store.document("notified") or "[]")),
        stays=stays_of(store),
        batches=standings(store),
        batched=members(store),
        confirmed=memory.confirmed,
        next_manual=_next_manual(tasks),
        workflows=world.workflows(),
        refused=dict(memory.refused),
        hosts=hosts,
        shut_hosts=world.shut_hosts(),
        recalled=json.loads(store.document("recalled") or "{}"),
        rebuilt=_rebuilt(world, now),
        explained=store.count("explained", now - timedelta(days=1)),
        flipped=frozenset(task_id for task_id, known in memory.labelled.items()
                          if task_id in tasks and known.is_over(tasks[task_id])),
        claim=world.claimant.hold(now) if world.claimant is not None else Hold(),
        inheritance=inheritance_of(store),
        untidied=dict(memory.untidied),
    )


def _views(
    world: World, tasks: Mapping[str, Task], attempts: Mapping[str, tuple[Attempt, ...]]
) -> dict[str, WorkerView]:
    """Views of the current attempts that may have a worker; one that never started is no view."""
    current = watched(tasks.values(), attempts)
    seen = world.executor.look(tuple(current.values()))
    views: dict[str, WorkerView] = {}
    for task_id, handle in current.items():
        view = seen.get(handle, Unknown("the executor did not answer for it", world.clock.now()))
        if tasks[task_id].state is TaskState.RUNNING or not isinstance(view, Missing):
            views[task_id] = view
    return views


def _follow(
    world: World,
    memory: Memory,
    tasks: Mapping[str, Task],
    attempts: Mapping[str, tuple[Attempt, ...]],
    now: datetime,
) -> None:
    """Keeps the transcripts of running attempts in step; an unwritable transcript stops nothing."""
    for task in tasks.values():
        attempt = attempts[task.id][-1] if attempts.get(task.id) else None
        if task.state is not TaskState.RUNNING or attempt is None or attempt.provider not in world.providers:
            continue
        if work_lane(task.id) in memory.busy:   # its last look is being taken
            continue
        try:
            signs = memory.signs[task.id] = world.transcript.follow(recording(world, attempt), now)
        except OSError as error:
            world.say(f"{task.id}: its output cannot be read: {error}")
            continue
        if signs.unwritten:
            world.say(f"{task.id}: the transcript cannot be written: {signs.unwritten}")


def _evidence(memory: Memory, attempts: Mapping[str, tuple[Attempt, ...]]) -> dict[str, Evidence]:
    """What was seen of each task's current attempt; what is left of an earlier one says nothing."""
    return {task_id: fact.evidence for task_id, fact in memory.examined.items()
            if attempts.get(task_id) and attempts[task_id][-1].token == fact.attempt.token}


def _usage(
    world: World, memory: Memory, tasks: Mapping[str, Task], attempts: Mapping[str, tuple[Attempt, ...]]
) -> dict[str, Usage]:
    """What running attempts used so far, with its money where a price is known."""
    running = {task.id: attempts[task.id][-1] for task in tasks.values()
               if task.state is TaskState.RUNNING and attempts.get(task.id)}
    return {task_id: world.prices.priced(signs.usage, signs.model or of.model, of.provider)
            for task_id, signs in memory.signs.items() if (of := running.get(task_id)) is not None}


def _stop_file(world: World) -> str:
    return "a STOP file stands in the repository's root" if world.files.exists(world.root / "STOP") else ""


def _reserve(world: World, now: datetime) -> tuple[Gate, ...]:
    """Closed while GitHub's hour is used up as far as it is not kept for people."""
    told, kept = world.github.budget(), world.options.reserve
    if told.remaining is None or told.reset_at is None or now >= told.reset_at or told.remaining > kept:
        return ()
    words = (f"{told.remaining} of {told.limit} GitHub requests are left and {kept} are kept for people: "
             f"new work waits until {told.reset_at:%H:%M} UTC")
    return (Gate(RESERVE, words, "wait, or lower poll.reserve"),)


def _label(world: World) -> tuple[Gate, ...]:
    """Closed while the trigger label is not in the repository: every issue lost it at once, and nobody took it off."""
    if not world.store.document(NO_LABEL):
        return ()
    name = world.policy.labels.auto
    words = (f"the label {name} is not in the repository any more, it was renamed or deleted: nothing is started, and "
             "nothing stopped for want of it")
    return (Gate(NO_LABEL, words, "name the label in labels.auto, or make it anew: coordinator init"),)


def _parked(world: World, now: datetime) -> dict[str, Parked]:
    """A park that a clock measured which has been set back since is over: it would last as long as that was ahead."""
    stored = json.loads(world.store.document("parked") or "{}")
    return {
        name: Parked(datetime.fromisoformat(item["until"]), item["words"], item.get("reason", ""), item.get("times", 1))
        for name, item in stored.items() if (at := _moment(item.get("at"))) is None or at <= now + SET_BACK
    }


def _proofs(world: World, attempts: Mapping[str, tuple[Attempt, ...]], now: datetime) -> dict[str, Proof]:
    """When each provider was last known to answer, or not: by its preflight, or by a session that ended well. What a
    clock told that has been set back since would hold for as long as it was ahead, and hide what was found since."""
    stored = json.loads(world.store.document("proofs") or "{}")
    proofs = {name: Proof(datetime.fromisoformat(item["at"]), Gate(**item["no"]) if item["no"] else None)
              for name, item in stored.items()}
    proofs = {name: proof for name, proof in proofs.items() if proof.at <= now + SET_BACK}
    for attempt in (one for one in _all(attempts) if one.ending in WELL):
        known, at = proofs.get(attempt.provider), attempt.ended_at
        if at is not None and at <= now + SET_BACK and (known is None or known.at < at):
            proofs[attempt.provider] = Proof(at)
    return proofs


def _unready(world: World, memory: Memory, tasks: Mapping[str, Task], now: datetime) -> dict[str, Gate]:
    """Providers that queued tasks want and that cannot be started here, asked at most every 30 s. Of a ladder only
    where one is needed: a question may take its time. What cannot be started here may be at home on another host."""
    known, issues = world.workflows(), world.store.issues() if world.policy.hosts else {}
    here = [task for task in tasks.values() if task.state is TaskState.QUEUED and (
        not world.policy.hosts or LOCAL in names_for(world.policy, _labels(issues, task)))]
    queued = [stages.dressed(known, world.policy, task) for task in here]
    for name in sorted({task.provider for task in queued}):
        _ask_whether_ready(world, memory, name, now)
    out = {*memory.unready, *_parked(world, now)}
    needing = {task.provider for task in queued if task.provider in out or task.provider in task.spent}
    for name in sorted({rung for wish in needing for rung in world.policy.fallback.get(wish, ())}):
        _ask_whether_ready(world, memory, name, now)
    return dict(memory.unready)


def _labels(issues: Mapping[int, Issue], task: Task) -> frozenset[str]:
    issue = issues.get(task.issue) if task.issue is not None else None
    return issue.labels if issue is not None else frozenset()


def _ask_whether_ready(world: World, memory: Memory, name: str, now: datetime) -> None:
    checked, provider = memory.checked.get(name), world.providers.get(name)
    if provider is None or (checked is not None and now - checked < READY_FOR):
        return
    ready = provider.ready(world.probe, world.options.providers.get(name, Settings()))
    memory.checked[name] = now
    memory.unready.pop(name, None)
    if not ready.ok:
        memory.unready[name] = Gate(ready.reason, ready.words, ready.cure or "coordinator doctor")
    elif ready.alone:
        words = f"{ready.words}: good for one job started by hand, and workers run side by side"
        memory.unready[name] = Gate(provider_reason(name, "auth_missing"), words, "coordinator doctor")


def _sessions_today(world: World, attempts: Mapping[str, tuple[Attempt, ...]], now: datetime) -> int:
    """Sessions of the host's local day, without those that count for no task either."""
    launched = (one for one in _all(attempts) if one.launched_at is not None and caps.spent(one))
    return sum(1 for one in launched if _today(world, one.launched_at, now))


def _money_today(
    world: World, attempts: Mapping[str, tuple[Attempt, ...]], usage: Mapping[str, Usage], now: datetime
) -> float:
    """Dollars of the sessions that ended today and of those that run."""
    ended = sum(one.usage.cost_usd or 0.0 for one in _all(attempts) if _today(world, one.ended_at, now))
    return ended + sum(one.cost_usd or 0.0 for one in usage.values())


def _all(attempts: Mapping[str, tuple[Attempt, ...]]) -> Iterator[Attempt]:
    return (attempt for history in attempts.values() for attempt in history)


def _rebuilt(world: World, now: datetime) -> str:
    """What became of a lost memory: told for a day, and for as long as the file that was kept aside is there."""
    noted = json.loads(world.store.document("rebuilt") or "{}")
    recent = bool(noted) and now - datetime.fromisoformat(noted["at"]) < timedelta(days=1)
    kept = bool(noted) and bool(noted["kept"]) and world.files.exists(Path(noted["kept"]))
    return str(noted["words"]) if recent or kept else ""


def _today(world: World, moment: datetime | None, now: datetime) -> bool:
    """Of most attempts of a long life the first comparison tells."""
    if moment is None or abs(now - moment) > timedelta(days=2):
        return False
    return world.clock.local(moment).date() == world.clock.local(now).date()


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def worktree_errors(world: World) -> int:
    """Failures to make a worktree ready since the counter was last reset."""
    reset = world.store.document("errors_reset_at")
    return world.store.count("worktree_error", datetime.fromisoformat(reset) if reset else None)


def _next_manual(tasks: Mapping[str, Task]) -> int:
    numbers = [int(task_id[2:]) for task_id in tasks if task_id.startswith("m-") and task_id[2:].isdigit()]
    return max(numbers, default=0) + 1


