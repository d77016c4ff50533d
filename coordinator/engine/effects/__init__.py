"""Slow effects, one function an action. They run on a pool, ask and change the world, and bring back facts.

They never touch the store: what they learn is written by the engine's thread. Each can be made again after a
crash: it first looks whether it was done already (run files, branch, pull request by head, hidden marker).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from coordinator.engine.effects import (
    approving,
    claiming,
    examining,
    explaining,
    joining,
    notifying,
    polling,
    proving,
    publishing,
    starting,
    telling,
    tidying,
)
from coordinator.engine.effects.umbrella import tell as tell_umbrella
from coordinator.engine.facts import EffectFailed, Fact
from coordinator.engine.world import World
from coordinator.planning.actions import (
    Action,
    AskApproval,
    CleanUp,
    Deliver,
    Examine,
    Explain,
    GiveUp,
    Inherit,
    Join,
    KeepClaim,
    Launch,
    Look,
    Notify,
    Poll,
    Prepare,
    Prove,
    Publish,
    Push,
    Reclaim,
    StopWorker,
    Sweep,
    Tell,
    TellBatch,
    Tidy,
    VetIssue,
)
from coordinator.planning.claiming import outward
from coordinator.ports import (
    Away,
    BadCredentials,
    GitError,
    GitHubError,
    GitUnreachable,
    Limited,
    Reserved,
    StoreError,
    TryLater,
)

_MADE_BY: dict[type[Any], Callable[[Any, World], Fact]] = {
    KeepClaim: claiming.keep,
    Inherit: claiming.inherit,
    Poll: polling.poll,
    VetIssue: polling.vet,
    Explain: explaining.explain,
    Prove: proving.prove,
    Prepare: starting.prepare,
    Launch: starting.launch,
    GiveUp: starting.give_up,
    StopWorker: starting.stop,
    Examine: examining.examine,
    AskApproval: approving.ask,
    Push: publishing.push,
    Publish: publishing.publish,
    Join: joining.join,
    Look: joining.look,
    Deliver: joining.deliver,
    Tell: telling.tell,
    TellBatch: tell_umbrella,
    Tidy: tidying.tidy,
    CleanUp: tidying.clean,
    Sweep: tidying.sweep_out,
    Reclaim: tidying.reclaim,
    Notify: notifying.notify,
}

GITHUB_REST = timedelta(seconds=30)
"""How long GitHub is left alone after it could not be reached, refused our token or would not be polled."""


def perform(action: Action, world: World) -> Fact:
    """The fact of one effect, its words without secrets. Never raises: what went wrong is a fact too."""
    fact = _made(action, world)
    words: dict[str, Any] = {"words": world.mask(fact.words)} if hasattr(fact, "words") else {}
    return replace(fact, **words)


def _made(action: Action, world: World) -> Fact:
    if world.claimant is not None and outward(action) and not world.claimant.fresh:   # it ran out in the queue
        return EffectFailed(action, world.claimant.hold(world.clock.now()).words)
    try:
        return _MADE_BY[type(action)](action, world)
    except Reserved as error:
        return EffectFailed(action, error.words)
    except Limited as error:
        return EffectFailed(action, error.words, github_until=error.until)
    except (TryLater, BadCredentials) as error:
        if isinstance(error, BadCredentials) and world.renew():
            return EffectFailed(action, f"{error.words}. Its source gives another one by now: that is used")
        return EffectFailed(action, error.words, github_until=world.clock.now() + GITHUB_REST)
    except Away as error:
        return EffectFailed(action, f"a host cannot be asked: {error.words}")
    except GitUnreachable as error:
        return EffectFailed(action, f"the remote cannot be reached: {error.words}")
    except GitHubError as error:
        rest = world.clock.now() + GITHUB_REST if isinstance(action, Poll) else None
        return EffectFailed(action, error.words, github_until=rest)
    except (GitError, StoreError) as error:
        return EffectFailed(action, error.words)
    except OSError as error:
        return EffectFailed(action, f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
    except Exception as error:  # noqa: BLE001 - a bug in one effect must not end the daemon; it is saved and shown
        return EffectFailed(action, f"{type(error).__name__}: {error}", bug=traceback.format_exc())


__all__ = ["perform"]
