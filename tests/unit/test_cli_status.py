"""The picture of `status`: pure, from a board's data to lines that fit."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.board import Board, board_of, read_board
from coordinator.cli.views.fitting import age, count, cut, size, width_of
from coordinator.cli.views.status import SHOWN, status
from coordinator.runfiles import identity

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden"


def at(**ago: float) -> str:
    return (NOW - timedelta(**ago)).isoformat()


def row(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"gh-{number}", "issue": number, "title": f"Title {number}", "state": state, "since": at(minutes=number),
        "priority": 2, "attempts": [], "wait": None, **more,
    }  # fmt: skip


def attempt(number: int, **more: Any) -> dict[str, Any]:
    return {"number": number, "worker": "w-a1b2c3", "provider": "claude", "token": "t", **more}


DATA: dict[str, Any] = {
    "schema": 1, "generated_at": at(seconds=5), "started_at": at(hours=4, minutes=12), "repository": "acme/widgets",
    "poll_seconds": 15.0, "polled_at": at(seconds=9), "github": {"remaining": 4871, "limit": 5000},
    "slots": {"used": 2, "max": 3}, "sessions": {"today": 9, "cap": 50}, "paused": False, "draining": "", "gates": [],
    "today": {"done": 7, "blocked": 1, "failed": 0, "tokens": 2_100_000, "cost": 4.12},
    "tasks": [
        row(45, "BLOCKED", reason="max_retries", detail="stalled twice", tokens=95_000),
        row(12, "RUNNING", pid=4711, cpu=0.41, tokens=212_000, cost=0.61, last="Edit src/parse.py",
            last_at=at(seconds=3), attempts=[attempt(1, reason="claude_rate_limited"), attempt(2)]),
        row(6, "QUEUED", wait={"code": "depends", "words": "waits for #12 (Depends on)", "moves": "close #12"}),
        row(60, "IN_REVIEW", pr_number=512, wait={"code": "pr_open", "words": "waits for a reviewer"}),
        row(30, "QUEUED", title="日本語のとても長い題名" * 12 + "\x1b[31m",
            wait={"code": "slot", "words": "waits for a slot"}),
    ],
    "held": [{"number": 490, "title": "Held one", "code": "untrusted", "words": "set by @eve", "moves": "set it anew"}],
}  # fmt: skip


def picture(width: int, data: dict[str, Any] = DATA, **how: Any) -> list[str]:
    return [line.text for line in status(board_of(data, daemon=77), NOW, width, **how)]


@pytest.mark.parametrize("width", [80, 120])
def test_status_looks_as_agreed(width: int) -> None:
    text = "\n".join(picture(width)) + "\n"
    assert text == (GOLDEN / f"status-{width}.txt").read_text("utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_the_state_is_always_there(width: int) -> None:
    lines = picture(width)
    assert max(width_of(line) for line in lines) <= width
    assert [line for line in lines if line.startswith("gh-45") and "blocked" in line]


def test_active_tasks_come_first_and_the_rest_of_a_thousand_is_counted() -> None:
    many = {**DATA, "tasks": [row(n, "QUEUED") for n in range(1, 1000)] + [row(5000, "RUNNING")]}
    lines = picture(100, many)
    tasks = [line for line in lines if line.startswith("gh-")]
    assert tasks[0].startswith("gh-5000")
    assert len(tasks) == SHOWN
    assert f"… {1000 - SHOWN} more: coordinator status --all" in lines
    assert len([line for line in picture(100, many, everything=True) if line.startswith("gh-")]) == 1000


def test_parked_providers_and_the_days_money_stand_in_the_head() -> None:
    parked = [
        {"provider": "claude", "until": "2026-03-01T18:30:00+00:00", "words": "You've hit your limit"},
        {"provider": "codex", "until": None, "words": "529"},
    ]
    lines = picture(160, {**DATA, "parked": parked, "money": {"today": 4.12, "cap": 20.0}})
    assert "! claude is parked until 2026-03-01 18:30 UTC: You've hit your limit → coordinator resume" in lines
    assert "! codex is tried again by one task: 529" in lines
    assert "$4.12/$20.00" in "\n".join(lines[:3])


def test_what_no_cap_counts_stands_in_the_head_with_what_to_set_instead() -> None:
    gate = {"code": "untold", "words": "codex told no tokens", "cure": "set caps.sessions_per_day", "elsewhere": ""}
    lines = picture(200, {**DATA, "unmetered": {"untold": ["codex"], "blind": [gate]}})
    assert "! codex told no tokens → set caps.sessions_per_day" in lines
    assert "2.1M tokens · $4.12 (codex told no tokens)" in "\n".join(lines[:3])
    assert picture(200, {**DATA, "unmetered": {"untold": [], "blind": []}}) == picture(200)


def test_a_batch_whose_gate_is_not_open_stands_in_the_head() -> None:
    row = {"name": "batch:spring", "held_for": "3 of 5 (60%) failed alike\x1b[2J", "canary": "gh-6", "wave": 2,
           "moves": "coordinator batch resume --label batch:spring --canary"}
    phases = ("", "held", "canary", "wave")
    lines = {phase: picture(160, {**DATA, "batches": [{**row, "phase": phase}]}) for phase in phases}
    assert ("! batch batch:spring is held → coordinator batch resume --label batch:spring --canary: "
            "3 of 5 (60%) failed alike") in lines["held"]
    assert "! batch batch:spring is held while gh-6 is tried" in lines["canary"]
    assert "! batch batch:spring: wave 2 decides whether the rest goes on" in lines["wave"]
    assert not [line for line in lines[""] if "spring" in line]


@pytest.mark.parametrize("width", [40, 80])
def test_of_a_trouble_nothing_is_cut_off_and_its_cure_is_read_at_any_width(width: int) -> None:
    words = f"the claim on the repository is not ours: 日本/{'a' * 20} has no remote: git remote add origin ADDRESS"
    claim = {"open": False, "words": words, "cure": "coordinator doctor"}
    lines = picture(width, {**DATA, "claim": claim})
    assert max(map(width_of, lines)) <= width
    assert f"{words} → coordinator doctor" in " ".join(line.strip() for line in lines)


def test_why_the_claim_is_not_ours_is_said_once_and_each_row_keeps_its_own_reason() -> None:
    words = "berta (pid 4711, /home/berta/widgets) holds this repository"
    wait = {"code": "claim", "words": words, "moves": "wait"}
    rows = [row(1, "QUEUED", wait=wait), row(2, "BACKOFF", wait=wait, reason="network"),
            row(3, "IN_REVIEW", wait=wait, reason="pr_open", pr_number=7)]
    lines = picture(140, {**DATA, "claim": {"open": False, "words": words, "cure": "wait"}, "tasks": rows})
    assert "\n".join(lines).count("pid 4711") == 1
    first, second, third = (next(line for line in lines if line.startswith(f"gh-{n} ")) for n in (1, 2, 3))
    assert "waits for the claim — " in first
    assert "network · waits for the claim" in second
    assert "PR #7" in third
    assert "waits for the claim" in third


def test_foreign_text_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "".join(picture(200))


def test_a_dead_coordinator_is_said_first() -> None:
    board = Board(DATA, board_of(DATA, 0).rows, (), ("no coordinator runs here: coordinator run",), 0)
    lines = [line.text for line in status(board, NOW, 120)]
    assert lines[0] == "! no coordinator runs here: coordinator run"
    assert "health stopped" in lines[2]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'"text"', b"[" * 5000, b'{"tasks": 7, "held": {"a": 1}}',
     b'{"tasks": [1, {"id": 3}, {"id": "gh-1", "state": "NEW"}], "generated_at": "yesterday", "github": []}'],
)  # fmt: skip
def test_whatever_stands_in_the_board_status_says_something(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "board.json"
    path.write_bytes(content)
    board = read_board(path, tmp_path, 0, NOW)
    assert board.rows == ()
    assert status(board, NOW, 80)[0].text.startswith("! ")


@pytest.mark.parametrize(("token", "alive", "expected"), [
    ("mine", True, (os.getpid(), 0.37, None)),
    ("mine", False, (None, None, True)),
    ("of another run", False, (4711, 0.41, None)),
])  # fmt: skip
def test_a_running_task_is_shown_as_its_run_files_are_now(
    tmp_path: Path, token: str, alive: bool, expected: tuple[int | None, float | None, bool | None]
) -> None:
    """A worker that ended a moment ago is not shown as running because the board has not been written since."""
    (tmp_path / "claude").mkdir()
    me = identity.look(os.getpid())
    assert me is not None
    beat = {"token": token, "wrapper_pid": os.getpid(), "wrapper_start": me.start if alive else 1,
            "boot_id": identity.boot_id(), "cpu_share": "0.37"}
    (tmp_path / "claude" / "gh-12.heartbeat").write_text("".join(f"{key}={value}\n" for key, value in beat.items()))
    running = row(12, "RUNNING", pid=4711, cpu=0.41, attempts=[{**attempt(1), "provider": "claude", "token": "mine"}])
    path = tmp_path / "board.json"
    path.write_text(json.dumps({"generated_at": at(), "tasks": [running]}))
    board = read_board(path, tmp_path, 77, NOW)
    [shown] = board.rows
    assert (shown["pid"], shown["cpu"], shown.get("gone")) == expected
    text = "\n".join(line.text for line in status(board, NOW, 120))
    assert ("the worker ended" in text) is bool(expected[2])


def test_an_old_board_of_a_living_coordinator_is_said(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    path.write_text(f'{{"generated_at": "{at(minutes=10)}"}}', "utf-8")
    assert "wrote nothing for 600 s" in read_board(path, tmp_path, 77, NOW).warnings[0]


def test_ages_counts_and_sizes_are_for_people() -> None:
    assert [age(s) for s in (0, 59, 724, 7860, 100_000)] == ["0s", "59s", "12m04s", "2h11m", "1d3h"]
    assert [count(n) for n in (None, 950, 18_400, 2_100_000)] == ["–", "950", "18k", "2.1M"]
    assert [size(n) for n in (512, 1_200_000_000)] == ["512 B", "1.2 GB"]
    assert cut("日本語", 5) == "日本…"
