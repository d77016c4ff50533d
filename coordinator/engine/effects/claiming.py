"""The claim on the repository, and what another coordinator left there."""

from __future__ import annotations

from coordinator.domain.task import BRANCHES
from coordinator.engine.facts import ClaimKept, Inherited
from coordinator.engine.world import World
from coordinator.planning.actions import Inherit, KeepClaim
from coordinator.planning.completion import choose_pull
from coordinator.ports import GitError


def keep(_: KeepClaim, world: World) -> ClaimKept:
    """One step of the claim: taken, renewed, or looked at."""
    if world.claimant is None:
        raise GitError("nobody keeps a claim here")
    kept = world.claimant.keep(BRANCHES)
    return ClaimKept(world.claimant.hold(world.clock.now()), world.claimant.sha, kept.taken, kept.of, kept.left)


def inherit(action: Inherit, world: World) -> Inherited:
    """The pull request of a branch that another coordinator left."""
    choice = choose_pull(action.branch, action.sha, world.github.pulls_of_branch(action.branch), ())
    return Inherited(action.branch, action.sha, choice.pull)
