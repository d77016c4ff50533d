"""Routes of comments on issues and pull requests."""

from __future__ import annotations

from coordinator.rehearsal.hub import issues
from coordinator.rehearsal.hub.wire import Call, Reply, needed
from coordinator.rehearsal.hub.world import Comment, Issue, Refused

from .issues import ONE, READ, WRITE, since
from .table import REPOSITORY, Route

ALL = f"{REPOSITORY}/issues/comments"


def of_issue(call: Call) -> Reply:
    issue = call.issue()
    earliest = since(call.query)
    found = [one for one in issue.comments if one.updated_at >= earliest]
    return call.page(found, lambda one: call.payloads.comment(call.repository, issue, one))


def of_repository(call: Call) -> Reply:
    earliest = since(call.query)
    order = call.choice("sort", "created", "updated")
    pairs = [(issue, one) for issue in call.repository.issues.values() for one in issue.comments]
    found = [pair for pair in pairs if pair[1].updated_at >= earliest]
    newest = "sort" in call.query and call.query.get("direction", "desc") == "desc"
    found.sort(key=lambda pair: (getattr(pair[1], f"{order}_at"), pair[1].id), reverse=newest)
    return call.page(found, lambda pair: call.payloads.comment(call.repository, *pair))


def create(call: Call) -> Reply:
    issue = call.issue()
    made = issues.add_comment(call.world, issue, call.by, needed(call.fields(), "body"))
    shown = call.payloads.comment(call.repository, issue, made)
    return Reply(201, shown, {"Location": shown["url"]})


def single(call: Call) -> Reply:
    return Reply(200, call.payloads.comment(call.repository, *_found(call)))


def change(call: Call) -> Reply:
    issue, comment = _own(call)
    issues.edit_comment(call.world, issue, comment, call.by, needed(call.fields(), "body"))
    return single(call)


def delete(call: Call) -> Reply:
    issues.delete_comment(call.world, *_own(call))
    return Reply(204)


def _found(call: Call) -> tuple[Issue, Comment]:
    return issues.find_comment(call.repository, int(call.arguments["id"]))


def _own(call: Call) -> tuple[Issue, Comment]:
    """The comment, if the caller wrote it or may write to the repository."""
    issue, comment = _found(call)
    if comment.author.lower() != call.by.lower() and not call.allows("write"):
        raise Refused(403, "Must have push access to repository")
    return issue, comment


ROUTES = (
    Route("GET", f"{ONE}/comments", of_issue, grant=READ),
    Route("POST", f"{ONE}/comments", create, grant=WRITE, creates=True),
    Route("GET", ALL, of_repository, grant=READ),
    Route("GET", f"{ALL}/{{id}}", single, grant=READ),
    Route("PATCH", f"{ALL}/{{id}}", change, grant=WRITE),
    Route("DELETE", f"{ALL}/{{id}}", delete, grant=WRITE),
)
