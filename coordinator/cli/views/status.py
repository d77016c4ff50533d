"""`status` as lines of text: the head, then one line a task, active ones first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator.cli.board import Board, Row, moment, table
from coordinator.cli.views.fitting import DASH, Line, age, clean, columns, count, cut, folded, money, width_of
from coordinator.domain.task import TaskState

_S = TaskState
_ORDER = (_S.RUNNING, _S.PREPARING, _S.PUBLISHING, _S.QUEUED, _S.BACKOFF, _S.BLOCKED, _S.IN_REVIEW, _S.FAILED,
          _S.CANCELLED, _S.DONE)  # fmt: skip
_HEADINGS = ("TASK", "STATE", "WORKER", "PID", "FOR", "LAST SIGN", "CPU", "TOKENS", "COST", "NOTE")
_DROPPED_FIRST = ("COST", "PID", "TOKENS", "WORKER", "CPU")
_USUAL = (None, "moving", "running", "working")
"""Codes of a wait that say of a running task no more than that it runs."""
SHOWN = 40
"""Tasks that fit a screen; the rest is counted."""
NARROWEST = 40
ROOM = 34
"""Cells that LAST SIGN and NOTE together should have before a column of numbers is given up."""


def status(board: Board, now: datetime, width: int, *, everything: bool = False, state: str = "") -> list[Line]:
    """All lines, none wider than `width` cells."""
    width = max(NARROWEST, width)
    lines = [Line("warning", cut(f"! {clean(words)}", width)) for words in board.warnings]
    if not board.there:
        return lines
    lines += [Line("head", cut(part, width)) for text in _head(board, now) for part in _halved(text, width)]
    lines += [Line("warning", line) for text in _troubles(board) for line in folded(f"! {text}", width)]
    rows = sorted((row for row in board.rows if not state or row["state"] == state), key=_place)
    shown = rows if everything else rows[:SHOWN]
    lines += [Line("quiet", ""), *_table(shown, now, width)]
    if len(rows) > len(shown):
        lines.append(Line("quiet", f"… {len(rows) - len(shown):,} more: coordinator status --all"))
    lines += _held(board, width, everything=everything) if not state else []
    return lines


def _place(row: Row) -> tuple[int, Any, str, str]:
    rank = _ORDER.index(TaskState(row["state"]))
    priority = row.get("priority")
    return (rank, priority if isinstance(priority, int) else 2, str(row.get("since") or ""), row["id"])


def _halved(text: str, width: int) -> list[str]:
    """In two lines where one is too narrow: what today brought stands by itself."""
    if width_of(text) <= width or "    today" not in text:
        return [text]
    first, today = text.split("    today", 1)
    return [first, f"today{today}"]


# --- the head -----------------------------------------------------------------------------------------


def _head(board: Board, now: datetime) -> list[str]:
    data = board.data
    running = moment(data.get("started_at"))
    first = [
        clean(data.get("repository") or "no repository"),
        f"running {age((now - running).total_seconds())}" if board.daemon and running else "",
        "not running" if not board.daemon else "",
        _poll(board, now),
        _github(table(data.get("github"))),
    ]
    hosts = [one for one in data.get("hosts") or () if isinstance(one, dict)]
    return [" · ".join(part for part in first if part), _second(board), *([_hosts(hosts)] if hosts else [])]


def _hosts(hosts: Sequence[dict[str, Any]]) -> str:
    return "hosts " + " · ".join(f"{clean(one.get('name'))} {_berths(one)}" for one in hosts)


def _berths(host: dict[str, Any]) -> str:
    if host.get("shut") and not host.get("used"):
        return "gate closed"
    since = moment(host.get("away_since"))
    if since is not None:
        return f"out of reach since {since:%H:%M} UTC, {host.get('used', 0)} workers there when last heard of"
    if host.get("short"):
        return f"{host.get('used', 0)}/{host.get('slots', '?')}, nothing new: {clean(host['short'])}"
    return f"{host.get('used', 0)}/{host.get('slots', '?')}"


def _poll(board: Board, now: datetime) -> str:
    seconds, last = board.data.get("poll_seconds"), moment(board.data.get("polled_at"))
    if not isinstance(seconds, int | float):
        return ""
    asked = f", asked {age((now - last).total_seconds())} ago" if last else ""
    return f"poll {age(seconds)}{asked}"


def _github(github: dict[str, Any]) -> str:
    remaining, limit = github.get("remaining"), github.get("limit")
    if not isinstance(remaining, int) or not isinstance(limit, int):
        return ""
    return f"GitHub {remaining:,}/{limit:,}"


def _second(board: Board) -> str:
    data, slots, today = board.data, table(board.data.get("slots")), table(board.data.get("today"))
    sessions = table(data.get("sessions"))
    cap = f"/{sessions['cap']}" if sessions.get("cap") else ""
    most = _number(table(data.get("money")).get("cap"))
    spent = f" · {count(_number(today.get('tokens')) or 0)} tokens · {money(_number(today.get('cost')) or 0.0)}"
    spent += f"/{money(most)}" if most else ""
    untold = table(data.get("unmetered")).get("untold") or ()
    spent += f" ({clean(', '.join(map(str, untold)))} told no tokens)" if untold else ""
    return (
        f"health {health(board)}    slots {slots.get('used', 0)}/{slots.get('max', '?')}    "
        f"today: {today.get('done', 0)} done · {today.get('blocked', 0)} blocked · {today.get('failed', 0)} failed · "
        f"{sessions.get('today', 0)}{cap} sessions{spent}"
    )


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def health(board: Board) -> str:
    """One word for the whole: ok, paused, ending, waiting (GitHub, a floor, another coordinator), old, or stopped."""
    data = board.data
    if not board.daemon:
        return "stopped"
    if board.warnings:
        return "old"
    if data.get("paused"):
        return "paused"
    if data.get("draining"):
        return "ending"
    held = table(data.get("claim")).get("open") is False
    return "waiting" if held or table(data.get("github")).get("until") or data.get("gates") else "ok"


def _batch(row: dict[str, Any]) -> str:
    """A batch whose gate is not open."""
    name = clean(row.get("name"))
    if row["phase"] == "canary":
        return f"batch {name} is held while {clean(row.get('canary'))} is tried"
    if row["phase"] == "wave":
        return f"batch {name}: wave {row.get('wave')} decides whether the rest goes on"
    return f"batch {name} is held → {clean(row.get('moves'))}: {clean(row.get('held_for'))}"


def _troubles(board: Board) -> list[str]:
    data, github = board.data, table(board.data.get("github"))
    lines = [clean(data["rebuilt"])] if data.get("rebuilt") else []
    claim = table(data.get("claim"))
    if claim.get("open") is False:
        lines.append(f"nothing is started here: {clean(claim.get('words'))} → {clean(claim.get('cure'))}")
    if data.get("paused"):
        lines.append("paused: nothing new is started → coordinator resume")
    if data.get("draining"):
        lines.append(f"nothing new is started: {clean(data['draining'])}")
    if github.get("until"):
        until = moment(github["until"])
        again = f"; asked again at {until:%H:%M:%S} UTC" if until else ""
        lines.append(f"GitHub: {clean(github.get('words') or 'cannot be asked')}{again} → coordinator doctor")
    for one in (one for one in data.get("parked") or () if isinstance(one, dict)):
        until = moment(one.get("until"))
        when = f"is parked until {until:%Y-%m-%d %H:%M} UTC" if until else "is tried again by one task"
        cure = " → coordinator resume" if until else ""
        lines.append(f"{clean(one.get('provider'))} {when}: {clean(one.get('words'))}{cure}")
    away = [one for one in data.get("hosts") or () if isinstance(one, dict) and one.get("away_since")]
    lines += [f"{clean(one.get('name'))}: {clean(one.get('words'))} → coordinator hosts check {clean(one.get('name'))}"
              for one in away if not one.get("shut")]
    lines += [_batch(one) for one in data.get("batches") or () if isinstance(one, dict) and one.get("phase")]
    blind = table(data.get("unmetered")).get("blind") or ()
    gates = [gate for gate in (*blind, *(data.get("gates") or ())) if isinstance(gate, dict)]
    return lines + [f"{clean(gate.get('words'))} → {clean(gate.get('cure') or 'coordinator doctor')}" for gate in gates]


# --- the table ----------------------------------------------------------------------------------------


def _table(rows: Sequence[Row], now: datetime, width: int) -> list[Line]:
    if not rows:
        return [Line("quiet", "no tasks: set the label on an issue, or add a line to tasks.md")]
    cells = [dict(zip(_HEADINGS, _cells(row, now), strict=True)) for row in rows]
    names, widths = _layout(cells, width)
    lines = columns([names, *([cell[name] for name in names] for cell in cells)], widths)
    kinds = ["title", *(str(row["state"]) for row in rows)]
    return [Line(kind, cut(text, width)) for kind, text in zip(kinds, lines, strict=True)]


def _layout(cells: Sequence[dict[str, str]], width: int) -> tuple[list[str], list[int]]:
    """Columns that fit: numbers are given up one by one until the words have room."""
    names = list(_HEADINGS)
    needed = {name: max(width_of(name), *(width_of(cell[name]) for cell in cells)) for name in names}
    needed["TASK"] = min(needed["TASK"], 16)
    left = _left(names, needed, width)
    for name in _DROPPED_FIRST:
        if left >= ROOM:
            break
        names = [one for one in names if one != name]
        left = _left(names, needed, width)
    sign = min(needed["LAST SIGN"], max(9, left * 2 // 5))
    widths = {**needed, "LAST SIGN": sign, "NOTE": max(4, left - sign)}
    return names, [widths[name] for name in names]


def _left(names: Sequence[str], needed: dict[str, int], width: int) -> int:
    """What the numbers leave to the words, the gap between the two columns of words taken off."""
    return width - 2 - sum(needed[one] + 2 for one in names if one not in ("LAST SIGN", "NOTE"))


def _cells(row: Row, now: datetime) -> tuple[str, ...]:
    since, cpu = moment(row.get("since")), _number(row.get("cpu"))
    attempt = row["attempts"][-1] if row["attempts"] else {}
    active = row["state"] in (_S.RUNNING, _S.PREPARING, _S.PUBLISHING)
    return (
        clean(row["id"]),
        str(row["state"]).lower().replace("_", " "),
        _worker(attempt) if active else DASH,
        str(row.get("pid") or DASH),
        age((now - since).total_seconds()) if since else DASH,
        _sign(row, now),
        f"{cpu * 100:.0f}%" if cpu is not None else DASH,
        count(_number(row.get("tokens"))),
        money(_number(row.get("cost"))),
        _note(row, attempt),
    )


def _worker(attempt: dict[str, Any]) -> str:
    where = f"@{clean(attempt['host'])}" if attempt.get("host") else ""
    return f"{clean(attempt.get('worker') or DASH)}{where}"


def _sign(row: Row, now: datetime) -> str:
    if row["state"] == _S.IN_REVIEW or (row["state"] == _S.DONE and row.get("pr_number")):
        return f"PR #{row.get('pr_number')}"
    last, at = clean(row.get("last") or ""), moment(row.get("last_at"))
    if not last:
        return DASH
    when = f" {age((now - at).total_seconds())}" if at else ""
    return f"{cut(last, 40)}{when}"


def _note(row: Row, attempt: dict[str, Any]) -> str:
    title = clean(row.get("title") or "")
    said = " · ".join(part for part in _said(row, attempt) if part)
    return f"{said} — {title}" if said and title else said or title


def _said(row: Row, attempt: dict[str, Any]) -> tuple[str, ...]:
    wait = row.get("wait") or {}
    words, state = clean(wait.get("words") or ""), row["state"]
    if state == _S.RUNNING:
        before = next((clean(one.get("reason")) for one in reversed(row["attempts"][:-1]) if one.get("reason")), "")
        number = f"attempt {attempt.get('number', '?')}" + (f" (before: {before})" if before else "")
        trouble = "the worker ended" if row.get("gone") else words if wait.get("code") not in _USUAL else ""
        return (trouble, clean(attempt.get("provider") or row.get("provider") or ""), number)
    if state in (_S.BLOCKED, _S.FAILED, _S.CANCELLED):
        name = row.get("issue") or row["id"]
        reason = clean(row.get("reason") or str(state).lower())
        return (f"{reason} → coordinator why {name}", cut(clean(row.get("detail") or ""), 60))   # the cure is cut last
    if wait.get("code") == "claim":   # whose it is, or why nobody knows, stands above
        return (clean(row.get("reason") or ""), "waits for the claim")
    return (words,)


def _held(board: Board, width: int, *, everything: bool) -> list[Line]:
    if not board.held:
        return []
    shown = board.held if everything else board.held[:10]
    lines = [Line("quiet", ""), Line("title", f"HELD: {len(board.held)} labelled, not tasks yet")]
    for one in shown:
        text = f"#{one.get('number')}  {clean(one.get('words') or '')} → {clean(one.get('moves') or '')}"
        lines.append(Line("HELD", cut(f"{text} — {clean(one.get('title') or '')}", width)))
    if len(board.held) > len(shown):
        lines.append(Line("quiet", f"… {len(board.held) - len(shown)} more: coordinator status --all"))
    return lines
