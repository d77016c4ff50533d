"""Which issues an issue waits for, as its text says, and the circles among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K", int, str)

_FLAGS = re.IGNORECASE | re.MULTILINE
_LINE = re.compile(r"^[ \t>*+-]*(?:depends\s+on|blocked\s+by)\b[ \t:]*(?P<rest>[^\n]{1,500})", _FLAGS)
_NUMBER = re.compile(r"(?<![\w/])#(\d{1,9})\b")


def written(body: str) -> tuple[int, ...]:
    """Numbers on "Depends on #N" and "Blocked by #N" lines, each once, in order."""
    found: dict[int, None] = {}
    for line in _LINE.finditer(body[:200_000]):
        for number in _NUMBER.findall(line["rest"]):
            found[int(number)] = None
    return tuple(found)


def circles(waits_for: Mapping[K, frozenset[K]]) -> dict[K, tuple[K, ...]]:
    """For every issue, or task of a plan, that waits for itself through others: the members of its circle, sorted
    (Tarjan)."""
    order: dict[K, int] = {}
    low: dict[K, int] = {}
    stack: list[K] = []
    open_yet: set[K] = set()
    found: dict[K, tuple[K, ...]] = {}

    def close(root: K) -> None:
        members: list[K] = []
        while not members or members[-1] != root:
            members.append(stack.pop())
            open_yet.discard(members[-1])
        if len(members) > 1 or root in waits_for.get(root, ()):
            found.update(dict.fromkeys(members, tuple(sorted(members))))

    for start in waits_for:
        if start in order:
            continue
        path = [(start, iter(waits_for[start]))]
        order[start] = low[start] = len(order)
        stack.append(start)
        open_yet.add(start)
        while path:
            node, children = path[-1]
            child = next(children, None)
            if child is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == order[node]:
                    close(node)
            elif child not in order:
                order[child] = low[child] = len(order)
                stack.append(child)
                open_yet.add(child)
                path.append((child, iter(waits_for.get(child, ()))))
            elif child in open_yet:
                low[node] = min(low[node], order[child])
    return found
