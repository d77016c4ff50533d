"""In what order things that wait for each other can be done: waves, the longest chain, circles. It knows keys and
what each waits for, never what stands behind a key."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

_DIGITS = re.compile(r"(\d+)")


def waves_of(depends: Mapping[K, Collection[K]]) -> dict[K, int]:
    """The wave of every key, from 1: one more than the last wave of what it waits for. What is waited for and is no
    key itself holds nobody up. What stands in a circle, or waits for one, has no wave and is left out."""
    open_for = {key: {other for other in others if other in depends} for key, others in depends.items()}
    waiting: dict[K, list[K]] = {key: [] for key in depends}
    for key, others in open_for.items():
        for other in others:
            waiting[other].append(key)
    waves: dict[K, int] = {}
    wave = [key for key, others in open_for.items() if not others]
    number = 1
    while wave:
        waves.update(dict.fromkeys(wave, number))
        number += 1
        following = []
        for key in wave:
            for waiter in waiting[key]:
                open_for[waiter].discard(key)
                if not open_for[waiter]:
                    following.append(waiter)
        wave = following
    return {key: waves[key] for key in depends if key in waves}


def waves(depends: Mapping[K, Collection[K]]) -> tuple[tuple[K, ...], ...]:
    """The members of each wave, in the order of the mapping."""
    members: dict[int, list[K]] = {}
    for key, number in waves_of(depends).items():
        members.setdefault(number, []).append(key)
    return tuple(tuple(members[number]) for number in sorted(members))


def critical_path(depends: Mapping[K, Collection[K]]) -> tuple[K, ...]:
    """The longest chain of keys in which each waits for the one before; of several the one that comes first."""
    chain: list[K] = []
    for wave in reversed(waves(depends)):
        chain.append(next(key for key in wave if not chain or key in depends[chain[-1]]))
    return tuple(reversed(chain))


def natural(text: str) -> tuple[tuple[int, str, str], ...]:
    """A key by which T2 sorts before T10, and wave-2 before wave-10."""
    return tuple(_part(part) for part in _DIGITS.split(text))


def _part(part: str) -> tuple[int, str, str]:
    if not part.isdecimal():
        return 0, part, ""
    number = part.lstrip("0")
    return len(number) + 1, number, part
