"""What a person meant by changing tasks.md: the text we wrote last, the text that stands there, the tasks.

The result is data: edits for the engine to carry out, and the new text in which nobody's line is lost.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from coordinator.wording.entries import Entry, Section, safe_title
from coordinator.wording.escape import one_line
from coordinator.wording.tasks_md import NEW, Document, Foreign, Item, Line, parse, render

_WANTED_ID = re.compile(r"[A-Za-z]+-[A-Za-z0-9._-]+")
_STRANGER = "no task "
_ISSUE_ID = re.compile(r"gh-\d+")


@dataclass(frozen=True)
class CancelEdit:
    """The line was moved to Failed. `key` names this very edit: the same edit seen twice has the same key."""

    task_id: str
    reason: str
    key: str


@dataclass(frozen=True)
class RetryEdit:
    """The line was moved to Pending."""

    task_id: str
    key: str


@dataclass(frozen=True)
class AddEdit:
    """A new `[]` line. `task_id` is the id the person wrote before the title, "" = none was written."""

    title: str
    priority: int
    key: str
    task_id: str = ""


Edit = CancelEdit | RetryEdit | AddEdit


class Rewritten(NamedTuple):
    text: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class _Merged:
    document: Document
    edits: tuple[Edit, ...]
    notes: dict[str, str]


def rewrite(entries: Sequence[Entry], current_text: str | None, base_text: str | None) -> Rewritten:
    """The new text of the file and what a person asked by changing it.

    `current_text` None or blank = the file is gone: it is rebuilt from `base_text` and the entries.
    `base_text` None = we never wrote it: nothing counts as deleted, and nothing is tried again on the word of
    an unknown file. The caller stores the edits first, then the text as new base, then replaces the file.
    """
    merged = _merged(entries, current_text, base_text)
    return Rewritten(render(entries, merged.document, merged.notes), merged.edits)


def merge(entries: Sequence[Entry], current_text: str | None, base_text: str | None) -> tuple[Edit, ...]:
    """Only the edits of `rewrite`."""
    return _merged(entries, current_text, base_text).edits


def _merged(entries: Sequence[Entry], current_text: str | None, base_text: str | None) -> _Merged:
    gone = current_text is None or not current_text.strip()
    base = parse(base_text) if base_text is not None else None
    current = (base or NEW) if gone or current_text == base_text else parse(current_text or "")
    salt = base_text or ""
    known = {entry.id for entry in entries} | _ours(base)
    document, added = _sort_out(current, known, _raw_lines(base), salt)
    was = _places(base, known) if base else {}
    now = was if current is base else _places(current, known)
    edits: list[Edit] = []
    notes: dict[str, str] = {}
    for entry in entries:
        places = was.get(entry.id, []), now.get(entry.id, [])
        verdict = _judge(entry, *places, based=base is not None, salt=salt)
        if isinstance(verdict, str):
            notes[entry.id] = verdict
        elif verdict is not None:
            edits.append(verdict)
    return _Merged(document, (*edits, *added), {key: words for key, words in notes.items() if words})


def _ours(base: Document | None) -> set[str]:
    """Ids of the tasks we wrote last: a line that was pointed out then was none."""
    lines = (line for _, line in base.lines()) if base else ()
    return {line.id for line in lines if line.id and not line.note.startswith(_STRANGER)}


Place = tuple[Section | None, Line]


def _places(document: Document, known: set[str]) -> dict[str, list[Place]]:
    places: dict[str, list[Place]] = {}
    for section, line in document.lines():
        if line.id in known:
            places.setdefault(line.id, []).append((section, line))
    return places


def _raw_lines(document: Document | None) -> Counter[str]:
    return Counter(line.raw[0] for _, line in document.lines()) if document else Counter()


def _judge(
    entry: Entry, was: Sequence[Place], now: Sequence[Place], *, based: bool, salt: str
) -> Edit | str | None:
    """What became of one task's line: an edit, words of a note below it ("" = none), or nothing."""
    if not now:
        return f"{entry.id} was put back: to cancel it, move its line to Failed" if was else None
    before = was[0][0] if was and was[0][0] else entry.section
    section, line = next((place for place in now if _wanted(place, before) is not before), now[0])
    wanted = _wanted((section, line), before)
    if wanted is before:
        return _same_place(entry, was, line, before)
    if wanted is entry.section:
        return None
    if wanted is Section.FAILED and entry.section is not Section.BLOCKED:
        return CancelEdit(entry.id, _cancel_words(entry, was, line), _key(salt, "cancel", entry.id))
    if wanted is Section.PENDING and entry.section in {Section.FAILED, Section.BLOCKED}:
        return RetryEdit(entry.id, _key(salt, "retry", entry.id)) if based else f"{entry.id} {_UNKNOWN_FILE}"
    return f"{entry.id} was put back: {_REFUSED.get((entry.section, wanted), _ONLY_WE)}"


_UNKNOWN_FILE = "was put back: this text was not the coordinator's; to try it again, move its line to Pending"
_ONLY_WE = "only the coordinator moves a line there; a person moves one to Failed (cancel) or Pending (again)"
_REFUSED = {
    (Section.ACTIVE, Section.PENDING): "it is being worked on; to stop it, move its line to Failed",
    (Section.BLOCKED, Section.FAILED): "a blocked task does not run; to try again, move its line to Pending",
    (Section.COMPLETED, Section.PENDING): "it has a pull request; to have it changed, review that",
}


def _wanted(place: Place, before: Section) -> Section:
    """Where the person wants the line: the heading it was moved under, else the mark it was given."""
    section, line = place
    if section is not None and section is not before:
        return section
    return line.section


def _same_place(entry: Entry, was: Sequence[Place], line: Line, before: Section) -> str | None:
    if was and (line.title, line.priority) != (was[0][1].title, was[0][1].priority):
        return f"{entry.id}: this change was not taken over; title and priority come from the issue"
    return line.note if entry.section is before and not line.note.startswith(_STRANGER) else None


def _cancel_words(entry: Entry, was: Sequence[Place], line: Line) -> str:
    """The `- Reason:` line if the person wrote one, else the words put in the place of the title."""
    written = line.fields.get("reason", "")
    if written and written not in {"-", was[0][1].fields.get("reason", "") if was else ""}:
        return one_line(written, 400)
    changed = line.title not in {entry.title, safe_title(entry.title)}
    return one_line(line.title, 400) if changed else "cancelled by an edit of tasks.md"


def _sort_out(
    current: Document, known: set[str], taken: Counter[str], salt: str
) -> tuple[Document, list[AddEdit]]:
    """The document with every line of an unknown task either taken up as an AddEdit or kept with a note."""
    left = Counter(taken)
    seen: Counter[str] = Counter()
    added: list[AddEdit] = []
    blocks = []
    for block in current.blocks:
        items: list[Item] = []
        for item in block.items:
            if isinstance(item, Foreign) or item.id in known:
                items.append(item)
                continue
            words = _stranger(item)
            if words:
                items.extend(_kept(item, words))
            elif left[item.raw[0]]:
                left[item.raw[0]] -= 1
            else:
                seen[item.raw[0]] += 1
                added.append(_add(item, _key(salt, "add", item.raw[0], str(seen[item.raw[0]]))))
        blocks.append(replace(block, items=tuple(items)))
    return Document(tuple(blocks)), added


def _stranger(line: Line) -> str:
    """Why the line of an unknown id cannot be a new task; "" when it can."""
    if line.section is not Section.PENDING:
        return f"{_STRANGER}{line.id} is known here; the line above may be deleted"
    if _ISSUE_ID.fullmatch(line.id):
        return f"{_STRANGER}{line.id} is known here: work on an issue begins when its label is set"
    return ""


def _kept(line: Line, words: str) -> Iterable[Foreign]:
    yield Foreign(line.raw[0], words)
    yield from (Foreign(raw) for raw in line.raw[1:])


def _add(line: Line, key: str) -> AddEdit:
    own_id = bool(_WANTED_ID.fullmatch(line.id))
    title = line.title if own_id else line.text
    return AddEdit(one_line(title) or "(no title)", line.priority, key, line.id if own_id else "")


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
