"""What is known of tasks when the memory is lost: by the board of the last tick, and by the run files. Pure.

The board tells how every task stood and what people had decided; a run file tells of an attempt that was begun since.
The words of an issue and the trust in who set its label are in neither: they are asked for anew before the next start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import GenericAlias
from typing import Any, get_origin, get_type_hints

from coordinator.domain.attempt import Attempt
from coordinator.domain.job import MANUAL, Job, latest
from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.task import ENDED, UNSTARTED, Pin, Task, TaskState
from coordinator.domain.worker import Exited, Missing

_S = TaskState
_ISSUE = re.compile(r"gh-([1-9][0-9]{0,9})")
_MADE = re.compile(r"(gh|m)-[1-9][0-9]{0,9}")
_PLAIN = ("branch", "priority", "reason", "detail", "provider", "worktree", "pr_number", "pr_url", "workflow")
_KEPT = ("template", "model", "fresh", "retries_used", "base_sha", "pushed_sha", "pr_head_sha", "pr_draft",
         "last_retry_event_id", "stage", "sent_back", "tidied")
_LARGEST = 2**63 - 1
LOST_WORD = "what a person had paused or stopped is not known any more"
Row = Mapping[str, Any]
_Noun = Task | Pin | Attempt | Usage


class UnusableBoard(ValueError):
    """It is of another version, or was edited."""


@dataclass(frozen=True)
class Recalled:
    """`tasks` with their attempts go into the new memory as they are. `unsure` are those of which only run files tell,
    with their last fence: what became of them is asked of GitHub. `paused` is why nothing new may be started before a
    person says so, "" where nothing speaks against it. `plans` are the plan files under way, which must be given
    anew. `parked` is, by provider, until when and why; `repository` the one the board was written for, "".
    """

    tasks: tuple[tuple[Task, tuple[Attempt, ...]], ...] = ()
    unsure: Mapping[str, int] = field(default_factory=dict)
    paused: str = ""
    plans: tuple[str, ...] = ()
    parked: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    repository: str = ""


def kept(task: Task) -> dict[str, Any]:
    """What the board notes of a task for this day alone; {} of one that was never begun: its issue tells all."""
    if task.state in UNSTARTED and not task.attempts:
        return {}
    pin = {"sha256": task.pin.sha256, "event": task.pin.label_event_id, "labelled_at": _iso(task.pin.labelled_at)}
    times = {"created_at": _iso(task.created_at), "completed_at": _iso(task.completed_at)}
    return {**{name: getattr(task, name) for name in _KEPT}, **times, "pin": pin}


def recall(board: Row | None, jobs: Iterable[Job], now: datetime) -> Recalled:
    """`board` None: there is none, or it cannot be read. `jobs` are all in the folder of this repository. Raises
    UnusableBoard."""
    try:
        return _recalled(board or {}, jobs, now, lost=board is None)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UnusableBoard(f"the board tells nothing: {error!r}") from error


def _recalled(board: Row, jobs: Iterable[Job], now: datetime, *, lost: bool) -> Recalled:
    rows = {row["id"]: row for row in board.get("tasks", ()) if not row.get("plan")}
    runs = runs_of_ours(jobs)
    found: dict[str, tuple[Task, tuple[Attempt, ...]]] = {}
    unsure: dict[str, int] = {}
    for task_id, row in rows.items():
        known = _known(row, runs.get(task_id), now)
        if known is not None:
            found[task_id] = known
    for task_id, job in runs.items():
        if task_id in rows:
            continue
        if not isinstance(job.view, (Exited, Missing)):
            found[task_id] = _living(job, now)
        elif _ISSUE.fullmatch(task_id):
            unsure[task_id] = job.fence
    for task, attempts in found.values():
        nouns: tuple[_Noun, ...] = (task, task.pin, *attempts, *(one.usage for one in attempts))
        for noun in nouns:
            _check_types(noun)
    parked = {str(one["provider"]): {"until": until.isoformat(), "words": str(one["words"])}
              for one in board.get("parked", ()) if (until := _moment(one.get("until"))) is not None}
    return Recalled(tuple(found.values()), unsure, LOST_WORD if lost else _paused(board),
                    tuple(str(one["path"]) for one in board.get("plans", ())), parked,
                    str(board.get("repository") or ""))


def _check_types(noun: _Noun) -> None:
    """Raises TypeError: a memory with a text where a number belongs, or a number that no table holds, would end each
    start to come."""
    for name, hint in get_type_hints(type(noun)).items():
        kind, value = (get_origin(hint) if isinstance(hint, GenericAlias) else hint), getattr(noun, name)
        whole = isinstance(value, int) and isinstance(0.0, kind)
        if (not isinstance(value, kind) and not whole) or (isinstance(value, int) and abs(value) > _LARGEST):
            raise TypeError(f"{name} is {value!r}")


def runs_of_ours(jobs: Iterable[Job]) -> dict[str, Job]:
    """By task, the last run of each that the coordinator began."""
    of: dict[str, list[Job]] = {}
    for job in jobs:
        if job.owner != MANUAL and job.token and _MADE.fullmatch(job.id):
            of.setdefault(job.id, []).append(job)
    return {task_id: last for task_id, those in of.items() if (last := latest(those)) is not None}


def _paused(board: Row) -> str:
    if board.get("paused"):
        return "it was paused before"
    held = [str(one.get("name")) for one in board.get("batches", ()) if one.get("phase")]
    return f"a batch was held before: {', '.join(held)}" if held else ""


def _known(row: Row, job: Job | None, now: datetime) -> tuple[Task, tuple[Attempt, ...]] | None:
    """As the board had it, and further where a run was begun since. None: it never began, and is taken up anew."""
    attempts = tuple(_attempt(row["id"], one) for one in row.get("attempts", ()))
    task = _task(row, attempts, now)
    last = attempts[-1] if attempts else None
    if job is not None and job.fence > (last.number if last is not None else 0):
        return _begun(task, job, now), (*attempts, _of_run(job, now))
    if task.state in (_S.PREPARING, _S.RUNNING):
        if last is not None and job is not None and job.token == last.token:
            return _begun(task, job, now), (*attempts[:-1], _launched(last))
        if task.state is _S.PREPARING:   # its token never started anything: it is begun once more
            task, attempts = replace(task, state=_S.QUEUED, attempts=task.attempts - 1), attempts[:-1]
    if task.state in UNSTARTED and not attempts and task.issue is not None:
        return None
    if task.state in UNSTARTED and task.issue is None:
        words = "its words stood in the memory alone: say anew what is wanted"
        task = replace(task, state=_S.BLOCKED, reason="store_rebuilt", detail=words, completed_at=now)
    return task, attempts


def _task(row: Row, attempts: tuple[Attempt, ...], now: datetime) -> Task:
    noted = row.get("kept") or {}
    pin = noted.get("pin") or {}
    since = _moment(row.get("since")) or now
    state = _S(row["state"])
    completed = _moment(noted.get("completed_at")) or (since if state in ENDED else None)
    return Task(
        id=row["id"],
        pin=Pin(row["title"], "", pin.get("sha256", ""), pin.get("event", 0), "", _moment(pin.get("labelled_at"))),
        created_at=_moment(noted.get("created_at")) or since,
        updated_at=now,
        state_since=since,
        issue=row["issue"],
        state=state,
        retry_at=_moment(row.get("retry_at")),
        attempts=max((one.number for one in attempts), default=0),
        completed_at=completed,
        **{name: row[name] for name in _PLAIN},
        **{name: noted[name] for name in _KEPT if name in noted},
    )


def _attempt(task_id: str, one: Row) -> Attempt:
    started = _moment(one["started"]) or datetime.fromtimestamp(0, UTC)
    ended = _moment(one["ended"])
    return Attempt(
        task_id=task_id, number=one["number"], token=one["token"], fence=one["number"], worker_id=one["worker"],
        provider=one["provider"], run_id=one["run_id"], created_at=started, model=one["model"],
        prepared_at=started if one.get("base_sha") else None, base_sha=one.get("base_sha", ""),
        launched_at=_moment(one.get("launched")), pid=one["pid"], switch_from=one["switch_from"],
        fallback_reason=one["fallback_reason"], ended_at=ended, settled_at=ended,
        ending=Ending(one["ending"]) if one["ending"] else None, reason=one["reason"], detail=one["detail"],
        head_sha=one["head_sha"], commits=one["commits"], duration_sec=one["duration_sec"],
        usage=Usage(tokens_in=one["tokens"], cost_usd=one["cost"]), rescue_ref=one["rescue_ref"], stage=one["stage"],
        host=one["host"], answered=one.get("answered", False),
    )  # fmt: skip


def _launched(attempt: Attempt) -> Attempt:
    """Its run files show that it was started."""
    return replace(attempt, launched_at=attempt.launched_at or attempt.created_at)


def _begun(task: Task, job: Job, now: datetime) -> Task:
    """The task while that run is looked at: what it came to is found by looking, as after a crash."""
    since = task.state_since if task.state is _S.RUNNING else now
    return replace(task, state=_S.RUNNING, state_since=since, attempts=max(task.attempts, job.fence), retry_at=None,
                   completed_at=None, branch=task.branch or job.meta.get("branch", ""))


def _of_run(job: Job, now: datetime) -> Attempt:
    """The attempt of a run of which only its files tell."""
    meta, at = job.meta, _run_time(job.meta.get("run_id", ""), now)
    host = meta.get("host_name", "")
    return Attempt(
        task_id=job.id, number=job.fence, token=job.token, fence=job.fence, worker_id=meta.get("worker_id", ""),
        provider=job.provider, run_id=meta.get("run_id", ""), created_at=at, model=meta.get("model", ""),
        prepared_at=at, base_sha=meta.get("base_sha", ""), launched_at=at, pid=job.pid or None,
        switch_from=meta.get("provider_switch_from", ""), fallback_reason=meta.get("fallback_reason", ""),
        stage=meta.get("stage", ""), host=host,
    )  # fmt: skip


def _living(job: Job, now: datetime) -> tuple[Task, tuple[Attempt, ...]]:
    number = _ISSUE.fullmatch(job.id)
    pin = Pin(job.meta.get("title", ""), "", "", 0, "")
    task = Task(id=job.id, pin=pin, branch=job.meta.get("branch", ""), created_at=now, updated_at=now, state_since=now,
                issue=int(number[1]) if number else None, provider=job.provider, worktree=job.meta.get("worktree", ""),
                workflow=job.meta.get("workflow", ""))
    return _begun(task, job, now), (_of_run(job, now),)


def _run_time(run_id: str, now: datetime) -> datetime:
    try:
        return datetime.strptime(run_id, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return now


def _moment(text: object) -> datetime | None:
    """Raises ValueError for one without a time zone: it compares with no other."""
    moment = datetime.fromisoformat(text) if isinstance(text, str) and text else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    return moment


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
