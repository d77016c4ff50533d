"""A stranger's Markdown as the people saw it who approved it: what GitHub does not show never reaches an agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.wording.shown import blocks, inline, invisible

LONGEST = 200_000
"""Of a text of another server, that knows no limit, no more is looked at; GitHub's own texts end at 65,536."""


@dataclass(frozen=True)
class Shown:
    """What is seen of a text, how much of what kind was left out, and how many characters were too many."""

    text: str
    removed: Mapping[str, int] = field(default_factory=dict)
    cut: int = 0


def shown(markdown: str, limit: int) -> Shown:
    """At most `limit` characters of what GitHub shows of a body or a comment; code is left as it is."""
    text, unseen = invisible.without(markdown[:LONGEST])
    text, removed = inline.visible(blocks.parts(text))
    removed[inline.CHARACTERS] += unseen
    kept, over = _cut(text.strip(), limit)
    return Shown(kept, +removed, over + max(0, len(markdown) - LONGEST))


def shown_title(title: str, limit: int = 256) -> Shown:
    """A title: GitHub shows all of it but characters that cannot be seen."""
    text, unseen = invisible.without(title[:LONGEST])
    kept, over = _cut(" ".join(text.split()), limit)
    return Shown(kept, {inline.CHARACTERS: unseen} if unseen else {}, over + max(0, len(title) - LONGEST))


def _cut(text: str, limit: int) -> tuple[str, int]:
    return text[:limit].rstrip(), max(0, len(text) - limit)


def left_out(parts: Mapping[str, Shown]) -> str:
    """What an agent should know of what it does not see, by the name of each part; "" where that is nothing."""
    hidden: dict[str, int] = {}
    for one in parts.values():
        for kind, count in one.removed.items():
            hidden[kind] = hidden.get(kind, 0) + count
    said = []
    if hidden:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(hidden.items()))
        said.append(f"Hidden text was removed: {kinds}")
    said += [f"The {name} was cut: {one.cut} more characters are not shown" for name, one in parts.items() if one.cut]
    return "".join(f"({words}.)\n" for words in said)
