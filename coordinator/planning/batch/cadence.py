"""How long until the next look at a batch: patient while it only waits, close while something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from coordinator.planning.batch.cohort import BatchWord
from coordinator.planning.batch.members import Member, Stand

SUSPECT_STATES = frozenset({"stalled", "no_op", "unknown", "leaked"})
"""Words of members that are not over and may be in trouble: looked at closely until it is known."""
STEPS = 3
"""Looks without news after which the pause is as long as its band allows."""
LONGEST_WATCH = timedelta(hours=8)
"""One cycle of waiting; after it another one is begun."""


class Mode(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    CLOSE = "close"
    OVER = "over"


BANDS: dict[Mode, tuple[int, int]] = {
    Mode.WAITING: (600, 900),
    Mode.RUNNING: (180, 300),
    Mode.CLOSE: (60, 120),
    Mode.OVER: (0, 0),
}
"""Seconds, after news and after STEPS looks without any."""


@dataclass(frozen=True)
class Pace:
    """`pause` until the next look, and the mode it follows from."""

    mode: Mode
    pause: timedelta


def mode_of(members: Iterable[Member], word: BatchWord) -> Mode:
    """Waiting for a slot or a queue is no trouble, however long; trouble of any kind comes before the rest."""
    going = [one for one in members if one.stand in (Stand.WAITING, Stand.RUNNING)]
    if not going:
        return Mode.OVER
    if word is not BatchWord.HEALTHY or any(one.state in SUSPECT_STATES for one in going):
        return Mode.CLOSE
    return Mode.RUNNING if any(one.stand is Stand.RUNNING for one in going) else Mode.WAITING


def pace(members: Iterable[Member], word: BatchWord, quiet: int) -> Pace:
    """`quiet` counts the looks in a row, this one included, that saw nothing new: each makes the pause longer, never
    shorter, up to the end of the band."""
    mode = mode_of(members, word)
    shortest, longest = BANDS[mode]
    share = min(max(quiet, 0), STEPS) / STEPS
    return Pace(mode, timedelta(seconds=shortest + (longest - shortest) * share))
