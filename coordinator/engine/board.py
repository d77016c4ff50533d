"""The board: what `status`, `why` and `view` read from .coordinator/board.json, whole after each tick."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue
from coordinator.domain.outcome import Usage
from coordinator.domain.planfile import Undertaking
from coordinator.domain.task import COMPLETED, HOLDS_SLOT, Task, TaskState
from coordinator.domain.worker import HostState, Running
from coordinator.domain.workflow import BUILD
from coordinator.engine.gates import board_members, board_rows
from coordinator.engine.memory import Memory
from coordinator.engine.world import World
from coordinator.planning import recall
from coordinator.planning.actions import POLL_LANE, Plan, Wait
from coordinator.planning.berths import occupied
from coordinator.planning.limits import metering
from coordinator.planning.plans.waves import waves_of
from coordinator.planning.snapshot import Snapshot
from coordinator.planning.stages import stage_of

SCHEMA = 1
PAST = frozenset({TaskState.PUBLISHING}) | COMPLETED
"""States in which a task has passed all its stages."""


class Board:
    """The one maker of the board. It keeps the row of each task with what that was made of: of ten thousand tasks only
    what changed is made anew."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world = world
        self._memory = memory
        self._rows: dict[str, tuple[_Shown, dict[str, Any]]] = {}

    def data(self, s: Snapshot, made: Plan) -> dict[str, Any]:
        """Plain data, not to be changed. Times are ISO UTC; who wrote it is named by pid, start and boot id."""
        return _head(self._world, self._memory, s) | {
            "tasks": self._tasks(s, made),
            "plans": [_plan(under) for under in s.plans.values()],
            "held": [asdict(held) for held in made.held],
            "batches": board_rows(s),
        }

    def _tasks(self, s: Snapshot, made: Plan) -> list[dict[str, Any]]:
        seen, known, self._rows = board_members(s), self._rows, {}
        for task in sorted(s.tasks.values(), key=_order):
            shown = _shown(s, self._memory, made, task, seen.get(task.id))
            kept = known.get(task.id)
            if kept is None or kept[0] != shown:
                kept = shown, _row(shown)
            self._rows[task.id] = kept
        return [row for _, row in self._rows.values()]


def _head(world: World, memory: Memory, s: Snapshot) -> dict[str, Any]:
    """All but the rows."""
    budget = world.github.budget()
    return {
        "schema": SCHEMA,
        "generated_at": _iso(s.now),
        **world.me,
        "repository": world.repository_name,
        "memory": {"id": world.store.document("memory"), "changes": world.store.changes()},
        "rebuilt": s.rebuilt,
        "again": _again(s),
        "root": str(world.root),
        "poll_seconds": s.policy.poll.total_seconds(),
        "polled_at": _iso(memory.polled_at),
        "github": {
            "remaining": budget.remaining,
            "limit": budget.limit,
            "until": _iso(_asked_again(s)),
            "words": s.github_words,
        },
        "slots": {"used": sum(task.state in HOLDS_SLOT for task in s.tasks.values()), "max": s.policy.max_workers},
        "hosts": _hosts(s),
        "sessions": {"today": s.sessions_today, "cap": s.policy.sessions_per_day},
        "money": {"today": round(s.money_today, 4), "cap": s.policy.money_per_day},
        **_unmetered(s),
        "parked": [{"provider": name, "until": _iso(one.until) if one.until > s.now else None, "words": one.words}
                   for name, one in sorted(s.parked.items())],
        "claim": {"open": s.claim.open, "words": s.claim.words, "cure": s.claim.cure},
        "paused": s.paused,
        "draining": s.draining,
        "gates": [asdict(gate) for gate in (*s.floors, *s.short.get("", ()))],
        "labels": asdict(s.policy.labels),
        "counts": dict(Counter(str(task.state) for task in s.tasks.values())),
        "today": _today(world, s),
    }


def _asked_again(s: Snapshot) -> datetime | None:
    """When GitHub is asked again that could not be: the poll may rest for longer than GitHub wants."""
    moments = [moment for moment in (s.github_until, s.holdoff.get(POLL_LANE)) if moment is not None and moment > s.now]
    return max(moments) if s.github_words and moments else None


def _hosts(s: Snapshot) -> list[dict[str, Any]]:
    """Other machines that workers may run on, the default first."""
    used = occupied(s)
    found = []
    for name, host in sorted(s.policy.hosts.items(), key=lambda item: not item[1].default):
        state = s.hosts.get(name, HostState())
        found.append({"name": name, "used": used.get(name, 0), "slots": host.slots, "words": state.words,
                      "away_since": _iso(state.away_since), "shut": s.shut_hosts.get(name, ""),
                      "short": "; ".join(one.words for one in s.short.get(name, ()))})
    return found


def _unmetered(s: Snapshot) -> dict[str, Any]:
    """What no cap of tokens or money counts; no key where everything was told."""
    found = metering.unmetered(s)
    if found == metering.Unmetered():
        return {}
    return {"unmetered": {**asdict(found), "blind": [asdict(gate) for gate in metering.blind(s, found)]}}


def _again(s: Snapshot) -> str:
    """What is typed to have this work go on."""
    own = next(iter(s.plans.values()), None) if not s.policy.intake else None
    return f"coordinator plan resume {own.path}" if own is not None else "coordinator run"


def _plan(under: Undertaking) -> dict[str, Any]:
    waves = waves_of({one.id: one.depends_on for one in under.plan.tasks})
    return {
        "id": under.id,
        "name": under.plan.name,
        "path": under.path,
        "wave": under.wave,
        "strict": under.strict,
        "started_at": _iso(under.started_at),
        "tasks": [{"id": one.id, "task": under.key(one), "name": one.name, "wave": waves.get(one.id, 0),
                   "depends_on": one.depends_on, "repo": one.repo,
                   **({"result": asdict(result) | {"at": _iso(result.at)}}
                      if (result := under.results.get(one.id)) is not None else {})}
                  for one in under.plan.tasks],
        "deliveries": [asdict(one) | {"delivered_at": _iso(one.delivered_at)} for one in under.deliveries.values()],
    }


def _order(task: Task) -> tuple[int, int, datetime, str]:
    return (list(TaskState).index(task.state), task.priority, task.created_at, task.id)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None


class _Shown(NamedTuple):
    """What the row of a task is made of, and nothing else. Two are compared by identity first: a task, an attempt and
    an issue that did not change are the objects that they were."""

    task: Task
    history: tuple[Attempt, ...]
    issue: Issue | None
    wait: Wait | None
    usage: Usage | None
    stage: str
    last: str
    last_at: datetime | None
    pid: int | None
    cpu: float | None
    batch: Any


def _shown(s: Snapshot, memory: Memory, made: Plan, task: Task, batch: Any) -> _Shown:
    signs = memory.signs.get(task.id) if task.state is TaskState.RUNNING else None
    view = s.views.get(task.id)
    runs = view if isinstance(view, Running) else None
    return _Shown(
        task, s.attempts.get(task.id, ()), s.issue_of(task), made.waits.get(task.id), s.usage.get(task.id),
        stage=stage_of(s.workflows, task).name if task.state not in PAST else "",
        last=signs.last if signs is not None else "",
        last_at=signs.last_at if signs is not None else None,
        pid=runs.pid if runs is not None else None,
        cpu=runs.beat.cpu_share if runs is not None and runs.beat is not None else None,
        batch=batch,
    )


def _row(shown: _Shown) -> dict[str, Any]:
    task, history, issue, wait = shown.task, shown.history, shown.issue, shown.wait
    usage = [attempt.usage for attempt in history] + ([shown.usage] if shown.usage is not None else [])
    return {
        "id": task.id,
        "issue": task.issue,
        "issue_url": issue.url if issue is not None else "",
        "title": task.title,
        "state": str(task.state),
        "since": _iso(task.state_since),
        "priority": task.priority,
        "reason": task.reason,
        "detail": task.detail,
        "provider": task.provider,
        "kept": recall.kept(task),
        "workflow": task.workflow or BUILD.name,
        "stage": shown.stage,
        "plan": task.plan,
        "labels": sorted(issue.labels) if issue is not None else [],
        "branch": task.branch,
        "worktree": task.worktree,
        "pr_number": task.pr_number,
        "pr_url": task.pr_url,
        "retry_at": _iso(task.retry_at),
        "tokens": sum((one.tokens_in or 0) + (one.tokens_out or 0) for one in usage) or None,
        "cost": sum(one.cost_usd or 0.0 for one in usage) or None,
        "last": shown.last,
        "last_at": _iso(shown.last_at),
        "wait": {"code": wait.code, "words": wait.words, "moves": wait.moves, "until": _iso(wait.until)}
        if wait is not None else None,
        "attempts": [_attempt(attempt) for attempt in history],
        "pid": shown.pid,
        "cpu": shown.cpu,
        "batch": shown.batch,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker_id,
        "provider": attempt.provider,
        "run_id": attempt.run_id,
        "host": attempt.host,
        "stage": attempt.stage,
        "token": attempt.token,
        "pid": attempt.pid,
        "started": _iso(attempt.launched_at or attempt.created_at),
        "launched": _iso(attempt.launched_at),
        "base_sha": attempt.base_sha,
        "ended": _iso(attempt.ended_at),
        "ending": str(attempt.ending) if attempt.ending is not None else None,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "commits": attempt.commits,
        "head_sha": attempt.head_sha,
        "rescue_ref": attempt.rescue_ref,
        "duration_sec": attempt.duration_sec,
        "model": attempt.model,
        "switch_from": attempt.switch_from,
        "fallback_reason": attempt.fallback_reason,
        "tokens": (attempt.usage.tokens_in or 0) + (attempt.usage.tokens_out or 0) or None,
        "cost": attempt.usage.cost_usd,
        "answered": attempt.answered,
    }


def _today(world: World, s: Snapshot) -> dict[str, Any]:
    day = world.clock.local(s.now).date()
    ended = [
        attempt
        for history in s.attempts.values()
        for attempt in history
        if attempt.ended_at is not None and world.clock.local(attempt.ended_at).date() == day
    ]
    used = [*(attempt.usage for attempt in ended), *s.usage.values()]
    moved = Counter(
        str(task.state) for task in s.tasks.values() if world.clock.local(task.state_since).date() == day
    )
    return {
        "done": moved["DONE"] + moved["IN_REVIEW"],
        "blocked": moved["BLOCKED"],
        "failed": moved["FAILED"] + moved["CANCELLED"],
        "tokens": sum((one.tokens_in or 0) + (one.tokens_out or 0) for one in used),
        "cost": round(s.money_today, 4),
    }
