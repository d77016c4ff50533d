"""What an ended attempt left behind: its own last words, git, notes, pull requests. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import PullRequest
from coordinator.domain.outcome import Ending, Evidence, Outcome, Work
from coordinator.domain.task import Task
from coordinator.domain.worker import Exited, Missing, Unknown, WorkerView
from coordinator.engine.effects import staging
from coordinator.engine.effects.starting import HookFailed, handle_of, hook_env, run_hook
from coordinator.engine.facts import Examined
from coordinator.engine.world import World
from coordinator.planning.actions import Examine
from coordinator.ports import Finished, GitBusy, GitError, GitHubError, Provider, Recording
from coordinator.wording.warnings import paths_words

TAIL = 16_384
"""Bytes of the run's output that are read for people."""
LONGEST_LINE = 16 << 20
"""Bytes of a line that are read at once; a longer one comes in pieces, of which none is an event."""
LINES_KEPT = 20
QUIET = frozenset({"init", "usage", "note", "unknown"})
"""Events that tell a person nothing."""


def examine(action: Examine, world: World) -> Examined:
    """Ends what is left of the tree, reads the transcript to its end, keeps uncommitted work, judges."""
    task, attempt = action.task, action.attempt
    handle = handle_of(attempt)
    survivors = world.executor.sweep(handle)
    now = world.clock.now()
    refused = _take_in(world, task, attempt, action.view)
    _after_run(world, task)
    exited = _as_exited(action.view, attempt)
    work = world.repo_of(task).work(task.id, task.branch, attempt.base_sha)
    provider = world.providers.get(attempt.provider)
    outcome = _judge(world, provider, attempt, exited, work) if provider is not None else _unjudged(world, attempt)
    outcome = replace(outcome, ending=Ending.FAILED, reason="parcel_refused", detail=refused) if refused else outcome
    outcome = replace(outcome, detail=world.mask(outcome.detail), summary=world.mask(outcome.summary))
    tail = readable(provider, world.executor.log_tail(handle, TAIL)) if provider is not None else ""
    tail = "\n".join(world.mask(tail).splitlines()[-LINES_KEPT:])   # a secret may be broken where it is cut
    evidence = _gather(world, task, attempt, outcome, work, tail)
    evidence = staging.look(world, task, attempt, evidence, hook_env(world))
    if provider is not None:
        world.transcript.finish(recording(world, attempt), now, _ended_words(evidence.outcome))
    ended = datetime.fromtimestamp(exited.ended_at, UTC) if exited.ended_at else now
    planted = world.repo_of(task).planted(task.id)
    return Examined(task, attempt, evidence, exited.code, exited.duration_sec, ended, survivors, planted)


def _take_in(world: World, task: Task, attempt: Attempt, view: WorkerView) -> str:
    """The work of a run on another host, or behind walls, becomes our worktree's; words when it cannot. A worker whose
    host could not be asked for too long is given up: whatever it did stays there."""
    handle = handle_of(attempt)
    if isinstance(view, Unknown):
        world.executor.give_up(handle)
        return ""
    inbound = world.executor.fetch(handle)
    try:
        world.repo_of(task).let_out(task.id, task.branch, attempt.number)
        if inbound is None:
            return ""
        world.repo_of(task).unpack(task.id, task.branch, inbound, attempt.number)
    except GitBusy:
        raise   # nothing is known of it yet: it is tried again
    except GitError as error:
        return error.words
    world.executor.taken_in(handle)
    return ""


def recording(world: World, attempt: Attempt) -> Recording:
    """Where the raw output of an attempt lies and where its transcript goes."""
    log, err = world.executor.paths(handle_of(attempt))
    target = world.root / "logs" / f"{attempt.task_id}.jsonl"
    return Recording(attempt.task_id, attempt.provider, attempt.number, attempt.run_id, log, err, target)


def _as_exited(view: WorkerView, attempt: Attempt) -> Exited:
    """One that vanished after it was told to end has ended by that, though its wrapper did not hear it."""
    if isinstance(view, Exited):
        return view
    if isinstance(view, Unknown):
        return Exited(None, None, "host_lost", view.reason)
    started = isinstance(view, Missing) and view.started
    if started and attempt.stop_asked_at is not None:
        return Exited(None, None, attempt.stop_reason, attempt.stop_words)
    return Exited(None, None, "lost", "the worker vanished" if started else "the worker never started")


def _unjudged(world: World, attempt: Attempt) -> Outcome:
    """Nobody here can read this run: another version of us started it. A person decides, nothing is repeated."""
    return Outcome(Ending.FAILED, "config_error", world.no_provider(attempt.provider))


def _judge(world: World, provider: Provider, attempt: Attempt, exited: Exited, work: Work | None) -> Outcome:
    log, err = world.executor.paths(handle_of(attempt))
    run = Finished(
        code=exited.code,
        signal=exited.signal,
        wrapper_reason=exited.reason,
        lines=_lines(log),
        stderr_tail=_tail(err),
        work=work,
        ended_at=exited.ended_at or world.clock.now().timestamp(),
        streamed=True,
    )
    outcome = provider.judge(run)
    stopped = exited.reason != "process_exit" and exited.words
    return replace(outcome, detail=exited.words) if stopped else outcome


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                yield line
    except FileNotFoundError:
        return


def readable(provider: Provider, raw: bytes) -> str:
    """The last output as people read it: what was said, tools with their errors, plain lines as they are. The first
    line, cut by the limit, is left out when more follow."""
    lines = raw.splitlines()
    said = [one for line in lines[len(lines) > 1 and len(raw) >= TAIL :] for one in provider.events(line)]
    words = [f"{one.tool} {one.text}".strip() for one in said if one.kind not in QUIET and (one.text or one.tool)]
    once = [word for at, word in enumerate(words) if not at or word != words[at - 1]]
    return "\n".join(once)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _gather(
    world: World, task: Task, attempt: Attempt, outcome: Outcome, work: Work | None, tail: str
) -> Evidence:
    stop_note, blocked_note = _note(world, task, "STOP"), _note(world, task, "BLOCKED.md")
    work, rescue, swept_up = _keep(world, task, attempt, outcome, work)
    of_branch, with_commit = _pulls(world, task, work)
    return Evidence(outcome, work, of_branch, with_commit, blocked_note, stop_note, tail, rescue, swept_up)


def _note(world: World, task: Task, name: str) -> str:
    """What was left in a note, fit to be shown: an agent or a person may quote a secret."""
    return world.mask(world.repo_of(task).note(task.id, name))


def _keep(
    world: World, task: Task, attempt: Attempt, outcome: Outcome, work: Work | None
) -> tuple[Work | None, str, bool]:
    """Uncommitted work is committed where that is what the person expects, else it gets a ref of its own."""
    if work is not None and not work.branch_ok:
        work = replace(work, branch_ok=world.repo_of(task).take_home(task.id, task.branch))
    if work is None or not work.dirty:
        return work, "", False
    if not work.branch_ok:
        return work, world.repo_of(task).rescue(task.id, attempt.number) or "", False
    forgotten = outcome.ending is Ending.SUCCEEDED and not work.commits and staging.commits(world, task, attempt)
    message = {
        Ending.CANCELLED: "WIP: Stopped by user",
        Ending.TIMED_OUT: "WIP: Time limit reached",
    }.get(outcome.ending, "WIP: Changes the agent left uncommitted" if forgotten else "")
    if message:
        world.repo_of(task).commit_all(task.id, message)
        after = world.repo_of(task).work(task.id, task.branch, attempt.base_sha)
        if after is not None and after.dirty:
            left = world.mask(paths_words(after.dirty))
            world.say(f"{task.id}: no commit can hold {left}: it stays in {task.worktree}")
        return after, "", forgotten
    return work, world.repo_of(task).rescue(task.id, attempt.number) or "", False


def _pulls(world: World, task: Task, work: Work | None) -> tuple[tuple[PullRequest, ...], tuple[PullRequest, ...]]:
    """Pull requests of the branch and of its commit; none known while GitHub cannot be asked."""
    if work is None or not task.issue:
        return (), ()
    try:
        of_branch = world.github.pulls_of_branch(task.branch)
        with_commit = world.github.pulls_with_commit(work.head_sha) if work.commits else ()
    except GitHubError:
        return (), ()
    return of_branch, with_commit


def _after_run(world: World, task: Task) -> None:
    """The after_run hook cannot change what happened: its failure is only written to the log."""
    try:
        run_hook(world, task, "after_run", world.options.after_run)
    except (HookFailed, GitError) as error:
        world.say(f"{task.id}: after_run failed: {error}")


def _ended_words(outcome: Outcome) -> str:
    return f"{outcome.ending}: {outcome.reason}"
