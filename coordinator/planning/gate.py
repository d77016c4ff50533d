"""Which folders agents may be started in. Pure: paths are real ones, links and `..` resolved by the caller."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath


def outside(place: PurePath, roots: Iterable[PurePath]) -> bool:
    """Whether `place` lies in none of the roots, compared component by component: /tmp/agents-evil is not in
    /tmp/agents."""
    return not any(place == root or root in place.parents for root in roots)
