"""Waves, the longest chain and circles, over keys of any kind."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.planning.dependencies import circles
from coordinator.planning.plans.waves import critical_path, natural, waves, waves_of


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, frozenset[int]]:
    size = draw(st.integers(0, 30))
    return {key: frozenset(draw(st.sets(st.integers(0, key - 1), max_size=4))) if key else frozenset()
            for key in range(size)}


@pytest.mark.req("B39")
def test_what_waits_for_nothing_is_the_first_wave() -> None:
    depends: dict[str, list[str]] = {"T1": [], "T2": ["T1"], "T3": [], "T4": ["T2", "T3"]}
    assert waves_of(depends) == {"T1": 1, "T2": 2, "T3": 1, "T4": 3}
    assert waves(depends) == (("T1", "T3"), ("T2",), ("T4",))


def test_a_wave_comes_after_the_last_of_what_it_waits_for() -> None:
    assert waves_of({1: [], 2: [1], 3: [1, 2], 4: [1]}) == {1: 1, 2: 2, 3: 3, 4: 2}


def test_what_is_no_key_holds_nobody_up() -> None:
    assert waves_of({"a": ["elsewhere"]}) == {"a": 1}


def test_a_circle_and_what_waits_for_it_have_no_wave() -> None:
    assert waves_of({"a": ["b"], "b": ["a"], "c": ["b"], "d": []}) == {"d": 1}
    assert circles({"T1": frozenset({"T2"}), "T2": frozenset({"T1"}), "T3": frozenset({"T2"})}) == {
        "T1": ("T1", "T2"), "T2": ("T1", "T2"),
    }  # fmt: skip


def test_the_critical_path_is_the_longest_chain_and_the_first_of_several() -> None:
    depends = {"T1": (), "T2": (), "T3": ("T2", "T1"), "T4": ("T3",), "T5": ("T2",)}
    assert critical_path(depends) == ("T1", "T3", "T4")
    assert critical_path({}) == ()


@pytest.mark.req("P27")
def test_ten_comes_after_two_whatever_stands_before_the_number() -> None:
    assert sorted(["wave-10", "wave-2", "wave-1"], key=natural) == ["wave-1", "wave-2", "wave-10"]
    assert sorted(["T10", "T2", "T2a", "A", "T010", "9", "bd-1.10", "bd-1.9", ""], key=natural) == [
        "", "9", "A", "T2", "T2a", "T010", "T10", "bd-1.9", "bd-1.10",
    ]  # fmt: skip
    assert natural("9" * 5000) > natural("1" * 5000)


@given(graphs())
def test_every_key_stands_one_wave_after_the_last_it_waits_for(depends: dict[int, frozenset[int]]) -> None:
    found = waves_of(depends)
    assert found == {key: 1 + max((found[other] for other in others), default=0) for key, others in depends.items()}
    chain = critical_path(depends)
    assert len(chain) == max(found.values(), default=0)
    assert all(before in depends[after] for before, after in pairwise(chain))


def test_a_thousand_in_one_chain_are_done_at_once() -> None:
    depends = {key: range(key) for key in range(1000)}
    assert waves_of(depends)[999] == 1000
    assert len(critical_path(depends)) == 1000
