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
