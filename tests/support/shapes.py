"""What kind of history a seed stands for."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

LONG = 60
"""One history of so many is a long one."""
ON_DISK = 250
"""One history of so many has its memory on SQLite, which costs twenty times as much as one in dictionaries."""
ROUGH = 0.08
"""The part of requests and writes that goes wrong in the worst histories."""


@dataclass(frozen=True)
class Shape:
    """`steps` moments in which people act; `issues` by number; `hosted`: all work is done on two hosts, which see our
    files when `shared`; `staged`: issue 2 goes through three stages, the first held for approval when `approval`;
    `respite`: how much later it dies than at once; `rate`: the part of requests and writes that goes wrong; `lies`:
    clocks are wrong; `on_disk`: the memory is the real one, on SQLite."""

    steps: int
    issues: tuple[int, ...]
    hosted: bool
    shared: bool
    staged: bool
    approval: bool
    batched: bool
    respite: int
    rate: float
    lies: bool
    on_disk: bool


def shape_of(seed: int) -> Shape:
    random = Random(f"shape of {seed}")
    long, hosted, staged = random.random() < 1 / LONG, random.random() < 0.2, random.random() < 0.12
    issues = (1, 2, 3) if long else (2,) if staged else random.choice(((1,), (1,), (1,), (1, 2), (1, 3)))
    return Shape(
        steps=random.choice((25, 40)) if long else random.choice((3, 5, 7, 9)) + 4 * staged + 6 * hosted,
        issues=issues,
        hosted=hosted,
        shared=hosted and random.random() < 0.5,
        staged=staged,
        approval=staged and random.random() < 0.5,
        batched=len(issues) > 1 and random.random() < 0.4,
        respite=random.choice((1, 6, 6) if hosted else (1, 1, 6)),
        rate=random.choice((0.0, 0.0, 0.03, ROUGH)),
        lies=random.random() < 0.25,
        on_disk=random.random() < 1 / ON_DISK,
    )
