"""What a worker on another host prints is seen here while it runs, by those who follow it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.fake_ssh import FakeSsh
from tests.support.running import a_daemon, environ
from tests.support.workers import until
from tests.support.yard import Yard, a_yard

HOST = """
[hosts.epyc12]
address = "epyc12"
ssh = ["{ssh}"]
python = "{python}"
slots = 1
"""
TALKS = """
for word in ("first", "second", "third"):
    say(f"the {{word}} line")
    while not os.path.exists({folder!r} + "/after-" + word): time.sleep(0.05)
commit(); result()
"""


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """One of which every task goes to a host that sees nothing of ours."""
    net = FakeSsh(tmp_path / "net")
    net.host("epyc12")
    with a_yard(tmp_path / "yard", more=HOST.format(ssh=net.bin / "ssh", python=sys.executable)) as made:
        made.environ.update(COORDINATOR_WORKERS_EXECUTOR="ssh", COORDINATOR_WORKERS_STALL="60s")
        yield made


class Follower:
    """A command of ours that follows a worker, its output in a file."""

    def __init__(self, yard: Yard, stack: ExitStack, *argv: str) -> None:
        self._out = yard.folder / f"{argv[0]}.followed"
        with self._out.open("wb") as out:
            self.child = subprocess.Popen([sys.executable, "-m", "coordinator", *argv, "--follow"], cwd=yard.clone,
                                          env=environ(yard), stdin=subprocess.DEVNULL, stdout=out)  # fmt: skip
        stack.callback(self.child.wait)
        stack.callback(self.child.kill)

    def shows(self, word: str) -> bool:
        return f"the {word} line" in self._out.read_text("utf-8")


def test_those_who_follow_a_worker_on_another_host_read_each_line_while_it_runs(yard: Yard) -> None:
    number = yard.issue(script=TALKS.format(folder=str(yard.folder)))
    with a_daemon(yard) as daemon, ExitStack() as stack:
        job, log = f"gh-{number}", yard.clone / ".coordinator" / "jobs" / "command" / f"gh-{number}.log"
        daemon.until(lambda: log.exists() and "first" in log.read_text("utf-8"))
        assert daemon.attempts(number)[0].host == "epyc12"
        followers = [Follower(yard, stack, "job", "tail", "--beads", job), Follower(yard, stack, "view", job)]
        for word, later in (("first", "second"), ("second", "third")):
            for one in followers:
                until(lambda one=one, word=word: one.shows(word), f"the {word} line")
                assert not one.shows(later)
            daemon.until_state(number, "RUNNING")
            (yard.folder / f"after-{word}").touch()
        for one in followers:
            until(lambda one=one: one.shows("third"), "the third line")
        (yard.folder / "after-third").touch()
        daemon.until_state(number, "IN_REVIEW")
        assert [one.child.wait(30) for one in followers] == [0, 0]
        assert daemon.end() == 0
