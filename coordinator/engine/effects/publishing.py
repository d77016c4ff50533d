"""Finished work goes out: push, then one pull request, found or opened."""

from __future__ import annotations

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import PullRequest
from coordinator.domain.task import Task
from coordinator.engine.facts import PublishRefused, PullFound, Pushed
from coordinator.engine.world import World
from coordinator.planning.actions import Publish, Push
from coordinator.planning.completion import Choice, Course, choose_pull
from coordinator.ports import Forbidden, NotThere, PushRefused, Refused
from coordinator.wording.pull_request import pull_body, pull_title


def push(action: Push, world: World) -> Pushed | PublishRefused:
    """Pushes the branch; what we pushed before may be replaced, nothing else may."""
    try:
        sha = world.push(action.task)
    except PushRefused as error:
        return PublishRefused(action.task, "push_refused", error.words, action.wip)
    return Pushed(action.task, sha, action.wip)


def publish(action: Publish, world: World) -> PullFound | PublishRefused:
    """The pull request of this work: looked for first, opened if there is none, looked for again if refused."""
    task, attempt = action.task, action.attempt
    choice = _choose(world, task, attempt)
    if choice.pull is not None:
        return _found(world, task, attempt, choice.pull, words=choice.words)
    try:
        pull = _open(world, task, attempt)
    except (Refused, Forbidden, NotThere) as error:
        choice = _choose(world, task, attempt)
        if choice.pull is None:
            return PublishRefused(task, "pr_refused", error.words, wip=False)
        return _found(world, task, attempt, choice.pull, words=choice.words)
    return _found(world, task, attempt, pull, words="opened")


def _choose(world: World, task: Task, attempt: Attempt) -> Choice:
    of_branch = world.github.pulls_of_branch(task.branch)
    live = choose_pull(task.branch, attempt.head_sha, of_branch, ())
    if live.course is not Course.OPEN or not attempt.head_sha:
        return live
    return choose_pull(task.branch, attempt.head_sha, of_branch, world.github.pulls_with_commit(attempt.head_sha))


def _open(world: World, task: Task, attempt: Attempt) -> PullRequest:
    base = world.options.base or world.repo.default_branch()
    commits, files = world.repo.summary(task.id, attempt.base_sha)
    attempts = world.store.attempts().get(task.id, (attempt,))
    return world.github.open_pull(
        branch=task.branch,
        base=base,
        title=world.mask(pull_title(task, attempt)),
        body=world.mask(pull_body(task, attempts, commits, files)),
        draft=task.pr_draft,
    )


def _found(world: World, task: Task, attempt: Attempt, pull: PullRequest, words: str) -> PullFound:
    return PullFound(task, attempt, pull, words, world.clock.now())
