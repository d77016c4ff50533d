"""The watchdog: what it does about each kind of job, row by row, and that one job's trouble stays its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.domain.job import Job
from coordinator.domain.worker import Beat, Exited, Missing, Running, Unknown, Waiting, Witness, WorkerView
from coordinator.engine.contacts import Contacts
from coordinator.engine.jobs.desk import Rules
from coordinator.engine.jobs.editing import set_override, unblock
from coordinator.planning.health import Settings
from coordinator.planning.watchdog import Action, Block, End, Note, Orders, Restart, Say, watch
from coordinator.ports import LaunchFailed, Readiness, WatchdogRuns
from tests.support.job_place import Office

NOW = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STALL = 21 * MINUTE
WHY = "no sign of progress for 21m; the last: output"


def ago(minutes: float) -> float:
    return (NOW - minutes * MINUTE).timestamp()


def running(started: float = 60, *, cpu: float | None = None, signs: float | None = None, share: float = 0.0,
            beat: float = 0, tree: bool = True, frozen: float | None = None) -> Running:
    """Started so many minutes ago; CPU and every other witness moved so many minutes ago, the last beat came so."""
    seen = Witness(1.0, ago(started if signs is None else signs))
    used = Witness(12.5, ago(started if cpu is None else cpu))
    return Running(7, ago(started), Beat(ago(beat), ago(started), used, seen, seen, seen if tree else None, share,
                                        stopped_since=None if frozen is None else ago(frozen)))


def a_job(view: WorkerView, outcome: dict[str, str] | None = None, *, foreign: bool = False, **meta: str) -> Job:
    plain = {"beads": "bd-1", "token": "t", "retries": "0", **meta}
    return Job("bd-1", "claude", "/jobs", view, plain, outcome or {}, foreign=foreign)


def acts(job: Job, orders: Orders | None = None, settings: Settings | None = None,
         woke: float | None = None) -> list[Action]:
    """What is done about a job, samples left out."""
    woke_at = None if woke is None else NOW - woke * MINUTE
    found = watch([job], NOW, settings or Settings(), orders or Orders(), woke_at)
    return [one for one in found if not isinstance(one, Note)]


def kinds(job: Job, **how: object) -> list[str]:
    return [type(one).__name__ for one in acts(job, **how)]  # type: ignore[arg-type]


STALLED = running(cpu=21, signs=21)
HEALTHY = running(cpu=21, signs=3)


@pytest.mark.req("A45", "A46", "A50", "A51", "A52", "A53", "A55", "B94")
@pytest.mark.parametrize(("retries", "orders", "override", "expected"), [
    (0, Orders(), "", None),
    (1, Orders(), "", "max_retries"),
    (2, Orders(), "", "max_retries"),
    (1, Orders(max_retries=2), "", None),
    (2, Orders(max_retries=2), "", "max_retries"),
    (0, Orders(max_retries=0), "", "no_auto_restart"),
    (0, Orders(no_auto_restart=True), "", "no_auto_restart"),
    (5, Orders(no_auto_restart=True), "", "no_auto_restart"),
    (0, Orders(), "true", "no_auto_restart"),
    (0, Orders(max_retries=9), "true", "no_auto_restart"),
    (0, Orders(), "false", None),
    (0, Orders(no_auto_restart=True), "false", "no_auto_restart"),
])
def test_a_stall_is_met_by_a_restart_or_by_a_block_with_its_reason(retries, orders, override, expected):
    job = a_job(STALLED, retries=str(retries), no_auto_restart=override)
    (found,) = acts(job, orders)
    if expected is None:
        assert isinstance(found, Restart)
    else:
        assert isinstance(found, Block)
        assert found.reason == expected
    assert "no sign of progress for 21m" in found.words


@pytest.mark.req("C82", "C83", "P3", "W7", "A49")
@pytest.mark.parametrize(("job", "expected"), [
    (a_job(HEALTHY), []),
    (a_job(running(cpu=0.5, signs=0.5)), []),
    (a_job(running(25, cpu=0, share=0.9)), []),
    (a_job(running(1440, cpu=0, signs=30, share=0.9)), []),
    (a_job(running(2)), []),
    (a_job(running(30, cpu=1.1, signs=1.1, frozen=1.1)), ["Restart"]),
    (a_job(running(30, cpu=1.1, signs=1.1, frozen=0.9)), []),
    (a_job(STALLED), ["Restart"]),
    (a_job(running(60, cpu=0, share=0.9)), ["Say"]),
    (a_job(Running(7, ago(19))), []),
    (a_job(Running(7, ago(21))), ["Restart"]),
    (a_job(Waiting("it is being started")), []),
    (a_job(Unknown("it runs on other: ask there", NOW)), []),
    (a_job(Unknown("meta: Permission denied", NOW - timedelta(days=3))), []),
    (a_job(Missing(started=True)), ["Record"]),
    (a_job(Missing(started=False)), ["Record"]),
    (a_job(Exited(None, None, "host_reboot")), ["Record"]),
    (a_job(Missing(started=True), blocked="true"), ["Record"]),
    (a_job(Exited(0, None, "process_exit"), {"state": "success", "exit_code": "0"}), []),
    (a_job(Exited(1, None, "process_exit"), {"state": "failed", "exit_code": "1"}), []),
    (a_job(Exited(None, 9, "killed"), {"state": "killed", "exit_code": "137"}), []),
    (a_job(STALLED, blocked="true", blocked_reason="max_retries"), []),
    (a_job(STALLED, blocked="yes"), ["Restart"]),
    (a_job(STALLED, owner="coordinator"), []),
    (a_job(STALLED, owner="plan"), []),
    (a_job(Missing(started=True), owner="coordinator"), []),
    (a_job(STALLED, foreign=True), ["Say"]),
    (a_job(Missing(started=True), foreign=True), []),
])
def test_each_kind_of_job_gets_what_is_its_due(job, expected):
    assert kinds(job) == expected


@pytest.mark.req("C83")
def test_no_op_is_ended_when_its_cpu_is_flat_too():
    patient = Settings(stall=timedelta(hours=2))
    (found,) = acts(a_job(running(60)), settings=patient)
    assert isinstance(found, End)
    assert found.reason == "no_mutation"
    assert kinds(a_job(running(60, cpu=29)), settings=patient) == ["Say"]
    assert kinds(a_job(running(60, cpu=31)), settings=patient) == ["End"]
    assert kinds(a_job(running(60, cpu=31, share=0.5)), settings=patient) == ["Say"]
    assert kinds(a_job(running(60, cpu=31, tree=False)), settings=patient) == [], "without a worktree nobody knows"
    assert kinds(a_job(running(60, cpu=31, signs=50)), settings=patient) == [], "it printed something once"


@pytest.mark.req("A38", "A54", "B93", "B95")
@pytest.mark.parametrize("job", [
    a_job(STALLED), a_job(STALLED, retries="1"), a_job(running(60)), a_job(Missing(started=True)), a_job(HEALTHY),
    a_job(running(60, cpu=0, share=0.9)), a_job(STALLED, no_auto_restart="true"),
])
def test_an_observer_says_and_never_acts(job):
    for settings in (Settings(), Settings(stall=timedelta(hours=2))):
        told = watch([job], NOW, settings, Orders(observe_only=True, no_auto_restart=True))
        assert all(isinstance(one, Say) for one in told)
    words = [one.words for one in watch([a_job(STALLED)], NOW, Settings(), Orders(observe_only=True))]  # type: ignore[union-attr]
    assert words == ["stalled: no sign of progress for 21m; the last: output; would be restarted (restart 1 of 1)"]


@pytest.mark.req("N14", "W7")
@pytest.mark.parametrize(("beat", "woke", "expected"), [
    (61, 0, "Await"),       # the host slept an hour, or the clock was set: nobody has beaten since
    (61, 1, "Await"),
    (61, 1.6, "Restart"),   # three beats are due since, and none came
    (0.5, 0, "Restart"),    # it has beaten since: what it says counts
    (61, None, "Restart"),  # the clock did not leap: a wrapper that stands still is a stall
])
def test_after_a_leap_of_the_clock_the_next_heartbeat_decides(beat, woke, expected):
    assert kinds(a_job(running(90, cpu=61, signs=61, beat=beat)), woke=woke) == [expected]


@pytest.mark.req("A79")
def test_samples_are_noted_for_people_and_only_when_they_are_new():
    known = {"last_cpu_time": "12.50", "last_progress_at": "2026-03-04T13:57:00Z"}
    (note,) = watch([a_job(HEALTHY)], NOW, Settings(), Orders())
    assert note == Note(a_job(HEALTHY), "12.50", NOW - 3 * MINUTE)
    assert watch([a_job(HEALTHY, **known)], NOW, Settings(), Orders()) == ()
    for changed in ({"last_cpu_time": "500"}, {"last_progress_at": "2026-03-04T13:56:00Z"},
                    {"last_progress_at": "soon"}, {"last_progress_at": "2026-03-04T13:57:00"}):
        assert len(watch([a_job(HEALTHY, **{**known, **changed})], NOW, Settings(), Orders())) == 1
    assert watch([a_job(HEALTHY)], NOW, Settings(), Orders(observe_only=True)) == ()


@pytest.mark.req("P9", "P10")
def test_what_was_noted_before_never_changes_the_judgement():
    for noted in ("", "0", "12.50", "500", "x"):
        for view, expected in ((STALLED, ["Restart"]), (HEALTHY, [])):
            job = a_job(view, last_cpu_time=noted, last_progress_at="2020-01-01T00:00:00Z")
            assert kinds(job) == expected
            assert kinds(job) == expected, "looking twice"


# --- a watchdog at work -----------------------------------------------------------------------------


def an_office(*jobs: str, **rules: object) -> Office:
    office = Office(rules=Rules(**rules))  # type: ignore[arg-type]
    for job in jobs:
        office.start(job)
    return office


def stalled(office: Office, *jobs: str) -> None:
    """Something moved, then nothing for longer than the limit."""
    office.place.pass_by(6 * MINUTE)
    for job in jobs:
        office.place.stalls(job)
    office.place.pass_by(STALL)


@pytest.mark.req("A44", "A82", "A81", "A92", "B25", "C84")
def test_one_restart_then_a_block_and_one_line_that_calls_a_person():
    office = an_office("bd-1", contacts=Contacts("notify-send 'a job'"))
    stalled(office, "bd-1")
    assert office.once() == [f"bd-1 (command): restarted (restart 1 of 1): {WHY}"]
    entry = office.place.entry("bd-1")
    assert entry.meta["retries"] == "1"
    assert [one["reason_code"] for one in entry.rotated] == ["stalled"]

    stalled(office, "bd-1")
    line = f"ESCALATE bd-1: blocked (max_retries) after 1 restart: {WHY} → coordinator job diagnose --beads bd-1"
    assert office.once() == [line]
    assert [entry.meta[key] for key in ("blocked", "blocked_reason")] == ["true", "max_retries"]
    assert entry.meta["blocked_at"] == f"{office.now():%Y-%m-%dT%H:%M:%SZ}"
    assert entry.runs, "what runs, runs on"
    ((argv, stdin, env),) = office.probe.told
    assert argv == ("notify-send", "a job")
    assert stdin == f"{line}\nactive jobs: 1\nerror patterns: 1 × max_retries (bd-1)\n"
    assert env["COORDINATOR_CAUSE"] == "job:command/bd-1:max_retries"
    assert "SECRET" not in env

    office.place.pass_by(STALL)
    assert office.once() == []
    assert len(office.probe.told) == 1, "once per cause"


def test_a_notifier_that_fails_is_said_and_blocks_all_the_same():
    office = an_office("bd-1", contacts=Contacts("notify"))
    office.probe.code = 3
    stalled(office, "bd-1")
    lines = office.once(no_auto_restart=True)
    assert lines[1:] == ["notify.command ended with 3: no such luck"]
    assert office.place.job("bd-1").blocked


def test_a_notifier_that_cannot_be_understood_is_said_too():
    office = an_office("bd-1", contacts=Contacts("notify 'me"))
    stalled(office, "bd-1")
    lines = office.once(no_auto_restart=True)
    assert lines[1:] == ["notify.command cannot be understood: No closing quotation: notify 'me"]
    assert office.probe.told == []


@pytest.mark.req("A83", "B19", "B96", "A41", "A56")
def test_an_override_blocks_its_job_alone_and_the_mode_blocks_all():
    office = an_office("bd-1", "bd-2")
    set_override(office.desk, "bd-1", value=True)
    stalled(office, "bd-1", "bd-2")
    lines = office.once(max_retries=5)
    assert lines[0].startswith("ESCALATE bd-1: blocked (no_auto_restart) after 0 restarts")
    assert lines[1].startswith("bd-2 (command): restarted (restart 1 of 5)")

    other = an_office("bd-1", "bd-2")
    stalled(other, "bd-1", "bd-2")
    other.once(no_auto_restart=True, only="bd-1")
    assert [job.blocked_reason for job in other.place.all()] == ["no_auto_restart", ""]
    other.once(no_auto_restart=True)
    assert [job.blocked_reason for job in other.place.all()] == ["no_auto_restart"] * 2


@pytest.mark.req("B100", "A42", "B18")
def test_the_flow_of_supervising_by_hand():
    office = an_office("bd-1", "bd-2")
    stalled(office, "bd-1", "bd-2")
    seen = [dict(one.meta) for one in office.place.entries.values()]
    assert len(office.once(observe_only=True)) == 2
    assert len(office.once(observe_only=True, only="bd-2")) == 1
    assert [dict(one.meta) for one in office.place.entries.values()] == seen

    set_override(office.desk, "bd-1", value=True)
    set_override(office.desk, "bd-1", value=False)
    office.once()
    assert [job.retries for job in office.place.all()] == [1, 1], "released, it is restarted like any other"


@pytest.mark.req("A85", "A101", "A102", "P41")
def test_a_person_lifts_the_block_and_the_count_and_the_watchdog_goes_on():
    office = an_office("bd-1")
    stalled(office, "bd-1")
    office.once(no_auto_restart=True)
    entry = office.place.entry("bd-1")
    entry.meta["retries"] = "7"
    assert unblock(office.desk, "bd-1", reset_retries=True)
    assert not office.place.job("bd-1").blocked
    office.once()
    assert office.place.job("bd-1").retries == 1

    stalled(office, "bd-1")
    office.once()
    assert office.place.job("bd-1").blocked
    entry.meta.update(blocked="false", retries="0")   # by hand, as the older runners' users do
    office.once()
    assert (office.place.job("bd-1").retries, office.place.job("bd-1").blocked) == (1, False)
    office.place.pass_by(6 * MINUTE)
    assert office.once() == [], "the new run is not what the old one was blocked for"


@pytest.mark.req("P5")
def test_the_first_worker_is_gone_before_the_second_is_there():
    office = an_office("bd-1")
    stalled(office, "bd-1")
    first = office.place.entry("bd-1").worker
    office.once()
    second = office.place.entry("bd-1").worker
    assert first is not None
    assert second is not None
    assert (first.lives, second.lives, first.token == second.token) == (False, True, False)
    assert [(job, order.reason) for job, order in office.place.heard] == [("bd-1", "stalled")]


@pytest.mark.req("P5")
def test_a_worker_that_will_not_die_gets_no_successor_and_counts_no_restart():
    office = an_office("bd-1", "bd-2")
    stalled(office, "bd-1", "bd-2")
    worker = office.place.entry("bd-1").worker
    assert worker is not None
    worker.wedged = True
    lines = office.once()
    assert lines[0].startswith("bd-1 (command): not restarted: bd-1 (pid 4000) was told to end and lives on")
    assert (office.place.job("bd-1").retries, office.place.entry("bd-1").worker) == (0, worker)
    assert lines[1].startswith("bd-2 (command): restarted")


@pytest.mark.req("P36")
def test_a_restart_that_cannot_be_touches_no_worker_is_not_counted_and_stops_nobody_else():
    office = an_office("bd-1", "bd-2", "bd-3")
    stalled(office, "bd-1", "bd-2", "bd-3")
    workers = [one.worker for one in office.place.entries.values()]
    office.agents.readiness = Readiness(False, "agent is not installed", "agent_binary_missing", "pip install agent")
    line = "not restarted: agent is not installed; nothing was started → pip install agent"
    assert office.once() == [f"bd-{number} (command): {line}" for number in (1, 2, 3)]
    assert [one.worker for one in office.place.entries.values()] == workers
    assert all(worker is not None and worker.lives for worker in workers)
    assert [job.retries for job in office.place.all()] == [0, 0, 0]

    office.agents.readiness = Readiness(True, "ready")
    office.place.entry("bd-2").meta["cwd"] = "/no/such/folder"
    office.place.broken["bd-3"] = OSError(28, "No space left on device")
    lines = office.once()
    assert lines[0].startswith("bd-1 (command): restarted")
    assert "bd-2 (command): not restarted: bd-2: its folder /no/such/folder is gone" in lines[1]
    assert workers[1] is not None
    assert workers[1].lives


@pytest.mark.req("P36")
@pytest.mark.parametrize("trouble", [
    OSError(28, "No space left on device"), LaunchFailed("x", "no way"), ValueError("odd"), KeyError("key"),
])
def test_whatever_goes_wrong_with_one_job_is_one_line_with_its_name(trouble):
    office = an_office("bd-1", "bd-2")
    stalled(office, "bd-1", "bd-2")
    office.place.broken["start bd-1"] = trouble
    lines = office.once()
    assert [line for line in lines if line.startswith("bd-1 (command): not restarted: ")] == lines[:1]
    assert lines[1].startswith("bd-2 (command): restarted")


@pytest.mark.req("P36")
def test_a_job_that_cannot_be_judged_is_one_line_too():
    office = an_office("bd-1", "bd-2")
    stalled(office, "bd-2")
    worker = office.place.entry("bd-1").worker
    assert worker is not None
    worker.signs_at = 1e300   # no year of any calendar
    office.place.clock.pass_by(1)
    lines = office.once()
    assert lines[0].startswith("bd-1 (command): not judged: ")
    assert lines[1].startswith("bd-2 (command): restarted")


def test_what_a_pass_judged_is_looked_at_again_before_it_is_done():
    office = an_office("bd-1", "bd-2")
    stalled(office, "bd-1", "bd-2")
    dog = office.watchdog()
    lines = dog.once()
    assert next(lines).startswith("bd-1 (command): restarted")
    office.place.ends("bd-2")   # meanwhile
    assert list(lines) == []
    assert office.place.entry("bd-2").outcome["reason_code"] == "process_exit"


def test_of_two_providers_under_one_id_that_which_stalls_is_restarted():
    office = an_office("bd-1")
    office.place.entry("bd-1").meta["cwd"] = "/tmp"
    office.place.pass_by(MINUTE)
    office.start("bd-1", "other")
    office.place.pass_by(6 * MINUTE)
    first = office.place.entry("bd-1").worker
    assert first is not None
    first.silent = first.idle = True
    office.place.pass_by(STALL)
    assert [line.partition(":")[0] for line in office.once()] == ["bd-1 (command)"]
    assert (office.place.entry("bd-1").begun, office.place.entry("bd-1", "other").begun) == (2, 1)


@pytest.mark.req("P3")
def test_a_run_that_vanished_is_recorded_its_leftovers_end_and_it_is_not_begun_again():
    office = an_office("bd-1")
    office.place.vanishes("bd-1")
    assert office.once() == ["bd-1 (command): gone without an outcome, recorded as lost"]
    entry = office.place.entry("bd-1")
    assert (entry.outcome["state"], entry.outcome["exit_code"]) == ("failed", "-")
    assert entry.worker is not None
    assert not entry.worker.orphan
    assert office.once() == []
    assert entry.begun == 1


@pytest.mark.req("P24")
def test_a_folder_has_one_watchdog_and_observers_are_in_nobody_s_way():
    office = an_office("bd-1")
    stalled(office, "bd-1")
    with office.place.one_watchdog():
        with pytest.raises(WatchdogRuns, match="pid 4711"):
            office.once()
        assert len(office.once(observe_only=True)) == 1
    assert office.place.entry("bd-1").begun == 1
    assert len(office.once()) == 1


@pytest.mark.req("N14")
def test_after_a_leap_a_single_look_waits_for_the_next_heartbeat():
    office = an_office("bd-1", "bd-2")
    stalled(office, "bd-2")
    office.place.clock.pass_by(3600)   # the host slept: nobody has beaten since
    sick = office.place.entry("bd-2").worker
    assert sick is not None

    def wakes() -> None:
        if len(office.pauses) == 5:
            office.place.beat()

    office.before_pause = wakes
    lines = office.once()
    waits = "the clock leapt or the host slept: its next heartbeat is waited for"
    assert lines[:2] == [f"bd-1 (command): {waits}", f"bd-2 (command): {waits}"]
    assert lines[2].startswith("bd-2 (command): restarted")
    assert len(lines) == 3
    assert office.place.entry("bd-1").begun == 1


def test_a_wrapper_that_never_beats_again_is_found_all_the_same():
    office = an_office("bd-1")
    office.place.clock.pass_by(3600)
    lines = office.once()
    assert lines[-1].startswith("bd-1 (command): restarted")
    assert sum(office.pauses, timedelta()) < timedelta(seconds=120)


@pytest.mark.req("C83", "C82")
def test_a_no_op_is_told_once_and_goes_on_until_its_time_limit():
    office = an_office("bd-1", health=replace(Settings(), stall=timedelta(hours=1)))
    worker = office.place.entry("bd-1").worker
    assert worker is not None
    worker.silent = True
    office.place.pass_by(31 * MINUTE)
    (line,) = office.once()
    assert line.startswith("bd-1 (command): no_op: nothing printed and nothing changed for 31m")
    assert worker.lives
    worker.idle = True
    office.place.pass_by(31 * MINUTE)
    (line,) = office.once(stall=timedelta(hours=9))
    assert line.startswith("bd-1 (command): ended (no_mutation): nothing printed and nothing changed for 62m")
    assert office.place.entry("bd-1").outcome["reason_code"] == "no_mutation"
    assert office.once() == []


def test_what_was_said_is_said_again_only_after_it_was_otherwise():
    office = an_office("bd-1")
    worker = office.place.entry("bd-1").worker
    assert worker is not None
    dog = office.watchdog(observe_only=True, interval=timedelta(days=1))
    office.place.pass_by(6 * MINUTE)
    heard = []
    for silent in (True, True, False, True):
        worker.silent = worker.idle = silent
        office.place.pass_by(STALL)
        heard.append(len(list(dog.once())))
    assert heard == [1, 0, 0, 1]


def test_the_prompt_is_read_from_its_file_and_from_what_was_sent_where_that_is_gone():
    office = an_office("bd-1")
    sent: list[str] = []
    submit = office.place.submit
    office.place.submit = lambda spec: sent.append(spec.prompt) or submit(spec)  # type: ignore[method-assign,func-returns-value]
    stalled(office, "bd-1")
    office.once(max_retries=2)
    office.files.there[Path("/p")] = "new"
    stalled(office, "bd-1")
    office.once(max_retries=2)
    assert sent == ["text of /jobs/bd-1.prompt", "text of /p"]
