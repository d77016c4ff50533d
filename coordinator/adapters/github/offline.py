"""A GitHub that cannot be asked: for moves that need only memory, where there is no token."""
# ruff: noqa: ARG002 - the parameters are those of the seam

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from coordinator.domain.hub import Budget, Listing, PullListing, RepoFacts
from coordinator.domain.issue import Comment, History, Issue, LabelEvent, PullRequest, Remarks
from coordinator.ports import TryLater


class Offline:
    """ports.GitHub; every question is answered with TryLater and the words given."""

    def __init__(self, words: str) -> None:
        self._words = words

    def _later(self) -> NoReturn:
        raise TryLater(self._words)

    def facts(self) -> RepoFacts:
        self._later()

    def changed_issues(self, cursor: str | None) -> Listing:
        self._later()

    def recent_pulls(self, known: Mapping[int, PullRequest], awaited: Collection[int] = ()) -> PullListing:
        self._later()

    def issue(self, number: int) -> Issue:
        self._later()

    def label_events(self, number: int) -> tuple[LabelEvent, ...]:
        self._later()

    def history(self, number: int) -> History:
        self._later()

    def remarks(self, number: int) -> Remarks:
        self._later()

    def permission(self, login: str) -> str:
        self._later()

    def blockers(self, number: int) -> tuple[int, ...]:
        self._later()

    def pulls_of_branch(self, branch: str) -> tuple[PullRequest, ...]:
        self._later()

    def pulls_with_commit(self, sha: str) -> tuple[PullRequest, ...]:
        self._later()

    def open_pull(self, *, branch: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        self._later()

    def make_draft(self, number: int) -> None:
        self._later()

    def comments(self, number: int) -> tuple[Comment, ...]:
        self._later()

    def add_comment(self, number: int, body: str) -> Comment:
        self._later()

    def edit_comment(self, comment_id: int, body: str) -> None:
        self._later()

    def add_labels(self, number: int, names: Sequence[str]) -> None:
        self._later()

    def remove_label(self, number: int, name: str) -> None:
        self._later()

    def create_label(self, name: str, color: str, description: str) -> bool:
        self._later()

    def label_exists(self, name: str) -> bool:
        self._later()

    def budget(self) -> Budget:
        return Budget()
