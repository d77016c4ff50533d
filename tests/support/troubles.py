"""What goes wrong around the coordinator of a history, beside its own deaths: answers that are lost before or after
the effect, limits with and without Retry-After, a token refused for a while, listings that are older than the last,
a full disk, a memory that is locked, a start whose answer is lost, effects made twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import ClassVar

from coordinator.adapters.github.failures import failure
from coordinator.ports import Away, GitUnreachable, StoreError, TryLater
from tests.support.fake_github import FakeClock, FarClock

TROUBLES = frozenset({
    "request lost", "limited", "token refused", "stale listing", "answer lost after the effect", "push lost",
    "answer to a push lost", "no process could be made", "answer of an executor lost", "disk full", "store locked",
    "effect made twice",
})
HORIZON = timedelta(days=1)
"""How wrong a Date may be."""


class Troubles:
    """`rate` is the part of all requests and writes that goes wrong; none where it is 0. `met` counts what did, by
    name. Drawn from a row of its own, so that a history without any stays as it is."""

    def __init__(self, seed: int, rate: float, clock: FakeClock, there: FarClock, story: list[str]) -> None:
        self.rate, self.clock, self.there, self.story = rate, clock, there, story
        self.random = Random(f"troubles of {seed}")
        self.met: Counter[str] = Counter()
        self._limited = timedelta()
        self._headers: dict[str, str] = {}

    def strikes(self, name: str, part: float = 1.0) -> bool:
        """Whether this goes wrong now; `part` makes it rarer."""
        hit = self.rate > 0 and self.random.random() < self.rate * part
        if hit:
            self.met[name] += 1
            self.story.append(f"trouble: {name}")
        return hit

    def over(self) -> None:
        """From now on all is well."""
        self.rate, self._limited = 0.0, timedelta()

    # --- GitHub ---

    def request(self, what: str) -> None:
        """Raises what a request meets that never reached its handler."""
        if self.rate and self.clock.passed < self._limited:
            self._refuse(what, 429)
        if self.strikes("request lost"):
            raise TryLater("GitHub does not answer (connection reset)")
        if self.strikes("limited", 0.3):
            self._limit()
            self._refuse(what, self.random.choice((403, 429)))
        if self.strikes("token refused", 0.1):
            self._refuse(what, 401)

    def _limit(self) -> None:
        wait = self.random.choice((1, 20, 90, 300))
        self._limited = self.clock.passed + timedelta(seconds=wait)
        now = self.there.now()
        lie = self.random.choice((timedelta(), timedelta(), HORIZON, -HORIZON))
        date = {"date": _http(now + lie)}
        self._headers = self.random.choice((
            {"retry-after": str(wait), **date},
            {"retry-after": _http(now + timedelta(seconds=wait)), **date},
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(now.timestamp()) + wait), **date},
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(now.timestamp()) + wait)},
            {},
        ))

    def _refuse(self, what: str, status: int) -> None:
        said = {"message": "You have exceeded a secondary rate limit" if status != 401 else "Bad credentials"}
        raise failure(what, status, self._headers if status != 401 else {}, said, self.clock.now())

    def behind(self) -> int:
        """How many changes the next listing does not know of."""
        return self.random.randrange(1, 6) if self.strikes("stale listing", 2) else 0

    # --- every write ---

    def at(self, moment: str, kind: str, what: str) -> None:
        """Raises what a write meets: "before" = no effect, "after" = the effect, and no answer."""
        strike = self._strikes.get((moment, kind))
        if strike is not None:
            strike(self, what)

    def _answer_lost(self, what: str) -> None:
        if self.strikes("answer lost after the effect", 2):
            raise TryLater(f"{what}: no answer (read timed out)")

    def _remote_lost(self, what: str) -> None:
        if what.startswith("push") and self.strikes("push lost", 4):
            raise GitUnreachable("the remote end hung up")

    def _pushed_unheard(self, what: str) -> None:
        if what.startswith("push") and self.strikes("answer to a push lost", 4):
            raise GitUnreachable("the remote end hung up after the pack was sent")

    def _no_process(self, what: str) -> None:
        if self.strikes("no process could be made"):
            raise OSError(11, "Resource temporarily unavailable", what)

    def _started_unheard(self, what: str) -> None:
        if self.strikes("answer of an executor lost", 2):
            raise Away(f"{what}: the connection broke")

    def _full(self, what: str) -> None:
        if self.strikes("disk full", 0.5):
            raise OSError(28, "No space left on device", what)

    def _locked(self, what: str) -> None:
        if self.strikes("store locked", 0.3):
            raise StoreError(f"{what}: the store is locked by another process")

    _strikes: ClassVar[dict[tuple[str, str], Callable[[Troubles, str], None]]] = {
        ("after", "github"): _answer_lost,
        ("before", "git"): _remote_lost,
        ("after", "git"): _pushed_unheard,
        ("before", "process"): _no_process,
        ("after", "process"): _started_unheard,
        ("before", "file"): _full,
        ("before", "store"): _locked,
    }

    # --- effects ---

    def twice(self) -> bool:
        """Whether an effect is made once more than it was asked for."""
        return self.strikes("effect made twice", 0.5)


def _http(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)
