"""Workers on another host that are nobody's any more: told to end when they are met again, known until they have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.ports import Handle, LaunchFailed, StopOrder
from coordinator.runfiles import atomic

GIVEN_UP = "given_up"
"""The state in `seen` of a run that is nobody's any more."""
_AGAIN = timedelta(minutes=1)
_ABANDONED = StopOrder("lost", "its host was out of reach for too long; another attempt took over", hard=True)


def owes(jobs: Path, host: str) -> bool:
    """Whether a run of this host was given up here and has not been followed by another."""
    found = (atomic.read_pairs(str(seen)) or {} for seen in jobs.glob("*/*.seen"))
    return any(pairs.get("host") == host and pairs.get("state") == GIVEN_UP for pairs in found)


class Stops(Protocol):
    def stop(self, mirror: Mirror, order: StopOrder) -> None: ...


class Recall:
    """`order` lays an order and raises the fence there; `starter` is who started them, if that was not the far end.
    Any thread may `owe`, and ask what is owed; `begin`, `look` and `tell` belong to the thread whose look it is. What
    is owed after a look has begun stays owed over it: the host's answer may be older."""

    def __init__(self, mirror: Callable[[Handle], Mirror], order: Callable[[Handle, StopOrder, int], None],
                 starter: Stops | None, *, owing: bool) -> None:
        self._mirror, self._order, self._starter = mirror, order, starter
        self._guard = threading.Lock()
        self._owed: set[Handle] = set()      # given up, and no look that began since has been answered
        self._ending = frozenset[str]()      # of what was owed before
        self._unmet = owing                  # what was owed when we began, and was not looked for yet
        self._stale: dict[Handle, int] = {}
        self._told: dict[Handle, datetime] = {}
        self._live = frozenset[Handle]()

    def owe(self, handle: Handle) -> None:
        """It was given up just now, as `seen` says."""
        with self._guard:
            self._owed.add(handle)

    def owing(self) -> bool:
        """Whether the host is to be asked even where it has no work: somebody there may have to be told."""
        with self._guard:
            return bool(self._unmet or self._owed or self._ending or self._stale.keys() - self._told.keys())

    def ending(self) -> frozenset[str]:
        """The jobs that may still have to end there."""
        with self._guard:
            return self._ending | {handle.job for handle in self._owed}

    def begin(self) -> frozenset[Handle]:
        """What the coming answer will tell of, for `look`."""
        with self._guard:
            return frozenset(self._owed)

    def look(self, owed: Collection[Handle], begun: Mapping[Handle, int], live: Collection[Handle],
             wanted: Collection[Handle]) -> None:
        """An answer. `begun` have papers there, with their fence, and no outcome; of them `live` live. What was
        `wanted` when it was asked for was not given up."""
        known = frozenset(wanted)
        stale = [handle for handle in begun if handle not in known and self._is_stale(handle)]
        self._live = frozenset(live)
        with self._guard:
            self._stale = {handle: begun[handle] for handle in stale}
            self._told = {handle: at for handle, at in self._told.items() if handle in self._stale}
            self._ending = frozenset(handle.job for handle in stale if handle in self._live)
            self._owed -= frozenset(owed) - known
            self._unmet = False

    def tell(self, now: datetime) -> None:
        """Each once, also one of which whoever started it knows no more; one that lives on once a minute, until the far
        end overrules it. Where the host refuses, at the next look. Raises Away."""
        for handle, fence in self._stale.items():
            at = self._told.get(handle)
            if at is not None and (handle not in self._live or abs(now - at) < _AGAIN):
                continue
            try:
                self._order(handle, _ABANDONED, fence + 1)
            except LaunchFailed:   # for want of room perhaps
                continue
            if self._starter is not None and handle in self._live:
                self._starter.stop(self._mirror(handle), _ABANDONED)
            with self._guard:
                self._told[handle] = now

    def _is_stale(self, handle: Handle) -> bool:
        """Given up, or another run has taken its place here."""
        mirror = self._mirror(handle)
        if mirror.asked():
            return mirror.pairs("seen").get("state") == GIVEN_UP
        return mirror.path("meta").exists()
