"""On a terminal: colours only where they are wanted, and nothing left behind by what filled the screen."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import a_repository, environ

LEAVES_SCREEN, SHOWS_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"


@dataclass
class Terminal:
    """A pseudo-terminal with one repository on it, whose board has one blocked task with a long title."""

    root: Path
    screen: int
    keyboard: int
    seen: bytes = b""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *argv: str, columns: int = 80, **more: str) -> subprocess.Popen[bytes]:
        self.resize(columns)
        env = environ(self.root.parent, **{"TERM": "xterm", **more})
        del env["COLUMNS"]
        child = subprocess.Popen([sys.executable, "-m", "coordinator", *argv], cwd=self.root, env=env,
                                 stdin=self.keyboard, stdout=self.keyboard, stderr=self.keyboard)  # fmt: skip
        self.started.append(child)
        return child

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def until(self, words: bytes, seconds: float = 20) -> bytes:
        """All that was printed since the last call, once these words are among it."""
        end, found = time.monotonic() + seconds, b""
        while words not in found:
            assert time.monotonic() < end, found
            if select.select([self.screen], [], [], 0.1)[0]:
                found += os.read(self.screen, 65536)
        self.seen += found
        return found

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.keyboard)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    root = a_repository(tmp_path / "widgets")
    (root / ".coordinator").mkdir()
    row = {"id": "gh-471", "issue": 471, "state": "BLOCKED", "title": "One " * 60, "reason": "max_retries"}
    (root / ".coordinator" / "board.json").write_text(json.dumps({"generated_at": "x", "tasks": [row]}))
    screen, keyboard = pty.openpty()
    made = Terminal(root, screen, keyboard)
    yield made
    for child in made.started:
        child.kill()
        child.wait()
    os.close(screen)
    os.close(keyboard)


@pytest.mark.parametrize("leave", ["q", "ctrl-c"])
def test_q_or_ctrl_c_leaves_the_watched_status_and_the_terminal_as_before(terminal: Terminal, leave: str) -> None:
    before = terminal.settings()
    child = terminal.start("status", "--watch")
    terminal.until(b"gh-471")
    if leave == "q":
        os.write(terminal.screen, b"q")
    else:
        child.send_signal(signal.SIGINT)
    terminal.until(LEAVES_SCREEN)
    assert child.wait(10) == 0
    assert SHOWS_CURSOR in terminal.seen
    assert b"Traceback" not in terminal.seen
    assert terminal.settings() == before


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_status_is_wider_than_the_terminal(terminal: Terminal, columns: int) -> None:
    child = terminal.start("status", columns=columns, NO_COLOR="1")
    said = terminal.until(b"gh-471")
    assert child.wait(10) == 0
    lines = said.decode().replace("\r", "").splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("One" in line for line in lines) <= 1


def test_colours_are_for_terminals_that_want_them(terminal: Terminal) -> None:
    terminal.start("status").wait(20)
    assert b"\x1b[31m" in terminal.until(b"gh-471")
    for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        terminal.start("status", **more).wait(20)
        assert b"\x1b" not in terminal.until(b"gh-471")
