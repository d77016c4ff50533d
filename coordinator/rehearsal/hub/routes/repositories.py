"""Routes of users, limits, repositories, branches, refs, commits."""

from __future__ import annotations

from pathlib import Path

from coordinator.rehearsal.hub import bare, pulls
from coordinator.rehearsal.hub.wire import Call, Reply
from coordinator.rehearsal.hub.world import LEVELS, Refused, not_found

from .table import REPOSITORY, Route

READ = ("contents", "read")
WRITE = ("contents", "write")


def own_account(call: Call) -> Reply:
    return Reply(200, call.payloads.own_account(call.world.user(call.by)))


def account(call: Call) -> Reply:
    return Reply(200, call.payloads.account(call.world.user(call.arguments["login"])))


def repository(call: Call) -> Reply:
    return Reply(200, call.payloads.repository(call.repository, call.login))


def permission(call: Call) -> Reply:
    user = call.world.user(call.arguments["login"])
    role = LEVELS[call.world.level(call.repository, user.login)]
    legacy = {"maintain": "write", "triage": "read"}.get(role, role)
    told = {
        **call.payloads.user(user.login),
        "permissions": call.payloads.permissions(call.repository, user.login),
    }
    return Reply(200, {"permission": legacy, "role_name": role, "user": {**told, "role_name": role}})


def branch(call: Call) -> Reply:
    name = call.arguments["branch"]
    sha = bare.branch(call.repository.bare, name)
    if sha is None:
        raise Refused(404, "Branch not found")
    return Reply(200, call.payloads.branch(call.repository, name, sha))


def ref(call: Call) -> Reply:
    name = f"refs/{call.arguments['ref']}"
    sha = bare.refs(call.repository.bare, name).get(name)
    if sha is None:
        raise not_found()
    return Reply(200, call.payloads.ref(call.repository, name, sha))


def matching_refs(call: Call) -> Reply:
    found = bare.refs(call.repository.bare, f"refs/{call.arguments['ref']}")
    return Reply(200, [call.payloads.ref(call.repository, name, sha) for name, sha in found.items()])


def delete_ref(call: Call) -> Reply:
    name = f"refs/{call.arguments['ref']}"
    if name not in bare.refs(call.repository.bare, name):
        raise Refused(422, "Reference does not exist")
    short = name.removeprefix("refs/heads/")
    if short == call.repository.default_branch:
        raise Refused(422, "Cannot delete the default branch")
    if short in bare.protected(call.repository.bare):
        raise Refused(422, "Cannot delete this protected branch")
    pulls.delete_branch(call.world, call.repository, short, call.by)
    return Reply(204)


def commit_pulls(call: Call) -> Reply:
    """Pull requests that carry a commit, or whose merge made it."""
    sha = bare.resolve(call.repository.bare, call.arguments["sha"])
    if sha is None:
        raise Refused(422, f"No commit found for SHA: {call.arguments['sha']}")
    found = [
        issue
        for issue, pull in call.repository.pulls()
        if sha == pull.merge_commit_sha or _carries(call.repository.bare, pull.base_sha, pull.head_sha, sha)
    ]
    return call.page(found, lambda issue: call.payloads.pull(call.repository, issue, call.login))


def _carries(where: Path, base: str, head: str, sha: str) -> bool:
    return bare.ancestor(where, sha, head) and not bare.ancestor(where, sha, base)


ROUTES = (
    Route("GET", "/user", own_account),
    Route("GET", "/users/{login}", account),
    Route("GET", REPOSITORY, repository),
    Route("GET", f"{REPOSITORY}/collaborators/{{login}}/permission", permission, "write"),
    Route("GET", f"{REPOSITORY}/branches/{{branch}}", branch, grant=READ),
    Route("GET", f"{REPOSITORY}/git/ref/{{ref}}", ref, grant=READ),
    Route("GET", f"{REPOSITORY}/git/matching-refs/{{ref}}", matching_refs, grant=READ),
    Route("DELETE", f"{REPOSITORY}/git/refs/{{ref}}", delete_ref, "write", WRITE),
    Route("GET", f"{REPOSITORY}/commits/{{sha}}/pulls", commit_pulls, grant=("pull_requests", "read")),
)
