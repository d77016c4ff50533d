"""Tells one random history again, step by step: `python -m tests.simulate SEED [SEED ...]`, or FIRST-LAST for many.

Ends with 1 when a history breaks what must hold. No third-party module is needed beyond those of the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from tests.support.histories import Broken, History


def seeds_of(words: Sequence[str]) -> Iterator[int]:
    """Raises ValueError for what is no number."""
    for word in words:
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


def main(words: Sequence[str]) -> int:
    try:
        seeds = list(seeds_of(words))
    except ValueError as error:
        print(f"usage: python -m tests.simulate SEED [SEED ...] | FIRST-LAST: {error}", file=sys.stderr)
        return 64
    broken = [seed for seed in seeds if not tell(seed, aloud=len(seeds) == 1)]
    print(f"{len(seeds)} histories, {len(broken)} broken{': ' if broken else ''}{', '.join(map(str, broken))}")
    return 1 if broken else 0


def tell(seed: int, *, aloud: bool) -> bool:
    """Whether the history of this seed holds."""
    history = History(seed)
    words = ""
    try:
        history.run()
    except Broken as broken:
        words = str(broken).partition("\n")[0]
    if aloud:
        print(history.shape)
        print("\n".join(f"{number:4} {line}" for number, line in enumerate(history.story, 1)))
        print(f"{history.crashes} deaths, {sum(history.troubles.met.values())} other troubles")
    if aloud or words:
        print(words or "everything that must hold holds, and came to rest")
    return not words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
