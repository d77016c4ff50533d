"""Keeping the claim and stopping a worker wait for no slow effect: pushes and clones may fill their threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from coordinator.domain.claim import Claim
from coordinator.domain.request import RequestKind
from coordinator.engine.claimant import Claimant
from coordinator.engine.daemon import EFFECTS_AT_ONCE, EffectPool
from coordinator.engine.tick import AtOnce, Engine
from coordinator.planning.claiming import Terms
from tests.factories import NOW
from tests.support.claims import Line, Ref
from tests.support.fakes import Script, an_outside

PATIENCE = 20.0


@pytest.fixture
def full() -> Iterator[EffectPool]:
    """A pool whose common threads are all held up by slow effects, with more of them waiting."""
    pool, over = EffectPool(), threading.Event()
    for _ in range(2 * EFFECTS_AT_ONCE[""]):
        pool.submit(over.wait)
    yield pool
    over.set()
    pool.close()


def test_a_worker_is_stopped_while_every_slow_effect_is_held_up(full):
    outside, told = an_outside(), threading.Event()
    outside.github.person_opens(1, "rpi-auto")
    outside.executor.scripts = lambda spec: Script(seconds=3600)
    Engine(outside.world(), AtOnce(), lambda why: None).tick()
    outside.store.ask(RequestKind.STOP, "gh-1", {}, "cli", NOW)

    Engine(outside.world(), full, lambda why: told.set()).tick()

    assert told.wait(PATIENCE)
    [worker] = outside.executor.workers
    assert worker.stopped is not None


def test_the_claim_is_kept_while_every_slow_effect_is_held_up(full):
    outside, told = an_outside(), threading.Event()
    claimant = Claimant(Line(Ref()), Claim(holder="us"), Terms(), even=lambda: 0.0,  # type: ignore[arg-type]
                        now=lambda: NOW)
    Engine(outside.world(claimant=claimant), full, lambda why: told.set()).tick()
    assert told.wait(PATIENCE)
    assert claimant.fresh
