"""wait as a process: real checks by the shell, its exit codes, one line at the end, nothing left behind by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.program import environ
from tests.support.shelf_bench import TOKEN, Bench

_PROGRAM = """
import sys, typer
from coordinator.cli.jobs import waiting
from coordinator.cli.program import run_program
program = typer.Typer()
waiting.add_to(program)
sys.exit(run_program(program, "wait-for-job", sys.argv[1:]))
"""


def argv(*words: str) -> list[str]:
    return [sys.executable, "-c", _PROGRAM, *words]


def waited(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv(*words), cwd=folder, env=environ(folder, **more), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=50, check=False)  # fmt: skip


def test_it_waits_until_the_output_says_done(tmp_path: Path) -> None:
    check = "echo x >> n; wc -l < n; [ $(wc -l < n) -lt 2 ] || echo state: exited_ok"
    ran = waited(tmp_path, "--check-cmd", check, "--success-regex", "exited_(ok|err)$", "--interval-seconds", "1")
    assert (ran.returncode, ran.stderr) == (0, "check 1: not yet; again in 1 s\n")
    assert ran.stdout.startswith("done: state: exited_ok (check 2, ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--check-cmd", "echo no", "--success-regex", "yes", "--max-attempts", "1"), 1, "no more were allowed"),
        (("--check-cmd", "echo 3 failed", "--failure-regex", "a", "--failure-regex", "failed"), 2, "3 failed"),
        (("--check-cmd", "echo why >&2; exit 4"), 2, "the check ended with 4: why"),
        (("--check-cmd", "exit 4", "--retry-on-nonzero", "--max-attempts", "1"), 1, "the check ended with 4"),
        (("--check-cmd", "echo 0 failed", "--failure-regex", "failed"), 0, "done"),
    ],
)
def test_quietly_there_is_one_line_and_the_old_exit_code(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = waited(tmp_path, "--quiet", *words)
    assert (ran.returncode, ran.stderr) == (code, "")
    [line] = ran.stdout.splitlines()
    assert said in line


def test_when_the_time_is_up_it_looks_once_more_and_ends_with_1(tmp_path: Path) -> None:
    ran = waited(tmp_path, "--check-cmd", "echo x >> n; cat n", "--success-regex", "never", "--timeout-seconds", "1",
                 "--quiet")  # fmt: skip
    assert (ran.returncode, (tmp_path / "n").read_text()) == (1, "x\nx\n")
    assert "time was up (1 s)" in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing option '--check-cmd'"),
        (("--check-cmd", " "), "--check-cmd is empty"),
        (("--check-cmd", "true", "--timeout-seconds", "28801"), "28801 is not in the range"),
        (("--check-cmd", "true", "--success-regex", "("), "--success-regex '(' is no regular expression"),
        (("--check-cmd", "true", "--unknown"), "No such option"),
    ],
)
def test_wrong_usage_ends_with_2_and_asks_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ran = waited(tmp_path, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_what_a_check_prints_cannot_move_the_cursor_or_show_a_key(tmp_path: Path) -> None:
    ran = waited(tmp_path, "--check-cmd", r"printf '\033[2Jlost \033]0;x\007%s\n' $MY_TOKEN", "--failure-regex", "lost",
                 MY_TOKEN="s3cret-s3cret")  # fmt: skip
    assert ran.returncode == 2
    assert "lost ***" in ran.stdout
    assert "\x1b" not in ran.stdout


# --- one thing that is waited for ---


def later(folder: Path, *lines: str) -> subprocess.Popen[bytes]:
    """A shell that does these things while somebody waits."""
    return subprocess.Popen(["sh", "-c", "; ".join(lines)], cwd=folder)


@pytest.mark.req("D48")
@pytest.mark.parametrize("happens", [
    ("echo begun > w.log", "sleep 0.4", "echo 'state: done' >> w.log"),
    ("sleep 0.6", "echo 'state: done' > w.log"),
    ("echo begun > w.log", "sleep 0.6", "mv w.log w.log.1", "echo 'state: done' > w.log"),
    ("echo a long beginning > w.log", "sleep 0.6", "echo 'state: done' > w.log"),
    ("printf 'state: done' > w.log",),
], ids=["grows", "comes later", "is rotated", "is cut", "has no newline yet"])  # fmt: skip
def test_a_line_in_a_file_is_waited_for_whatever_becomes_of_the_file(tmp_path: Path, happens: tuple[str, ...]) -> None:
    other = later(tmp_path, *happens)
    ran = waited(tmp_path, "--file", "w.log", "--regex", "state: (done|lost)$", "--timeout", "30s", "--quiet")
    other.wait()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("met after ")
    assert ran.stdout.endswith(" s: state: done\n")


def test_a_line_at_the_end_of_a_huge_file_is_found(tmp_path: Path) -> None:
    with (tmp_path / "w.log").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\nstate: done\nmore\n")
    ran = waited(tmp_path, "--file", "w.log", "--regex", "^state", "--timeout", "30s", "--quiet")
    assert (ran.returncode, ran.stdout.split(": ", 1)[1]) == (0, "state: done\n")


def test_a_line_that_does_not_come_ends_with_1_and_how_long_it_was_waited_for(tmp_path: Path) -> None:
    (tmp_path / "w.log").write_text("state: running\n")
    ran = waited(tmp_path, "--file", "w.log", "--regex", "done", "--timeout", "300ms")
    assert (ran.returncode, ran.stdout) == (1, "not met within 0.3 s: no line of w.log has 'done'\n")
    assert ran.stderr == "waiting, 0.3 s at most\n"


@pytest.mark.req("D47", "P67")
@pytest.mark.parametrize("words", [
    ("--command", "sleep 40", "--timeout", "1s"),
    ("--check-cmd", "sleep 40", "--timeout-seconds", "1"),
    ("--command", "false", "--timeout", "1s", "--interval", "1h"),
    ("--check-cmd", "exit 3", "--retry-on-nonzero", "--timeout-seconds", "1", "--interval-seconds", "3600"),
])  # fmt: skip
def test_neither_a_slow_command_nor_a_long_interval_overshoots_the_time(tmp_path: Path, words: tuple[str, ...]) -> None:
    began = time.monotonic()
    ran = waited(tmp_path, *words, "--quiet")
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1
    assert 1 <= time.monotonic() - began < 20


@pytest.mark.req("P67")
def test_a_count_of_no_failures_is_none(tmp_path: Path) -> None:
    said = "echo 0 Failed, all Complete"
    old = waited(tmp_path, "--check-cmd", said, "--success-regex", "Complete", "--failure-regex", "(?i)failed")
    new = waited(tmp_path, "--command", said, "--regex", "all Complete", "--timeout", "5s")
    assert (old.returncode, new.returncode) == (0, 0)


def test_a_command_is_asked_again_until_it_ends_well_and_prints_the_pattern(tmp_path: Path) -> None:
    check = "echo x >> n; [ $(wc -l < n) -ge 3 ] && echo ready now; [ $(wc -l < n) -ge 2 ]"
    ran = waited(tmp_path, "--command", check, "--regex", "ready", "--interval", "100ms", "--timeout", "30s", "--quiet")
    assert (ran.returncode, (tmp_path / "n").read_text()) == (0, "x\nx\nx\n")
    assert ran.stdout.endswith(": ready now\n")


@pytest.mark.req("D50")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--command", "true", "--timeout", "9h"), "one cycle is 8h at most"),
        (("--command", "true", "--timeout", "soon"), "--timeout 'soon'"),
        (("--command", "true", "--job", "bd-1"), "--command and --job: wait for one thing"),
        (("--command", "true", "--max-attempts", "3"), "--max-attempts belongs to --check-cmd"),
        (("--check-cmd", "true", "--timeout", "3s"), "--timeout means nothing to --check-cmd"),
        (("--file", "w.log"), "--file needs --regex"),
        (("--regex", "x"), "what is waited for?"),
        (("--job", "bd-1", "--regex", "x"), "--regex means nothing to --job"),
        (("--file", ".", "--regex", "x"), ". is no plain file"),
        (("--file", "w.log", "--regex", "("), "--regex '(' is no regular expression"),
        (("--job", "bd-1", "--log-dir", "jobs"), "job bd-1 is missing"),
        (("--batch", "bd-", "--log-dir", "jobs"), "'bd-' is no batch: prefix:P, label:L or plan:P"),
    ],
)
def test_what_cannot_be_waited_for_is_refused_at_once(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ran = waited(tmp_path, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_jobs_are_waited_for_until_all_have_ended_well_or_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for job, state in (("bd-1", "success"), ("bd-2", "failed")):
        bench.ours(job)
        bench.put(f"{job}.outcome", {"token": TOKEN, "state": state, "exit_code": "0", "reason_code": "process_exit"})
    ran = waited(tmp_path, "--job", "bd-1", "--job", "bd-2", "--log-dir", "jobs", "--quiet")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith(": bd-1 exited_ok (process_exit), bd-2 exited_err (process_exit)\n")


def test_a_job_that_goes_on_is_waited_for_until_the_time_is_up(tmp_path: Path) -> None:
    Bench(tmp_path).ours("bd-1", os.getpid())
    ran = waited(tmp_path, "--job", "bd-1", "--log-dir", "jobs", "--timeout", "300ms", "--quiet")
    assert (ran.returncode, ran.stdout) == (1, "not met within 0.3 s: bd-1 is starting\n")


def test_interrupted_it_ends_with_130_and_takes_the_check_along(tmp_path: Path) -> None:
    child = subprocess.Popen(argv("--check-cmd", "echo $$ > pid; sleep 300"), cwd=tmp_path, env=environ(tmp_path),
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        pid = _number_in(tmp_path / "pid")
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
        assert (child.returncode, said) == (130, "interrupted after 0 checks\n")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        child.kill()
        child.wait()


def _number_in(path: Path) -> int:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")
