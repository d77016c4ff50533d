"""Jobs by hand through random histories: people, agents, the clock and the watchdog, a folder of jobs in memory.

After every step the same few promises hold. Faults are planted to show that the histories would find them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from coordinator.engine.jobs import editing, ending, watching
from coordinator.engine.jobs.desk import Refused
from coordinator.engine.jobs.restarting import restart
from coordinator.planning import watchdog as rules
from tests.support.job_place import Entry, JobPlace, Office, Worker

LIMIT = 2
IDS = st.sampled_from(["bd-1", "bd-2"])
MINUTES = st.sampled_from([1, 6, 27, 45])
MODES = st.sampled_from([(), (), (), (), ("observe_only",), ("no_auto_restart",)])


class Jobs(RuleBasedStateMachine):
    """What the promises need to remember is kept beside the place: who may have lifted a block, how often each job was
    begun again by the watchdog alone."""

    def __init__(self) -> None:
        super().__init__()
        self.office = Office()
        self.place: JobPlace = self.office.place
        self.blocked: set[str] = set()
        self.alone: dict[str, int] = {}
        self.office.before_pause = self.place.beat

    # --- people -------------------------------------------------------------------------------------

    @rule(job=IDS)
    def start(self, job: str) -> None:
        lives = self._runs(job)
        try:
            self.office.start(job)
        except Refused:
            assert lives, "a start is refused only beside a living worker"
            return
        assert not lives
        self._by_hand(job)

    @precondition(lambda self: self.place.entries)
    @rule(job=IDS)
    def restart(self, job: str) -> None:
        if self._known(job):
            self.office.restart(job)
            self._by_hand(job)

    @rule(job=IDS)
    def stop(self, job: str) -> None:
        if self._known(job):
            ending.stop(self.office.desk, job)

    @rule(job=IDS, value=st.booleans())
    def set_override(self, job: str, value: bool) -> None:
        if self._known(job):
            editing.set_override(self.office.desk, job, value)

    @rule(job=IDS, reset=st.booleans())
    def unblock(self, job: str, reset: bool) -> None:
        if self._known(job):
            editing.unblock(self.office.desk, job, reset_retries=reset)
            self.blocked.discard(job)
            if reset:
                self.alone[job] = 0

    @rule()
    def prune(self) -> None:
        list(editing.prune(self.office.desk))

    # --- what happens -------------------------------------------------------------------------------

    @rule(minutes=MINUTES)
    def time_passes(self, minutes: int) -> None:
        self.place.pass_by(timedelta(minutes=minutes))

    @rule(job=IDS, minutes=MINUTES)
    def an_agent_falls_silent(self, job: str, minutes: int) -> None:
        if not self._runs(job):
            self.start(job)
        self.place.stalls(job)
        self.place.pass_by(timedelta(minutes=minutes))

    @rule(job=IDS, code=st.sampled_from([0, 1]))
    def an_agent_ends(self, job: str, code: int) -> None:
        if self._runs(job):
            self.place.ends(job, code)

    @rule(job=IDS)
    def a_wrapper_is_killed(self, job: str) -> None:
        if self._runs(job):
            self.place.vanishes(job)

    @rule(hours=st.sampled_from([-5, 5]))
    def the_clock_is_set(self, hours: int) -> None:
        self.place.clock.pass_by(3600 * hours)

    # --- the watchdog -------------------------------------------------------------------------------

    @rule(mode=MODES)
    def the_watchdog_looks(self, mode: tuple[str, ...]) -> None:
        before = {key: (entry.begun, dict(entry.meta), entry.worker) for key, entry in self.place.entries.items()}
        self.office.once(max_retries=LIMIT, **dict.fromkeys(mode, True))
        observed = "observe_only" in mode
        for key, (begun, meta, worker) in before.items():
            entry = self.place.entries[key]
            assert not observed or (begun, meta) == (entry.begun, entry.meta), "an observer changes nothing"
            self._judge_pass(key[1], entry, meta, entry.begun - begun, worker)
        assert observed or not any(self._vanished(entry) for entry in self.place.entries.values())

    def _judge_pass(self, job: str, entry: Entry, before: dict[str, str], begun: int, worker: Worker | None) -> None:
        assert begun in (0, 1)
        if begun:
            self.alone[job] = self.alone.get(job, 0) + 1
            assert int(before["retries"]) < LIMIT, "the limit is the limit"
            assert before.get("no_auto_restart") != "true", "an override is obeyed"
            assert before.get("blocked") != "true", "a block is obeyed"
            assert worker is not None
            assert worker.silent, "a healthy worker was ended"
            assert not worker.orphan, "a lost run was begun again"
        if entry.meta.get("blocked") == "true":
            self.blocked.add(job)

    # --- promises -----------------------------------------------------------------------------------

    @invariant()
    def the_watchdog_alone_never_passes_the_limit(self) -> None:
        assert all(count <= LIMIT for count in self.alone.values()), self.alone

    @invariant()
    def only_a_person_lifts_a_block(self) -> None:
        for job in self.blocked:
            assert self.place.job(job).blocked, f"{job} lost its block"

    @invariant()
    def every_attempt_is_alive_or_has_one_outcome_or_waits_for_it(self) -> None:
        for (_, job), entry in self.place.entries.items():
            outcomes = len(entry.rotated) + bool(entry.outcome)
            waiting = int(entry.runs) + int(self._vanished(entry))
            assert outcomes + waiting == entry.begun, f"{job}: {outcomes} + {waiting} of {entry.begun}"
            tokens = [one["token"] for one in [*entry.rotated, *([entry.outcome] if entry.outcome else [])]]
            assert len(tokens) == len(set(tokens)), f"{job}: two outcomes for one attempt"

    @invariant()
    def a_job_has_one_worker_and_stands_in_one_state(self) -> None:
        for entry in self.place.entries.values():
            assert not (entry.runs and entry.own), "alive, and ended"
            assert not (entry.runs and entry.worker is not None and entry.worker.orphan), "two workers"

    # --- helpers ------------------------------------------------------------------------------------

    def _by_hand(self, job: str) -> None:
        """Somebody looked at it and began it again: it is not blocked, and its count is theirs."""
        self.blocked.discard(job)
        self.alone[job] = 0
        assert not self.place.job(job).blocked

    def _known(self, job: str) -> bool:
        return ("command", job) in self.place.entries

    def _runs(self, job: str) -> bool:
        return self._known(job) and self.place.entry(job).runs

    def _vanished(self, entry: Entry) -> bool:
        return entry.worker is not None and not entry.worker.lives and not entry.own


HOW = settings(max_examples=150, stateful_step_count=30, deadline=None, database=None, print_blob=False,
               suppress_health_check=list(HealthCheck))


@pytest.mark.req("A37", "A53", "C81", "C84", "W7", "P5", "P24", "P41")
def test_whatever_happens_the_promises_hold() -> None:
    run_state_machine_as_test(Jobs, settings=HOW)  # type: ignore[no-untyped-call]


def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog forgets to count its restarts."""

    def forgetful(desk: Any, job_id: str, again: Any) -> Any:
        before = desk.latest(job_id).meta["retries"]
        started = restart(desk, job_id, again)
        desk.jobs.note(desk.latest(job_id), {"retries": before})
        return started

    monkeypatch.setattr(watching, "restart", forgetful)


def lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lifts a block itself when it comes by again."""
    judge = rules.watch

    def blind(jobs: Any, *how: Any) -> Any:
        return judge([replace(job, meta={**job.meta, **editing.UNBLOCKED, "retries": "0"}) for job in jobs], *how)

    monkeypatch.setattr(watching, "watch", blind)
    monkeypatch.setattr(watching, "restart", lambda desk, job_id, again: restart(desk, job_id, replace(again, run="")))


def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes an old heartbeat for a dead worker, though the clock was set."""
    monkeypatch.setattr(rules, "leapt", lambda view, now, woke_at: False)


def twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome is written again over that of a run which has one."""
    def record(self: JobPlace, job: Any, pairs: Any) -> bool:
        entry = self.entries[job.provider, job.id]
        if entry.outcome:
            entry.rotated.append(entry.outcome)
        entry.outcome = {**pairs, "token": job.token}
        return True

    monkeypatch.setattr(JobPlace, "record_end", record)
    monkeypatch.setattr(editing, "over", lambda job: True)


@pytest.mark.parametrize(("fault", "words"), [
    (uncounted, "bd-1': 3|bd-2': 3"), (lifted, "a block is obeyed"),
    (hasty, "a healthy worker was ended"), (twice, r"\d \+ \d of \d"),
], ids=["uncounted", "lifted", "hasty", "twice"])
def test_a_planted_fault_is_found(fault: Callable[[pytest.MonkeyPatch], None], words: str,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    how = settings(HOW, max_examples=400, phases=[Phase.generate])
    with pytest.raises(AssertionError, match=words):
        run_state_machine_as_test(seed(7)(Jobs), settings=how)  # type: ignore[no-untyped-call]
