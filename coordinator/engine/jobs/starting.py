"""Starts a job: every question is asked before anything is changed, and a refused start never looks like a success."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.domain.job import MANUAL, Job, latest
from coordinator.domain.reasons import provider_reason
from coordinator.domain.worker import Running, Unknown
from coordinator.engine.jobs.desk import Desk, NotOurs, Refused, stamp
from coordinator.engine.jobs.editing import UNBLOCKED
from coordinator.engine.jobs.ending import over, settle
from coordinator.planning.gate import outside
from coordinator.ports import (
    Command,
    GitError,
    Handle,
    JobBusy,
    LaunchFailed,
    LaunchSpec,
    NoModel,
    RunSpec,
    Settings,
)
from coordinator.wording.branches import branch_of

STOP, BLOCKED = "STOP", "BLOCKED.md"
"""Files by which people and workers speak through a worktree: what an earlier run left must not end a fresh one."""
NO_KEY, NOT_READY, GATED = 10, 21, 22
RUN_ID = "%Y%m%d%H%M%S"


@dataclass(frozen=True)
class Order:
    """What a person asked for. `cwd` is the caller's folder, where the job runs without a `worktree`. `argv` is the
    program of the provider `command`; `model` is "" unless it was asked for. `parallel`: one of many."""

    job_id: str
    provider: str
    prompt: str
    prompt_file: str
    cwd: Path
    repo: str = ""
    worktree: Path | None = None
    model: str = ""
    pty: bool = False
    argv: tuple[str, ...] = ()
    parallel: bool = False


@dataclass(frozen=True)
class Launch:
    """One run that is about to begin. `before` is the instance it takes the place of, `last` the one that any provider
    ran last under this id; `retries` is how often it was begun again."""

    order: Order
    before: Job | None
    last: Job | None
    retries: int = 0
    restarted: bool = False
    switched_from: str = ""


@dataclass(frozen=True)
class Started:
    job_id: str
    provider: str
    pid: int
    run_instance: str
    notes: tuple[str, ...] = ()


def start(desk: Desk, order: Order) -> Started:
    """Raises Refused, NotOurs, JobBusy, OSError. Returns once the worker runs under its wrapper."""
    _known(desk, order.provider)
    with desk.jobs.one_start():
        instances = desk.jobs.of(order.job_id)
        before = latest(one for one in instances if one.provider == order.provider)
        for one in instances:
            _refuse_beside(order, one)
        try:
            refuse_unready(desk, order)
            _refuse_outside(desk, order)
            for one in instances:
                if over(one):
                    settle(desk, one)
            notes = _ready_place(desk, order)
        except Refused as refused:
            _leave_failed(desk, order, refused)
            raise
        last = latest(instances)
        switched = last.provider if last is not None and last.provider != order.provider else ""
        started = launch(desk, Launch(order, before, last, switched_from=switched))
        return replace(started, notes=(*notes, *started.notes))


def launch(desk: Desk, run: Launch) -> Started:
    """Starts the worker of a run that may begin. Raises Refused after leaving a failed outcome."""
    order, now = run.order, desk.clock.now()
    job_id, provider = order.job_id, order.provider
    known = (one.fence for one in (run.before, run.last) if one is not None)
    fence = 1 + max((desk.jobs.fence(provider, job_id), *known))
    handle = Handle(provider, job_id, desk.new_token())
    run_id = _run_id(now, run.last)
    try:
        command = command_for(desk, order, handle, run.retries + 1)
        spec = LaunchSpec(
            handle=handle, worker_id=f"w-{handle.token[:6]}", attempt=run.retries + 1, fence=fence, run_id=run_id,
            argv=command.argv, env=command.env, cwd=place_of(order), prompt=order.prompt, stdin=command.stdin,
            timeout=desk.rules.max_runtime, grace=desk.rules.stop_grace, stop_signal=command.stop_signal,
            meta=_meta(desk, run, command, now), contract=contract_of(order, command), speaks=command.speaks,
            pty=order.pty, watch_tree=order.worktree is not None, spelling=desk.rules.spelling,
        )  # fmt: skip
        pid = desk.executor.submit(spec)
    except LaunchFailed as failed:
        refused = Refused(failed.words, f"Nothing runs. `doctor` and `preflight --provider {provider}` name the cause.",
                          code=NOT_READY if failed.reason.endswith("binary_missing") else 1, reason=failed.reason)
    except ValueError as wrong:
        refused = Refused(str(wrong), "Nothing was started.", reason="config_error")
    else:
        return Started(job_id, provider, pid, f"{run_id}-{provider}-{pid}")
    _leave_failed(desk, order, refused)
    raise refused


def command_for(desk: Desk, order: Order, handle: Handle, attempt: int) -> Command:
    """How the agent would be started now. Raises NotReady, and ValueError for settings that cannot work."""
    provider, given = desk.providers[order.provider], settings_of(desk, order)
    choice = provider.choose(desk.probe, given)
    settings, prompt = replace(given, model=choice.model), desk.executor.prompt_path(handle)
    command = provider.command(RunSpec(
        task_id=order.job_id, attempt=attempt, prompt=order.prompt, prompt_file=prompt,
        output_file=prompt.with_suffix(".log"), worktree=place_of(order), session_id="", settings=settings,
        environ=desk.environ, as_root=desk.rules.as_root, credentials=provider.credentials(desk.probe, settings),
    ))  # fmt: skip
    return replace(command, fallback_reason=choice.fallback_reason)


def settings_of(desk: Desk, order: Order) -> Settings:
    """The provider's settings, over them what the order names."""
    given = desk.rules.providers.get(order.provider, Settings())
    return replace(given, model=order.model or given.model, argv=order.argv or given.argv)


def contract_of(order: Order, command: Command) -> dict[str, str]:
    """What must not change unnoticed between a job's runs. Never a secret."""
    facts = {"auth_mode": "", "base_url": "", "timeout_ms": "", **command.facts}
    return {"auth_source": command.auth_source, "model": command.model, **facts, "provider": order.provider,
            "executor": "local", "execution_mode": _mode(order)}


def place_of(order: Order) -> Path:
    return order.worktree if order.worktree is not None else order.cwd


def order_of(desk: Desk, job: Job) -> Order:
    """The order a recorded job was started with, its prompt file read anew by the caller."""
    meta = job.meta
    known = desk.rules.providers.get(job.provider, Settings())
    return Order(
        job_id=job.id, provider=job.provider, prompt="", prompt_file=meta.get("prompt_file", ""),
        cwd=Path(meta.get("cwd") or "/"), repo=meta.get("repo", ""),
        worktree=Path(meta["worktree"]) if meta.get("worktree") else None, model=meta.get("model_given", ""),
        pty=meta.get("use_pty") == "true", argv=_argv(meta) or known.argv,
    )  # fmt: skip


def _argv(meta: Mapping[str, str]) -> tuple[str, ...]:
    try:
        words = json.loads(meta.get("argv") or "[]")
    except ValueError:
        return ()
    return tuple(str(word) for word in words) if isinstance(words, list) else ()


# --- questions before a start ---------------------------------------------------------------------------


def _known(desk: Desk, provider: str) -> None:
    if provider not in desk.providers:
        raise Refused(f"there is no provider {provider!r}", f"Known are {', '.join(sorted(desk.providers))}.", code=20)


def _refuse_beside(order: Order, other: Job) -> None:
    """One live worker an id and provider; two providers may work under one id, never in one folder."""
    name = f"{other.id} ({other.provider})"
    if other.owner != MANUAL:
        raise NotOurs(other)
    if isinstance(other.view, Running):
        place = place_of(order).resolve()
        same_place = Path(other.meta.get("cwd") or place).resolve() == place
        if other.provider == order.provider or same_place:
            raise Refused(f"{name} is already running (pid {other.pid}); nothing was started",
                          f"Stop it first: stop --beads {other.id}")
    if isinstance(other.view, Unknown) and other.provider == order.provider:
        raise Refused(f"{name} may be running elsewhere: {other.view.reason}; nothing was started", code=26)


def refuse_unready(desk: Desk, order: Order) -> None:
    """Raises Refused when the provider's program, credentials or model are not there, its credentials are good for a
    job that is alone, or walls are ordered."""
    if desk.rules.walled:
        raise Refused("[workers] starts no agent without walls, and a job by hand has none; nothing was started",
                      'Write sandbox = "auto" and network = "on", or let the coordinator work on it.', code=NOT_READY)
    provider, settings = desk.providers[order.provider], settings_of(desk, order)
    ready = provider.ready(desk.probe, settings)
    if not ready.ok:
        raise Refused(f"{ready.words}; nothing was started", ready.cure, code=ready.code, reason=ready.reason)
    try:
        provider.choose(desk.probe, settings)
    except NoModel as none:
        raise Refused(f"{none.words}; nothing was started", none.cure, code=none.code, reason=none.reason) from none
    if ready.alone:
        _refuse_company(desk, order, ready.words)


def _refuse_company(desk: Desk, order: Order, words: str) -> None:
    others = [job.id for job in desk.jobs.all() if job.provider == order.provider and job.id != order.job_id
              and isinstance(job.view, Running | Unknown)]
    if order.parallel or others:
        why = f"and {', '.join(others)} runs" if others else "and a batch starts many"
        raise Refused(f"{words}: good for one job at a time, {why}; nothing was started",
                      f"Give {order.provider} a key of its own, or start one job alone.",
                      code=NO_KEY, reason=provider_reason(order.provider, "auth_missing"))


def _refuse_outside(desk: Desk, order: Order) -> None:
    if not desk.rules.gated:
        return
    place = place_of(order).resolve()
    allowed = [root.resolve() for root in desk.rules.allowed]
    own = desk.repository(str(order.cwd)) if order.worktree is None else None
    if outside(place, [*allowed, *([own.resolve()] if own is not None else [])]):
        roots = ", ".join(str(root) for root in allowed) or "none"
        raise Refused(f"{place} lies under no folder that agents may work in ({roots}); nothing was started",
                      f"export DX_RUNNER_EXTRA_ALLOWED_PREFIXES={place}", code=GATED)


def _ready_place(desk: Desk, order: Order) -> tuple[str, ...]:
    """The folder the job runs in, made when its repository is known, without notes to an earlier run."""
    place, notes = place_of(order), []
    if not place.is_dir():
        notes.append(_make(desk, order, place))
    return (*notes, *forget_notes(desk, order))


def forget_notes(desk: Desk, order: Order) -> tuple[str, ...]:
    """What was left for an earlier run goes, and is said. In the caller's own folder a file called BLOCKED.md is
    theirs."""
    place = place_of(order)
    names = (STOP,) if order.worktree is None else (STOP, BLOCKED)
    there = [place / name for name in names if desk.files.exists(place / name)]
    for path in there:
        desk.files.remove(path)
    return tuple(f"removed {path}, left for an earlier run" for path in there)


def _make(desk: Desk, order: Order, place: Path) -> str:
    if desk.files.exists(place):
        raise Refused(f"worktree {place} is no folder", "Move it away, or name another: --worktree.",
                      reason="worktree_error")
    repository = desk.repository(order.repo) if order.repo and order.worktree is not None else None
    if repository is None:
        raise Refused(f"worktree {place} does not exist, and no repository is known to make it from",
                      "Make it (git worktree add), or name its repository by path: --repo.", reason="worktree_error")
    branch = branch_of(order.job_id)
    try:
        desk.make_worktree(repository, place, branch)
    except (GitError, OSError) as error:
        raise Refused(f"worktree {place} could not be made: {error}", f"git -C {repository} worktree list",
                      reason="worktree_error") from error
    return f"made the worktree {place} of {repository} on branch {branch}"


def _leave_failed(desk: Desk, order: Order, refused: Refused) -> None:
    """A refused start leaves a failed outcome, never a success and never silence. Where it cannot be written, the
    refusal itself is still what there is to say."""
    now = stamp(desk.clock.now())
    pairs = {
        "beads": order.job_id, "provider": order.provider, "run_id": desk.clock.now().strftime(RUN_ID),
        "exit_code": str(refused.code), "state": "failed", "reason_code": refused.reason, "judged_by": "owner",
        "words": refused.words, "completed_at": now, "duration_sec": "0", "retries": "0", "host": desk.rules.host,
        "cwd": str(place_of(order)), "worktree": str(order.worktree or ""),
    }  # fmt: skip
    try:
        desk.jobs.refuse(order.provider, order.job_id, pairs)
    except (OSError, JobBusy) as error:
        desk.say(f"the failed start could not be recorded: {error}")


# --- what a run is called and remembered by -------------------------------------------------------------


def _run_id(now: datetime, before: Job | None) -> str:
    """UTC YYYYMMDDhhmmss, later than that of the run before, also when the clock was set back: two runs never share
    one."""
    last = before.meta.get("run_id", "") if before is not None else ""
    try:
        beyond = datetime.strptime(last, RUN_ID).replace(tzinfo=UTC) + timedelta(seconds=1)
    except ValueError:
        return now.strftime(RUN_ID)
    return max(now, beyond).strftime(RUN_ID)


def _meta(desk: Desk, run: Launch, command: Command, now: datetime) -> dict[str, str]:
    """What readers need, and every key of an earlier run's that must not outlive it."""
    order = run.order
    meta = {
        "beads": order.job_id, "provider": order.provider, "repo": order.repo, "cwd": str(place_of(order)),
        "worktree": str(order.worktree or ""), "prompt_file": order.prompt_file, "model": command.model,
        "model_given": order.model, "use_pty": _flag(order.pty), "execution_mode": _mode(order),
        "version": desk.rules.version, "auth_source": command.auth_source,
        "auth_mode": command.facts.get("auth_mode", ""), "owner": "manual", "retries": str(run.retries),
        "launch_state": "starting", "launch_marker_at": stamp(now), "last_cpu_time": "", "last_progress_at": "",
        "provider_switch_from": run.switched_from, "fallback_reason": command.fallback_reason,
        "argv": json.dumps(order.argv) if order.argv else "", **UNBLOCKED,
    }  # fmt: skip
    if run.restarted:
        return {**meta, "restarted_at": stamp(now)}
    return {**meta, "restarted_at": ""}


def _mode(order: Order) -> str:
    return "pty" if order.pty else "nohup"


def _flag(value: bool) -> str:
    return "true" if value else "false"
