"""Our claim on the repository as it is kept: shared by the engine's thread, which reads it, and effects that move it.

Time is measured by a clock that runs evenly, sleep of the host included, and only ever against itself. A renewal
counts from before it was sent, another's value from after it was first seen: so two never count on one at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.claim import Claim, read, written
from coordinator.planning.claiming import CONFIGURE, CURE, Hold, Terms, may_take
from coordinator.ports import ClaimMoved, GitError, GitUnreachable, PushRefused, Repository

NEVER = float("-inf")


class NoClaim(GitError):
    """Nothing may be written: the claim is not ours, or not surely."""


@dataclass(frozen=True)
class Kept:
    """What a step brought: it was `taken`, away from `of` where another held it; `left` are the branches that
    stand on the remote, where they may be another's: the claim is not used before `inherited` is called."""

    taken: bool = False
    of: Claim | None = None
    left: Mapping[str, str] | None = None


@dataclass(frozen=True)
class _State:
    """`ours` is the claim that we hold at commit `sha`, good until `until` on the even clock. `heir` is how it was
    taken, for as long as what another left is not written down here. `found` is what another wrote at `sha`, seen
    first at `seen`. `asked` is when the remote was last asked, `trouble` why that failed and `cure` what helps."""

    sha: str = ""
    ours: Claim | None = None
    until: float = NEVER
    heir: Kept | None = None
    found: Claim | None = None
    seen: float = NEVER
    asked: float = NEVER
    trouble: str = ""
    cure: str = ""


class Claimant:
    """`us` names this checkout, this life and where it runs; `sha` and `generation` are those its memory wrote last, ""
    where it remembers none. It writes only a claim that is used: before any other somebody else may have left work."""

    def __init__(self, repo: Repository, us: Claim, terms: Terms, *, even: Callable[[], float],
                 now: Callable[[], datetime], sha: str = "", generation: int = 0) -> None:
        self.us = replace(us, lease=math.ceil(terms.lease.total_seconds()))
        self.terms = terms
        self._repo = repo
        self._even = even
        self._now = now
        self._known = (sha, generation)
        self._forced = False
        self._held_before = False
        self._turn = threading.Lock()
        self._state = _State()

    def take_over(self) -> None:
        """The next claim of another is taken without waiting: a person says that its holder is dead."""
        self._forced = True

    @property
    def fresh(self) -> bool:
        """Whether it is ours and surely will be for as long as an effect takes."""
        state = self._state
        return state.ours is not None and state.heir is None and self._even() < state.until

    @property
    def sha(self) -> str:
        return self._state.sha

    def hold(self, now: datetime) -> Hold:
        """Where it stands at this moment of the wall clock, which is now. Asks nobody."""
        state, even = self._state, self._even()
        if state.ours is not None and state.heir is None and even < state.until:
            began = state.until - self.terms.counts.total_seconds()
            due = now + timedelta(seconds=began + self.terms.renew.total_seconds() - even)
            return Hold(due=due, until=now + timedelta(seconds=state.until - even), generation=state.ours.generation)
        if state.found is not None and not state.found.released:
            words = f"{state.found.who} holds this repository"
            words += "" if state.sha else ", though its claim is gone from the remote"
            words += f"; the remote cannot be asked now: {state.trouble}" if state.trouble else ""
            next_look = state.asked + (0.0 if self._forced else self.terms.watch.total_seconds())
            free = max(state.asked, state.seen + self.terms.waits(state.found).total_seconds())
            due = now + timedelta(seconds=max(0.0, min(next_look, free) - even))
            return Hold(open=False, words=words, cure=CURE, due=due, other=state.found)
        words = state.trouble or "who holds the repository is being asked"
        words = f"the claim on the repository is not ours: {words}" if state.trouble else words
        return Hold(open=False, words=words, cure=state.cure or "coordinator doctor", due=now)

    def keep(self, prefix: str) -> Kept:
        """Sees to it once: renews what is ours, else looks whose it is and takes it where that may be. Of one that
        another had since, it asks which branches of `prefix` stand there. Raises GitError when the remote refuses or
        cannot be asked."""
        with self._turn, self._told():
            kept = Kept()
            if self._state.ours is None or not self._renewed():
                kept = self._taken_blindly() or self._taken()
            if self._state.ours is None or self._state.heir is None:
                return kept
            return replace(self._state.heir, left=self._repo.standing(prefix))

    def inherited(self) -> None:
        """What another left is written down: from now on the claim is used."""
        with self._turn:
            state = self._state
            if state.ours is not None:
                self._known = (state.sha, state.ours.generation)
            self._state = replace(state, heir=None)

    def push(self, branch: str, expect: str, search: Search, passes: Callable[[Cargo], None]) -> str:
        """Pushes work and renews the claim in one transaction: the remote refuses both once another has the claim. The
        branch's sha. Raises NoClaim, ClaimMoved and what `Repository.push_claimed` raises."""
        with self._repo.held(), self._turn:   # whoever stands in line for the repository must not keep it from renewing
            state = self._state
            if state.ours is None or not self.fresh:
                raise NoClaim(f"nothing is pushed: {self.hold(self._now()).words}")
            began, renewed = self._even(), replace(state.ours, renewed_at=self._now())
            try:
                sha, tip = self._repo.push_claimed(written(renewed), held=state.sha, branch=branch, expect=expect,
                                                   search=search, passes=passes)
            except ClaimMoved:
                self._lose()
                raise
            self._have(renewed, sha, began)
            return tip

    def give_back(self) -> bool:
        """Writes that it is free, for whoever comes next. False when it is not ours. Raises GitError."""
        with self._turn:
            state = self._state
            if state.ours is None:
                return False
            given = replace(state.ours, renewed_at=self._now(), released=True)
            try:
                sha = self._repo.put_claim(written(given), held=state.sha)
            except ClaimMoved:
                self._lose()
                return False
            self._state = _State(sha=sha, found=given)
            return True

    # --- one step, in turn ------------------------------------------------------------------------

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (PushRefused, GitUnreachable, GitError) as error:
            cure = CONFIGURE if isinstance(error, PushRefused) else "coordinator doctor"
            self._state = replace(self._state, trouble=error.words, cure=cure, asked=self._even())
            raise

    def _renewed(self) -> bool:
        state = self._state
        assert state.ours is not None
        renewed, began = replace(state.ours, renewed_at=self._now()), self._even()
        try:
            sha = self._repo.put_claim(written(renewed), held=state.sha)
        except ClaimMoved:
            self._lose()
            return False
        self._have(renewed, sha, began, heir=state.heir)
        return True

    def _taken_blindly(self) -> Kept | None:
        """The first time it is tried as this memory left it, or as if nobody had it: most often that is right."""
        if self._held_before or self._state.asked != NEVER or self._forced:
            return None
        sha, generation = self._known
        try:
            self._put(sha, generation)
        except ClaimMoved:
            return None
        return Kept(taken=True)

    def _looked(self) -> _State:
        """Where it stands now. Nobody is told before it is decided: of a claim that may be taken, the one of our life
        before above all, no worker must hear that another has it."""
        state = self._state
        sha, words = self._repo.claim(state.sha)
        at = self._even()
        if sha == state.sha:
            return replace(state, asked=at, trouble="")
        if not sha and state.found is not None and not state.found.released:   # its holder may count on it yet
            return replace(state, sha="", seen=at, asked=at, trouble="")
        return _State(sha=sha, found=read(words), seen=at, asked=at) if sha else _State(asked=at)

    def _taken(self) -> Kept:
        state = self._looked()
        first, stood = not self._held_before, self._even() - state.seen
        if not may_take(state.found, self.us, self.terms, first=first, stood=stood, forced=self._forced):
            self._state = state
            return Kept()
        found = state.found or Claim()
        kept = Kept(taken=True, of=None if found.released or found.holder == self.us.holder else state.found)
        known, generation = self._known
        as_we_left_it = bool(known) and found.holder == self.us.holder and found.generation == generation
        try:
            self._put(state.sha, max(found.generation, generation),
                      heir=kept if (state.found or known) and not as_we_left_it else None)
        except ClaimMoved:   # another was faster: whose it is now is asked at the next step
            return Kept()
        self._forced = False
        return kept

    def _put(self, held: str, generation: int, *, heir: Kept | None = None) -> None:
        now, began = self._now(), self._even()
        claim = replace(self.us, generation=generation + 1, since=now, renewed_at=now)
        sha = self._repo.put_claim(written(claim), held=held)
        self._have(claim, sha, began, heir=heir)

    def _have(self, claim: Claim, sha: str, began: float, *, heir: Kept | None = None) -> None:
        self._held_before = True
        if heir is None:
            self._known = (sha, claim.generation)
        until = began + self.terms.counts.total_seconds()
        self._state = _State(sha=sha, ours=claim, until=until, heir=heir, asked=self._even())

    def _lose(self) -> None:
        """Whose it is now is asked at once; nothing of ours is believed until then."""
        self._state = _State(asked=self._even())
