"""Where the gate of a batch stands between two looks: open, held, or being tried by one task or one wave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class GatePhase(StrEnum):
    """`FREE`: everything may start. `HELD`: nothing may. `CANARY`: one task may. `WAVE`: one wave and those before it
    may, and its health decides the rest."""

    FREE = ""
    HELD = "held"
    CANARY = "canary"
    WAVE = "wave"


@dataclass(frozen=True)
class Standing:
    """`since` is when this phase began and `judged_from` when the batch was let go on last: what was begun before is
    no evidence any more. `number` counts the holds, `told` is the last of them that the umbrella issue was told of.
    `why`, `cause` (a reason code), `share` and `evidence` are those of the last hold, `by` the person's words where no
    failure but a person held it. `canary` is a task's id and `attempts` how many it had when it was chosen; `wave`
    counts from 1."""

    phase: GatePhase = GatePhase.FREE
    since: datetime | None = None
    number: int = 0
    told: int = 0
    why: str = ""
    cause: str = ""
    share: float = 0.0
    evidence: tuple[str, ...] = ()
    by: str = ""
    canary: str = ""
    attempts: int = 0
    wave: int = 0
    judged_from: datetime | None = None
