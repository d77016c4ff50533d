"""The job runner under those who start it, kill it and edit its files as nobody should: the real program."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.support.byhand import COORDINATOR, Hand, entry, hand

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
