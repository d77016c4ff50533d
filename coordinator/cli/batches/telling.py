"""What the verbs that act print: what they would touch, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from coordinator.cli.batches.looking import say
from coordinator.cli.trouble import GENERAL

if TYPE_CHECKING:
    from coordinator.app.batch_verbs import Done
    from coordinator.app.batches import Member


def agreed(members: Sequence[Member], what: str, command: str, *, yes: bool) -> bool:
    """Lists what it is about where nobody said --yes; False then, and where there is nothing to do."""
    if not members:
        print("nothing to do: no member of the batch is concerned")
        return False
    if yes:
        return True
    say([f"{what}: {one.id} ({one.state}{f', {one.reason}' if one.reason else ''})" for one in members])
    print(f"{len(members)} in all; nothing was done: {command}")
    return False


def told(found: Iterable[Done]) -> Iterator[Done]:
    """Each is printed as soon as it is known."""
    for one in found:
        run = f" -> {one.run}" if one.run else ""
        say([f"{one.id}{run}: {one.words}" if one.ok else f"not done: {one.id}: {one.words}"])
        yield one


def code_of(done: Sequence[Done]) -> int:
    return 0 if all(one.ok for one in done) else GENERAL
