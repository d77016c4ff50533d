"""What `batch status` and `batch watch` say, line by line, from plain data. Masked by whoever made the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_NAMES = 8
MOST_LINES = 20
"""Of one look: of a storm the first are enough, its causes stand in the status."""
NO_NEWS = "no material change"


def status_lines(data: Mapping[str, Any]) -> list[str]:
    """The whole state of a batch, a few lines whatever its size."""
    return [
        f"batch {data['scope']}: {data['word']}, decision: {data['decision']}",
        f"  {counts_line(data)}",
        f"  by state: {states_line(data)}",
        f"  failed: {data['failed_share']:.0%} of the {data['counts']['ended']} that ended; {data['why']}",
        *(f"  {line}" for line in cause_lines(data["causes"])),
        *([f"  expected files are there of {data['produced']} of them"] if data["produced"] else []),
        *([f"  gate: {data['gate']}"] if data["gate"] else []),
        f"  {pace_line(data)}",
    ]


def states_line(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{number} {state}" for state, number in data["states"].items())


def now_line(data: Mapping[str, Any]) -> str:
    """How it stands, after news; of jobs of a cluster in the cluster's own words."""
    counts = states_line(data) if data["kind"] == "slurm" else counts_line(data)
    return f"{counts}; {data['word']}; {pace_line(data)}"


def counts_line(data: Mapping[str, Any]) -> str:
    counts = data["counts"]
    words = [f"{counts[key]} {word}" for key, word in (
        ("good", "good"), ("bad", "failed"), ("running", "running"), ("waiting", "waiting"), ("stopped", "stopped"),
        ("excluded", "ended for an outage or a limit")) if counts[key]]
    return f"{counts['total']} in all: {', '.join(words) or 'none'}"


def cause_lines(causes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each cause with who failed of it, and below it what may mend it."""
    for cause in causes:
        sample = f": {cause['sample']}" if cause["sample"] else ""
        yield f"{cause['share']:.0%} {cause['code']}{sample} ({names(cause['members'])})"
        if cause["cure"]:
            yield f"    -> {cause['cure']}"


def names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - MOST_NAMES} more" if len(ids) > MOST_NAMES else ""
    return ", ".join(ids[:MOST_NAMES]) + more


def pace_line(data: Mapping[str, Any]) -> str:
    if data["mode"] == "over":
        return "over: nothing of it runs or waits"
    return f"look again in {data['next_look_seconds']:g} s ({data['mode']})"


def news_lines(news: Mapping[str, Any], *, quiet: bool = False) -> Iterator[str]:
    """One line for each member that moved and for the batch when it turned; `quiet`: failures and turns alone."""
    told = [one for one in news["changes"]
            if one["failed"] or not (quiet or (news["first"] and one["before"] == ""))]
    yield from (change_line(one) for one in told[:MOST_LINES])
    if len(told) > MOST_LINES:
        rest = told[MOST_LINES:]
        yield f"… and {len(rest)} more moved, {sum(one['failed'] for one in rest)} of them failed"
    yield from (f"{one['id']} says: {one['line']}" for one in news["signals"][:MOST_LINES])
    if news["turned"]:
        yield f"the batch turned from {news['turned']} to {news['word']}: {news['why']}"


def change_line(change: Mapping[str, Any]) -> str:
    moved = f"{change['before']} -> {change['after']}" if change["before"] else change["after"]
    if change["before"] == change["after"]:
        moved = f"{change['after']}, in another run"
    reason = f" ({change['reason']})" if change["reason"] else ""
    words = f": {change['words']}" if change["words"] else ""
    name = f" {change['name']}" if change["name"] else ""
    return f"{change['at'][11:19]}Z {change['id']}{name} {moved}{reason}{words}"


def systemic_lines(data: Mapping[str, Any], commands: Mapping[str, str]) -> Iterator[str]:
    """The evidence first, then what to do, in that order: the root cause and the fix come before anything is ended."""
    yield f"this batch wants somebody: {data['why']}"
    yield from (f"  {line}" for line in data["evidence"])
    yield from (f"  {line}" for line in cause_lines(data["causes"][:3]))
    yield "next:"
    yield from (f"  {words}: {command}" for words, command in commands.items())


def end_line(data: Mapping[str, Any], span: str, *, over: bool) -> str:
    if over:
        return f"over after {span}: {counts_line(data)}; {data['word']}"
    return f"not over after {span}: {counts_line(data)}; {data['word']}"
