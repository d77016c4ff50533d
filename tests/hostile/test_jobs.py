"""The job runner under those who start it, kill it and edit its files as nobody should: the real program."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from coordinator.adapters.executors.shelf import Shelf
from coordinator.adapters.system import seam
from coordinator.app import jobs, verbs
from coordinator.app.faces import COORDINATOR as COORDINATOR_FACE
from coordinator.domain.worker import Running, Waiting
from coordinator.engine.jobs import ending
from coordinator.ports import StopOrder
from coordinator.runfiles import atomic
from tests.support.byhand import COORDINATOR, Hand, entry, hand
from tests.support.job_place import Office
from tests.support.workers import until

__all__ = ["hand"]


@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-"])
def test_a_caller_that_closed_the_standard_streams_gets_a_job_and_its_exit_code(hand: Hand, closed: str) -> None:
    line = [*entry(COORDINATOR), "start", "--log-dir", str(hand.jobs), "--beads", "bd-1", "--provider", "command",
            "--prompt-file", str(hand.prompt()), "--", "sh", "-c", "cat; echo heard"]  # fmt: skip
    script = f"{shlex.join(line)} {closed}"
    ran = subprocess.run(["sh", "-c", script], cwd=hand.root, env=hand.environ(), capture_output=True, text=True,
                         timeout=50, check=False)  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert hand.outcome()["state"] == "success"
    assert hand.said() == "do it\nheard\n"
    for verb in ("status", "check --beads bd-1", "tail --beads bd-1"):
        words = [*entry(COORDINATOR), *hand.line(tuple(verb.split()))]
        ran = subprocess.run(["sh", "-c", f"{shlex.join(words)} {closed}"], cwd=hand.root, env=hand.environ(),
                             capture_output=True, text=True, timeout=50, check=False)  # fmt: skip
        assert (ran.returncode, ran.stderr.count("bug")) == (0, 0)


def dies_at(number: int, act: Callable[[], object]) -> bool:
    """Does this in a process of its own, which is gone at the given write; whether it came so far."""
    child = os.fork()
    if child == 0:
        writes = count(1)

        def watcher(when: str, kind: str, what: str) -> None:
            if next(writes) == number:
                os._exit(137)

        try:
            seam.watch(watcher)
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137


def a_desk(hand: Hand) -> verbs.Desk:
    return jobs.desk(COORDINATOR_FACE, str(hand.jobs), hand.environ(), lambda _: None)


def an_order(hand: Hand, *argv: str, provider: str = "command") -> verbs.Order:
    return verbs.Order("bd-1", provider, "do it\n", str(hand.prompt()), hand.root, argv=argv)


def ends(hand: Hand) -> list[str]:
    """The reason of every outcome that lies there, the present one last."""
    found = sorted(hand.jobs.glob("bd-1.outcome*"), key=lambda path: (path.suffix == ".outcome", path.name))
    return [(atomic.read_pairs(str(path)) or {})["reason_code"] for path in found]


@pytest.mark.parametrize("verb", ["start", "restart", "refused"])
def test_a_verb_that_is_killed_at_any_write_makes_no_lost_run_of_one_that_ended_and_can_be_repeated(
    hand: Hand, verb: str
) -> None:
    refused = an_order(hand, "no-such-program-of-the-tests")
    acts: dict[str, Callable[[], object]] = {
        "start": lambda: verbs.start(a_desk(hand), an_order(hand, "true")),
        "restart": lambda: verbs.restart(a_desk(hand), "bd-1", verbs.Again("again\n")),
        "refused": lambda: verbs.start(a_desk(hand), refused),
    }
    verbs.start(a_desk(hand), an_order(hand, "true"))
    hand.outcome()
    long_ago = time.time() - 3600
    for number in range(1, 60):
        runs = len(ends(hand))
        os.utime(hand.file("spec"), (long_ago, long_ago))
        killed = dies_at(number, acts[verb])
        until(lambda: hand.pids() == [], "the end of a run that was begun")
        assert "lost" not in ends(hand)
        job = jobs.shelf(COORDINATOR_FACE, str(hand.jobs), hand.environ()).of("bd-1")[0]
        begun = hand.pairs("meta")["token"] != hand.pairs("outcome").get("token")
        assert begun == isinstance(job.view, Waiting), number
        verbs.start(a_desk(hand), an_order(hand, "true"))
        assert hand.outcome()["state"] == "success"
        assert len(ends(hand)) > runs
        if not killed:
            return
    raise AssertionError("it writes without an end")


def test_numbers_of_any_length_in_a_jobs_files_are_that_jobs_trouble_alone(tmp_path: Path) -> None:
    most = "9" * 5000
    (tmp_path / "a.meta").write_text(f"provider=command\nretries={most}\nfence={most}\n")
    (tmp_path / "b.pid").write_text(most)
    (tmp_path / "b.log.\N{SUPERSCRIPT TWO}").write_text("kept")
    (tmp_path / "b.log").write_text("kept too")
    shelf = Shelf(tmp_path, flat=True)
    a, b = shelf.all()
    assert (a.retries, a.fence, b.faults) == (0, 0, ("pid: no process id",))
    shelf.refuse("command", "b", {"state": "failed"})
    assert (tmp_path / "b.log.1").read_text() == "kept too"


def test_a_job_whose_record_was_removed_or_spoilt_is_started_anew(hand: Hand) -> None:
    for _ in range(3):
        verbs.start(a_desk(hand), an_order(hand, "true"))
        hand.outcome()
    for kind in ("meta", "heartbeat", "outcome"):
        hand.file(kind).unlink()
        verbs.start(a_desk(hand), an_order(hand, "true"))
        assert hand.outcome()["state"] == "success"
    for spoilt in (b"9" * 5000, b"\0\xff=", b"9" * 15, b""):
        for kind in ("meta", "heartbeat", "fence"):
            hand.file(kind).write_bytes(spoilt)
        verbs.start(a_desk(hand), an_order(hand, "true"))
        assert hand.outcome()["state"] == "success"


def test_a_start_that_died_before_the_clock_was_set_back_is_over(hand: Hand) -> None:
    verbs.start(a_desk(hand), an_order(hand, "true"))
    hand.outcome()
    for kind in ("heartbeat", "outcome"):
        hand.file(kind).unlink()
    to_come = time.time() + 7200
    os.utime(hand.file("fence"), (to_come, to_come))
    assert list(verbs.prune(a_desk(hand))) == ["bd-1 (command): recorded as lost"]


def meanwhile(office: Office, act: Callable[[], object]) -> None:
    """Once, just before the lock of starts is given: whoever held it has done this."""
    given = office.place.one_start

    @contextmanager
    def after_it() -> Iterator[None]:
        office.place.one_start = given  # type: ignore[method-assign]
        act()
        with given():
            yield

    office.place.one_start = after_it  # type: ignore[method-assign]


def test_a_stop_ends_the_run_that_a_restart_begins_at_the_same_moment() -> None:
    office = Office()
    office.start("bd-1")
    first = office.place.job("bd-1").token
    meanwhile(office, lambda: office.restart("bd-1"))
    ended = ending.stop(office.desk, "bd-1")
    assert (ended.acted, ended.job.outcome["reason_code"]) == (True, "manual_stop")
    assert ended.job.token != first
    assert office.place.live() == ()
    assert len(office.place.entry("bd-1").rotated) == 1


def test_a_run_that_took_the_place_of_the_one_to_end_is_left_alone() -> None:
    office = Office()
    office.start("bd-1")
    first = office.place.job("bd-1")
    office.restart("bd-1")
    now = ending.end_run(office.desk, first, StopOrder("no_mutation", "idle"))
    assert isinstance(now.view, Running)
    assert office.place.entry("bd-1").own == {}


def test_a_stop_during_a_start_waits_for_it_and_one_that_died_gets_its_outcome() -> None:
    office = Office()
    office.start("bd-1")
    worker, office.place.entry("bd-1").worker = office.place.entry("bd-1").worker, None

    def claims() -> None:
        office.place.entry("bd-1").worker = worker

    meanwhile(office, claims)
    assert ending.stop(office.desk, "bd-1").job.outcome["reason_code"] == "manual_stop"
    office.start("bd-2")
    office.place.entry("bd-2").worker = None
    ended = ending.finalize(office.desk, "bd-2", "given_up", 7)
    assert (ended.acted, ended.job.outcome["reason_code"], ended.job.outcome["exit_code"]) == (True, "given_up", "7")


def test_a_block_is_never_put_on_a_run_that_a_person_begins_at_the_same_moment() -> None:
    office = Office()
    office.start("bd-1")
    office.place.stalls("bd-1")
    office.place.pass_by(timedelta(minutes=30))
    meanwhile(office, lambda: office.restart("bd-1"))
    assert office.once(max_retries=0) == []
    assert not office.place.job("bd-1").blocked
