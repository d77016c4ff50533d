"""Races of two coordinators for one repository: one worker an issue for each that has the claim, of which one that was
overtaken ends as soon as its coordinator knows; one pull request, no comment twice.

COORDINATOR_RACES sets how many (`make proof`). Most claims lie in memory; every tenth race pushes a real ref. Faults
are planted to show that the races would find them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from coordinator.engine import claimant, effects
from coordinator.engine.effects import claiming as claim_effects
from coordinator.planning import plan
from coordinator.planning.claiming import Terms
from tests.support.claims import Ref
from tests.support.figures import count
from tests.support.gitworld import World, make_world
from tests.support.histories import Broken
from tests.support.races import Race, Remote

RACES = int(os.environ.get("COORDINATOR_RACES", "40"))
REAL = 10
"""One race in so many moves a ref of a real repository by real pushes."""
TO_FIND = 60
"""So many races at most may pass before a planted fault is found."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("races"))


@pytest.mark.timeout(3600)
@pytest.mark.req("W2")
def test_however_two_coordinators_race_an_issue_has_one_worker_a_holder_and_one_pull_request(world: World):
    generations = lost = refused = 0
    for seed in range(RACES):
        race = Race(seed, Remote(world.checkout, world.remote) if seed % REAL == 0 else None)
        race.run()
        generations += max(generation for _, generation in race.starts)
        lost += race.lost
        refused += race.refused
    count("races of two coordinators", RACES)
    count("races: the claim's generations", generations)
    count("races: swaps that came second", lost)
    count("races: pushes refused", refused)
    assert generations > RACES, "the claim went from hand to hand"
    assert lost > RACES, "both came to the swap, and one was second"
    assert refused > 0, "and pushes came too late"


def test_a_race_is_the_same_each_time():
    def story() -> tuple[list[str], list[str]]:
        race = Race(7)
        race.run()
        return race.story, [line for one in race.machines for line in one.outside.lines]

    assert story() == story()


# --- planted faults -----------------------------------------------------------------------------------


def no_compare(patch: pytest.MonkeyPatch) -> None:
    def swap(ref: Ref, held: str, words: str) -> str:
        ref.pushes += 1
        ref.sha, ref.words = f"c{ref.pushes}", words
        return ref.sha

    patch.setattr(Ref, "swap", swap)


def no_waiting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claimant, "may_take", lambda *_, **__: True)


def counts_on_it_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Terms, "counts", property(lambda terms: terms.lease * 100))


def nothing_is_held_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(plan, "held_back", lambda made, *_: made)
    patch.setattr(effects, "outward", lambda _: False)


def late_effects_are_made(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(effects, "outward", lambda _: False)


def what_was_left_is_not_read(patch: pytest.MonkeyPatch) -> None:
    kept: Callable[..., Any] = claim_effects.ClaimKept
    patch.setattr(claim_effects, "ClaimKept", lambda *args: kept(*args[:-1], None if args[-1] is None else {}))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [no_compare, no_waiting, counts_on_it_for_ever, nothing_is_held_back,
                                   late_effects_are_made, what_was_left_is_not_read])
def test_the_races_find_a_planted_fault(monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]):
    fault(monkeypatch)
    with pytest.raises(Broken):
        run(range(TO_FIND))


def run(seeds: range) -> None:
    for seed in seeds:
        Race(seed).run()
