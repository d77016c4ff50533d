"""`--watch` on a terminal: in one place of the screen, within width and height, and the terminal as it was after it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.support.program import environ
from tests.support.shelf_bench import Bench, bench, sleeper

__all__ = ["bench", "sleeper"]

LINES, COLUMNS = 12, 60
PICTURE, LEAVES_SCREEN, CLEARS = b"\x1b[H", b"\x1b[?1049l", b"\x1b[2J"


@pytest.mark.parametrize("command", ["status", "health"])
def test_the_picture_keeps_within_the_terminal_and_is_drawn_anew_in_its_place(
    bench: Bench, sleeper: int, command: str
) -> None:
    for number in range(30):
        bench.ours(f"job-{number:02d}-{'x' * 40}", sleeper)
    screen, keyboard = pty.openpty()
    fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    before = termios.tcgetattr(keyboard)
    env = {**environ(bench.folder.parent), "TERM": "xterm"}
    del env["COLUMNS"]
    child = subprocess.Popen([sys.executable, "-m", "coordinator", "job", command, "--watch", "--log-dir",
                              str(bench.folder)], stdin=keyboard, stdout=keyboard, stderr=keyboard, env=env)
    try:
        said = _until(screen, lambda text: text.count(PICTURE) >= 3)
        os.write(screen, b"q")
        said += _until(screen, lambda text: LEAVES_SCREEN in text)
        assert child.wait(10) == 0
        assert termios.tcgetattr(keyboard) == before
    finally:
        child.kill()
        child.wait()
        os.close(screen)
        os.close(keyboard)
    second = said.split(PICTURE)[2]
    lines = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", second).decode().splitlines()
    assert len([line for line in lines if line.strip()]) <= LINES
    assert max(len(line.rstrip()) for line in lines) <= COLUMNS
    assert "job-00-xxx" in "".join(lines)
    assert "running" in "".join(lines) or "starting" in "".join(lines)
    assert CLEARS not in second   # drawn over, not wiped first: that is what flickers


def _until(screen: int, met: object) -> bytes:
    end, found = time.monotonic() + 20, b""
    while not met(found):  # type: ignore[operator]
        assert time.monotonic() < end, found
        if select.select([screen], [], [], 0.1)[0]:
            found += os.read(screen, 65536)
    return found
