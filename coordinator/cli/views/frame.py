"""The first and the last line of a conversation: whose it is, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from coordinator.cli.views.conversation import Totals, clock, moment
from coordinator.cli.views.harmless import harmless
from coordinator.runfiles import transcript as shape


@dataclass
class Facts:
    """What the first lines and the last lines of a transcript tell of the run."""

    task: str
    provider: str = ""
    version: str = ""
    model: str = ""
    session: str = ""
    attempt: int = 0
    began: datetime | None = None
    ended: datetime | None = None
    how: str = ""

    def feed(self, body: Mapping[str, Any]) -> None:
        at = moment(body.get("timestamp"))
        self.began = self.began or at
        if body.get("type") == "result":
            self.ended, self.how = at, "ok" if body.get("is_error") is False else "failed"
        if body.get("type") == "system":
            self._system(body, at)

    def _system(self, body: Mapping[str, Any], at: datetime | None) -> None:
        match body.get("subtype"):
            case shape.STARTED:
                self.task = str(body.get("task") or self.task)
                self.provider = str(body.get("provider", ""))
                attempt = body.get("attempt")
                self.attempt = attempt if isinstance(attempt, int) else 0
            case "init":
                self.model = str(body.get("model") or "")
                self.session = str(body.get("session_id") or "")
                self.version = str(body.get("claude_code_version") or "")
            case shape.ENDED:
                self.ended, self.how = at or self.ended, str(body.get("how", ""))

    @property
    def complete(self) -> bool:
        """Whether the first lines have told all that they can."""
        return bool(self.session)


def header(facts: Facts, zone: tzinfo | None = None) -> str:
    agent = f"{facts.provider or 'claude'} {facts.version}".rstrip()
    parts = [facts.task, f"attempt {facts.attempt}" if facts.attempt > 1 else "", agent, facts.model]
    parts += [f"session {facts.session}" if facts.session else "", _span(facts, zone)]
    parts += [facts.how if facts.how or not facts.began else "still running"]
    return harmless(" · ".join(part for part in parts if part))


def _span(facts: Facts, zone: tzinfo | None) -> str:
    if facts.began is None:
        return ""
    if facts.ended is None:
        return f"since {clock(facts.began, zone)}"
    took = duration((facts.ended - facts.began).total_seconds())
    return f"{clock(facts.began, zone)} → {clock(facts.ended, zone)} ({took})"


def duration(seconds: float) -> str:
    """`12m 09s`, `1h 02m`, `9s`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def footer(totals: Totals) -> str:
    by_name = ", ".join(f"{count} {shape.one_line(harmless(name))}" for name, count in totals.tools.ranked())
    uses = f"{totals.tools.total} tool uses" + (f" ({by_name})" if by_name else "")
    tokens_in, tokens_out, money = totals.tally.use
    told = tokens_in is not None or tokens_out is not None
    tokens = f"{short(tokens_in or 0)} in / {short(tokens_out or 0)} out" if told else "no tokens told"
    cost = f"${money:.2f}" if money is not None else ""
    unknown = f"{totals.unknown} unknown lines" if totals.unknown else ""
    parts = (f"{totals.messages} messages", uses, tokens, cost, f"{totals.denied} denied", unknown)
    return " · ".join(part for part in parts if part)


def short(count: int) -> str:
    """Tokens for people: `950`, `9k`, `2.1M`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 999_500 else f"{count / 1_000_000:.1f}M"
