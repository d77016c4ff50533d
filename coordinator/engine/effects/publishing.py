"""Finished work goes out: push, then one pull request, found or opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from coordinator.domain.attempt import Attempt
from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.issue import PullRequest
from coordinator.domain.task import Task
from coordinator.engine.effects import guarding
from coordinator.engine.facts import EffectFailed, PublishRefused, PullFound, Pushed
from coordinator.engine.world import World
from coordinator.planning.actions import Publish, Push
from coordinator.planning.completion import Choice, Course, choose_pull
from coordinator.planning.protection import cleared
from coordinator.ports import (
    Forbidden,
    GitError,
    GitUnreachable,
    HeldBack,
    NoDrafts,
    NotThere,
    NotYet,
    PushRefused,
    Refused,
)
from coordinator.wording.pull_request import pull_body, pull_title
from coordinator.wording.warnings import NO_DRAFTS

SETTLES = timedelta(minutes=10)
"""How long GitHub may take until all its servers know what was pushed; what it refuses then, it refuses for good."""


class MovedOn(Exception):
    """The task is not any more what this was decided on."""


def push(action: Push, world: World) -> Pushed | PublishRefused | EffectFailed:
    """Pushes the branch; what we pushed before may be replaced, nothing else may. What waited in line until its task
    had moved on, to another attempt for one, is not pushed any more; asked first and last, for a scan takes long."""
    task, guard = action.task, guarding.passing(world, [action.task])

    def passes(cargo: Cargo) -> None:
        _refuse_late(world, task)
        guard(cargo)

    try:
        _refuse_late(world, task)
        sha = world.push(task, _search(world, task), passes)
    except MovedOn as error:
        return EffectFailed(action, str(error))
    except HeldBack as error:
        return PublishRefused(task, error.reason, world.mask(error.words), action.wip, held=True)
    except PushRefused as error:
        return PublishRefused(task, "push_refused", error.words, action.wip)
    return Pushed(task, sha, action.wip)


def _refuse_late(world: World, task: Task) -> None:
    now = world.store.task(task.id)
    if now is None or now.version != task.version:
        raise MovedOn(f"{task.id} has moved on: {task.branch} is not pushed as it was to be")


def publish(action: Publish, world: World) -> PullFound | PublishRefused | EffectFailed:
    """The pull request of this work: looked for first, opened if there is none, looked for again if refused. The task's
    last change is its push."""
    task, attempt = action.task, action.attempt
    cargo = world.repo.cargo(attempt.head_sha, _search(world, task)) if attempt.head_sha else Cargo()
    choice = _choose(world, task, attempt)
    if choice.pull is not None:
        if choice.course is Course.ADOPT:
            fresh = guarding.since(world.repo, cargo, world.options.base, _seen(world, task, choice.pull))
            words, careful = guarding.told(world, fresh, [task])
            guarding.flag(world, world.github, choice.pull, task.id, words, draft=careful, opened=False)
        return _found(world, task, attempt, choice.pull, words=choice.words)
    words, careful = guarding.told(world, cargo, [task])
    try:
        pull = _proposed(world, task, attempt, words, careful=careful)
    except HeldBack as error:
        return PublishRefused(task, error.reason, world.mask(error.words), wip=False, held=True)
    except (Refused, Forbidden, NotThere) as error:
        choice = _choose(world, task, attempt)
        if choice.pull is None and isinstance(error, NotYet) and world.clock.now() - task.updated_at < SETTLES:
            return EffectFailed(action, error.words)
        if choice.pull is None:
            return PublishRefused(task, "pr_refused", error.words, wip=False)
        return _found(world, task, attempt, choice.pull, words=choice.words)
    guarding.flag(world, world.github, pull, task.id, words, draft=careful, opened=True)
    return _found(world, task, attempt, pull, words="opened")


def _search(world: World, task: Task) -> Search:
    return guarding.search(world, world.options.base, [task])


def _seen(world: World, task: Task, pull: PullRequest) -> str:
    """The commit of an attempt of ours at which this pull request was told of what it carries, "" for none."""
    ours = {one.head_sha for one in world.store.attempts().get(task.id, ())}
    return task.pr_head_sha if task.pr_number == pull.number and task.pr_head_sha in ours else ""


def _choose(world: World, task: Task, attempt: Attempt) -> Choice:
    of_branch = world.github.pulls_of_branch(task.branch)
    live = choose_pull(task.branch, attempt.head_sha, of_branch, ())
    if live.course is not Course.OPEN or not attempt.head_sha:
        return live
    return choose_pull(task.branch, attempt.head_sha, of_branch, world.github.pulls_with_commit(attempt.head_sha))


def _proposed(world: World, task: Task, attempt: Attempt, words: tuple[str, ...], *, careful: bool) -> PullRequest:
    """A draft where one is wanted and the repository has them; without them work that changes protected files waits
    for a person's word. Raises HeldBack."""
    try:
        return _open(world, task, attempt, words, draft=task.pr_draft or careful)
    except NoDrafts as error:
        if careful and attempt.head_sha not in cleared(task, "protected_path"):
            raise HeldBack("protected_path", f"its pull request should be a draft: {error.words}") from error
        return _open(world, replace(task, pr_draft=False), attempt, (NO_DRAFTS, *words), draft=False)


def _open(world: World, task: Task, attempt: Attempt, words: tuple[str, ...], *, draft: bool) -> PullRequest:
    base = world.options.base or world.repo.default_branch()
    commits, files = _summary(world, task, attempt)
    attempts = world.store.attempts().get(task.id, (attempt,))
    return world.github.open_pull(
        branch=task.branch,
        base=base,
        title=world.mask(pull_title(task, attempt)),
        body=world.mask(pull_body(task, attempts, commits, files, words)),
        draft=draft,
    )


def _summary(world: World, task: Task, attempt: Attempt) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Commits and files; where a clean-up has taken the worktree, commits alone."""
    try:
        return world.repo.summary(task.id, attempt.base_sha)
    except GitUnreachable:
        raise
    except GitError:
        return world.repo.log(attempt.base_sha, attempt.head_sha), ()


def _found(world: World, task: Task, attempt: Attempt, pull: PullRequest, words: str) -> PullFound:
    return PullFound(task, attempt, pull, words, world.clock.now())
