"""State as the JSON that GitHub's REST description promises; no decisions, only shapes."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from .world import LEVELS, Comment, Event, Issue, Label, Repository, User, World

Json = dict[str, Any]

USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")
PERMISSIONS = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}


def time_text(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def maybe_time(at: int | None) -> str | None:
    return None if at is None else time_text(at)


def node(kind: str, number: int) -> str:
    return b64encode(f"{kind}:{number}".encode()).decode()


class Payloads:
    """Builds payloads whose addresses begin with `base`, the stand-in's own URL."""

    def __init__(self, world: World, base: str) -> None:
        self.world = world
        self.base = base

    def api(self, repository: Repository) -> str:
        return f"{self.base}/repos/{repository.full_name}"

    def web(self, repository: Repository) -> str:
        return f"{self.base}/{repository.full_name}"

    def user(self, login: str) -> Json:
        user = self.world.user(login)
        url = f"{self.base}/users/{user.login}"
        return {
            "login": user.login,
            "id": user.id,
            "node_id": node("User", user.id),
            "avatar_url": f"{self.base}/avatars/{user.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.base}/{user.login}",
            "type": user.kind,
            "user_view_type": "public",
            "site_admin": False,
            **{name: url + tail for name, tail in USER_LINKS.items()},
        }

    def account(self, user: User) -> Json:
        """The public profile of a user."""
        empty = dict.fromkeys(("name", "blog", "location", "email", "hireable", "bio", "company"))
        counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
        born = time_text(user.created_at)
        return {**self.user(user.login), **empty, **counts, "created_at": born, "updated_at": born}

    def own_account(self, user: User) -> Json:
        """What a user is told about itself."""
        names = ("private_gists", "total_private_repos", "owned_private_repos", "disk_usage", "collaborators")
        own = {"user_view_type": "private", "two_factor_authentication": True}
        return {**self.account(user), **dict.fromkeys(names, 0), **own}

    def repository(self, repository: Repository, reader: str | None) -> Json:
        url = self.api(repository)
        web = self.web(repository)
        stamps = {"created_at": repository.created_at, "updated_at": repository.pushed_at}
        opened = sum(issue.state == "open" for issue in repository.issues.values())
        born: Json = {name: time_text(at) for name, at in {**stamps, "pushed_at": repository.pushed_at}.items()}
        return {
            **{name: url + tail for name, tail in REPOSITORY_LINKS.items()},
            **born,
            **_settings(repository),
            **dict.fromkeys(("description", "homepage", "language", "license", "mirror_url")),
            **dict.fromkeys(("forks_count", "stargazers_count", "watchers_count", "size", "forks"), 0),
            **dict.fromkeys(("watchers", "subscribers_count", "network_count"), 0),
            "id": repository.id,
            "node_id": node("Repository", repository.id),
            "owner": self.user(repository.owner),
            "url": url,
            "html_url": web,
            "svn_url": web,
            "clone_url": f"{web}.git",
            "git_url": f"git:{web.partition(':')[2]}.git",
            "ssh_url": f"git@127.0.0.1:{repository.full_name}.git",
            "open_issues_count": opened,
            "open_issues": opened,
            "permissions": self.permissions(repository, reader),
        }

    def permissions(self, repository: Repository, reader: str | None) -> dict[str, bool]:
        level = self.world.level(repository, reader)
        return {name: level >= LEVELS.index(needed) for name, needed in PERMISSIONS.items()}

    def label(self, repository: Repository, label: Label) -> Json:
        return {
            "id": label.id,
            "node_id": node("Label", label.id),
            "url": f"{self.api(repository)}/labels/{quote(label.name, safe='')}",
            "name": label.name,
            "description": label.description,
            "color": label.color,
            "default": False,
        }

    def labels(self, repository: Repository, issue: Issue) -> list[Json]:
        return [self.label(repository, repository.labels[name.lower()]) for name in issue.labels]

    def association(self, repository: Repository, login: str) -> str:
        if login.lower() == repository.owner.lower():
            return "OWNER"
        return "COLLABORATOR" if self.world.allows(repository, login, "triage") else "NONE"

    def issue(self, repository: Repository, issue: Issue) -> Json:
        url = f"{self.api(repository)}/issues/{issue.number}"
        kind = "issues" if issue.pull is None else "pull"
        people = [self.user(login) for login in issue.assignees]
        body: Json = {
            "url": url,
            "repository_url": self.api(repository),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "timeline_url": f"{url}/timeline",
            "html_url": f"{self.web(repository)}/{kind}/{issue.number}",
            "id": issue.id,
            "node_id": node("Issue" if issue.pull is None else "PullRequest", issue.id),
            "number": issue.number,
            "title": issue.title,
            "user": self.user(issue.author),
            "labels": self.labels(repository, issue),
            "state": issue.state,
            "locked": False,
            "assignee": people[0] if people else None,
            "assignees": people,
            "milestone": None,
            "comments": len(issue.comments),
            "created_at": time_text(issue.created_at),
            "updated_at": time_text(issue.updated_at),
            "closed_at": maybe_time(issue.closed_at),
            "author_association": self.association(repository, issue.author),
            "active_lock_reason": None,
            "body": issue.body,
            "closed_by": self.user(issue.closed_by) if issue.closed_by else None,
            "reactions": self.reactions(url),
            "performed_via_github_app": None,
            "state_reason": issue.state_reason,
        }
        return {**body, **self._kind_of(repository, issue)}

    def _kind_of(self, repository: Repository, issue: Issue) -> Json:
        """What only a pull request, or only an issue, carries in a list of issues."""
        if issue.pull is None:
            return {"issue_dependencies_summary": _dependencies(repository, issue)}
        web = f"{self.web(repository)}/pull/{issue.number}"
        links: Json = {
            "url": f"{self.api(repository)}/pulls/{issue.number}",
            "html_url": web,
            "diff_url": f"{web}.diff",
            "patch_url": f"{web}.patch",
            "merged_at": maybe_time(issue.pull.merged_at),
        }
        return {"draft": issue.pull.draft, "pull_request": links}

    def comment(self, repository: Repository, issue: Issue, comment: Comment) -> Json:
        url = f"{self.api(repository)}/issues/comments/{comment.id}"
        return {
            "url": url,
            "html_url": f"{self.web(repository)}/issues/{issue.number}#issuecomment-{comment.id}",
            "issue_url": f"{self.api(repository)}/issues/{issue.number}",
            "id": comment.id,
            "node_id": node("IssueComment", comment.id),
            "user": self.user(comment.author),
            "created_at": time_text(comment.created_at),
            "updated_at": time_text(comment.updated_at),
            "author_association": self.association(repository, comment.author),
            "body": comment.body,
            "reactions": self.reactions(url),
            "performed_via_github_app": None,
        }

    def event(self, repository: Repository, event: Event) -> Json:
        detail = event.detail
        body: Json = {
            "id": event.id,
            "node_id": node("IssueEvent", event.id),
            "url": f"{self.api(repository)}/issues/events/{event.id}",
            "actor": self.user(event.actor),
            "event": event.kind,
            "commit_id": detail.get("commit_id"),
            "commit_url": self._commit_url(repository, detail.get("commit_id")),
            "created_at": time_text(event.at),
            "performed_via_github_app": None,
        }
        if "label" in detail:
            body["label"] = {"name": detail["label"], "color": detail["color"]}
        if "assignee" in detail:
            body |= {"assignee": self.user(detail["assignee"]), "assigner": self.user(event.actor)}
        if "old" in detail:
            body["rename"] = {"from": detail["old"], "to": detail["new"]}
        return body

    def _commit_url(self, repository: Repository, sha: str | None) -> str | None:
        return f"{self.api(repository)}/commits/{sha}" if sha else None

    def timeline(self, repository: Repository, issue: Issue) -> list[Json]:
        """Events, comments and reviews in the order they happened."""
        lines = [(event.at, event.id, self.event(repository, event)) for event in issue.events]
        for comment in issue.comments:
            told = self.comment(repository, issue, comment)
            told |= {"event": "commented", "actor": told["user"]}
            lines.append((comment.created_at, comment.id, told))
        return [told for _, _, told in sorted(lines, key=lambda line: line[:2])]

    def reactions(self, url: str) -> Json:
        return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(REACTIONS, 0)}


def _settings(repository: Repository) -> Json:
    return {
        "name": repository.name,
        "full_name": repository.full_name,
        "private": repository.private,
        "visibility": "private" if repository.private else "public",
        "fork": repository.parent is not None,
        "default_branch": repository.default_branch,
        "delete_branch_on_merge": repository.delete_branch_on_merge,
        **dict.fromkeys(("has_issues", "allow_merge_commit", "allow_squash_merge", "allow_rebase_merge"), True),
        **dict.fromkeys(("has_projects", "has_wiki", "has_pages", "has_downloads", "has_discussions"), False),
        **dict.fromkeys(("archived", "disabled", "is_template"), False),
    }


def _dependencies(repository: Repository, issue: Issue) -> dict[str, int]:
    held_by = [repository.issues[number] for number in issue.blocked_by]
    holds = [other for other in repository.issues.values() if issue.number in other.blocked_by]
    return {
        "blocked_by": sum(one.state == "open" for one in held_by),
        "total_blocked_by": len(held_by),
        "blocking": sum(one.state == "open" for one in holds),
        "total_blocking": len(holds),
    }
