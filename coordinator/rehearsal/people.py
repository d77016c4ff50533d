"""Repositories of the stand-in as a person sees them: a look at their state, and acts done by hand.

What is done here goes past tokens and rate limits, as if through the web page; the history it leaves
is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .hub import bare, issues, pulls
from .hub.pulls import Merging, Proposal
from .hub.world import Comment, Issue, Repository, Review, World

HEADS = "refs/heads/"


class RepositoryHandle:
    """One repository: its address for git, a look at its state, and people to act in it."""

    def __init__(self, world: World, base: str, state: Repository) -> None:
        self.world = world
        self.state = state
        self.full_name = state.full_name
        self.clone_url = f"{base}/{state.full_name}.git"

    def as_user(self, login: str) -> Person:
        return Person(self.world, self.state, login)

    def issue(self, number: int) -> Issue:
        with self.world.lock:
            return self.state.issue(number)

    def issues(self) -> list[Issue]:
        """Issues that are no pull requests, by number."""
        with self.world.lock:
            return [one for one in self.state.issues.values() if one.pull is None]

    def pulls(self, head: str | None = None) -> list[Issue]:
        """Pull requests by number; of one head branch when given."""
        with self.world.lock:
            return [one for one, pull in self.state.pulls() if head in (None, pull.head_ref)]

    def branch(self, name: str) -> str | None:
        """The commit at the tip of a branch, or None."""
        return bare.branch(self.state.bare, name)

    def branches(self) -> dict[str, str]:
        found = bare.refs(self.state.bare, HEADS)
        return {name.removeprefix(HEADS): sha for name, sha in found.items()}

    def messages(self, name: str) -> list[str]:
        """Commit messages of a branch that the default branch has not, oldest first."""
        found = bare.messages(self.state.bare, HEADS + self.state.default_branch, HEADS + name)
        return [text for _, text in found]

    def files(self, name: str) -> list[str]:
        """Paths in the tree at the tip of a branch."""
        return bare.git(self.state.bare, "ls-tree", "-r", "--name-only", HEADS + name).splitlines()

    def read(self, name: str, path: str) -> str:
        return bare.git(self.state.bare, "show", f"{HEADS}{name}:{path}")

    def protect(self, *patterns: str) -> None:
        """Decline direct pushes to branches that match; merging through a pull request still works."""
        bare.protect(self.state.bare, list(patterns))


class Person:
    """A user doing things in one repository."""

    def __init__(self, world: World, state: Repository, login: str) -> None:
        self._world = world
        self._state = state
        self.login = world.user(login).login

    def open_issue(self, title: str, body: str | None = None, labels: Iterable[str] = ()) -> Issue:
        with self._world.lock:
            return issues.open_issue(self._world, self._state, self.login, title=title, body=body, labels=labels)

    def add_label(self, number: int, *names: str) -> None:
        with self._world.lock:
            issues.add_labels(self._world, self._state, self._state.issue(number), self.login, names)

    def remove_label(self, number: int, name: str) -> None:
        with self._world.lock:
            issues.remove_label(self._world, self._state, self._state.issue(number), self.login, name)

    def comment(self, number: int, body: str) -> Comment:
        with self._world.lock:
            return issues.add_comment(self._world, self._state.issue(number), self.login, body)

    def edit_comment(self, comment_id: int, body: str) -> None:
        with self._world.lock:
            issue, comment = issues.find_comment(self._state, comment_id)
            issues.edit_comment(self._world, issue, comment, self.login, body)

    def edit_title(self, number: int, title: str) -> None:
        with self._world.lock:
            issues.edit(self._world, self._state.issue(number), self.login, title=title)

    def edit_body(self, number: int, body: str) -> None:
        with self._world.lock:
            issues.edit(self._world, self._state.issue(number), self.login, body=body)

    def close(self, number: int, reason: str = "completed") -> None:
        """Close an issue, or a pull request without merging it."""
        with self._world.lock:
            issues.set_state(self._world, self._state.issue(number), self.login, "closed", reason=reason)

    def reopen(self, number: int) -> None:
        with self._world.lock:
            issue = self._state.issue(number)
            if issue.pull is None:
                issues.set_state(self._world, issue, self.login, "open")
            else:
                pulls.reopen(self._world, self._state, issue, self.login)

    def rename_label(self, name: str, to: str) -> None:
        """In place: it has its new name on every issue at once, and no issue counts as changed."""
        with self._world.lock:
            issues.rename_label(self._state, name, to)

    def delete_label(self, name: str) -> None:
        with self._world.lock:
            issues.delete_label(self._state, name)

    def transfer(self, number: int, to: RepositoryHandle) -> int:
        """Its number in the other repository."""
        with self._world.lock:
            return issues.transfer(self._world, self._state, self._state.issue(number), to.state, self.login)

    def delete_issue(self, number: int) -> None:
        with self._world.lock:
            issues.delete(self._state, number)

    def force(self, branch: str, files: Mapping[str, str], message: str) -> str:
        """Puts one commit of one's own in the place of all that the branch holds."""
        world, state = self._world, self._state
        with world.lock:
            before = bare.refs(state.bare, HEADS)
            parent = before[HEADS + state.default_branch]
            made = bare.write(state.bare, parent, files, message, pulls.identity(world, self.login))
            bare.set_ref(state.bare, HEADS + branch, made)
            pulls.follow_push(world, state, before, self.login)
            return made

    def assign(self, number: int, *logins: str) -> None:
        with self._world.lock:
            issues.assign(self._world, self._state.issue(number), self.login, logins)

    def unassign(self, number: int, *logins: str) -> None:
        with self._world.lock:
            issues.unassign(self._world, self._state.issue(number), self.login, logins)

    def block(self, number: int, by: int) -> None:
        """Record GitHub's own relation: `number` is blocked by `by`."""
        with self._world.lock:
            issues.block(self._world, self._state.issue(number), self.login, self._state.issue(by))

    def open_pull(
        self, head: str, title: str, body: str | None = None, *, base: str | None = None, draft: bool = False
    ) -> Issue:
        """`head` is a branch here, or `owner:branch` of a fork."""
        with self._world.lock:
            asked = Proposal(title, head, base or self._state.default_branch, body, draft)
            return pulls.open_pull(self._world, self._state, self.login, asked)

    def merge(self, number: int, method: str = "merge") -> str:
        """Merge a pull request by merge, squash or rebase; returns the commit."""
        with self._world.lock:
            return pulls.merge(self._world, self._state, self._state.issue(number), self.login, Merging(method))

    def close_pull(self, number: int) -> None:
        self.close(number)

    def review(self, number: int, verdict: str = "APPROVE", body: str = "") -> Review:
        """`verdict` is APPROVE, REQUEST_CHANGES or COMMENT."""
        with self._world.lock:
            return pulls.review(self._world, self._state.issue(number), self.login, verdict, body)

    def delete_branch(self, name: str) -> None:
        with self._world.lock:
            pulls.delete_branch(self._world, self._state, name, self.login)

    def commit(self, branch: str, files: Mapping[str, str], message: str) -> str:
        """Write files (path -> text) onto a branch, made from the default one when new; the new commit."""
        world, state = self._world, self._state
        with world.lock:
            before = bare.refs(state.bare, HEADS)
            parent = before.get(HEADS + branch) or before[HEADS + state.default_branch]
            made = bare.write(state.bare, parent, files, message, pulls.identity(world, self.login))
            bare.set_ref(state.bare, HEADS + branch, made)
            pulls.follow_push(world, state, before, self.login)
            return made
