"""The report of a batch: eight parts in a fixed order, as Markdown, and as blocks from which the page is made too.

It is given plain data (planning/batch/report.py). Words of agents in it open no table, heading, link or tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.wording.escape import INVISIBLE, defuse, one_line

MOST = 60
"""Rows of one table; a batch of hundreds has its members in the JSON."""
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Words:
    """A paragraph, or with `each` one line a point."""

    lines: tuple[str, ...]
    each: bool = False


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0


@dataclass(frozen=True)
class Code:
    """Commands, one a line."""

    lines: tuple[str, ...]


Block = Words | Table | Code


@dataclass(frozen=True)
class Part:
    """`name` is the key of its data."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def parts(report: Data) -> tuple[Part, ...]:
    """In the order in which they are read."""
    made = (
        ("scope", "Scope", _scope), ("timeline", "Timeline", _timeline),
        ("failures", "Failures and thresholds", _failures), ("decision", "Decision", _decision),
        ("intervention", "Intervention", _intervention), ("completion", "Completion and artefacts", _completion),
        ("learnings", "Learnings", _learnings), ("evidence", "Evidence", _evidence),
    )  # fmt: skip
    return tuple(Part(name, f"{number}. {title}", tuple(make(report[name])))
                 for number, (name, title, make) in enumerate(made, 1))


def title(report: Data) -> str:
    return f"Batch {report['batch']}"


def markdown(report: Data) -> str:
    lines = [f"# {_safe(title(report))}", "", f"As of {report['generated_at']}."]
    for part in parts(report):
        lines += ["", f"## {part.title}"]
        for block in part.blocks:
            lines += ["", *_block(block)]
    return "\n".join(lines) + "\n"


def _block(block: Block) -> list[str]:
    if isinstance(block, Words):
        return [f"- {_safe(line)}" if block.each else _safe(line) for line in block.lines]
    if isinstance(block, Code):
        return ["```sh", *(one_line(line, 400).replace("```", "'''") for line in block.lines), "```"]
    rows = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in block.rows]
    more = [f"… and {block.more} more: `--format json` has them all."] if block.more else []
    return [f"| {' | '.join(block.head)} |", f"|{'---|' * len(block.head)}", *rows, *(["", *more] if more else [])]


def _cell(text: str) -> str:
    return _safe(text).replace("|", "¦") or "-"


def _safe(text: str) -> str:
    """Harmless, with ids of tasks left as they are typed: a reference to an issue of ours closes and pings nothing."""
    return defuse(one_line(text, 600)).replace(f"gh{INVISIBLE}-", "gh-").replace("`", "'").replace("](", "] (")


# --- the parts -------------------------------------------------------------------------------------------


def _scope(data: Data) -> Iterator[Block]:
    providers = ", ".join(f"{number} by {name}" for name, number in data["providers"].items())
    what = {"prefix": "jobs whose id begins with", "label": "tasks with the label", "plan": "tasks of the plan",
            "slurm": "jobs of Slurm,"}
    yield Words((f"{data['members']} {what[data['kind']]} {data['name']}, in {data['place']}; {providers}.",))
    if data["facts"]:
        yield _table(("what", "confirmed"), [(name, value) for name, value in data["facts"].items() if value])
    ids = data["ids"]
    more = f" and {len(ids) - 200} more" if len(ids) > 200 else ""
    yield Words((f"Ids: {', '.join(ids[:200])}{more}.",))


def _timeline(data: Data) -> Iterator[Block]:
    ended = data["ended_at"] or "not over yet"
    yield Words((f"Began: {data['began_at'] or 'nothing has started'}. Ended: {ended}.",))
    if not data["looks"]:
        yield Words(("Nobody watched it: times are those of its members' last runs.",))
        return
    yield Words((f"Watched since {data['watched_since']}, {data['looks']} looks.",))
    if data["cadence"]:
        yield _table(("from", "mode", "looked at"), [
            (one["at"], one["mode"], f"every {one['seconds']:.0f} s" if one["seconds"] else "no more")
            for one in data["cadence"]])
    if data["transitions"]:
        moved = [(one["at"], one["id"], f"{one['before'] or 'first seen'} -> {one['after']}", one["reason"])
                 for one in data["transitions"]]
        yield _table(("at", "member", "moved", "reason"), moved, data["dropped"])


def _failures(data: Data) -> Iterator[Block]:
    counts, bands = data["counts"], data["bands"]
    yield _table(("all", "good", "failed", "running", "waiting", "stopped", "excluded"), [tuple(
        str(counts[key]) for key in ("total", "good", "bad", "running", "waiting", "stopped", "excluded"))])
    if data["causes"]:
        yield _table(("cause", "members", "share", "last line", "what may mend it"), [
            (one["code"], ", ".join(one["members"][:8]), f"{one['share']:.0%}", one["sample"], one["cure"])
            for one in data["causes"]])
    if data["earlier"]:
        yield _table(("failed before, not any more", "members"), [
            (reason, ", ".join(ids[:8])) for reason, ids in data["earlier"].items()])
    least = f"at least {bands['min_ended']} ended and {bands['min_same']} alike"
    yield Words((
        f"Health: {data['word']}. {data['assessment']}.",
        f"Bands, for one cause: watch above {bands['watch']:.0%}; systemic from {bands['systemic']:.0%}, with {least}.",
        f"Hard stop: {data['hard_stop'] or 'none'}.",
        f"Projection: {data['projection']['words']}.",
    ), each=True)


def _decision(data: Data) -> Iterator[Block]:
    yield Words((f"Decision: {data['decision']}.",))
    yield Words(tuple(data["reasons"]), each=True)


def _intervention(data: Data) -> Iterator[Block]:
    if not data["acts"]:
        yield Words(("None.",))
        return
    if data["fixes"]:
        yield Words(tuple(f"Fix: {line}" for line in data["fixes"]), each=True)
    yield _table(("at", "done", "members", "words"), [
        (one["at"], one["what"], ", ".join(one["ids"][:8]), one["words"]) for one in data["acts"]])
    if data["resubmitted"]:
        yield _table(("before", "started again as"), list(data["resubmitted"].items()))


def _completion(data: Data) -> Iterator[Block]:
    state = "Over" if data["over"] else f"Not over: {data['left']} run or wait"
    ended = f"{data['good']} good, {data['failed']} failed, {data['stopped']} stopped"
    yield Words((f"{state}. {ended}, {data['excluded']} ended for an outage or a limit.",))
    artefacts = ", ".join(f"{number} {word}" for word, number in data["artefacts"].items())
    yield Words((
        f"Results of those that ended well: {artefacts or 'none'}.",
        f"Compared with the remote: {data['compared']}, {len(data['out_of_step'])} of them not in step.",
        *((f"Outputs of {data['synced']} were brought here.",) if data["synced"] else ()),
        *(f"{name}: the result is {word}" for name, word in data["unusable"].items()),
        *(f"{name}: {words}" for name, words in data["out_of_step"].items()),
    ), each=True)


def _learnings(data: Data) -> Iterator[Block]:
    yield Words((f"Expected {data['expected']} results, {data['actual']} are there.",
                 f"Confidence: {data['confidence']} ({data['confidence_why']})."))
    if data["segments"]:
        yield _table(("segment", "members", "good", "failed", "median of the good"), [
            (f"{one['by']} {one['segment']}", str(one["members"]), str(one["good"]), str(one["failed"]),
             f"{one['median_seconds']:.0f} s") for one in data["segments"]])
    if data["anomalies"]:
        yield Words(tuple(data["anomalies"][:MOST]), each=True)
    if data["notes"]:
        yield Words(tuple(f"Learnt: {line}" for line in data["notes"]), each=True)


def _evidence(data: Data) -> Iterator[Block]:
    yield Words(tuple(data["lines"]), each=True)
    yield Code(tuple(data["commands"]))
    if data["logs"]:
        yield _table(("member", "log"), list(data["logs"].items()))


def _table(head: tuple[str, ...], rows: Sequence[Sequence[str]], dropped: int = 0) -> Table:
    """The last rows of a long one."""
    return Table(head, tuple(tuple(row) for row in rows[-MOST:]), max(0, len(rows) - MOST) + dropped)
