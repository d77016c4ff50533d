"""What stands on the issue: the living comment, new comments, our labels. Found again by hidden markers."""

from __future__ import annotations

from dataclasses import replace

from coordinator.domain.issue import Comment
from coordinator.domain.outward import Outward
from coordinator.domain.task import Task
from coordinator.engine.facts import Told
from coordinator.engine.speech import living_of, notices_of, own_labels, speech_of
from coordinator.engine.world import World
from coordinator.planning.actions import Tell
from coordinator.ports import Forbidden, NotThere, NotYet, Refused, TryLater


def tell(action: Tell, world: World) -> Told:
    """Each part is looked up on the issue before it is made anew; what is made is one comment a marker. Where the
    issue is gone, nothing is said any more; what this token may not say, or GitHub refuses, is not tried again."""
    said = world.store.outward().get(action.task.id, Outward(action.task.id))
    try:
        return _tell(action, world, said)
    except NotThere as error:
        _is_gone(world, action.task.issue or 0)
        world.say(f"{action.task.id}: its issue is gone ({error.words}); nothing more is said there")
        speech = speech_of(action.task, world.store.attempts().get(action.task.id, ()), world.policy)
        silent = replace(said, living_key=speech.living, notices=said.notices | speech.notices, labels=speech.labels)
        return Told(silent, action.task.issue, frozenset(), frozenset(), gone=True)


def _is_gone(world: World, number: int) -> None:
    """Raises what the issue's own address or, where that says the same, the repository's answers: one that was renamed,
    or that the token may not see any more, has lost no issue."""
    world.github.facts()
    try:
        world.github.issue(number)
    except NotThere:
        return
    raise TryLater(f"#{number} is there, and something on it is not")


def _tell(action: Tell, world: World, said: Outward) -> Told:
    task = action.task
    comments: list[Comment] | None = None
    unsaid = ""
    try:
        if action.living:
            said, comments = _living(world, task, said)
        if action.notices:
            comments = comments if comments is not None else ours(world, task.issue)
            said = _notices(world, action, said, comments)
    except NotYet:
        raise
    except Forbidden as error:   # a right, or a sign-on, may come back
        unsaid = error.words
    except Refused as error:
        world.say(f"{task.id}: nothing can be said on its issue: {error.words}")
        living = living_of(task, world)
        said = replace(said, living_key=living.key if living else "", notices=said.notices | action.notices)
    put: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    try:
        if action.labels:
            put, taken = _labels(world, task)
            said = replace(said, labels=put)
        if action.unretry and task.issue is not None:
            world.github.remove_label(task.issue, world.policy.labels.retry)
            taken |= {world.policy.labels.retry}
    except (Forbidden, Refused) as error:
        world.say(f"{task.id}: its labels cannot be changed, and are left until it is worked on again: {error.words}")
        return Told(said, task.issue, put, taken, unlabelled=True, unsaid=unsaid)
    return Told(said, task.issue, put, taken, unsaid=unsaid)


def ours(world: World, issue: int | None) -> list[Comment]:
    """Comments of our own account: a marker in somebody else's words is not ours."""
    if issue is None:
        return []
    login = world.policy.login or world.github.facts().login
    return [comment for comment in world.github.comments(issue) if not login or comment.author == login]


def _living(world: World, task: Task, said: Outward) -> tuple[Outward, list[Comment] | None]:
    living = living_of(task, world)
    if living is None or task.issue is None:
        return said, None
    body = world.mask(living.body)
    if said.comment_id is not None:
        try:
            world.github.edit_comment(said.comment_id, body)
            return replace(said, living_key=living.key), None
        except (NotThere, Forbidden):   # or of another account, whose token it was before
            said = replace(said, comment_id=None)
    comments = ours(world, task.issue)
    found = next((comment for comment in comments if living.marker in comment.body), None)
    if found is not None:
        world.github.edit_comment(found.id, body)
        return replace(said, comment_id=found.id, living_key=living.key), comments
    made = world.github.add_comment(task.issue, body)
    return replace(said, comment_id=made.id, living_key=living.key), comments


def _notices(world: World, action: Tell, said: Outward, comments: list[Comment]) -> Outward:
    task = action.task
    for notice in notices_of(task, world):
        if notice.key not in action.notices or task.issue is None:
            continue
        if not any(notice.marker in comment.body for comment in comments):
            world.github.add_comment(task.issue, world.mask(notice.body))
        said = replace(said, notices=said.notices | {notice.key})
    return said


def _labels(world: World, task: Task) -> tuple[frozenset[str], frozenset[str]]:
    """Sets what should stand and takes the rest of ours away; (what stands, what does not). GitHub is asked
    first: what we remember may be from before a crash."""
    want, all_ours = own_labels(task, world)
    if task.issue is None:
        return want, frozenset()
    there = world.github.issue(task.issue).labels & all_ours
    for name in sorted(there - want):
        world.github.remove_label(task.issue, name)
    if not want <= there:
        world.github.add_labels(task.issue, sorted(want))
    return want, all_ours - want
