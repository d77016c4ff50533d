"""`why ISSUE`: what a task waits for and what would move it, from the board's row alone. Total: every state and
reason has an answer, and each answer names at least one thing a person can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from coordinator.domain.reasons import ALLOWABLE, REASONS
from coordinator.domain.task import NEEDS_PERSON, TaskState
from coordinator.domain.workflow import BUILD
from coordinator.wording.escape import one_line
from coordinator.wording.spending import Spent, stage_lines

_S = TaskState
_CODES = {
    _S.QUEUED: "next_in_line",
    _S.PREPARING: "preparing",
    _S.RUNNING: "working",
    _S.PUBLISHING: "publishing",
    _S.IN_REVIEW: "pr_open",
    _S.DONE: "merged",
    _S.BACKOFF: "waits_to_retry",
    _S.BLOCKED: "needs_human",
    _S.FAILED: "process_exit",
    _S.CANCELLED: "manual_stop",
}
_MEANINGS = {
    _S.QUEUED: "nothing is in its way; it starts at the next turn",
    _S.PREPARING: "its worktree is being made ready",
    _S.RUNNING: "a worker is on it",
    _S.PUBLISHING: "its work is being pushed and its pull request opened",
    _S.BACKOFF: "it is tried again by itself",
}


@dataclass(frozen=True)
class Remedy:
    """Something a person can do now: a command to be pasted, a label or a deed, and what it brings about."""

    how: str
    words: str


@dataclass(frozen=True)
class Why:
    """`code` is a reason code, the code of a wait, or the state's own; `lines` are the whole answer."""

    code: str
    remedies: tuple[Remedy, ...]
    lines: tuple[str, ...]


def why(
    row: Mapping[str, Any], *, labels: Mapping[str, str], now: datetime, local: Callable[[datetime], datetime]
) -> Why:
    """The answer for one row of board.json's `tasks`; `labels` is its table of label names."""
    state = TaskState(row["state"])
    code = code_of(row)
    remedies = remedies_of(row, labels)
    lines = [_head(row, state, code, now, local)]
    lines += [_attempt(attempt, local) for attempt in row.get("attempts") or ()]
    lines += [f"  stage {line}" for line in stage_lines(_spent(row))]
    lines += _kept(row)
    lines.append("What moves it:")
    width = max(len(remedy.how) for remedy in remedies)
    lines += [f"  {remedy.how:<{width}}  {remedy.words}".rstrip() for remedy in remedies]
    return Why(code, remedies, tuple(lines))


def code_of(row: Mapping[str, Any]) -> str:
    """One code, never empty: why a person is needed, else what it waits for now, else the state's own."""
    state = TaskState(row["state"])
    waits = (row.get("wait") or {}).get("code")
    reason = row.get("reason")
    first, second = (reason, waits) if state in NEEDS_PERSON else (waits, reason)
    return str(first or second or _CODES[state])


def remedies_of(row: Mapping[str, Any], labels: Mapping[str, str]) -> tuple[Remedy, ...]:
    """What a person can do in this state, the likeliest first; each is a legal move of the table."""
    state = TaskState(row["state"])
    name = row.get("issue") or row["id"]
    stop = Remedy(f"coordinator stop {name}", "if it should not be done at all")
    wait = row.get("wait") or {}
    first = [Remedy(one_line(str(wait["moves"])), "")] if wait.get("moves") else []
    match state:
        case _S.QUEUED | _S.PUBLISHING:
            return (*first, stop)
        case _S.BACKOFF:
            return (*first, Remedy(f"coordinator retry {name}", "do not wait any longer"), stop)
        case _S.PREPARING | _S.RUNNING:
            return (*first, Remedy(f"coordinator view {name} --follow", "see what it does"), stop)
        case _S.IN_REVIEW:
            pull = f"pull request #{row.get('pr_number')}" if row.get("pr_number") else "its pull request"
            url = one_line(str(row.get("pr_url") or ""))
            merge = Remedy(f"merge or close {pull}", url or "merged = done, closed = blocked")
            return merge, *first, stop
        case _S.DONE:
            return (Remedy(f"coordinator view {name}", "it is done; what else is wanted goes into a new issue"),)
        case _S.BLOCKED | _S.FAILED | _S.CANCELLED:
            return _again(row, name, labels)


def _again(row: Mapping[str, Any], name: object, labels: Mapping[str, str]) -> tuple[Remedy, ...]:
    retry = Remedy(f"coordinator retry {name}", "try again from the branch")
    remedies = [retry]
    if row.get("issue"):
        remedies.insert(0, Remedy(f"set the label {labels.get('retry', 'rpi-retry')}", "try again, from GitHub"))
    if row.get("attempts"):
        remedies.append(Remedy(f"coordinator view {name} --errors", "see where it went wrong"))
    if row.get("reason") in ALLOWABLE:
        remedies.append(Remedy(f"coordinator retry {name} --allow", "you have looked at it: go on with it as it is"))
    known = REASONS.get(str(row.get("reason") or ""))
    if known is not None and known.elsewhere:
        remedies.append(Remedy(f"coordinator retry {name} --provider NAME", "try with another agent"))
    return tuple(remedies)


def _head(
    row: Mapping[str, Any], state: TaskState, code: str, now: datetime, local: Callable[[datetime], datetime]
) -> str:
    since = _moment(row.get("since"))
    when = f" since {local(since):%H:%M} ({age(now - since)})" if since else ""
    words = _words(row, state, code)
    return f"{row['id']} is {state}{when}: {code}" + (f": {words}" if words else "") + "."


def _words(row: Mapping[str, Any], state: TaskState, code: str) -> str:
    wait = row.get("wait") or {}
    known = REASONS.get(code)
    meaning = known.meaning if known else _MEANINGS.get(state, "")
    first, second = wait.get("words"), row.get("detail")
    detail = str((second or meaning if state in NEEDS_PERSON else first or second) or "")
    return one_line(detail, 300).rstrip(".") or meaning


def _attempt(attempt: Mapping[str, Any], local: Callable[[datetime], datetime]) -> str:
    begin, end = _moment(attempt.get("started")), _moment(attempt.get("ended"))
    span = f"{local(begin):%H:%M}" if begin else "?"
    span += f" → {local(end):%H:%M}" if end else " → now"
    ended = str(attempt.get("reason") or attempt.get("ending") or "running")
    detail = one_line(str(attempt.get("detail") or ""), 160)
    words = f"{ended}: {detail}" if detail else ended
    stage = attempt.get("stage") or ""
    who = str(attempt.get("provider") or "-") + (f" {stage}" if stage not in ("", BUILD.name) else "")
    where = f"  on {one_line(str(attempt['host']), 64)}" if attempt.get("host") else ""
    return f"  attempt {attempt.get('number')}  {who:<9} {span}{where}  {words}"


def _spent(row: Mapping[str, Any]) -> list[Spent]:
    return [Spent(str(one.get("stage") or ""), float(one.get("duration_sec") or 0), one.get("tokens"), one.get("cost"))
            for one in row.get("attempts") or ()]


def _kept(row: Mapping[str, Any]) -> list[str]:
    attempts: Sequence[Mapping[str, Any]] = row.get("attempts") or ()
    last = attempts[-1] if attempts else {}
    kept = []
    if last.get("commits"):
        many = "s" if last["commits"] != 1 else ""
        kept.append(f"branch {row.get('branch')} ({last['commits']} commit{many})")
    if last.get("rescue_ref"):
        kept.append(f"uncommitted changes in {last['rescue_ref']}")
    return [f"  work kept: {', '.join(kept)}"] if kept else []


def age(span: timedelta) -> str:
    """`6s`, `12m`, `2h 11m`, `3d 4h`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m"
    if seconds < 86400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d {seconds % 86400 // 3600}h"


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None
