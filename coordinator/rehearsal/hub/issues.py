"""What can be done to an issue, each with its history line and its `updated_at`.

The rules of who may do it stand in the routes; here an act is simply done, as GitHub would record it.
"""

from __future__ import annotations

from collections.abc import Iterable

from .world import Comment, Edit, Event, Issue, Label, Repository, World, custom, invalid, not_found

BODY_LIMIT = 65536
TITLE_LIMIT = 256
STATES = ("open", "closed")
REASONS = ("completed", "not_planned", "duplicate", "reopened")


def open_issue(
    world: World, repository: Repository, by: str, *, title: str, body: str | None, labels: Iterable[str] = ()
) -> Issue:
    _check_title(title)
    _check_body("Issue", body)
    now = world.now()
    number = _next(repository)
    issue = Issue(world.next_id(), number, title, body, by, now, now)
    repository.issues[number] = issue
    add_labels(world, repository, issue, by, labels)
    return issue


def _next(repository: Repository) -> int:
    """No number is given twice, also not one of an issue that is gone."""
    return max((*repository.issues, *repository.departed), default=0) + 1


def record(world: World, issue: Issue, kind: str, by: str, **detail: str) -> None:
    """Add a line to the history and mark the issue as changed."""
    issue.events.append(Event(world.next_id(), kind, by, world.now(), detail))
    touch(world, issue)


def touch(world: World, issue: Issue) -> None:
    issue.updated_at = max(issue.updated_at, world.now())


def edit(world: World, issue: Issue, by: str, title: str | None = None, body: str | None = None) -> None:
    """Change title or body; an edit of the body is remembered with its editor, as GraphQL tells it."""
    if title is not None and title != issue.title:
        _check_title(title)
        old, issue.title = issue.title, title
        record(world, issue, "renamed", by, old=old, new=title)
    if body is not None and body != (issue.body or ""):
        _check_body("Issue", body)
        issue.body = body
        issue.edits.append(Edit(by, world.now()))
        touch(world, issue)


def set_state(world: World, issue: Issue, by: str, state: str, *, reason: str | None = None, commit: str = "") -> None:
    if state not in STATES:
        raise invalid("Issue", "state")
    if reason is not None and reason not in REASONS:
        raise invalid("Issue", "state_reason")
    if state == issue.state:
        return
    issue.state = state
    closed = state == "closed"
    issue.closed_at = world.now() if closed else None
    issue.closed_by = by if closed else None
    if issue.pull is None:
        issue.state_reason = (reason or "completed") if closed else "reopened"
    detail = {"commit_id": commit} if commit else {}
    record(world, issue, "closed" if closed else "reopened", by, **detail)


def add_comment(world: World, issue: Issue, by: str, body: str) -> Comment:
    _check_comment(body)
    now = world.now()
    comment = Comment(world.next_id(), by, body, now, now)
    issue.comments.append(comment)
    touch(world, issue)
    return comment


def edit_comment(world: World, issue: Issue, comment: Comment, by: str, body: str) -> None:
    _check_comment(body)
    comment.body = body
    comment.updated_at = world.now()
    comment.edits.append(Edit(by, comment.updated_at))
    touch(world, issue)


def delete_comment(world: World, issue: Issue, comment: Comment) -> None:
    issue.comments.remove(comment)
    touch(world, issue)


def find_comment(repository: Repository, number: int) -> tuple[Issue, Comment]:
    for issue in repository.issues.values():
        for comment in issue.comments:
            if comment.id == number:
                return issue, comment
    raise not_found()


def make_label(
    world: World, repository: Repository, name: str, color: str = "ededed", description: str | None = None
) -> Label:
    if not name or len(name) > 50:
        raise invalid("Label", "name")
    if name.lower() in repository.labels:
        raise invalid("Label", "name", "already_exists")
    label = Label(world.next_id(), name, color, description)
    repository.labels[name.lower()] = label
    return label


def find_label(repository: Repository, name: str) -> Label:
    found = repository.labels.get(name.lower())
    if found is None:
        raise not_found()
    return found


def rename_label(repository: Repository, name: str, to: str) -> None:
    """Its issues carry the new name from now on; their times stay as they are, and so do the lines of history."""
    label = repository.labels.pop(name.lower())
    label.name = to
    repository.labels[to.lower()] = label
    for issue in repository.issues.values():
        issue.labels = [to if one.lower() == name.lower() else one for one in issue.labels]


def delete_label(repository: Repository, name: str) -> None:
    """It goes from every issue without a line of history."""
    del repository.labels[name.lower()]
    for issue in repository.issues.values():
        issue.labels = [one for one in issue.labels if one.lower() != name.lower()]


def transfer(world: World, repository: Repository, issue: Issue, to: Repository, by: str) -> int:
    """The issue goes with its comments; labels that the other repository lacks stay behind."""
    was, now = issue.number, _next(to)
    del repository.issues[was]
    repository.departed[was] = (to, now)
    issue.number = now
    issue.labels = [name for name in issue.labels if name.lower() in to.labels]
    to.issues[now] = issue
    record(world, issue, "transferred", by)
    return now


def delete(repository: Repository, number: int) -> None:
    del repository.issues[number]
    repository.departed[number] = None


def add_labels(world: World, repository: Repository, issue: Issue, by: str, names: Iterable[str]) -> None:
    """Put labels on an issue; unknown ones are made, ones it has already leave no history line."""
    for name in names:
        known = repository.labels.get(name.lower())
        label = known or make_label(world, repository, name)
        if label.name in issue.labels:
            continue
        issue.labels.append(label.name)
        record(world, issue, "labeled", by, label=label.name, color=label.color)


def remove_label(world: World, repository: Repository, issue: Issue, by: str, name: str) -> None:
    """Take a label off; one the issue does not have is 404 "Label does not exist" on GitHub."""
    held = next((one for one in issue.labels if one.lower() == name.lower()), None)
    if held is None:
        raise not_found()
    issue.labels.remove(held)
    record(world, issue, "unlabeled", by, label=held, color=repository.labels[held.lower()].color)


def replace_labels(world: World, repository: Repository, issue: Issue, by: str, names: list[str]) -> None:
    wanted = {name.lower() for name in names}
    for name in list(issue.labels):
        if name.lower() not in wanted:
            remove_label(world, repository, issue, by, name)
    add_labels(world, repository, issue, by, names)


def assign(world: World, issue: Issue, by: str, logins: Iterable[str]) -> None:
    """Assign users; GitHub passes over in silence those who cannot be assigned."""
    for login in logins:
        user = world.users.get(login.lower())
        if user is None or user.login in issue.assignees:
            continue
        issue.assignees.append(user.login)
        record(world, issue, "assigned", by, assignee=user.login)


def unassign(world: World, issue: Issue, by: str, logins: Iterable[str]) -> None:
    gone = {login.lower() for login in logins}
    for login in [one for one in issue.assignees if one.lower() in gone]:
        issue.assignees.remove(login)
        record(world, issue, "unassigned", by, assignee=login)


def block(world: World, issue: Issue, by: str, blocker: Issue) -> None:
    """Record GitHub's own "blocked by" relation."""
    if blocker.number not in issue.blocked_by:
        issue.blocked_by.append(blocker.number)
        record(world, issue, "blocked_by_added", by)


def _check_title(title: str) -> None:
    if not title.strip():
        raise invalid("Issue", "title", "missing_field")
    if len(title) > TITLE_LIMIT:
        raise custom("Issue", f"title is too long (maximum is {TITLE_LIMIT} characters)")


def _check_body(resource: str, body: str | None) -> None:
    if body is not None and len(body) > BODY_LIMIT:
        raise custom(resource, f"body is too long (maximum is {BODY_LIMIT} characters)")


def _check_comment(body: str) -> None:
    if not body.strip():
        raise custom("IssueComment", "Body can't be blank")
    _check_body("IssueComment", body)
