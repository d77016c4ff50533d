"""Payloads of what lives in git: pull requests, reviews, branches, refs."""

from __future__ import annotations

from . import bare, pulls
from .payloads import Json, Payloads, maybe_time, node, time_text
from .world import Issue, Pull, Repository, Review

PULL_LINKS = ("comments", "commits", "statuses", "html", "issue", "review_comments", "review_comment", "self")


class GitPayloads(Payloads):
    """Adds the shapes that need the bare repository."""

    def pull(self, repository: Repository, issue: Issue, reader: str | None) -> Json:
        """A pull request as lists show it."""
        pull = issue.the_pull()
        url = f"{self.api(repository)}/pulls/{issue.number}"
        web = f"{self.web(repository)}/pull/{issue.number}"
        about = f"{self.api(repository)}/issues/{issue.number}"
        people = [self.user(login) for login in issue.assignees]
        links: Json = {
            "url": url,
            "html_url": web,
            "diff_url": f"{web}.diff",
            "patch_url": f"{web}.patch",
            "issue_url": about,
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "review_comment_url": f"{self.api(repository)}/pulls/comments{{/number}}",
            "comments_url": f"{about}/comments",
            "statuses_url": f"{self.api(repository)}/statuses/{pull.head_sha}",
        }
        return {
            **links,
            "id": issue.id,
            "node_id": node("PullRequest", issue.id),
            "number": issue.number,
            "state": issue.state,
            "locked": False,
            "title": issue.title,
            "user": self.user(issue.author),
            "body": issue.body,
            "labels": self.labels(repository, issue),
            "milestone": None,
            "active_lock_reason": None,
            "created_at": time_text(issue.created_at),
            "updated_at": time_text(issue.updated_at),
            "closed_at": maybe_time(issue.closed_at),
            "merged_at": maybe_time(pull.merged_at),
            "merge_commit_sha": pull.merge_commit_sha,
            "assignee": people[0] if people else None,
            "assignees": people,
            "requested_reviewers": [],
            "requested_teams": [],
            "head": self._end(self.world.repository(pull.head_repo), pull.head_ref, pull.head_sha, reader),
            "base": self._end(repository, pull.base_ref, pull.base_sha, reader),
            "_links": {name: {"href": _link(name, links)} for name in PULL_LINKS},
            "author_association": self.association(repository, issue.author),
            "auto_merge": None,
            "draft": pull.draft,
        }

    def _end(self, repository: Repository, ref: str, sha: str, reader: str | None) -> Json:
        return {
            "label": f"{repository.owner}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": self.user(repository.owner),
            "repo": self.repository(repository, reader),
        }

    def whole_pull(self, repository: Repository, issue: Issue, reader: str | None) -> Json:
        """A pull request as its own address shows it: with its size and whether it can be merged."""
        pull = issue.the_pull()
        able = None if issue.state == "closed" else pulls.mergeable(repository, pull)
        extent = bare.size(repository.bare, pull.base_sha, pull.head_sha)
        return {
            **self.pull(repository, issue, reader),
            "merged": pull.merged_at is not None,
            "mergeable": able,
            "rebaseable": able,
            "mergeable_state": _merge_word(pull, able),
            "merged_by": self.user(pull.merged_by) if pull.merged_by else None,
            "comments": len(issue.comments),
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": extent.commits,
            "additions": extent.additions,
            "deletions": extent.deletions,
            "changed_files": extent.files,
        }

    def review(self, repository: Repository, issue: Issue, review: Review) -> Json:
        api = f"{self.api(repository)}/pulls/{issue.number}"
        web = f"{self.web(repository)}/pull/{issue.number}#pullrequestreview-{review.id}"
        return {
            "id": review.id,
            "node_id": node("PullRequestReview", review.id),
            "user": self.user(review.author),
            "body": review.body,
            "state": review.state,
            "html_url": web,
            "pull_request_url": api,
            "author_association": self.association(repository, review.author),
            "_links": {"html": {"href": web}, "pull_request": {"href": api}},
            "submitted_at": time_text(review.at),
            "commit_id": review.commit_id,
        }

    def ref(self, repository: Repository, name: str, sha: str) -> Json:
        api = f"{self.api(repository)}/git"
        target = {"type": "commit", "sha": sha, "url": f"{api}/commits/{sha}"}
        return {"ref": name, "node_id": node("Ref", repository.id), "url": f"{api}/{name}", "object": target}

    def branch(self, repository: Repository, name: str, sha: str) -> Json:
        api = f"{self.api(repository)}/branches/{name}"
        guarded = name in bare.protected(repository.bare)
        return {
            "name": name,
            "commit": self.commit(repository, sha),
            "_links": {"self": api, "html": f"{self.web(repository)}/tree/{name}"},
            "protected": guarded,
            "protection": {"enabled": guarded},
            "protection_url": f"{api}/protection",
        }

    def commit(self, repository: Repository, sha: str) -> Json:
        found = bare.commit(repository.bare, sha)
        url = f"{self.api(repository)}/commits/{sha}"
        git = f"{self.api(repository)}/git"
        web = f"{self.web(repository)}/commit"
        return {
            "sha": sha,
            "node_id": node("Commit", repository.id),
            "url": url,
            "html_url": f"{web}/{sha}",
            "comments_url": f"{url}/comments",
            "author": None,
            "committer": None,
            "parents": [
                {"sha": one, "url": f"{self.api(repository)}/commits/{one}", "html_url": f"{web}/{one}"}
                for one in found.parents
            ],
            "commit": {
                "url": f"{git}/commits/{sha}",
                "author": _person(found.author),
                "committer": _person(found.committer),
                "message": found.message,
                "comment_count": 0,
                "tree": {"sha": found.tree, "url": f"{git}/trees/{found.tree}"},
            },
        }


def _person(who: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("name", "email", "date"), who, strict=True))


def _link(name: str, links: Json) -> str:
    return str(links["url" if name == "self" else f"{name}_url"])


def _merge_word(pull: Pull, able: bool | None) -> str:
    if able is None:
        return "unknown"
    if pull.draft:
        return "draft"
    return "clean" if able else "dirty"
