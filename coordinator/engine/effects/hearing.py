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
    asked = _Accounts(world)
    found = [(one, _counts(asked, one)) for one in reversed(remarks.told) if not one.body.startswith(OURS)]
    unasked = sum(counts is None for _, counts in found)
    return heard_words([one for one, counts in found if counts][::-1], unseen=remarks.older + unasked)


class _Accounts:
    """Whether an account may start work, each asked about once; None of those beyond the limit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known = {"": False, GHOST: False}
        self._left = ASKED_AFTER

    def __call__(self, who: str) -> bool | None:
        if who not in self._known and self._left > 0:
            self._left -= 1
            self._known[who] = self._world.policy.trusts(who, permission_of(self._world, who))
        return self._known.get(who)


def _counts(asked: _Accounts, remark: Remark) -> bool | None:
    """Whether its author and all who changed it may start work; None where one of them was not asked about."""
    if remark.editors is None:
        return False
    answers = map(asked, (remark.author, *remark.editors))
    return next((answer for answer in answers if not answer), True)
