"""The closed list of what a task may wait for. `why` prints these codes; one outside the list is a bug."""

from __future__ import annotations

from coordinator.domain.reasons import REASONS

OF_ITSELF = frozenset({
    "moving", "preparing", "starting", "running", "stopping", "examining", "publishing", "holdoff", "backoff",
    "provider_parked", "provider_trial", "proving", "github", "leaked", "unknown", "joining", "overlap",
    "host_full", "host_away", "host_ending", "vetting",
})
"""Time, or the end of something under way, moves it; `unknown` only while the executor could not be asked."""

OF_A_PERSON = frozenset({"paused", "depends", "review", "blocked", "failed", "cancelled", "provider_unknown",
                         "no_plan", "later_wave", "strict_waves", "batch_held", "host_gate", "host_none",
                         "untrusted", "edited"})

OF_THE_WHOLE = frozenset({
    "slot", "provider_cap", "label_cap", "draining", "coordinator_paused", "disk", "inodes", "memory", "load",
    "reserve", "label_gone", "sessions_per_day", "money_per_day", "claim",
})

WAIT_CODES = OF_ITSELF | OF_A_PERSON | OF_THE_WHOLE | {"done"}


def known_code(code: str) -> bool:
    """Whether this is a wait's own code or, for a provider that is not ready, a reason code."""
    return code in WAIT_CODES or code in REASONS
