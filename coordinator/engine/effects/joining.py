"""Work of a plan's tasks comes together: looked at, validated, merged into the plan's branch; then delivered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from coordinator.domain.attempt import Attempt
from coordinator.domain.checkout import Survey
from coordinator.domain.issue import PullRequest
from coordinator.domain.planfile import Delivery, PlanTask, Result, Undertaking
from coordinator.domain.task import Task
from coordinator.engine.effects import guarding
from coordinator.engine.effects.publishing import SETTLES
from coordinator.engine.effects.starting import hook_env
from coordinator.engine.facts import Delivered, EffectFailed, Joined, Looked, NotDelivered, NotJoined
from coordinator.engine.plans import plans_of
from coordinator.engine.world import Site, World
from coordinator.planning.actions import Deliver, Join, Look
from coordinator.planning.completion import Course, choose_pull
from coordinator.planning.plans import commits, delivering
from coordinator.planning.plans.checking import command_of
from coordinator.ports import (
    Forbidden,
    ForeignWorktree,
    GitError,
    GitUnreachable,
    HeldBack,
    MergeConflict,
    NoDrafts,
    NotThere,
    NotYet,
    PushRefused,
    Refused,
    Repository,
)
from coordinator.wording.plan_pull import plan_body, plan_title

LOOK_EVERY = timedelta(seconds=30)
"""How often the files of a running task are looked at."""


class Withheld(Exception):
    """The work does not come in; `reason` is a reason code."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason, self.words = reason, words


def join(action: Join, world: World) -> Joined | NotJoined:
    """Merges a task's commits when its gate passes. Repeating it is harmless: what is merged already stays."""
    task, attempt = action.task, action.attempt
    under = plans_of(world.store)[task.plan]
    one = under.task_of(task.id)
    if one is None:
        return NotJoined(task, attempt, "manual_stop", "it is no longer in the plan file", world.clock.now())
    try:
        repo = world.repo_of(task)
        survey = repo.survey(attempt.base_sha, attempt.head_sha, under.deliveries[one.repo].branch)
        notes = _commits(world, task, under, one, survey)
        _cleared(world, repo, attempt, under, one)
        validation = _validated(world, task, one)
        sha = _merged(repo, task, attempt, under, one)
    except Withheld as no:
        return NotJoined(task, attempt, no.reason, world.mask(no.words), world.clock.now())
    except GitUnreachable:
        raise
    except GitError as error:   # what git refuses here it refuses again
        return NotJoined(task, attempt, "worktree_error", world.mask(error.words), world.clock.now())
    result = Result(sha, survey.files, len(survey.messages), world.mask(validation), notes, world.clock.now(),
                    attempt.head_sha)
    return Joined(task, attempt, one.id, under.deliveries[one.repo].branch, result)


def _commits(world: World, task: Task, under: Undertaking, one: PlanTask, survey: Survey) -> tuple[str, ...]:
    """What is odd about the commits. Raises Withheld for what the settings refuse."""
    found = tuple(commits.faults(
        one, under.feature_key(one), survey.files, survey.lines, survey.messages, _pushed(world, task),
        world.options.strictness,
    ))
    refused = next((fault for fault in found if fault.reason), None)
    if refused is not None:
        raise Withheld(refused.reason, refused.words)
    return tuple(world.mask(fault.words) for fault in found)


def _cleared(world: World, repo: Repository, attempt: Attempt, under: Undertaking, one: PlanTask) -> None:
    """What may not go out does not come in either: there it would hold back the work of all. Raises Withheld."""
    delivery, mates = under.deliveries[one.repo], _mates(world, under)
    cargo = repo.cargo(attempt.head_sha, guarding.search(world, delivery.base, mates))
    try:
        HeldBack.judge(cargo)
        guarding.passing(world, mates)(cargo)
    except HeldBack as error:
        raise Withheld(error.reason, error.words) from error


def _mates(world: World, under: Undertaking) -> list[Task]:
    """The tasks of a plan: what a person let pass of one is in the branch that all come to."""
    return [task for one in under.plan.tasks if (task := world.store.task(under.key(one))) is not None]


def _pushed(world: World, task: Task) -> str:
    """What the remote has of the task's branch, which we never push; "" also when it cannot be asked."""
    repo = world.repo_of(task)
    try:
        repo.fetch()
    except GitError as error:
        world.say(f"{task.id}: whether its branch was pushed cannot be asked: {error.words}")
        return ""
    return repo.remote_tip(task.branch)


def _validated(world: World, task: Task, one: PlanTask) -> str:
    """How the validation went. Raises Withheld when it failed."""
    command = command_of(one.validation)
    if not command:
        return f"left to a person: {one.validation}" if one.validation else ""
    began = world.clock.now()
    limit = world.options.validation_timeout
    ok, tail = world.repo_of(task).run_hook(task.id, command, "validation", limit, hook_env(world))
    took = (world.clock.now() - began).total_seconds()
    if not ok:
        raise Withheld("validation_failed", f"`{command}` failed after {took:.0f} s: {tail.strip()[-600:]}")
    return f"`{command}` passed in {took:.0f} s"


def _merged(repo: Repository, task: Task, attempt: Attempt, under: Undertaking, one: PlanTask) -> str:
    branch = under.deliveries[one.repo].branch
    message = (f"Merge {one.id} ({one.name}) into {branch}\n\n"
               f"Plan: {under.id}\nTask: {task.id}\nFeature-Key: {under.feature_key(one)}\n")
    try:
        return repo.merge(branch, attempt.head_sha, message)
    except MergeConflict as error:
        cure = f"merge {branch} into {task.branch} and solve it there (git merge {branch}), then try again"
        raise Withheld("merge_conflict", f"{error.words}: {cure}") from error
    except ForeignWorktree as error:
        raise Withheld("foreign_worktree", error.words) from error


def look(action: Look, world: World) -> Looked:
    """The files that a running task has changed so far, committed or not."""
    task, attempt = action.task, action.attempt
    repo = world.repo_of(task)
    work = repo.work(task.id, task.branch, attempt.base_sha)
    files: frozenset[str] = frozenset()
    if work is not None:
        committed = repo.survey(attempt.base_sha, work.head_sha).files if work.commits else ()
        files = frozenset((*work.dirty, *committed))
    return Looked(task.id, files, world.clock.now() + LOOK_EVERY)


# --- delivery -------------------------------------------------------------------------------------------


def deliver(action: Deliver, world: World) -> Delivered | NotDelivered | EffectFailed:
    """Pushes the plan's branch once and finds or opens its pull request. Where the repository is not on GitHub, or
    nobody may ask there, the push is all. What git refuses here a person must look at. A plan that grew before this
    began is not delivered yet."""
    under = plans_of(world.store)[action.plan]
    if delivering.grew(under, action.of):
        return EffectFailed(action, "the plan grew: it is delivered when all of it is merged")
    try:
        return _deliver(action, under, world)
    except GitUnreachable:
        raise
    except GitError as error:
        words = f"git refused to deliver it: {world.mask(error.words)}"
        return NotDelivered(action.plan, action.repo, action.of, words)


def _deliver(action: Deliver, under: Undertaking, world: World) -> Delivered | NotDelivered | EffectFailed:
    delivery = under.deliveries[action.repo]
    site = world.site(delivery.root)
    if last := under.last_merge(action.repo):   # whoever moved the branch back since would have work left out
        site.repo.feature(delivery.branch, delivery.base or site.repo.default_branch(), last)
    try:
        find = guarding.search(world, delivery.base, _mates(world, under))
        came = tuple(result.head for result in under.results.values() if result.head)   # each was looked through then
        find = replace(find, allowed=(*find.allowed, *came))
        passes = guarding.beside(world, site.repo, delivery.base, came)
        sha = site.repo.push(delivery.branch, expect=delivery.pushed_sha, search=find, passes=passes)
    except HeldBack as error:
        cure = f". Look at it, and push {delivery.branch} yourself" if error.reason == "protected_path" else ""
        return NotDelivered(action.plan, action.repo, action.of, f"{error.reason}: {world.mask(error.words)}{cure}")
    except PushRefused as error:
        words = f"the push of {delivery.branch} was refused: {error.words}{_first(site.repo, delivery)}"
        return NotDelivered(action.plan, action.repo, action.of, words)
    if site.github is None:
        words = f"{delivery.branch} is pushed; no pull request: {site.why_not}"
        return Delivered(action.plan, action.repo, action.of, sha, None, words, world.clock.now())
    try:
        pull = _pull(world, site, under, delivery, sha)
    except (Refused, Forbidden, NotThere) as error:
        merged = (result.at for result in under.results.values() if result.at is not None)
        if isinstance(error, NotYet) and world.clock.now() - max(merged, default=under.started_at) < SETTLES:
            return EffectFailed(action, error.words)
        cure = ". Open it yourself, then coordinator plan resume" if isinstance(error, NoDrafts) else ""
        words = f"the pull request was refused: {error.words}{cure}"
        return NotDelivered(action.plan, action.repo, action.of, words, sha)
    return Delivered(action.plan, action.repo, action.of, sha, pull, f"pull request #{pull.number}", world.clock.now())


def _first(repo: Repository, delivery: Delivery) -> str:
    """What a person does first where the remote's branch holds commits that are not here; "" where it does not."""
    try:
        repo.fetch()
        theirs = repo.remote_tip(delivery.branch)
        if not theirs or theirs == delivery.pushed_sha or not repo.log(f"refs/heads/{delivery.branch}", theirs):
            return ""
    except GitError:
        return ""
    return (f"; it stands on the remote at {theirs[:12]}, with commits that are not here. Merge them first: in "
            f"{delivery.root} git switch {delivery.branch} && git merge {theirs[:12]} && git switch -")


def _pull(world: World, site: Site, under: Undertaking, delivery: Delivery, sha: str) -> PullRequest:
    github = site.github
    if github is None:
        raise NotThere(site.why_not)
    choice = choose_pull(delivery.branch, sha, github.pulls_of_branch(delivery.branch), ())
    if choice.pull is not None and choice.course is Course.MERGED:
        return choice.pull
    cargo = site.repo.cargo(sha, guarding.search(world, delivery.base, ()))
    if choice.pull is not None and choice.course is Course.ADOPT:
        seen = delivery.pr_head_sha if delivery.pr_number == choice.pull.number else ""
        cargo = guarding.since(site.repo, cargo, delivery.base, seen)
        words, careful = guarding.told(world, cargo, _mates(world, under))
        guarding.flag(world, github, choice.pull, under.id, words, draft=careful, opened=False)
        return choice.pull
    words, careful = guarding.told(world, cargo, _mates(world, under))
    base = delivery.base or site.repo.default_branch()
    lines = site.repo.log(site.repo.remote_tip(base), sha)
    body = plan_body(under, delivery, lines, world.store.attempts(), words)
    pull = github.open_pull(branch=delivery.branch, base=base, title=world.mask(plan_title(under)),
                            body=world.mask(body), draft=careful)
    guarding.flag(world, github, pull, under.id, words, draft=careful, opened=True)
    return pull
