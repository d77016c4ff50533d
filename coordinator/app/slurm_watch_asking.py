"""What fails for a moment is tried again, a bounded time, each time later; every error is kept as evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from coordinator.planning.cluster.patience import Setback, pauses, summary

_T = TypeVar("_T")
_LASTING = ("its host key", "it refuses our key", "our ssh configuration", "there is no ssh here")
"""What a person must mend; asking again cannot. A name that is not found may be a network that is away."""


class Blocked(Exception):
    """The cluster could not be asked, however often. `words` are the evidence."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Later(Exception):
    """It could not be done now; it may be possible in a moment."""


@dataclass
class Patience:
    """`limit` bounds the waiting between tries of one thing. `overcome` are the setbacks after which it was possible,
    until somebody takes them."""

    limit: timedelta
    pause: Callable[[timedelta], None]
    tell: Callable[[str], None]
    overcome: list[str] = field(default_factory=list)

    def over(self, act: Callable[[], _T]) -> _T:
        """What `act` gives in the end. Raises Blocked."""
        from coordinator.adapters.executors.ssh import Unreachable

        setbacks: list[Setback] = []
        waits = pauses(self.limit)
        while True:
            try:
                found = act()
            except (Unreachable, Later) as error:
                words = " ".join(str(error).split())
                wait = next(waits, None) if not any(sign in words for sign in _LASTING) else None
                setbacks.append(Setback(words, wait or 0.0))
                if wait is None:
                    raise Blocked(summary(setbacks)) from error
                self.tell(f"{words}; tried again in {wait:.0f} s")
                self.pause(timedelta(seconds=wait))
                continue
            if setbacks:
                self.overcome.append(summary(setbacks))
            return found

    def taken(self) -> list[str]:
        """What was overcome since this was asked last."""
        found, self.overcome = self.overcome, []
        return found
