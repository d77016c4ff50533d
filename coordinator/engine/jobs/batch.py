"""Starts many jobs one after the other, with a pause between two: providers count what begins within a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from coordinator.engine.jobs import starting
from coordinator.engine.jobs.desk import Desk, NotOurs, Refused
from coordinator.ports import JobBusy


@dataclass(frozen=True)
class Launched:
    """What became of one order: `started`, or else `words` and the exit code that `start` would have ended with."""

    order: starting.Order
    started: starting.Started | None = None
    words: str = ""
    cure: str = ""
    code: int = 0


def start_all(desk: Desk, orders: Sequence[starting.Order], stagger: timedelta) -> Iterator[Launched]:
    """One start that fails keeps none of the others from being tried."""
    for number, order in enumerate(orders):
        if number:
            desk.pause(stagger)
        yield _launched(desk, order)


def _launched(desk: Desk, order: starting.Order) -> Launched:
    try:
        return Launched(order, starting.start(desk, replace(order, parallel=True)))
    except Refused as refused:
        return Launched(order, words=refused.words, cure=refused.cure, code=refused.code)
    except NotOurs as other:
        return Launched(order, words=f"{other}, not by hand", cure="coordinator status", code=1)
    except JobBusy as busy:
        return Launched(order, words=str(busy), code=1)
    except OSError as error:
        return Launched(order, words=f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), code=1)
