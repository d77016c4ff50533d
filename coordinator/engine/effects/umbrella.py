"""The comment on a batch's umbrella issue: found again by its hidden marker, so that there is one a hold."""

from __future__ import annotations

from coordinator.engine.facts import BatchTold
from coordinator.engine.world import World
from coordinator.planning.actions import TellBatch
from coordinator.planning.batch.membership import title_of
from coordinator.planning.batch.scope import Scope, parse_key
from coordinator.ports import Forbidden, NotThere, NotYet, Refused
from coordinator.wording.batch_notice import held_notice


def tell(action: TellBatch, world: World) -> BatchTold:
    """Looks before it speaks: what we remember to have said may be from before a crash."""
    held = action.held
    since = f"{held.since:%Y-%m-%d %H:%M} UTC" if held.since is not None else ""
    notice = held_notice(title_of(action.key), Scope(*parse_key(action.key)).options, held.number, held.why,
                         held.evidence, cause=held.cause, share=held.share, since=since)
    login = world.policy.login or world.github.facts().login
    try:
        said = any(notice.marker in comment.body for comment in world.github.comments(action.issue)
                   if not login or comment.author == login)
        if not said:
            world.github.add_comment(action.issue, world.mask(notice.body))
    except NotThere as error:
        world.say(f"#{action.issue}: the umbrella issue of {title_of(action.key)} is gone ({error.words})")
    except NotYet:
        raise
    except (Forbidden, Refused) as error:
        world.say(f"#{action.issue}: the hold of {title_of(action.key)} cannot be said there: {error.words}")
    return BatchTold(action.key, held.number)
