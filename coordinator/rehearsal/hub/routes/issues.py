"""Routes of issues: lists, single ones, their history, assignees and dependencies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coordinator.rehearsal.hub import issues, pulls
from coordinator.rehearsal.hub.wire import Call, Reply, names, needed, text
from coordinator.rehearsal.hub.world import Issue, Refused, invalid

from .table import REPOSITORY, Route

READ = ("issues", "read")
WRITE = ("issues", "write")
ONE = f"{REPOSITORY}/issues/{{number}}"


def listing(call: Call) -> Reply:
    state = call.choice("state", "open", "closed", "all")
    order = call.choice("sort", "created", "updated", "comments")
    descending = call.choice("direction", "desc", "asc") == "desc"
    found = [one for one in call.repository.issues.values() if state in ("all", one.state) and _wanted(call, one)]
    found.sort(key=lambda one: (_rank(one, order), one.number), reverse=descending)
    return call.page(found, lambda one: call.payloads.issue(call.repository, one))


def _wanted(call: Call, issue: Issue) -> bool:
    query = call.query
    held = {name.lower() for name in issue.labels}
    labels = [name.lower() for name in query.get("labels", "").split(",") if name]
    creator, assignee = query.get("creator"), query.get("assignee")
    return (
        held.issuperset(labels)
        and issue.updated_at >= since(query)
        and (creator is None or creator.lower() == issue.author.lower())
        and (assignee is None or _assigned(issue, assignee))
    )


def _assigned(issue: Issue, assignee: str) -> bool:
    if assignee in ("*", "none"):
        return bool(issue.assignees) == (assignee == "*")
    return assignee.lower() in (one.lower() for one in issue.assignees)


def since(query: dict[str, str]) -> float:
    if "since" not in query:
        return 0
    try:
        return datetime.fromisoformat(query["since"]).timestamp()
    except ValueError as error:
        raise invalid("Issue", "since") from error


def _rank(issue: Issue, order: str) -> int:
    return {"created": issue.created_at, "updated": issue.updated_at, "comments": len(issue.comments)}[order]


def single(call: Call) -> Reply:
    return Reply(200, call.payloads.issue(call.repository, call.issue()))


def create(call: Call) -> Reply:
    fields = call.fields()
    title = needed(fields, "title")
    labels = names(fields.get("labels") or [], "Issue", "labels") if call.allows("triage") else []
    body = text(fields, "Issue", "body")
    made = issues.open_issue(call.world, call.repository, call.by, title=title, body=body, labels=labels)
    if call.allows("triage"):
        issues.assign(call.world, made, call.by, names(fields.get("assignees") or [], "Issue", "assignees"))
    shown = call.payloads.issue(call.repository, made)
    return Reply(201, shown, {"Location": shown["url"]})


def change(call: Call) -> Reply:
    issue, fields = call.issue(), call.fields()
    if issue.author.lower() != call.by.lower() and not call.allows("triage"):
        raise Refused(403, "Must have push access to repository")
    issues.edit(call.world, issue, call.by, text(fields, "Issue", "title"), text(fields, "Issue", "body"))
    if call.allows("triage"):
        _change_lists(call, issue, fields)
    state = text(fields, "Issue", "state")
    if state == "open" and issue.state == "closed" and issue.pull is not None:
        pulls.reopen(call.world, call.repository, issue, call.by)
    elif state is not None:
        issues.set_state(call.world, issue, call.by, state, reason=text(fields, "Issue", "state_reason"))
    return single(call)


def _change_lists(call: Call, issue: Issue, fields: dict[str, Any]) -> None:
    if "labels" in fields:
        wanted = names(fields["labels"] or [], "Issue", "labels")
        issues.replace_labels(call.world, call.repository, issue, call.by, wanted)
    if "assignees" in fields:
        people = names(fields["assignees"] or [], "Issue", "assignees")
        kept = {one.lower() for one in people}
        gone = [one for one in issue.assignees if one.lower() not in kept]
        issues.unassign(call.world, issue, call.by, gone)
        issues.assign(call.world, issue, call.by, people)


def add_assignees(call: Call) -> Reply:
    people = names(call.fields().get("assignees") or [], "Issue", "assignees")
    issues.assign(call.world, call.issue(), call.by, people)
    return Reply(201, call.payloads.issue(call.repository, call.issue()))


def remove_assignees(call: Call) -> Reply:
    people = names(call.fields().get("assignees") or [], "Issue", "assignees")
    issues.unassign(call.world, call.issue(), call.by, people)
    return single(call)


def events(call: Call) -> Reply:
    return call.page(call.issue().events, lambda event: call.payloads.event(call.repository, event))


def timeline(call: Call) -> Reply:
    return call.page(call.payloads.timeline(call.repository, call.issue()), lambda line: line)


def blocked_by(call: Call) -> Reply:
    blockers = [call.repository.issue(number) for number in call.issue().blocked_by]
    return call.page(blockers, lambda one: call.payloads.issue(call.repository, one))


ROUTES = (
    Route("GET", f"{REPOSITORY}/issues", listing, grant=READ),
    Route("POST", f"{REPOSITORY}/issues", create, grant=WRITE, creates=True),
    Route("GET", ONE, single, grant=READ),
    Route("PATCH", ONE, change, grant=WRITE),
    Route("POST", f"{ONE}/assignees", add_assignees, "triage", WRITE),
    Route("DELETE", f"{ONE}/assignees", remove_assignees, "triage", WRITE),
    Route("GET", f"{ONE}/events", events, grant=READ),
    Route("GET", f"{ONE}/timeline", timeline, grant=READ),
    Route("GET", f"{ONE}/dependencies/blocked_by", blocked_by, grant=READ),
)
