"""What a program prints is kept within bounds: its last words where they are for people, else all or a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.system import run as funnel
from coordinator.adapters.system.run import TOO_MUCH, run

ENV = {"PATH": os.environ["PATH"]}
MB = 1 << 20


def shell(line: str, **options: int) -> funnel.Ran:
    return run(["/bin/sh", "-c", line], env=ENV, timeout=30, **options)


def test_the_last_words_of_each_stream_are_kept_and_the_exit_code_is_the_programs_own() -> None:
    ran = shell(f"head -c {3 * MB} /dev/zero; echo; echo out; head -c {3 * MB} /dev/zero >&2; echo err >&2; exit 3",
                last=MB)
    assert ran.code == 3
    assert (len(ran.out), ran.out.splitlines()[-1]) == (MB, "out")
    assert (len(ran.err), ran.err[-4:]) == (MB, "err\n")


def test_a_program_that_prints_for_ever_ends_with_its_time_not_with_our_memory() -> None:
    """In a process of its own, whose memory files are measured while it waits."""
    code = textwrap.dedent(f"""
        import threading
        from pathlib import Path
        from coordinator.adapters.system.run import run
        seen, over = [], threading.Event()
        def boxes():
            for fd in Path("/proc/self/fd").iterdir():
                try:
                    if "memfd:" in str(fd.readlink()):
                        yield fd.stat().st_size
                except OSError:
                    pass
        def look():
            while not over.wait(0.02):
                seen.append(max(boxes(), default=0))
        looking = threading.Thread(target=look)
        looking.start()
        line = "while :; do head -c 1000000 /dev/zero; sleep 0.01; done"
        ran = run(["/bin/sh", "-c", line], env={ENV!r}, timeout=3, last=100_000)
        over.set()
        looking.join()
        print(ran.code, max(seen), len(ran.out))
        """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    code_, largest, kept = map(int, done.stdout.split())
    assert (code_, kept) == (funnel.TIMED_OUT, 100_000)
    assert largest < 60 * MB


def test_where_all_is_needed_too_much_is_a_failure_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funnel, "WHOLE", MB)
    endless = shell("cat /dev/zero")
    ended = shell(f"head -c {MB + 1} /dev/zero")
    for ran in (endless, ended):
        assert (ran.code, ran.ok) == (TOO_MUCH, False)
        assert ran.err.endswith("/bin/sh: printed more than 1 MB; ended, since a part of it is of no use\n")
    assert shell(f"head -c {MB} /dev/zero").ok


def test_what_a_program_leaves_running_cannot_fill_our_memory_afterwards(tmp_path: Path) -> None:
    left = tmp_path / "left"
    line = f"(trap '' TERM; while [ ! -e {left}.go ]; do sleep 0.02; done; echo more || echo refused > {left}) &"
    assert shell(f'setsid sh -c "{line}"').ok
    (tmp_path / "left.go").touch()
    subprocess.run(["sh", "-c", f"for n in $(seq 200); do [ -s {left} ] && exit; sleep 0.05; done; exit 1"], check=True)
    assert left.read_text() == "refused\n"


@pytest.mark.parametrize("content", ["", "echo no first line that names a shell", "\x7fELF of another machine"])
def test_a_file_that_no_machine_can_start_is_a_program_that_is_not_there(tmp_path: Path, content: str) -> None:
    program = tmp_path / "op"
    program.write_text(content)
    program.chmod(0o755)
    ran = run([str(program)], env=ENV)
    assert (ran.code, "Exec format error" in ran.err) == (127, True)


def test_ctrl_c_while_a_program_is_being_started_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def slow(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        os.kill(os.getpid(), signal.SIGINT)   # it came before anybody knew of the child
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", slow)
    with pytest.raises(KeyboardInterrupt):
        run(["sleep", "300"], env=dict(os.environ))
    assert started[0].returncode == -signal.SIGKILL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("argv", [["no-such-program-here"], ["echo", "a\0b"]])
def test_ctrl_c_is_heard_again_after_a_program_that_could_not_be_started(argv: list[str]) -> None:
    with suppress(ValueError):
        run(argv, env=dict(os.environ))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
