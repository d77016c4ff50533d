"""tasks.md between people and the store: their edits become requests once, our text never overwrites theirs unseen.

Three steps, each safe to die after: the edits are stored with their keys and the text to come; the file is
replaced if it still holds what was read; the text becomes the base of the next comparison.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from coordinator.domain.request import RequestKind
from coordinator.engine.world import World
from coordinator.wording.entries import Entries, Entry
from coordinator.wording.tasks_edits import AddEdit, CancelEdit, Edit, rewrite

BASE = "tasks.md"
NEXT = "tasks.md.next"
KEYS = "tasks.md.keys"

Ask = tuple[RequestKind, str, Mapping[str, str]]


class Ledger:
    """The one writer of tasks.md."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._path = world.root / "tasks.md"
        self._last: tuple[tuple[Entry, ...], str | None] | None = None
        self._entries = Entries(world.clock.local)

    def forget(self) -> None:
        """The next sync writes the file whatever it holds: it is made anew from the store."""
        self._last = None

    def read(self) -> bool:
        """Takes up edits where the file is not as it was left; True when some became requests."""
        left = self._last[1] if self._last is not None else None
        return left != self._world.files.read(self._path) and self.sync()

    def sync(self) -> bool:
        """Takes up edits and brings the file up to date; True when edits became requests."""
        world = self._world
        entries = self._entries.of(world.store.tasks(), world.store.attempts(), world.clock.now())
        current = world.files.read(self._path)
        if self._last == (entries, current):
            return False
        base = self._base(current)
        rewritten = rewrite(entries, current, base)
        taken = self._take(rewritten.edits, rewritten.text)
        if rewritten.text != current and not world.files.put_if_unchanged(self._path, rewritten.text, current):
            return taken
        if rewritten.text != base:
            world.store.take_edits((), {BASE: rewritten.text, NEXT: None, KEYS: None}, world.clock.now())
        self._last = (entries, rewritten.text)
        return taken

    def _base(self, current: str | None) -> str | None:
        """The text we wrote last; the one to come if we died just after putting it in place."""
        coming = self._world.store.document(NEXT)
        return coming if coming is not None and coming == current else self._world.store.document(BASE)

    def _take(self, edits: tuple[Edit, ...], text: str) -> bool:
        store, known = self._world.store, set(json.loads(self._world.store.document(KEYS) or "[]"))
        asks = [ask_of(edit) for edit in edits if edit.key not in known]
        if asks or store.document(NEXT) != text:
            keys = sorted(known | {edit.key for edit in edits})
            store.take_edits(asks, {NEXT: text, KEYS: json.dumps(keys)}, self._world.clock.now())
        return bool(asks)


def ask_of(edit: Edit) -> Ask:
    """The request that an edit stands for."""
    if isinstance(edit, CancelEdit):
        return RequestKind.STOP, edit.task_id, {"reason": edit.reason or "cancelled in tasks.md"}
    if isinstance(edit, AddEdit):
        return RequestKind.ADD, edit.task_id, {"title": edit.title, "priority": str(edit.priority)}
    return RequestKind.RETRY, edit.task_id, {}
