"""Changes in a plan file's text that touch only the values that changed: what people wrote stays byte for byte. Text
that goes in must be decoded without changing its line ends (newline="")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from coordinator.domain.task import TaskState
from coordinator.wording.escape import clean, one_line
from coordinator.wording.plan_md import values
from coordinator.wording.plan_md.scan import TAB, Block, Field, Kind, Sheet, scan

STATUS_WORDS: dict[TaskState, str] = {
    TaskState.QUEUED: "Not Started",
    TaskState.PREPARING: "In Progress",
    TaskState.RUNNING: "In Progress",
    TaskState.PUBLISHING: "In Progress",
    TaskState.BACKOFF: "In Progress",
    TaskState.IN_REVIEW: "Completed",
    TaskState.DONE: "Completed",
    TaskState.BLOCKED: "Blocked",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Cancelled",
}
"""What stands in a plan file for a task in this state."""

LONGEST_ENTRY = 400
_BARE = re.compile(r"[\w.@][\w./@+-]*")
_TICKS = re.compile(r"`+")
OWN = ("status", "log", "files edited")
"""The fields that the coordinator itself writes."""


@dataclass(frozen=True)
class Change:
    """What is to stand at a task; None leaves it as it is. Each line of `log` is an entry: those that are not there
    yet are added, none is taken away."""

    status: str | None = None
    log: str | None = None
    files_edited: tuple[str, ...] | None = None


@dataclass
class _Draft:
    """The lines as they will be: a new text for a line, lines after it, or none at all."""

    replaced: dict[int, str] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    after: dict[int, list[str]] = field(default_factory=dict)


def update(text: str, changes: Mapping[str, Change]) -> str:
    """The text with these changes, by task id. Ids that it does not have are left out, fields that a task does not
    have come after its others; the same changes made twice are made once."""
    sheet = scan(text)
    draft = _Draft()
    todo = dict(changes)
    for block in sheet.blocks():
        change = todo.pop(block.id, None) if block.id else None
        if change is not None:
            _change(sheet, block, change, draft)
    return _joined(sheet, draft)


def _change(sheet: Sheet, block: Block, change: Change, draft: _Draft) -> None:
    missing: list[str] = []
    for key, value in zip(OWN, (change.status, change.log, change.files_edited), strict=True):
        found = block.field(key)
        if value is None:
            continue
        if found is None:
            missing.extend(_new_field(sheet, block, key, value))
        elif isinstance(value, tuple):
            _set_files(sheet, found, value, draft)
        elif key == "log":
            _add_entries(sheet, found, value, draft)
        else:
            _set_status(sheet, found, one_line(value), draft)
    if missing:
        draft.after.setdefault(_last_line(sheet, block), []).extend(missing)


def _last_line(sheet: Sheet, block: Block) -> int:
    """The line after which a new field stands: the last that has words, or that before the field which never ends."""
    if sheet.unclosed is None or not _swallowed(sheet, block):
        return sheet.content_end(block.index, block.end) - 1
    return next((one.index for one in block.fields if _swallowed(sheet, one)), sheet.unclosed) - 1


def _swallowed(sheet: Sheet, part: Block | Field) -> bool:
    """Whether a fence or comment opens here that never ends: what is written at the end would stand in it."""
    return sheet.unclosed is not None and part.index <= sheet.unclosed < part.end


def _new_field(sheet: Sheet, block: Block, key: str, value: str | tuple[str, ...]) -> Iterator[str]:
    """The lines of a field that the task did not have, written as the one beside it is."""
    beside = next((one for one in block.fields if _swallowed(sheet, one)), block.fields[-1] if block.fields else None)
    lead, indent = f"- **{key}**:", ""
    if beside:
        start = beside.lead.rindex(beside.written)
        lead = beside.lead[:start] + key + beside.lead[start + len(beside.written):]
        indent = beside.indent
    if isinstance(value, tuple):
        yield f"{lead} {_inline(value)}"
        return
    lines = [one_line(value)] if key == "status" else _entries(value)
    yield f"{lead} {lines[0]}".rstrip() if len(lines) == 1 else lead
    yield from (f"{indent}  - {line}" for line in lines if len(lines) > 1)


def _set_status(sheet: Sheet, found: Field, status: str, draft: _Draft) -> None:
    there = values.entries(values.text_of(sheet, found))
    if there[:1] == ((status,) if status else ()):
        return
    below = _below(sheet, found)
    if below and not found.value.strip() and sheet.kinds[below[0]] is Kind.PLAIN:
        draft.dropped.add(below[0])
    draft.replaced[found.index] = _with(found, status)


def _add_entries(sheet: Sheet, found: Field, log: str, draft: _Draft) -> None:
    there = values.entries(values.text_of(sheet, found))
    new = [entry for entry in _entries(log) if entry not in there]
    below = _below(sheet, found)
    if not new:
        return
    if not there:
        draft.replaced[found.index] = _with(found, new[0] if len(new) == 1 and not below else "")
    if there or len(new) > 1 or below:
        lead = _list_lead(sheet, found, below)
        draft.after.setdefault(max([found.index, *below]), []).extend(f"{lead}{entry}" for entry in new)


def _set_files(sheet: Sheet, found: Field, files: tuple[str, ...], draft: _Draft) -> None:
    wanted = tuple(dict.fromkeys(map(_safe, files)))
    if values.items(values.text_of(sheet, found)) == wanted or _swallowed(sheet, found):
        return
    below = _below(sheet, found)
    draft.dropped.update(below)
    if wanted and not found.value.strip() and any(values.bullet(sheet.lines[at]) for at in below):
        lead = _list_lead(sheet, found, below)
        draft.after.setdefault(found.index, []).extend(f"{lead}{_quoted(name)}" for name in wanted)
    else:
        draft.replaced[found.index] = _with(found, _inline(files))


def _below(sheet: Sheet, found: Field) -> list[int]:
    """The lines below the field's own that have words of it."""
    lines = range(found.index + 1, sheet.content_end(found.index, found.end))
    return [at for at in lines if sheet.kinds[at] is not Kind.HIDDEN and sheet.lines[at].strip()]


def _list_lead(sheet: Sheet, found: Field, below: Iterable[int]) -> str:
    """What the lines of the field's list begin with: as those that are there, when they stand deeper than it."""
    width = len(found.indent.expandtabs(TAB)) + 2
    leads = [lead for at in below if (lead := values.bullet(sheet.lines[at]))]
    deep = [lead for lead in leads if len(lead.expandtabs(TAB)) - len(lead.expandtabs(TAB).lstrip()) >= width]
    return deep[-1] if deep else f"{found.indent}  - "


def _with(found: Field, value: str) -> str:
    return f"{found.lead}{found.gap or ' '}{value}" if value else found.lead


def _entries(log: str) -> list[str]:
    """The entries of a log, each one visible line that opens no block of Markdown."""
    lines = (one_line(line, LONGEST_ENTRY) for line in log.splitlines())
    harmless = (line.replace("```", "'''").replace("~~~", "---").replace("<!--", "<! --") for line in lines)
    return list(dict.fromkeys(values.entries("\n".join(harmless))))


def _inline(files: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(name) for name in dict.fromkeys(map(_safe, files)))}]"


def _safe(name: str) -> str:
    """A path as it can stand in a line: git allows every sign but zero in a name."""
    visible = clean(name).replace("<!--", "<! --")
    return "".join("\N{REPLACEMENT CHARACTER}" if sign in "\n\t" else sign for sign in visible)


def _quoted(name: str) -> str:
    if _BARE.fullmatch(name) and not values.is_nothing(name):
        return name
    bar = "`" * (1 + max((len(run) for run in _TICKS.findall(name)), default=0))
    pad = " " if "`" in (name[:1], name[-1:]) or (name[:1] == name[-1:] == " " and name.strip()) else ""
    return f"{bar}{pad}{name}{pad}{bar}"


def _joined(sheet: Sheet, draft: _Draft) -> str:
    usual = next((end for end in sheet.ends if end), "\n")
    out: list[str] = []
    for index, (line, end) in enumerate(zip(sheet.lines, sheet.ends, strict=True)):
        extra = draft.after.get(index, [])
        here = [*([] if index in draft.dropped else [draft.replaced.get(index, line)]), *extra]
        if here:
            out.append((end or usual).join(here) + end)
    return "".join(out)
