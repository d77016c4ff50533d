"""A repository on GitHub in memory, people included, and the clock by which all fakes live."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from coordinator.adapters.system.seam import crossing
from coordinator.domain.hub import Budget, Listing, PullListing, RepoFacts
from coordinator.domain.issue import Comment, Edit, History, Issue, LabelEvent, PullRequest, PullState, Remark, Remarks
from coordinator.ports import NotThere, Refused, TryLater
from tests.factories import NOW

BOT = "bot"


@dataclass
class FakeClock:
    """`passed` is how much time truly went by, whatever the clock was set to meanwhile."""

    moment: datetime = NOW
    passed: timedelta = timedelta()

    def now(self) -> datetime:
        return self.moment

    def local(self, moment: datetime) -> datetime:
        return moment

    def pass_by(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.passed += timedelta(seconds=seconds)

    def set(self, seconds: float) -> None:
        """Somebody sets it forward, or back."""
        self.moment += timedelta(seconds=seconds)


@dataclass
class FarClock:
    """Another machine's clock: it goes rightly and is wrong by `ahead`; ours may be set without it."""

    ours: FakeClock
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return NOW + self.ours.passed + self.ahead


class FakeGitHub:
    """One repository with people in it. `down` answers TryLater to everything; `behind` says how many changes the
    next listing does not know of yet; `trouble` may raise what a request meets."""

    def __init__(self, clock: FakeClock | FarClock) -> None:
        self.clock = clock
        self.behind: Callable[[], int] = lambda: 0
        self.trouble: Callable[[str], None] = lambda what: None
        self.down = False
        self.people: dict[str, str] = {"ann": "write"}
        self.issues: dict[int, Issue] = {}
        self.pulls: dict[int, PullRequest] = {}
        self.said: dict[int, tuple[int, Comment]] = {}
        self.events: list[tuple[int, LabelEvent]] = []
        self.edits: dict[int, list[Edit]] = {}
        self.asked: list[str] = []
        self._changes: dict[int, int] = {}
        self._versions: list[Issue] = []
        self._ids = count(1)
        self._order = count(1)

    # --- what people do ---

    def person_opens(self, number: int, *labels: str, body: str = "", title: str = "") -> None:
        now = self.clock.now()
        self._put(Issue(number, title or f"Title {number}", body, "open", frozenset(), "ann",
                        f"https://github.test/issues/{number}", now, now))
        for label in labels:
            self.person_labels(number, label)

    def person_labels(self, number: int, label: str, *, on: bool = True, who: str = "ann") -> None:
        issue = self.issues[number]
        if (label in issue.labels) == on:
            return
        self.events.append((number, LabelEvent(next(self._ids), label, who, on, self.clock.now())))
        self._put(replace(issue, labels=issue.labels | {label} if on else issue.labels - {label}))

    def person_edits(self, number: int, who: str = "ann", **changes: Any) -> None:
        if changes.keys() & {"title", "body"}:
            self.edits.setdefault(number, []).append(Edit(self.clock.now(), who))
        self._put(replace(self.issues[number], **changes))

    def person_ends(self, number: int, state: PullState) -> None:
        pull = self.pulls[number]
        if pull.state is PullState.OPEN:
            self.pulls[number] = replace(pull, state=state, updated_at=self.clock.now())

    # --- what is asked ---

    def facts(self) -> RepoFacts:
        self._ask("facts")
        return RepoFacts("acme/widget", "main", "https://github.test/acme/widget.git", BOT, can_push=True, scopes=None)

    def changed_issues(self, cursor: str | None) -> Listing:
        self._ask("issues")
        newest = str(max(self._changes.values(), default=0))
        if behind := self.behind():
            return self._as_of(max(0, len(self._versions) - behind), cursor)
        if cursor is None:
            return Listing(True, tuple(one for one in self.issues.values() if one.open), newest, full=True)
        new = tuple(self.issues[n] for n, change in self._changes.items() if change > int(cursor))
        return Listing(bool(new), new, newest)

    def _as_of(self, change: int, cursor: str | None) -> Listing:
        """What a replica tells that has seen so many changes: of what was known already an older version."""
        first = 0 if cursor is None else max(0, min(int(cursor), change) - 3)
        then = {one.number: one for one in self._versions[:change]}
        late = {one.number for one in self._versions[first:change]}
        seen = tuple(one for number, one in then.items() if number in late and (cursor is not None or one.open))
        return Listing(True, seen, str(change), full=cursor is None)

    def recent_pulls(self, known: Mapping[int, Any], awaited: Collection[int] = ()) -> PullListing:
        self._ask("pulls")
        return PullListing(True, tuple(self.pulls.values()))

    def issue(self, number: int) -> Issue:
        self._ask(f"issue {number}")
        return self.issues[number]

    def label_events(self, number: int) -> tuple[LabelEvent, ...]:
        self._ask(f"events {number}")
        return tuple(event for where, event in self.events if where == number)

    def history(self, number: int) -> History:
        self._ask(f"history {number}")
        issue = self.issues[number]
        return History(issue.title, issue.body, tuple(self.edits.get(number, ())))

    def remarks(self, number: int) -> Remarks:
        self._ask(f"remarks {number}")
        return Remarks(tuple(Remark(one.author, one.body, one.created_at) for where, one in self.said.values()
                             if where == number))

    def permission(self, login: str) -> str:
        self._ask(f"permission {login}")
        return self.people.get(login, "read")

    def blockers(self, number: int) -> tuple[int, ...]:
        self._ask(f"blockers {number}")
        return ()

    def pulls_of_branch(self, branch: str) -> tuple[PullRequest, ...]:
        self._ask(f"pulls of {branch}")
        return tuple(pull for pull in self.pulls.values() if pull.head_ref == branch)

    def pulls_with_commit(self, sha: str) -> tuple[PullRequest, ...]:
        self._ask("pulls with a commit")
        return tuple(pull for pull in self.pulls.values() if pull.head_sha == sha)

    def comments(self, number: int) -> tuple[Comment, ...]:
        self._ask(f"comments {number}")
        return tuple(comment for where, comment in self.said.values() if where == number)

    def label_exists(self, name: str) -> bool:
        return True

    def budget(self) -> Budget:
        return Budget(requests=len(self.asked))

    # --- what is changed ---

    def open_pull(self, *, branch: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        self._ask(f"open {branch}")
        with crossing("github", f"open pull {branch}"):
            if any(pull.head_ref == branch and pull.state is PullState.OPEN for pull in self.pulls.values()):
                raise Refused(f"A pull request already exists for acme:{branch}.")
            return self.opens(branch, self.head_of(branch), BOT, title=title, base=base, draft=draft)

    def opens(self, branch: str, sha: str, author: str, *, title: str = "T", base: str = "main",
              draft: bool = False) -> PullRequest:
        """A pull request of anybody."""
        now, number = self.clock.now(), 100 + len(self.pulls)
        made = PullRequest(number, f"https://github.test/pull/{number}", PullState.OPEN, draft, title, author, branch,
                           sha, "acme", base, now, now)
        self.pulls[number] = made
        return made

    def make_draft(self, number: int) -> None:
        self._ask(f"draft {number}")
        with crossing("github", f"draft {number}"):
            self.pulls[number] = replace(self.pulls[number], draft=True)

    head_of: Callable[[str], str] = staticmethod(lambda branch: "")

    def add_comment(self, number: int, body: str) -> Comment:
        self._ask(f"comment on {number}")
        with crossing("github", f"comment on {number}"):
            comment = Comment(next(self._ids), BOT, body, "", self.clock.now())
            self.said[comment.id] = (number, comment)
            self._put(self.issues[number])
            return comment

    def edit_comment(self, comment_id: int, body: str) -> None:
        self._ask(f"edit {comment_id}")
        with crossing("github", f"edit comment {comment_id}"):
            if comment_id not in self.said:
                raise NotThere(f"no comment {comment_id}")
            number, comment = self.said[comment_id]
            self.said[comment_id] = (number, replace(comment, body=body))

    def add_labels(self, number: int, names: Sequence[str]) -> None:
        self._ask(f"label {number}")
        with crossing("github", f"label {number}"):
            for name in names:
                self.person_labels(number, name, who=BOT)

    def remove_label(self, number: int, name: str) -> None:
        self._ask(f"unlabel {number}")
        with crossing("github", f"unlabel {number} {name}"):
            self.person_labels(number, name, on=False, who=BOT)

    def create_label(self, name: str, color: str, description: str) -> bool:
        return False

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise TryLater("GitHub does not answer (503)")
        self.trouble(what)

    def _put(self, issue: Issue) -> None:
        self.issues[issue.number] = replace(issue, updated_at=self.clock.now())
        self._versions.append(self.issues[issue.number])
        self._changes[issue.number] = next(self._order)
