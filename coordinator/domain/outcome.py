"""How an attempt ended, and what it left behind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from coordinator.domain.issue import PullRequest
from coordinator.domain.workflow import Left


class Ending(StrEnum):
    SUCCEEDED = "Succeeded"
    NO_CHANGE = "NoChange"
    NEEDS_HUMAN = "NeedsHuman"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    STALLED = "Stalled"
    LOST = "Lost"
    CANCELLED = "Cancelled"


@dataclass(frozen=True)
class Usage:
    """Tokens and cost as the provider counted them; None where it does not say. `tokens_cached` are those of
    `tokens_in` that came out of its cache and cost less."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    tokens_cached: int | None = None


@dataclass(frozen=True)
class Work:
    """What git shows in a worktree, measured against the base the attempt started from.

    `commits` counts commits of the branch that are not in the base; `dirty` lists changed and untracked
    paths without STOP and BLOCKED.md; `pushed` says the remote branch has `head_sha`.
    """

    base_sha: str
    head_sha: str
    commits: int
    dirty: tuple[str, ...] = ()
    pushed: bool = False
    branch_ok: bool = True

    @property
    def any(self) -> bool:
        return self.commits > 0


@dataclass(frozen=True)
class Outcome:
    """The provider's judgement of one run. `detail` is for people: masked, one paragraph.

    `reset_at` (Unix seconds) is when a provider's limit ends, if it said so. `summary` is
    the agent's own words for the pull request. `answered`: its model did, once at least.
    """

    ending: Ending
    reason: str
    detail: str = ""
    usage: Usage = Usage()
    session_id: str = ""
    model: str = ""
    reset_at: float | None = None
    summary: str = ""
    judged_by: str = "result"
    answered: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that was looked at to decide what a finished attempt means for its task.

    `swept_up`: the agent ended well but left changes uncommitted, and they were committed for it. `left` is what a
    stage of a workflow was asked to leave, and whether it passed its gate.
    """

    outcome: Outcome
    work: Work | None
    pulls: tuple[PullRequest, ...] = ()
    pulls_with_commit: tuple[PullRequest, ...] = ()
    blocked_note: str = ""
    stop_note: str = ""
    log_tail: str = ""
    rescue_ref: str = ""
    swept_up: bool = False
    left: Left | None = None
