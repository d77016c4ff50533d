"""The grammar of tasks.md: what we write for each task, and how the file is read, people's lines included.

`render` is a function of its arguments alone, so that the file can be rebuilt byte for byte. A mark counts
only at the start of a line. What people meant by a change is not decided here but in tasks_edits.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coordinator.domain.task import TASK_ID
from coordinator.wording.entries import DEFAULT_PRIORITY, Entry, Section, safe_title
from coordinator.wording.escape import one_line

MARKS = {Section.ACTIVE: "🟡", Section.COMPLETED: "✅", Section.FAILED: "❌", Section.BLOCKED: "⏰"}
HEADER = (
    "# Tasks",
    "",
    "<!-- The coordinator writes this file and reads what you change in it: move a line to Failed to cancel",
    "     it, to Pending to try it again, or add a line `[] what to do {p1}` to give a task of your own. -->",
)
NO_WORKER = "w-none"

_NOTE = "<!-- coordinator: "
_EMPTY = "<!-- none -->"
_SECTIONS = {str(section).lower(): section for section in Section} | {"completed": Section.COMPLETED}
_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
_BRACKET = re.compile(r"\[([^\]\n]*)\](?:[ \t]+(.*))?")
_FIELD = re.compile(
    r"[ \t]*[-*][ \t]+(Started|PID|Completed|PR|Failed|Reason|Blocked since):(.*)", re.IGNORECASE
)
_PRIORITY = re.compile(r"\{[pP]([0-3])\}$")
_WITH_ID = re.compile(rf"({TASK_ID.pattern}):[ \t]+(\S.*)")


@dataclass(frozen=True)
class Line:
    """A task's line as read. `id` is "" where none stands; `text` is all after the mark but the priority;
    `section` is what its mark says; `raw` are the lines it was read from, `note` a note of ours below it."""

    id: str
    title: str
    text: str
    priority: int
    section: Section
    worker: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    raw: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Foreign:
    """A line that is not ours, kept where it stands. `note` points out what is wrong with it."""

    raw: str
    note: str = ""


Item = Line | Foreign


@dataclass(frozen=True)
class Block:
    """A heading and what stands below it; `section` None = the file's beginning or a person's heading."""

    section: Section | None
    heading: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Document:
    blocks: tuple[Block, ...] = ()

    def lines(self) -> Iterator[tuple[Section | None, Line]]:
        """Every task's line with the section it stands in."""
        for block in self.blocks:
            for item in block.items:
                if isinstance(item, Line):
                    yield block.section, item


NEW = Document((Block(None, "", tuple(Foreign(line) for line in HEADER)),))


# --- reading ----------------------------------------------------------------------------------------


def parse(text: str) -> Document:
    """The file as it stands; nothing is refused. What cannot be read is a Foreign with a note."""
    raw = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    verbatim = _verbatim(raw)
    blocks = [Block(None, "", ())]
    items: list[Item] = []
    for number, line in enumerate(raw):
        heading = None if number in verbatim else _heading(line)
        if heading is None:
            _take(items, line, plain=number in verbatim)
            continue
        blocks[-1] = replace(blocks[-1], items=tuple(items))
        blocks.append(heading)
        items = []
    blocks[-1] = replace(blocks[-1], items=tuple(items))
    return Document(tuple(blocks))


def _verbatim(raw: Sequence[str]) -> frozenset[int]:
    """Numbers of the lines in closed code fences and in comments of several lines: words, never tasks."""
    inside: set[int] = set()
    number = 0
    while number < len(raw):
        end = _end_of_span(raw, number)
        inside.update(range(number, end))
        number = max(end, number + 1)
    return frozenset(inside)


def _end_of_span(raw: Sequence[str], start: int) -> int:
    """One past the last line of the span that opens here, `start` when none does.

    No span holds a heading of ours, a line that names a task, or another comment: what was left open must not
    swallow tasks.
    """
    bare = raw[start].strip()
    comment = bare.startswith("<!--") and "-->" not in bare
    if not comment and not bare.startswith(("```", "~~~")):
        return start
    for number in range(start + 1, len(raw)):
        line = raw[number].strip()
        heading = _heading(line)
        if (heading and heading.section) or _names_task(line) or (comment and "<!--" in line):
            return start
        if "-->" in line if comment else line.startswith(bare[:3]):
            return number + 1
    return start


def _names_task(line: str) -> bool:
    item = read_line(line)
    return isinstance(item, Line) and bool(item.id)


def _heading(line: str) -> Block | None:
    match = _HEADING.fullmatch(line.rstrip())
    if match is None:
        return None
    section = _SECTIONS.get(match[2].rstrip("# :").lower())
    if section is None and len(match[1]) > 2:
        return None
    return Block(section, line.rstrip(), ())


def _take(items: list[Item], line: str, *, plain: bool) -> None:
    last = items[-1] if items else None
    bare = line.strip()
    if plain:
        items.append(Foreign(line.rstrip()))
    elif bare.startswith(_NOTE) and bare.endswith("-->"):
        if isinstance(last, Line):
            items[-1] = replace(last, note=bare[len(_NOTE):-3].strip())
    elif isinstance(last, Line) and (match := _FIELD.fullmatch(line)):
        fields = {match[1].lower(): match[2].strip()} | dict(last.fields)
        items[-1] = replace(last, fields=fields, raw=(*last.raw, line))
    elif bare != _EMPTY:
        items.append(read_line(line) or Foreign(line.rstrip()))


def read_line(line: str) -> Item | None:
    """A task's line, a Foreign with a note when it looks like one and is none, None for any other line."""
    match = _BRACKET.fullmatch(line.rstrip())
    if match is None:
        return None
    inside, rest = match[1].strip(), (match[2] or "").strip()
    section = _section_of_mark(inside)
    if section is None:
        return Foreign(line.rstrip(), _BAD_MARK) if inside in {"x", "X", "-"} and rest else None
    found = _PRIORITY.search(rest)
    text = rest[: found.start()].rstrip() if found else rest
    with_id = _WITH_ID.fullmatch(text)
    if not text or (with_id is None and section is not Section.PENDING):
        return Foreign(line.rstrip(), _NO_TEXT if section is Section.PENDING else _NO_ID)
    parts = [part.strip() for part in inside[1:].lstrip("\ufe0f").split(",")]
    return Line(
        id=with_id[1] if with_id else "",
        title=with_id[2] if with_id else text,
        text=text,
        priority=int(found[1]) if found else DEFAULT_PRIORITY,
        section=section,
        worker=next((part for part in parts if part.startswith("w-") and part != NO_WORKER), ""),
        raw=(line.rstrip(),),
    )


_BAD_MARK = "the line above is not a task: a new task is written `[] what to do {p1}`"
_NO_TEXT = "the line above has no words: a new task is written `[] what to do {p1}`"
_NO_ID = "the line above names no task: after its mark stands `gh-1: title`"


def _section_of_mark(inside: str) -> Section | None:
    if not inside:
        return Section.PENDING
    return next((section for section, mark in MARKS.items() if inside.startswith(mark)), None)


# --- writing ----------------------------------------------------------------------------------------


def render(entries: Iterable[Entry], document: Document = NEW, notes: Mapping[str, str] | None = None) -> str:
    """The whole file: the entries in the order given, people's lines of `document` where they stood.

    `notes` maps task ids to words written below their line.
    """
    by_section: dict[Section, list[Entry]] = {section: [] for section in Section}
    for entry in entries:
        by_section[entry.section].append(entry)
    mine: dict[Section, list[Item]] = {section: [] for section in Section}
    heading: dict[Section, str] = {}
    after: dict[Section | None, list[str]] = {}
    place: Section | None = None
    for block in document.blocks:
        if block.section is None:
            after.setdefault(place, []).append(_foreign_block(block))
            continue
        place = block.section
        heading.setdefault(place, block.heading)
        mine[place].extend(block.items)
    parts = after.get(None, [])
    for section in Section:
        body = _body(by_section[section], mine[section], notes or {})
        parts += [heading.get(section, f"## {section}"), body, *after.get(section, [])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _foreign_block(block: Block) -> str:
    body = "\n".join(_foreign_lines(item for item in block.items if isinstance(item, Foreign))).strip("\n")
    return f"{block.heading}\n\n{body}".strip("\n")


def _foreign_lines(items: Iterable[Foreign]) -> Iterator[str]:
    for item in items:
        yield item.raw
        if item.note:
            yield note_line(item.note)


def note_line(words: str) -> str:
    return f"{_NOTE}{words} -->"


def _body(entries: Sequence[Entry], items: Sequence[Item], notes: Mapping[str, str]) -> str:
    """One section without its heading; a foreign run stands after the nearest task above it still here."""
    ids = {entry.id for entry in entries}
    runs: dict[str, list[str]] = {}
    glued: set[str] = set()
    anchor = ""
    for index, item in enumerate(items):
        if isinstance(item, Line):
            anchor = item.id if item.id in ids else anchor
            continue
        before = items[index - 1] if index else None
        if isinstance(before, Line) and before.id == anchor and item.raw and anchor not in runs:
            glued.add(anchor)
        runs.setdefault(anchor, []).extend(_foreign_lines((item,)))
    head = "\n".join(runs.pop("", ())).strip("\n")
    blocks = [head] if head else []
    tight = False
    for entry in entries:
        block = "\n".join(entry_lines(entry, notes.get(entry.id, "")))
        run = "\n".join(runs.get(entry.id, ())).strip("\n")
        if tight:
            blocks[-1] += "\n" + block
        else:
            blocks.append(block)
        tight = entry.section is Section.PENDING and not run
        if run and entry.id in glued:
            blocks[-1] += "\n" + run
        elif run:
            blocks.append(run)
    return "\n\n".join(blocks if entries else [*blocks, _EMPTY])


def entry_lines(entry: Entry, note: str = "") -> tuple[str, ...]:
    """The task's line and those below it. `- PID:` is the second line after an active task's mark."""
    title = safe_title(entry.title)
    shown = entry.section is Section.PENDING or entry.priority != DEFAULT_PRIORITY or _PRIORITY.search(title)
    tag = f" {{p{entry.priority}}}" if shown else ""
    rows = [f"[{_mark(entry)}] {entry.id}: {title}{tag}", *_details(entry)]
    return (*rows, note_line(note)) if note else tuple(rows)


def _mark(entry: Entry) -> str:
    worker = _inner(entry.worker) or NO_WORKER
    match entry.section:
        case Section.PENDING:
            return ""
        case Section.ACTIVE:
            return f"🟡 {worker}, {_inner(entry.worktree) or f'trees/{entry.id}'}"
        case Section.COMPLETED:
            return f"✅ {_inner(entry.sha)[:7] or '-'}, {worker}"
        case Section.FAILED | Section.BLOCKED:
            return f"{MARKS[entry.section]} {worker}"


def _inner(text: str) -> str:
    """What may stand between the brackets: nothing that ends them or parts them."""
    return re.sub(r"[\],]", "_", one_line(text))


def _details(entry: Entry) -> tuple[str, ...]:
    reason = one_line(entry.reason, 400)
    match entry.section:
        case Section.PENDING:
            return ()
        case Section.ACTIVE:
            return f"- Started: {entry.started or '-'}", f"- PID: {entry.pid or '-'}"
        case Section.COMPLETED:
            link = f"#{entry.pr_number} {one_line(entry.pr_url)}".rstrip() if entry.pr_number else "-"
            return f"- Completed: {entry.completed or '-'}", f"- PR: {link}"
        case Section.FAILED:
            return f"- Failed: {entry.failed or '-'}", f"- Reason: {reason or '-'}"
        case Section.BLOCKED:
            return f"- Blocked since: {entry.blocked_since or '-'}", f"- Reason: {reason or '-'}"
