"""Routes of pull requests and their reviews."""

from __future__ import annotations

from coordinator.rehearsal.hub import issues, pulls
from coordinator.rehearsal.hub.pulls import Merging, Proposal
from coordinator.rehearsal.hub.wire import Call, Reply, needed, text
from coordinator.rehearsal.hub.world import Issue, Pull, Refused

from .table import REPOSITORY, Route

READ = ("pull_requests", "read")
WRITE = ("pull_requests", "write")
ALL = f"{REPOSITORY}/pulls"
ONE = f"{ALL}/{{number}}"


def listing(call: Call) -> Reply:
    state = call.choice("state", "open", "closed", "all")
    order = call.choice("sort", "created", "updated", "popularity", "long-running")
    direction = call.choice("direction", "desc" if order == "created" else "asc", "asc", "desc")
    found = [
        issue for issue, pull in call.repository.pulls() if state in ("all", issue.state) and _wanted(call.query, pull)
    ]
    found.sort(key=lambda one: (_rank(one, order), one.number), reverse=direction == "desc")
    return call.page(found, lambda one: call.payloads.pull(call.repository, one, call.login))


def _wanted(query: dict[str, str], pull: Pull) -> bool:
    """`head` filters only as `owner:branch`; GitHub ignores a bare branch name and lists everything."""
    head, base = query.get("head", ""), query.get("base")
    owner, colon, branch = head.partition(":")
    if base is not None and base != pull.base_ref:
        return False
    return not colon or (owner.lower(), branch) == (pull.head_repo.split("/")[0].lower(), pull.head_ref)


def _rank(issue: Issue, order: str) -> int:
    return {"updated": issue.updated_at, "popularity": len(issue.comments)}.get(order, issue.created_at)


def single(call: Call) -> Reply:
    return Reply(200, call.payloads.whole_pull(call.repository, call.issue(), call.login))


def create(call: Call) -> Reply:
    fields = call.fields()
    head, base = needed(fields, "head"), needed(fields, "base")
    title = needed(fields, "title")
    owner = head.rpartition(":")[0]
    source = pulls.head_repository(call.world, call.repository, owner) if owner else call.repository
    if not call.world.allows(source, call.login, "write"):
        raise Refused(403, "Must have push access to repository")
    asked = Proposal(title, head, base, text(fields, "PullRequest", "body"), bool(fields.get("draft")))
    made = pulls.open_pull(call.world, call.repository, call.by, asked)
    shown = call.payloads.whole_pull(call.repository, made, call.login)
    return Reply(201, shown, {"Location": shown["url"]})


def change(call: Call) -> Reply:
    issue, fields = call.issue(), call.fields()
    pull = issue.the_pull()
    if issue.author.lower() != call.by.lower() and not call.allows("write"):
        raise Refused(403, "Must have push access to repository")
    title, body = text(fields, "PullRequest", "title"), text(fields, "PullRequest", "body")
    issues.edit(call.world, issue, call.by, title, body)
    base, state = text(fields, "PullRequest", "base"), text(fields, "PullRequest", "state")
    if base is not None:
        pulls.retarget(call.repository, pull, base)
    if state == "open" and issue.state == "closed":
        pulls.reopen(call.world, call.repository, issue, call.by)
    elif state is not None:
        issues.set_state(call.world, issue, call.by, state)
    return single(call)


def merge(call: Call) -> Reply:
    fields = call.fields()
    how = Merging(
        text(fields, "PullRequest", "merge_method") or "merge",
        text(fields, "PullRequest", "sha"),
        text(fields, "PullRequest", "commit_title"),
        text(fields, "PullRequest", "commit_message"),
    )
    sha = pulls.merge(call.world, call.repository, call.issue(), call.by, how)
    return Reply(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def reviews(call: Call) -> Reply:
    issue = call.issue()
    return call.page(issue.the_pull().reviews, lambda one: call.payloads.review(call.repository, issue, one))


def create_review(call: Call) -> Reply:
    issue, fields = call.issue(), call.fields()
    verdict = text(fields, "PullRequestReview", "event") or "COMMENT"
    made = pulls.review(call.world, issue, call.by, verdict, text(fields, "PullRequestReview", "body") or "")
    return Reply(200, call.payloads.review(call.repository, issue, made))


ROUTES = (
    Route("GET", ALL, listing, grant=READ),
    Route("POST", ALL, create, grant=WRITE, creates=True),
    Route("GET", ONE, single, grant=READ),
    Route("PATCH", ONE, change, grant=WRITE),
    Route("PUT", f"{ONE}/merge", merge, "write", ("contents", "write")),
    Route("GET", f"{ONE}/reviews", reviews, grant=READ),
    Route("POST", f"{ONE}/reviews", create_review, grant=WRITE, creates=True),
)
