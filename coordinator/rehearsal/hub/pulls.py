"""Pull requests: opened, kept in step with pushes, reviewed, merged, closed; their git side is real."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import bare, issues
from .bare import Identity
from .world import Issue, Pull, Refused, Repository, Review, World, custom, invalid

CLOSING = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(?:([\w.-]+/[\w.-]+))?#(\d+)\b", re.IGNORECASE)
METHODS = ("merge", "squash", "rebase")
REVIEW_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


@dataclass(frozen=True)
class Proposal:
    """What a caller asks for when opening a pull request. `head` is `branch` or `owner:branch`."""

    title: str
    head: str
    base: str
    body: str | None = None
    draft: bool = False


def identity(world: World, login: str) -> Identity:
    user = world.user(login)
    return Identity(user.login, f"{user.id}+{user.login}@users.noreply.github.com", world.now())


def head_repository(world: World, repository: Repository, owner: str) -> Repository:
    """The repository of the same family that `owner` holds."""
    family = repository.parent or repository.full_name
    for other in world.repositories.values():
        if other.owner.lower() == owner.lower() and (other.parent or other.full_name) == family:
            return other
    raise invalid("PullRequest", "head")


def open_pull(world: World, repository: Repository, by: str, asked: Proposal) -> Issue:
    owner, _, branch = asked.head.rpartition(":")
    source = head_repository(world, repository, owner) if owner else repository
    head_sha = bare.branch(source.bare, branch)
    base_sha = bare.branch(repository.bare, asked.base)
    if head_sha is None:
        raise invalid("PullRequest", "head")
    if base_sha is None:
        raise invalid("PullRequest", "base")
    if asked.draft and not repository.drafts:
        raise Refused(422, "Draft pull requests are not supported in this repository.")
    label = f"{source.owner}:{branch}"
    if _standing(repository, source, branch, asked.base):
        raise custom("PullRequest", f"A pull request already exists for {label}.")
    bare.bring(repository.bare, source.bare, head_sha, "refs/pull/new/head")
    if bare.ancestor(repository.bare, head_sha, base_sha):
        raise custom("PullRequest", f"No commits between {asked.base} and {branch if source is repository else label}")
    issue = issues.open_issue(world, repository, by, title=asked.title, body=asked.body)
    issue.pull = Pull(source.full_name, branch, head_sha, asked.base, base_sha, asked.draft)
    bare.set_ref(repository.bare, f"refs/pull/{issue.number}/head", head_sha)
    return issue


def _standing(repository: Repository, source: Repository, branch: str, base: str) -> bool:
    return any(
        issue.state == "open" and (pull.head_repo, pull.head_ref, pull.base_ref) == (source.full_name, branch, base)
        for issue, pull in repository.pulls()
    )


def follow_push(world: World, pushed: Repository, before: dict[str, str], by: str) -> None:
    """After branches of `pushed` moved: heads follow, merged work is seen, commit messages close issues."""
    if bare.refs(pushed.bare, "refs/heads/") == before:
        return
    pushed.pushed_at = world.now()
    old = before.get(f"refs/heads/{pushed.default_branch}")
    new = bare.branch(pushed.bare, pushed.default_branch)
    if old and new and old != new:
        for sha, message in bare.messages(pushed.bare, old, new):
            close_mentioned(world, pushed, message, by, sha)
    for repository in list(world.repositories.values()):
        for issue, pull in repository.pulls():
            if issue.state == "open" and pushed.full_name in (pull.head_repo, repository.full_name):
                _follow(world, repository, issue, pull, by)


def _follow(world: World, repository: Repository, issue: Issue, pull: Pull, by: str) -> None:
    source = world.repository(pull.head_repo)
    head = bare.branch(source.bare, pull.head_ref)
    base = bare.branch(repository.bare, pull.base_ref)
    if head is None or base is None:
        issues.set_state(world, issue, by, "closed")
        if head is None:
            issues.record(world, issue, "head_ref_deleted", by)
        return
    if head != pull.head_sha:
        pull.head_sha = head
        bare.bring(repository.bare, source.bare, head, f"refs/pull/{issue.number}/head")
        issues.touch(world, issue)
    if base != pull.base_sha and bare.ancestor(repository.bare, head, base):
        _mark_merged(world, repository, issue, by, base)


def close_mentioned(world: World, repository: Repository, text: str, by: str, commit: str) -> None:
    """Close what "Closes #N", "Fixes #N", "Resolves #N" name in this repository."""
    for full_name, number in CLOSING.findall(text):
        issue = repository.issues.get(int(number))
        here = not full_name or full_name.lower() == repository.full_name.lower()
        if here and issue is not None and issue.pull is None and issue.state == "open":
            issues.set_state(world, issue, by, "closed", reason="completed", commit=commit)


def mergeable(repository: Repository, pull: Pull) -> bool | None:
    """Like GitHub: unknown when first asked after a move, then the truth."""
    base = bare.branch(repository.bare, pull.base_ref) or ""
    if pull.judged != (base, pull.head_sha):
        pull.judged = (base, pull.head_sha)
        pull.mergeable = None
    elif pull.mergeable is None:
        try:
            nobody = Identity("probe", "probe@invalid", 0)
            bare.merge(repository.bare, base, pull.head_sha, method="merge", message="probe", by=nobody)
            pull.mergeable = True
        except bare.Conflict:
            pull.mergeable = False
    return pull.mergeable


@dataclass(frozen=True)
class Merging:
    """How to merge: `sha` is the head the caller saw; `title` and `message` replace the usual words."""

    method: str = "merge"
    sha: str | None = None
    title: str | None = None
    message: str | None = None


def merge(world: World, repository: Repository, issue: Issue, by: str, how: Merging) -> str:
    """Merge a pull request and return the commit. Raises Refused with 405, 409 or 422, as GitHub does."""
    pull = issue.the_pull()
    if how.method not in METHODS:
        raise invalid("PullRequest", "merge_method")
    if issue.state == "closed":
        raise Refused(405, "Pull Request is not mergeable")
    if pull.draft:
        raise Refused(405, "Pull Request is still a draft")
    if how.sha not in (None, pull.head_sha):
        raise Refused(409, "Head branch was modified. Review and try the merge again.")
    base = bare.branch(repository.bare, pull.base_ref) or ""
    try:
        made = bare.merge(
            repository.bare,
            base,
            pull.head_sha,
            method=how.method,
            message=_merge_message(issue, pull, how),
            by=identity(world, by),
        )
    except bare.Conflict as error:
        raise Refused(405, "Pull Request is not mergeable") from error
    bare.set_ref(repository.bare, f"refs/heads/{pull.base_ref}", made, base)
    before = bare.refs(repository.bare, "refs/heads/")
    before[f"refs/heads/{pull.base_ref}"] = base
    _mark_merged(world, repository, issue, by, made)
    follow_push(world, repository, before, by)
    if repository.delete_branch_on_merge and pull.head_repo == repository.full_name:
        delete_branch(world, repository, pull.head_ref, by)
    return made


def _merge_message(issue: Issue, pull: Pull, how: Merging) -> str:
    owner = pull.head_repo.split("/")[0]
    if how.method == "merge":
        first, rest = f"Merge pull request #{issue.number} from {owner}/{pull.head_ref}", issue.title
    else:
        first, rest = f"{issue.title} (#{issue.number})", ""
    return f"{how.title or first}\n\n{rest if how.message is None else how.message}".rstrip()


def _mark_merged(world: World, repository: Repository, issue: Issue, by: str, commit: str) -> None:
    pull = issue.the_pull()
    pull.merged_at = world.now()
    pull.merged_by = by
    pull.merge_commit_sha = commit
    issues.record(world, issue, "merged", by, commit_id=commit)
    issues.set_state(world, issue, by, "closed")
    if pull.base_ref == repository.default_branch:
        close_mentioned(world, repository, issue.body or "", by, commit)


def delete_branch(world: World, repository: Repository, name: str, by: str) -> None:
    """Delete a branch through the API; open pull requests that live on it are closed, as on GitHub."""
    before = bare.refs(repository.bare, "refs/heads/")
    bare.delete_ref(repository.bare, f"refs/heads/{name}")
    follow_push(world, repository, before, by)


def reopen(world: World, repository: Repository, issue: Issue, by: str) -> None:
    """Reopen a closed pull request; a merged one, or one whose branch is gone, cannot be."""
    pull = issue.the_pull()
    source = world.repository(pull.head_repo)
    if pull.merged_at is not None or bare.branch(source.bare, pull.head_ref) is None:
        raise custom("PullRequest", "state cannot be changed. The branch was deleted or already merged.")
    if _standing(repository, source, pull.head_ref, pull.base_ref):
        label = f"{source.owner}:{pull.head_ref}"
        raise custom("PullRequest", f"A pull request already exists for {label}.")
    issues.set_state(world, issue, by, "open")
    _follow(world, repository, issue, pull, by)


def retarget(repository: Repository, pull: Pull, base: str) -> None:
    sha = bare.branch(repository.bare, base)
    if sha is None:
        raise invalid("PullRequest", "base")
    pull.base_ref, pull.base_sha = base, sha


def review(world: World, issue: Issue, by: str, verdict: str, body: str) -> Review:
    """Leave a review. `verdict` is APPROVE, REQUEST_CHANGES or COMMENT."""
    pull = issue.the_pull()
    if verdict not in REVIEW_STATES:
        raise invalid("PullRequestReview", "event")
    if by.lower() == issue.author.lower() and verdict != "COMMENT":
        word = "approve" if verdict == "APPROVE" else "request changes on"
        raise Refused(422, "Unprocessable Entity", [f"Can not {word} your own pull request"])
    if verdict != "APPROVE" and not body.strip():
        raise Refused(422, "Unprocessable Entity", ["Review body can't be blank"])
    made = Review(world.next_id(), by, body, REVIEW_STATES[verdict], pull.head_sha, world.now())
    pull.reviews.append(made)
    issues.touch(world, issue)
    return made
