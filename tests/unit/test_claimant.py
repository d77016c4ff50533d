"""The claim as one coordinator keeps it: taken, renewed, lost, waited for, given back, by clocks that run apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.config import ConfigError, load
from coordinator.domain.cargo import Search
from coordinator.domain.claim import Claim, read, written
from coordinator.engine.claimant import Claimant, Kept, NoClaim
from coordinator.engine.effects import perform
from coordinator.engine.facts import ClaimKept
from coordinator.engine.holding import CLAIM
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.engine.record import Recorder
from coordinator.planning.actions import KeepClaim
from coordinator.planning.claiming import Terms
from coordinator.ports import ClaimMoved, GitUnreachable, PushRefused
from tests.factories import NOW
from tests.support.claims import Line, Ref
from tests.support.fakes import an_outside

TERMS = Terms(timedelta(minutes=20), timedelta(minutes=60), timedelta(minutes=3))
MINUTE = 60.0

ANY_WORK = (Search(), lambda _: None)


@dataclass
class Machine:
    """A coordinator with clocks of its own: `even` runs evenly from anywhere, the wall clock may say anything."""

    name: str
    ref: Ref
    even: float = 0.0
    ahead: timedelta = timedelta()
    line: Line = field(init=False)
    claimant: Claimant = field(init=False)
    lives: int = 0
    terms: Terms = TERMS

    def __post_init__(self) -> None:
        self.line = Line(self.ref)
        self.starts()

    def starts(self, **known: Any) -> None:
        """A new life on the same memory."""
        self.lives += 1
        us = Claim(holder=f"memory-of-{self.name}", life=f"{self.name}{self.lives}", host=self.name,
                   pid=100 + self.lives, checkout=f"/home/{self.name}/widgets")
        self.claimant = Claimant(self.line, us, self.terms, even=lambda: self.even,  # type: ignore[arg-type]
                                 now=lambda: NOW + timedelta(seconds=self.even) + self.ahead, **known)

    def keep(self) -> Kept:
        """A step, and what it brought is written down."""
        kept = self.claimant.keep("rpi/")
        if kept.left is not None:
            self.claimant.inherited()
        return kept

    @property
    def holds(self) -> bool:
        return self.claimant.fresh

    def words(self) -> str:
        return self.claimant.hold(NOW).words


@pytest.fixture
def ref() -> Ref:
    return Ref()


def two(ref: Ref) -> tuple[Machine, Machine]:
    return Machine("anna", ref, even=5_000_000.0, ahead=timedelta(days=400)), Machine("berta", ref, even=3.0)


def later(minutes: float, *machines: Machine) -> None:
    for machine in machines:
        machine.even += minutes * MINUTE


def test_what_is_written_is_read_and_what_strangers_write_moves_no_cursor():
    claim = Claim("h1", "l1", 3, "anna", 4711, "/home/anna/my repo: new", NOW, NOW + timedelta(hours=1), released=True,
                  lease=7200)
    assert read(written(claim)) == claim
    odd = read("x\n\nholder: h\x1b[2J\ngeneration: -5\npid: one\nsince: yesterday\ncheckout: " + "a" * 999)
    assert (odd.holder, odd.generation, odd.pid, odd.since, len(odd.checkout)) == ("h?[2J", 0, 0, None, 200)
    assert not odd.released
    assert read("") == Claim()


@pytest.mark.req("W2")
def test_the_first_has_it_and_the_second_says_who_does(ref: Ref):
    anna, berta = two(ref)
    assert anna.keep().taken
    assert not berta.keep().taken

    assert anna.holds
    assert not berta.holds
    assert "anna (pid 101, /home/anna/widgets" in berta.words()
    hold = berta.claimant.hold(NOW)
    assert not hold.open
    assert "--take-over" in hold.cure
    assert hold.other is not None
    assert hold.other.generation == 1


def test_what_is_renewed_in_time_is_never_taken_and_costs_three_pushes_an_hour(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    berta.keep()
    pushed = ref.pushes
    for minute in range(600):
        later(1, anna, berta)
        if anna.claimant.hold(NOW).due <= NOW:
            anna.keep()
        if berta.claimant.hold(NOW).due <= NOW:
            berta.keep()
        assert (anna.holds, berta.holds) == (True, False), minute
    assert ref.pushes - pushed == 30
    assert berta.line.asked <= 202


@pytest.mark.req("W2")
def test_a_dead_holder_s_claim_is_taken_after_a_whole_lease_of_the_other_s_own_clock(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    ref.branches = {"rpi/gh-1": "aa", "main": "bb"}
    later(59, berta)       # anna is dead: nobody looks at her clock
    assert not berta.keep().taken      # seen now for the first time
    later(59.9, berta)
    assert not berta.keep().taken
    later(0.2, berta)
    kept = berta.keep()

    assert kept.taken
    assert kept.of is not None
    assert kept.of.host == "anna"
    assert kept.left == {"rpi/gh-1": "aa"}
    assert berta.claimant.hold(NOW).generation == 2


def test_a_holder_that_slept_believes_nothing_and_finds_who_has_it(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    berta.keep()
    later(61, anna, berta)
    assert not anna.holds, "it counts on its claim no longer than the lease less a margin"
    with pytest.raises(NoClaim):
        anna.claimant.push("rpi/gh-1", "", *ANY_WORK)
    assert berta.keep().taken
    assert not anna.keep().taken
    assert not anna.holds
    assert "berta" in anna.words()


@pytest.mark.req("W2")
@pytest.mark.parametrize(("hers", "theirs"), [(1, 1), (4, 1), (1, 4)])
@pytest.mark.parametrize("late", [0.8, 0.85, 0.99, 1.02, 8])
def test_never_do_two_count_on_it_at_once_however_late_the_holder_renews(ref: Ref, late: float, hers: int, theirs: int):
    """Their leases differ: who waits waits for the longer one."""
    anna, berta = two(ref)
    anna.terms, berta.terms = (Terms(TERMS.renew, TERMS.lease * times) for times in (hers, theirs))
    anna.starts()
    berta.starts()
    anna.keep()
    berta.keep()
    every = round(60 * max(hers, theirs) * late)
    for minute in range(1, every * 3):
        later(1, anna, berta)
        if minute % every == 0:
            anna.keep()
        berta.keep()
        assert not (anna.holds and berta.holds)
        assert not berta.holds or late > 1
    assert berta.holds == (late > 1)


@pytest.mark.parametrize(("lease", "hours"), [("", 1), ("lease: 7200\n", 2), ("lease: 60\n", 1),
                                              ("lease: 999999999999\n", 24), ("lease: 1e9\n", 1)])
def test_nobody_waits_longer_than_a_day_whatever_stands_in_the_claim(ref: Ref, lease: str, hours: int):
    berta = Machine("berta", ref)
    ref.sha, ref.words = "c0", f"holder: h1\n{lease}state: held\n"   # without the line: of an older coordinator
    assert not berta.keep().taken
    later(60 * hours - 1, berta)
    assert not berta.keep().taken
    later(1, berta)
    assert berta.keep().taken


@pytest.mark.parametrize(("line", "words"), [
    ('claim_lease = "25h"', 'repository.claim_lease = "25h" is too long; 1d is the most'),
    ('claim_lease = "30m"', "repository.claim_lease is less than twice claim_renew"),
])
def test_a_lease_that_others_would_not_wait_for_is_refused(tmp_path: Path, line: str, words: str):
    file = tmp_path / "coordinator.toml"
    file.write_text(f'[repository]\nclaim_renew = "20m"\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert words in caught.value.words
    assert caught.value.cure


def test_a_restart_of_the_same_memory_takes_its_own_at_once_whatever_it_remembers(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    remembered = anna.claimant.sha
    later(15, anna)
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)   # moved since it was written down
    anna.starts(sha=remembered, generation=1)
    assert anna.keep().taken
    assert anna.holds
    assert anna.claimant.hold(NOW).generation == 2
    assert not berta.keep().taken


def restarted(ref: Ref) -> Machine:
    anna = Machine("anna", ref)
    anna.keep()
    remembered = anna.claimant.sha
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)   # moved since it was written down
    anna.starts(sha=remembered, generation=1)
    return anna


def waited_out(ref: Ref) -> Machine:
    anna, berta = two(ref)
    anna.keep()
    berta.keep()
    later(60, berta)
    return berta


def forced(ref: Ref) -> Machine:
    anna, berta = two(ref)
    anna.keep()
    berta.claimant.take_over()
    return berta


@pytest.mark.req("W2", "W12")
@pytest.mark.parametrize(("made", "known"), [(restarted, None), (waited_out, "anna"), (forced, None)])
@pytest.mark.parametrize("cut", [False, True])
def test_of_a_claim_that_is_about_to_be_taken_nobody_hears_that_another_has_it(
        ref: Ref, made: Callable[[Ref], Machine], known: str | None, cut: bool):
    """Workers end where another has the claim: a restart would stop all of its own between the look and the push."""
    machine, heard = made(ref), []

    def push() -> None:
        heard.append(machine.claimant.hold(NOW).other)
        if cut:
            raise GitUnreachable("could not resolve host")

    machine.line.on_push = push
    if cut:
        with pytest.raises(GitUnreachable):
            machine.keep()
        heard.append(machine.claimant.hold(NOW).other)
    else:
        assert machine.keep().taken
    assert heard
    assert {other.host if other is not None else None for other in heard} == {known}


def test_with_the_memory_lost_it_is_ours_still_and_what_we_left_is_read_like_another_s(ref: Ref):
    anna = Machine("anna", ref)
    anna.keep()
    ref.branches = {"rpi/gh-1": "aa"}
    anna.starts()
    assert anna.keep().left == {"rpi/gh-1": "aa"}
    anna.starts(sha=anna.claimant.sha, generation=2)
    assert anna.keep().left is None


def test_of_two_copies_of_one_memory_the_older_life_gives_way(ref: Ref):
    anna = Machine("anna", ref)
    anna.keep()
    copy = Machine("anna", ref)
    copy.lives = 7
    copy.starts()
    assert copy.keep().taken
    later(21, anna, copy)
    assert not anna.keep().taken
    assert copy.holds
    assert not anna.holds
    with pytest.raises(NoClaim):
        anna.claimant.push("rpi/gh-1", "", *ANY_WORK)


def test_a_clean_end_frees_it_for_anybody_at_once(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    berta.keep()
    assert anna.claimant.give_back()
    assert not anna.holds
    later(3, berta)
    kept = berta.keep()
    assert kept.taken
    assert kept.of is None
    assert berta.holds
    assert not anna.claimant.give_back()


def test_a_person_takes_it_over_once_and_hears_from_whom(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    berta.claimant.take_over()
    kept = berta.keep()
    assert kept.taken
    assert kept.of is not None
    assert kept.of.host == "anna"
    assert not anna.keep().taken
    anna.claimant.take_over()
    anna.keep()
    assert not berta.keep().taken, "once"


@pytest.mark.req("W2")
def test_a_push_of_work_is_refused_once_another_has_it_and_renews_it_otherwise(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    later(15, anna)
    assert anna.claimant.push("rpi/gh-1", "", *ANY_WORK) == "tip-of-rpi/gh-1"
    later(45, anna)
    assert anna.holds, "the push was a renewal"
    berta.claimant.take_over()
    berta.keep()
    with pytest.raises(ClaimMoved):
        anna.claimant.push("rpi/gh-2", "", *ANY_WORK)
    assert "rpi/gh-2" not in ref.branches
    assert not anna.holds


def test_an_answer_that_was_lost_is_found_to_be_ours(ref: Ref):
    anna = Machine("anna", ref)
    anna.line.lost = True
    with pytest.raises(GitUnreachable):
        anna.keep()
    assert not anna.holds
    anna.line.lost = False
    assert anna.keep().taken
    assert anna.holds
    later(20, anna)
    anna.line.lost = True
    with pytest.raises(GitUnreachable):
        anna.keep()
    anna.line.lost = False
    anna.keep()
    assert anna.holds


def test_a_claim_that_cannot_be_had_never_counts_as_had_and_says_why(ref: Ref):
    anna = Machine("anna", ref)
    anna.line.refused = True
    with pytest.raises(PushRefused):
        anna.keep()
    hold = anna.claimant.hold(NOW)
    assert not hold.open
    assert "refusing to update this ref" in hold.words
    assert "repository.claim = false" in hold.cure
    anna.line.refused, anna.line.cut = False, True
    with pytest.raises(GitUnreachable):
        anna.keep()
    assert "could not resolve host" in anna.words()
    assert not anna.holds


@pytest.mark.req("W2")
@pytest.mark.parametrize("dies", [False, True])
def test_what_another_left_is_read_before_anything_is_done(ref: Ref, dies: bool):
    anna, berta = two(ref)
    berta.keep()
    known = {"sha": berta.claimant.sha, "generation": 1}
    anna.claimant.take_over()
    anna.keep()
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)
    berta.starts(**known)   # a memory of before anna had it
    berta.claimant.take_over()
    berta.line.on_push = lambda: setattr(berta.line, "cut", True)
    with pytest.raises(GitUnreachable):
        berta.keep()
    assert not berta.holds, "it is berta's, and what anna left is not known yet"
    berta.line.on_push, berta.line.cut = lambda: None, False
    if dies:
        berta.starts(**known)
    kept = berta.keep()
    assert (kept.taken, kept.left) == (True, {"rpi/gh-1": "tip-of-rpi/gh-1"})
    assert dies or (kept.of is not None and kept.of.host == "anna")
    assert berta.holds


@pytest.mark.req("W2")
def test_what_another_left_is_asked_for_until_it_is_written_down(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)
    berta.claimant.take_over()
    assert berta.claimant.keep("rpi/").left
    assert not berta.holds, "asked for, and not written down"
    assert not berta.claimant.hold(NOW).open
    with pytest.raises(NoClaim):
        berta.claimant.push("rpi/gh-2", "", *ANY_WORK)
    later(3, berta)
    assert berta.keep().left
    assert berta.holds
    berta.starts(sha=berta.claimant.sha, generation=2)
    assert berta.keep().left is None, "nobody had it since"


def test_a_takeover_whose_answer_was_lost_still_asks_what_another_left(ref: Ref):
    anna, berta = two(ref)
    berta.keep()
    anna.claimant.take_over()
    anna.keep()
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)
    berta.starts(sha="c1", generation=1)
    assert not berta.keep().taken
    berta.claimant.take_over()
    berta.line.lost = True
    with pytest.raises(GitUnreachable):
        berta.keep()
    berta.line.lost = False
    assert berta.keep().left
    assert berta.holds


@pytest.mark.req("W2")
def test_the_claim_opens_in_the_same_step_that_writes_down_what_was_left(ref: Ref):
    anna, berta = two(ref)
    anna.keep()
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)
    berta.claimant.take_over()
    outside = an_outside()
    outside.repo = berta.line   # type: ignore[assignment]
    world = outside.world(claimant=berta.claimant)
    fact = perform(KeepClaim(), world)
    assert isinstance(fact, ClaimKept)
    assert not observe(world, Memory()).claim.open, "a turn before the fact is taken"
    Recorder(world, Memory()).record(fact)
    seen = observe(world, Memory())
    assert (seen.claim.open, set(seen.inheritance.branches)) == (True, {"rpi/gh-1"})
    assert json.loads(outside.store.document(CLAIM) or "{}") == {"sha": berta.claimant.sha, "generation": 2}


@pytest.mark.req("W2")
@pytest.mark.parametrize("lives", [True, False])
def test_a_claim_that_vanishes_from_the_remote_is_waited_for_like_one_that_stands(ref: Ref, lives: bool):
    anna, berta = two(ref)
    anna.keep()
    anna.claimant.push("rpi/gh-1", "", *ANY_WORK)
    berta.keep()
    later(55, berta)
    ref.sha = ref.words = ""   # a person tidied, or pushed a mirror
    assert not berta.keep().taken, "anna may count on it yet"
    assert "anna" in berta.words()
    assert "is gone from the remote" in berta.words()
    for _ in range(59):
        later(1, anna, berta)
        assert not berta.keep().taken
    if lives:
        assert anna.keep().taken, "nobody else has it: she puts it there again"
        assert anna.keep().left is None
        later(2, berta)
        assert not berta.keep().taken
        assert (anna.holds, berta.holds) == (True, False)
        assert "is gone" not in berta.words()
    else:
        later(1.1, anna, berta)
        kept = berta.keep()
        assert (kept.taken, kept.left) == (True, {"rpi/gh-1": "tip-of-rpi/gh-1"})
        assert (anna.holds, berta.holds) == (False, True)
    assert (anna if lives else berta).claimant.hold(NOW).generation == 2


def test_of_two_that_wait_for_a_dead_one_the_slower_waits_anew(ref: Ref):
    anna, berta = two(ref)
    carla = Machine("carla", ref, even=77.0)
    anna.keep()
    berta.keep()
    carla.keep()
    later(61, berta, carla)
    carla.line.on_push = lambda: (setattr(carla.line, "on_push", lambda: None), berta.keep())  # type: ignore[assignment]
    assert not carla.keep().taken
    assert berta.holds
    assert not carla.holds
    later(3, carla)
    carla.keep()
    assert "berta" in carla.words()
