"""Routes of labels, those of the repository and those on an issue."""

from __future__ import annotations

from urllib.parse import unquote

from coordinator.rehearsal.hub import issues
from coordinator.rehearsal.hub.wire import Call, Reply, names, needed, text
from coordinator.rehearsal.hub.world import Refused

from .issues import ONE, READ, WRITE
from .table import REPOSITORY, Route

ALL = f"{REPOSITORY}/labels"


def listing(call: Call) -> Reply:
    return call.page(list(call.repository.labels.values()), lambda one: call.payloads.label(call.repository, one))


def single(call: Call) -> Reply:
    label = issues.find_label(call.repository, unquote(call.arguments["name"]))
    return Reply(200, call.payloads.label(call.repository, label))


def create(call: Call) -> Reply:
    fields = call.fields()
    color = text(fields, "Label", "color") or "ededed"
    about = text(fields, "Label", "description")
    label = issues.make_label(call.world, call.repository, needed(fields, "name"), color, about)
    shown = call.payloads.label(call.repository, label)
    return Reply(201, shown, {"Location": shown["url"]})


def on_issue(call: Call) -> Reply:
    return call.page(call.payloads.labels(call.repository, call.issue()), lambda one: one)


def add(call: Call) -> Reply:
    issues.add_labels(call.world, call.repository, call.issue(), call.by, _asked(call))
    return Reply(200, call.payloads.labels(call.repository, call.issue()))


def replace(call: Call) -> Reply:
    issues.replace_labels(call.world, call.repository, call.issue(), call.by, _asked(call))
    return Reply(200, call.payloads.labels(call.repository, call.issue()))


def remove(call: Call) -> Reply:
    issue, name = call.issue(), unquote(call.arguments["name"])
    if name.lower() not in (one.lower() for one in issue.labels):
        raise Refused(404, "Label does not exist")
    issues.remove_label(call.world, call.repository, issue, call.by, name)
    return Reply(200, call.payloads.labels(call.repository, issue))


def _asked(call: Call) -> list[str]:
    """GitHub takes both `{"labels": [...]}` and the bare list."""
    body = call.json()
    return names(body.get("labels", []) if isinstance(body, dict) else body, "Issue", "labels")


ROUTES = (
    Route("GET", ALL, listing, grant=READ),
    Route("POST", ALL, create, "write", WRITE),
    Route("GET", f"{ALL}/{{name}}", single, grant=READ),
    Route("GET", f"{ONE}/labels", on_issue, grant=READ),
    Route("POST", f"{ONE}/labels", add, "triage", WRITE),
    Route("PUT", f"{ONE}/labels", replace, "triage", WRITE),
    Route("DELETE", f"{ONE}/labels/{{name}}", remove, "triage", WRITE),
)
