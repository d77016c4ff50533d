"""`coordinator view --summary` as people start it, on what a transcript may hold at its worst; and that no stream grows
its readers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import CHECKOUT, a_repository, environ
from tests.support.program import program as coordinator

STARTED = {"type": "system", "subtype": "coordinator_started", "task": "gh-471", "provider": "gemini", "attempt": 2,
           "timestamp": "2026-01-02T03:04:05Z"}  # fmt: skip
ENDED = {"type": "system", "subtype": "coordinator_ended", "how": "exit 0", "timestamp": "2026-01-02T03:14:05Z"}
CALLED = {"type": "assistant", "message": {"id": "m1", "content": [
    {"type": "tool_use", "id": "t1", "name": "Bash\x1b[31m", "input": {"command": "true"}}],
    "usage": {"input_tokens": 1200, "output_tokens": 34}}}  # fmt: skip
BACK = {"type": "user", "message": {"content": [
    {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}]}}  # fmt: skip
HOSTILE = (
    b'{"type":"assist\n', b"\0" * 70_000, b"\n\xff\xfe\xc3\x28\n", b"Warning: stderr came between\n",
    b'{"type":"user","message":{"content":"' + b"long " * (2 << 20) + b'"}}\n',
    b'{"type":"user","message":{"content":[{"type":"tool_result","is_error":tr\n', b"[" * 100_000, b"\n",
)  # fmt: skip


def line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = a_repository(tmp_path / "widgets")
    (root / "logs").mkdir()
    (root / "logs" / "gh-471.jsonl").write_bytes(b"".join((*map(line, (STARTED, CALLED, BACK)), *HOSTILE, line(ENDED))))
    return root


@pytest.mark.req("N12")
def test_the_account_is_told_to_people_without_a_colour_or_an_escape(repository: Path) -> None:
    for more in ({}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}):
        ran = coordinator(repository, "view", "471", "--summary", TZ="UTC", **more)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.splitlines() == [
            "gh-471 · attempt 2 · gemini · 03:04:05 → 03:14:05 (10m 00s) · exit 0",
            "tokens      1,200 in · 34 out",
            "events      5 · 2026-01-02 03:04:05 → 2026-01-02 03:14:05",
            "messages    0",
            "tools       1 · 1 failed",
            "                    1  Bash · 1 failed",
            "errors      0",
            "retries     0",
            "denied      0",
            "unknown     0",
            "unreadable  6 lines",
        ]


@pytest.mark.req("N12")
def test_programs_get_the_account_as_one_object(repository: Path) -> None:
    ran = coordinator(repository, "view", "#471", "--summary", "--json")
    assert json.loads(ran.stdout) == {
        "task": "gh-471", "provider": "gemini", "model": "", "session_id": "", "attempt": 2, "how": "exit 0",
        "first": "2026-01-02T03:04:05+00:00", "last": "2026-01-02T03:14:05+00:00", "events": 5, "messages": 0,
        "tokens_in": 1200, "tokens_out": 34, "cost_usd": None, "tools": {"Bash\x1b[31m": {"calls": 1, "failed": 1}},
        "errors": {}, "retries": 0, "denied": 0, "unknown": {}, "unreadable": 6,
    }  # fmt: skip
    assert "\x1b" not in ran.stdout


@pytest.mark.parametrize("other", ["--tools", "--errors", "--detailed", "--follow"])
def test_the_account_of_a_part_is_refused_with_words(repository: Path, other: str) -> None:
    ran = coordinator(repository, "view", "471", "--summary", other)
    assert ran.returncode == 64
    assert "Give --summary alone, or with --json." in ran.stderr


def test_without_a_transcript_there_is_no_account(repository: Path) -> None:
    ran = coordinator(repository, "view", "9", "--summary")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "There are: gh-471.jsonl" in ran.stderr


def most_memory(script: str, cwd: Path) -> int:
    """KB of memory that a script took at most."""
    told = "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    ran = subprocess.run([sys.executable, "-c", script + told], cwd=cwd, env=environ(cwd), text=True,
                         capture_output=True, timeout=55, check=True)  # fmt: skip
    return int(ran.stdout.splitlines()[-1])


def test_a_transcript_of_any_size_takes_less_than_40_mb(repository: Path) -> None:
    with (repository / "logs" / "gh-471.jsonl").open("wb") as out:
        for _ in range(3):
            out.write(b"".join((line(STARTED), *HOSTILE)) + line(CALLED) * 20_000)
        out.truncate(1 << 30)   # and a gigabyte of NUL bytes, which is one line
    script = "from coordinator.cli.main import main\nmain(['view', '471', '--summary'])"
    assert most_memory(script, repository) < 40_000


COUNTED = """
import sys
sys.path.insert(0, {checkout!r})
LINE = ('{{"type":"assistant","timestamp":"2026-01-02T03:04:05Z","message":{{"id":"m%d","content":[{{"type":"tool_use",'
        '"id":"t%d","name":"n%d"}}],"usage":{{"input_tokens":2,"output_tokens":1}}}}}}\\n')
lines = ((LINE % (number, number, number)).encode() for number in range({size}))
"""
READERS = {
    "account": """
import io
from coordinator.cli.summing import account_of
class Stream(io.RawIOBase):
    def readinto(self, buffer):
        line = next(lines, b"")
        buffer[:len(line)] = line
        return len(line)
print(account_of(Stream()).tally.use)
""",
    "verdict": """
from coordinator.runfiles.verdict.reading import read
print(read(lines).tally.use)
""",
}


@pytest.mark.parametrize("reader", READERS)
def test_a_million_messages_and_names_take_no_more_memory_than_twenty_thousand(tmp_path: Path, reader: str) -> None:
    few, many = (most_memory(COUNTED.format(checkout=str(CHECKOUT), size=size) + READERS[reader], tmp_path)
                 for size in (20_000, 1_000_000))  # fmt: skip
    assert many < few + 1500
