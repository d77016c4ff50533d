"""Which comments reach an agent: those of people who may start work, that nobody else changed since."""

from __future__ import annotations

from coordinator.domain.issue import GHOST, Remark
from coordinator.domain.task import Task
from coordinator.engine.effects.polling import permission_of
from coordinator.engine.world import World
from coordinator.ports import Forbidden, NotThere, Refused
from coordinator.wording.heard import heard_words

ASKED_AFTER = 20
"""Accounts that GitHub is asked about for one attempt: those who wrote last; of others nothing is heard."""
OURS = "<!-- coordinator:"
"""Everything we write begins so, whatever account it is written by; the same account may be a person's, too."""


def heard(world: World, task: Task) -> str:
    """The words for the prompt. Raises TryLater, Limited and BadCredentials: nobody knows then what was said."""
    if task.issue is None:
        return ""
    try:
        remarks = world.github.remarks(task.issue)
    except (Forbidden, NotThere, Refused) as error:
        return heard_words((), unread=error.words)
    known: dict[str, bool] = {}
    others = [one for one in reversed(remarks) if not one.body.startswith(OURS)]
    return heard_words([one for one in others if _counts(world, one, known)][::-1])


def _counts(world: World, remark: Remark, known: dict[str, bool]) -> bool:
    """Whether its author and all who changed it may start work."""
    return remark.editors is not None and all(_trusted(world, who, known) for who in (remark.author, *remark.editors))


def _trusted(world: World, who: str, known: dict[str, bool]) -> bool:
    if who in ("", GHOST):
        return False
    if who not in known:
        known[who] = len(known) < ASKED_AFTER and world.policy.trusts(who, permission_of(world, who))
    return known[who]
