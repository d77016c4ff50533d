"""What every provider makes of every end of a run on its real CLI: the table of docs/providers.md, and what
tests/real/test_conformance.py holds each cell to. A cell is the reason's class, without the provider's name."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from coordinator.domain.outcome import Outcome
from tests.support.model_server import Answer, Raw, Refusal, Scenario

PROVIDERS = ("claude", "codex", "gemini", "opencode")
"""cc-glm is claude with another key and address: its own cells are in test_cc_glm.py."""

NEVER = "-"


@dataclass(frozen=True)
class Row:
    """One end. `scenario`: of the scripted model, one for all ("") or one of a provider's own; `cells` the same for the
    classes, "-" where a provider cannot come to it. `barred`: it may not use the tool that it needs. `send`: this
    signal once a tool runs; `after` these words of its, or so many seconds, the wrapper's time limit ends it."""

    name: str
    cells: Mapping[str, str]
    scenario: Mapping[str, str] = field(default_factory=dict)
    send: signal.Signals | None = None
    after: Mapping[str, bytes | float] = field(default_factory=dict)
    barred: bool = False

    def cell(self, provider: str) -> str:
        return self.cells.get(provider, self.cells.get("", ""))

    def asked(self, provider: str) -> str:
        return self.scenario.get(provider, self.scenario.get("", self.name))

    def lasts(self, provider: str) -> bytes | float | None:
        return self.after.get(provider, self.after.get(""))


ROWS = (
    Row("commit", {"": "success"}),
    Row("text", {"": "no_change"}),
    Row("a tool is barred", {"": "permission_denied", "codex": NEVER, "gemini": "no_change"}, {"": "commit"},
        barred=True),
    Row("401", {"": "auth_blocked"}),
    Row("403", {"": "auth_blocked"}),
    Row("no such model", {"": "model_unavailable"}, {"": "404"}),
    Row("no credit", {"": "no_credit"}, {"": "credit"}),
    Row("429, then an answer", {"": "no_change"}, {"": "429-once"}),
    Row("429 for ever", {"": "rate_limited", "gemini": "capacity_exhausted"}, {"": "429"}),
    Row("limit with a reset", {"": "usage_limited"},
        {"claude": "429-long", "codex": "codex-limit-reset", "gemini": "gemini-limit-reset", "opencode": "429-long"},
        after={"opencode": b"stream error"}),
    Row("limit without a reset", {"": "usage_limited", "opencode": "rate_limited"},
        {"claude": "claude-limit", "codex": "codex-limit", "gemini": "gemini-limit", "opencode": "429"}),
    Row("500", {"": "network", "codex": "overloaded"}),
    Row("overloaded", {"": "overloaded", "gemini": "capacity_exhausted"}, {"": "529"}),
    Row("nobody listens", {"": "network", "codex": "max_runtime", "opencode": "max_runtime"}, {"": "refused"},
        after={"codex": b"waiting for network", "opencode": b"stream error"}),
    Row("cut stream", {"": "protocol_error", "codex": "network", "opencode": "max_runtime"}, {"": "cut"},
        after={"opencode": b'"step_finish"'}),
    Row("garbage", {"": "protocol_error", "codex": "network", "opencode": "max_runtime"},
        after={"opencode": b'"step_finish"'}),
    Row("no answer", {"": "max_runtime"}, {"": "hang"}, after={"": 4.0}),
    Row("SIGTERM in a tool", {"": "manual_stop"}, {"": "slow-tool"}, send=signal.SIGTERM),
    Row("SIGKILL in a tool", {"": "killed"}, {"": "slow-tool"}, send=signal.SIGKILL),
)  # fmt: skip


def called(outcome: Outcome, provider: str) -> str:
    """What a cell holds of this end."""
    return "success" if outcome.reason == "process_exit" else outcome.reason.removeprefix(f"{provider}_")


def _always(answer: Answer) -> Scenario:
    return lambda *_: answer


def scenarios() -> dict[str, Scenario]:
    """Those that the scripted model knows for these rows alone."""
    reset = {"plan_type": "plus", "resets_at": int(time.time()) + 7200, "resets_in_seconds": 7200}
    spent = "The usage limit has been reached"
    daily = "You exceeded your current quota, please check your plan and billing details."
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
               "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}  # fmt: skip
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7200s"}
    return {
        "garbage": _always(Raw(b"<html>no stream</html>\n\n\x00\xff")),
        "claude-limit": _always(Refusal(429, "rate_limit_error", "You've hit your usage limit")),
        "codex-limit": _always(Refusal(429, "usage_limit_reached", spent)),
        "codex-limit-reset": _always(Refusal(429, "usage_limit_reached", spent, more=reset)),
        "gemini-limit": _always(Refusal(429, "RESOURCE_EXHAUSTED", daily, more={"details": [failure]})),
        "gemini-limit-reset": _always(Refusal(429, "RESOURCE_EXHAUSTED", daily, more={"details": [failure, retry]})),
    }


def table(found: Mapping[tuple[str, str], str]) -> str:
    """The cells as a Markdown table; what was not found is `-`."""
    lines = ["| end of the run | " + " | ".join(PROVIDERS) + " |", "|---" * (len(PROVIDERS) + 1) + "|"]
    for row in ROWS:
        cells = (f"`{found[row.name, name]}`" if (row.name, name) in found else "-" for name in PROVIDERS)
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def expected() -> str:
    return table({(row.name, name): row.cell(name) for row, name in cells()})


def cells() -> Iterator[tuple[Row, str]]:
    """Every cell that there is."""
    return ((row, name) for row in ROWS for name in PROVIDERS if row.cell(name) != NEVER)
