"""Looks at a batch until it is over or wants somebody, and tells only what is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from coordinator.engine.batches.batch import Batch, Look
from coordinator.planning.batch.cohort import BatchWord

Tell = Callable[[Look], None]


class End(IntEnum):
    """How a watch ended; the exit code of the command."""

    GOOD = 0
    NOT_YET = 1
    BAD = 3


@dataclass(frozen=True)
class Watch:
    """`timeout` is one cycle of waiting. `to_the_end`: go on when the batch turns systemic. `every` stands in for the
    cadence. `tell` is given each look that has news, and `first` the first look of all, news or not."""

    tell: Tell
    first: Tell
    timeout: timedelta
    to_the_end: bool = False
    every: timedelta | None = None


def watch(batch: Batch, order: Watch, pause: Callable[[timedelta], None], *, once: bool = False) -> End:
    """Raises OSError where the journal cannot be written."""
    until, told = batch.now() + order.timeout, order.first
    while True:
        one = batch.look()
        told(one)
        told = order.tell
        left = until - batch.now()
        if one.over:
            return End.BAD if one.failed else End.GOOD
        if once:
            return End.BAD if one.health.word is BatchWord.SYSTEMIC else End.GOOD
        if wants_somebody(one) and not order.to_the_end:
            return End.BAD
        if left <= timedelta(0):
            return End.NOT_YET
        pause(min(order.every or one.pace.pause, left))


def wants_somebody(one: Look) -> bool:
    """A batch that turned systemic since the last look; who begins a watch of one that was known to be goes on."""
    known = one.news.turned == "" and not one.news.first
    return one.health.word is BatchWord.SYSTEMIC and not known
