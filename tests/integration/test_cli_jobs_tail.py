"""`tail`: the last lines of a log as a person may see them, whatever the agent printed; and what is written after."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.system.processes import wait_until
from coordinator.cli.jobs.tailing import LONGEST, start_of_last
from tests.support.byhand import in_a_terminal
from tests.support.program import environ
from tests.support.shelf_bench import TOKEN, Bench, bench, sleeper

__all__ = ["bench", "sleeper"]

SECRET = "ghp_0123456789abcdefghijklmnopqrstuvwx"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nMIIdef\n-----END RSA PRIVATE KEY-----\n"


def argv(bench: Bench, *options: str) -> list[str]:
    return [sys.executable, "-m", "coordinator", "job", "tail", "--log-dir", str(bench.folder), "--beads", "bd-1",
            *options]  # fmt: skip


def tail(bench: Bench, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv(bench, *options), env=environ(bench.folder.parent), text=True, errors="replace",
                          capture_output=True, timeout=50, check=True)  # fmt: skip


@pytest.fixture
def job(bench: Bench, sleeper: int) -> Bench:
    bench.ours("bd-1", sleeper)
    return bench


@pytest.mark.req("A32", "A114", "A130", "A64")
@pytest.mark.parametrize(("options", "first", "count"), [((), 81, 20), (("--lines", "3"), 98, 3),
                                                         (("--lines", "1000"), 1, 100), (("--lines", "0"), 0, 0)])
def test_the_last_lines_are_printed(job: Bench, options: tuple[str, ...], first: int, count: int) -> None:
    job.put("bd-1.log", "".join(f"line {number}\n" for number in range(1, 101)))
    lines = tail(job, *options).stdout.splitlines()
    assert len(lines) == count
    assert lines[:1] == ([f"line {first}"] if count else [])


def test_a_last_line_without_its_end_counts_and_stderr_goes_to_stderr(job: Bench) -> None:
    job.put("bd-1.log", "one\ntwo\nthree")
    job.put("bd-1.err", "warned\n")
    ran = tail(job, "--lines", "2")
    assert (ran.stdout, ran.stderr) == ("two\nthree\n", "warned\n")


def test_a_job_that_printed_nothing_says_so(job: Bench) -> None:
    assert (tail(job).stdout, "nothing was printed yet" in tail(job).stderr) == ("", True)


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line), max_size=30), st.integers(1, 12),
       st.booleans())  # fmt: skip
def test_the_place_of_the_last_lines_is_that_of_counting_them(lines: list[bytes], number: int, ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    kept = data.split(b"\n")[:-1] if data.endswith(b"\n") else data.split(b"\n")
    end = b"\n" if data.endswith(b"\n") else b""
    fd = os.memfd_create("log")
    try:
        os.write(fd, data)
        assert data[start_of_last(fd, number):] == (b"\n".join(kept[-number:]) + end if data else b"")
    finally:
        os.close(fd)


# --- harmless and masked --------------------------------------------------------------------------------

PAINTED = "\x1b[32mgreen\x1b[0m \x1b]0;title\x07\x1b[?25l\x1b(B\x1b[2Jplain\r\n"


@pytest.mark.req("A33", "A65", "P18", "B90")
def test_no_ansi_leaves_not_one_escape(job: Bench) -> None:
    job.put("bd-1.log", PAINTED)
    assert tail(job, "--no-ansi").stdout == "green plain\n"
    assert tail(job).stdout == "green plain\n"   # no terminal: the same


@pytest.mark.req("A65", "P18")
def test_on_a_terminal_colours_stay_and_nothing_else_does(job: Bench) -> None:
    job.put("bd-1.log", PAINTED)
    env = {**environ(job.folder.parent), "TERM": "xterm"}
    assert in_a_terminal(argv(job), env, job.folder).startswith("\x1b[32mgreen\x1b[0m plain\r\n")
    assert in_a_terminal(argv(job, "--no-ansi"), env, job.folder) == "green plain\r\n"
    assert in_a_terminal(argv(job), {**env, "NO_COLOR": "1"}, job.folder) == "green plain\r\n"


@pytest.mark.parametrize("log", [
    f"token is {SECRET}\n", f"ghp_\x1b[1m{SECRET[4:]}\n", f"{KEY}after\n", f"ANTHROPIC_AUTH_TOKEN={SECRET}\n",
])
def test_secrets_are_taken_out_coloured_or_over_several_lines(job: Bench, log: str) -> None:
    job.put("bd-1.log", log)
    said = tail(job).stdout + in_a_terminal(argv(job), {**environ(job.folder.parent), "TERM": "xterm"}, job.folder)
    assert SECRET[4:] not in said
    assert "MIIabc" not in said
    assert "MIIdef" not in said
    assert "***" in said


def test_a_key_that_began_above_the_shown_lines_is_hidden_to_its_end(job: Bench) -> None:
    job.put("bd-1.log", "before\n" + KEY + "after\n")
    assert tail(job, "--lines", "3").stdout == "***\n***\nafter\n"


def test_bytes_that_are_no_text_are_shown_as_such(job: Bench) -> None:
    job.put("bd-1.log", b"\xff\xfe\x00 a\nb\n")
    assert tail(job).stdout.splitlines()[-1] == "b"


# --- large ----------------------------------------------------------------------------------------------


def test_a_huge_line_is_cut_in_memory_that_stays_small(job: Bench) -> None:
    path = job.put("bd-1.log", "first\n")
    with path.open("ab") as log:
        log.write(b"x" * (40 << 20) + b"\nlast\n")
    code = ("import sys\nfrom coordinator.app.faces import COORDINATOR\n"
            "from coordinator.cli.jobs.faces import run_as\ncode = run_as(COORDINATOR, sys.argv[1:])\n"
            "print(*[line for line in open('/proc/self/status') if 'VmHWM' in line], file=sys.stderr)\n"
            "sys.exit(code)\n")
    ran = subprocess.run([sys.executable, "-c", code, *argv(job)[4:]], env=environ(job.folder.parent), text=True,
                         capture_output=True, timeout=50, check=True)  # fmt: skip
    head, cut, last = ran.stdout.splitlines()
    assert (head, last) == ("first", "last")
    assert len(cut) < LONGEST + 100
    assert "not shown" in cut
    assert int(ran.stderr.split()[-2]) < 64 << 10   # kB


# --- following ------------------------------------------------------------------------------------------


class Follower:
    """`tail --follow` as a process, its output in a file."""

    def __init__(self, bench: Bench) -> None:
        self.out = bench.folder.parent / "followed"
        with self.out.open("wb") as out:
            self.child = subprocess.Popen(argv(bench, "--follow"), env=environ(bench.folder.parent), stdout=out)

    def saw(self, text: str) -> bool:
        return wait_until(lambda: self.out.read_text() == text, 40)


@pytest.fixture
def follower(job: Bench) -> Iterator[Follower]:
    job.put("bd-1.log", "one\n")
    made = Follower(job)
    try:
        assert made.saw("one\n")
        yield made
    finally:
        made.child.kill()
        made.child.wait()


def append(bench: Bench, text: str) -> None:
    with (bench.folder / "bd-1.log").open("a") as log:
        log.write(text)


def test_following_shows_what_comes_and_ends_with_the_job(job: Bench, follower: Follower) -> None:
    append(job, "two\nthr")
    assert follower.saw("one\ntwo\n")
    append(job, "ee\n")
    assert follower.saw("one\ntwo\nthree\n")
    time.sleep(1.5)
    assert follower.child.poll() is None   # it runs as long as the job does
    append(job, "last words")
    job.put("bd-1.outcome", {"token": TOKEN, "state": "success", "exit_code": "0"})
    assert follower.child.wait(20) == 0
    assert follower.saw("one\ntwo\nthree\nlast words\n")


@pytest.mark.req("A47", "A59")
def test_following_goes_on_in_the_new_log_after_a_restart(job: Bench, follower: Follower, sleeper: int) -> None:
    append(job, "end of the first\n")
    job.put("bd-1.outcome", {"token": TOKEN, "state": "killed", "exit_code": "143"})
    (job.folder / "bd-1.log").rename(job.folder / "bd-1.log.1")
    (job.folder / "bd-1.outcome").rename(job.folder / "bd-1.outcome.1")
    job.ours("bd-1", sleeper, token="b" * 32)
    job.put("bd-1.log", "start of the second\n")
    assert follower.saw("one\nend of the first\nstart of the second\n")
    job.put("bd-1.outcome", {"token": "b" * 32, "state": "success", "exit_code": "0"})
    assert follower.child.wait(20) == 0


def test_a_log_deleted_under_a_follower_does_not_end_it(job: Bench, follower: Follower) -> None:
    Path(job.folder / "bd-1.log").unlink()
    time.sleep(1.0)
    assert follower.child.poll() is None
    job.put("bd-1.log", "anew\n")
    assert follower.saw("one\nanew\n")
