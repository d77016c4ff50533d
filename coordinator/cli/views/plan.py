"""A plan as people read it: wave by wave before it begins and while it goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from coordinator.cli.views.fitting import DASH, Line, age, clean, cut, pad, width_of
from coordinator.domain.planfile import Undertaking
from coordinator.domain.task import NEEDS_PERSON

if TYPE_CHECKING:
    from coordinator.cli.board import Board

COLUMNS = (8, 11, 8, 36)
"""Widths of a task's id, its state, since when, and its name; names are given no more than they need."""
SHA = 12


def foreseen(under: Undertaking, waves: Mapping[str, int], provider: str, slots: int) -> list[str]:
    """What `plan run` would do, for `--dry-run`."""
    most = max(waves.values(), default=0)
    size = f"{len(under.plan.tasks)} tasks in {most} waves, {slots} at once, by {provider}"
    lines = [f"plan {under.id}: {clean(under.plan.name)}: {size}"]
    for name, one in under.deliveries.items():
        lines.append(f"  {clean(name) or '.'}: {one.root}, merged into {one.branch}, one pull request at the end")
    for number in sorted(set(waves.values())):
        late = " (not in this run)" if under.wave and number > under.wave else ""
        names = [f"{task.id} {clean(task.name)}" for task in under.plan.tasks if waves[task.id] == number]
        lines += [f"wave {number}{late}:", *(f"  {cut(name, 100)}" for name in names)]
    return [*lines, "nothing was started"]


def plan_status(row: Mapping[str, Any], board: Board, now: datetime, width: int) -> list[Line]:
    """The answer first, then a table a wave, then what came out of it."""
    warnings = _warnings(row, board, settled=_settled(row, board))
    lines = [Line("warning", text) for warning in warnings for text in _wrapped(f"! {warning}", width)]
    states = [_now(board, task).get("state", "QUEUED") for task in row["tasks"]]
    merged, bad = states.count("DONE"), sum(state in NEEDS_PERSON for state in states)
    counts = [f"{merged} of {len(states)} merged", f"{bad} need a person" if bad else ""]
    lines.append(Line("head", cut(f"plan {clean(row['id'])} · {clean(row.get('name', ''))} · "
                                  f"{' · '.join(filter(None, counts))}", width)))
    lines += [Line("warning", cut(text, width)) for text in _held(row, board)]
    names = min(COLUMNS[-1], max((width_of(clean(task.get("name", ""))) for task in row["tasks"]), default=0))
    for number in sorted({int(task.get("wave") or 0) for task in row["tasks"]}):
        lines.append(Line("title", f"wave {number}"))
        these = [task for task in row["tasks"] if int(task.get("wave") or 0) == number]
        lines += [_task(board, task, now, names, width) for task in these]
    lines += [Line("plain", cut(text, width)) for text in _deliveries(row.get("deliveries") or [])]
    for one in row.get("deliveries") or []:
        if one.get("words") and not one.get("delivered_at"):
            lines += [Line("warning", text) for text in _wrapped(_refused(row, one), width)]
    return lines


def _refused(row: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    where = f"{clean(one.get('name', '')) or '.'}: {clean(one.get('branch', ''))}"
    again = f"coordinator plan resume {shlex.quote(clean(row.get('path', '')))}"
    return f"! {where} not delivered: {clean(one['words'])} → {again}"


def _wrapped(text: str, width: int) -> list[str]:
    """What a person must read to its end, on as many lines as it needs; a path or command's word is never broken."""
    return wrap(text, max(width, 20), subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _settled(row: Mapping[str, Any], board: Board) -> bool:
    """Whether all is merged and out: then nobody has to work on it."""
    out = all(one.get("delivered_at") for one in row.get("deliveries") or [])
    return out and all(_now(board, task).get("state") == "DONE" for task in row["tasks"])


def _warnings(row: Mapping[str, Any], board: Board, *, settled: bool) -> Iterable[str]:
    """What the board warns of; that nobody works on a plan only while something is left to do, with its own cure."""
    if board.daemon:
        return board.warnings
    at = str(board.data.get("generated_at", ""))[:16].replace("T", " ")
    words = f"nobody works on this plan now (true at {at} UTC): coordinator plan resume "
    words += shlex.quote(clean(row.get("path", "")))
    return () if settled else (words,)


def _now(board: Board, task: Mapping[str, Any]) -> Mapping[str, Any]:
    return board.row(str(task.get("task"))) or {}


def _held(row: Mapping[str, Any], board: Board) -> Iterable[str]:
    """That the plan's batch lets nothing start, for what cause, and what opens it."""
    for batch in board.data.get("batches") or []:
        if isinstance(batch, dict) and batch.get("key") == f"plan:{row['id']}" and batch.get("phase") == "held":
            cure = f"coordinator batch resume --plan {clean(row['id'])} --canary"
            yield f"! nothing of it is started: {clean(batch.get('cause', ''))} → {cure}"


def _task(board: Board, task: Mapping[str, Any], now: datetime, names: int, width: int) -> Line:
    from coordinator.cli.board import moment

    row = _now(board, task)
    state = str(row.get("state", "QUEUED"))
    since = moment(row.get("since"))
    cells = (clean(task.get("id", "")), "merged" if state == "DONE" else state.lower().replace("_", " "),
             age((now - since).total_seconds()) if since is not None else DASH, clean(task.get("name", "")))
    sizes = (*COLUMNS[:-1], names)
    text = "  " + "  ".join(pad(cell, size) for cell, size in zip(cells, sizes, strict=True))
    return Line(state, cut(f"{text}  {_note(task, row)}".rstrip(), width))


def _note(task: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    result = task.get("result")
    if isinstance(result, dict):
        notes = map(str, result.get("notes") or ())
        words = [str(result.get("sha", ""))[:SHA], str(result.get("validation") or ""), *notes]
        return clean("; ".join(filter(None, words)))
    wait = row.get("wait") or {}
    if row.get("state") in NEEDS_PERSON:
        return clean(f"{row.get('reason')}: {row.get('detail')} → {wait.get('moves', '')}")
    return clean(wait.get("words", ""))


def _deliveries(deliveries: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for one in deliveries:
        where = f"{clean(one.get('name', '')) or '.'}: {clean(one.get('branch', ''))}"
        if one.get("pr_url"):
            yield f"{where} → PR #{one.get('pr_number')} {clean(one['pr_url'])}"
        elif one.get("delivered_at"):
            yield f"{where} pushed at {str(one.get('pushed_sha'))[:SHA]}; open its pull request by hand"
