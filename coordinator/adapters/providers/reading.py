"""A whole claude-shaped stream folded into the few facts that a judgement needs, in one pass and little
memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coordinator.adapters.providers.stream import goes_on, number, parse
from coordinator.adapters.providers.tally import Tally
from coordinator.runfiles.transcript import blocks, text_of

_KILLED_TOOL = ("Exit code 137", "Exit code 143", "Exit code 130")


@dataclass
class Reading:
    """`result` is the last result event; `concluded` says that the session did not go on after it. `error`
    is the last error class that the CLI named, `error_text` its words. `tool_killed`: the last tool was
    taken away from outside, which claude does when it is sent SIGTERM."""

    result: Mapping[str, Any] | None = None
    concluded: bool = False
    started: bool = False
    session_id: str = ""
    model: str = ""
    error: str = ""
    error_text: str = ""
    retries: int = 0
    retry_status: int = 0
    reset_at: float | None = None
    hook_stopped: bool = False
    tool_killed: bool = False
    unknown: int = 0
    tally: Tally = field(default_factory=Tally)
    _stopped_tools: set[str] = field(default_factory=set)

    def feed(self, body: Mapping[str, Any]) -> None:
        self.tally.feed(body)
        if goes_on(body):
            self.concluded = False
        match body.get("type"):
            case "system":
                self._system(body)
            case "assistant":
                self._assistant(body)
            case "user":
                self._user(body)
            case "rate_limit_event":
                self._limit(body.get("rate_limit_info"))
            case "error":
                self.error, self.error_text = "unknown", text_of(body.get("error") or body.get("message"))
            case "result":
                self.result, self.concluded = body, True
                self.session_id = str(body.get("session_id") or self.session_id)
            case _:
                self.unknown += 1

    def _system(self, body: Mapping[str, Any]) -> None:
        match body.get("subtype"):
            case "init":
                self.started = True
                self.session_id = str(body.get("session_id") or "")
                self.model = str(body.get("model") or "")
            case "api_retry":
                self.retries += 1
                self.retry_status = int(number(body.get("error_status")) or 0)
            case "informational":
                self.hook_stopped = self.hook_stopped or body.get("prevent_continuation") is True
            case "task_notification" if body.get("status") == "stopped":
                self._stopped_tools.add(str(body.get("tool_use_id")))

    def _assistant(self, body: Mapping[str, Any]) -> None:
        self.error = str(body.get("error") or "")
        if self.error:
            self.error_text = " ".join(str(block.get("text", "")) for block in blocks(body)).strip()
        else:
            # The model answered: whatever had been waited for is over.
            self.error_text, self.retries = "", 0

    def _user(self, body: Mapping[str, Any]) -> None:
        for block in blocks(body):
            if block.get("type") == "tool_result":
                ended_by_signal = text_of(block.get("content")).startswith(_KILLED_TOOL)
                self.tool_killed = ended_by_signal and str(block.get("tool_use_id")) in self._stopped_tools

    def _limit(self, info: object) -> None:
        if isinstance(info, Mapping) and info.get("status") == "rejected":
            self.error = self.error or "rate_limit"
            self.reset_at = unix_seconds(info.get("resetsAt", info.get("resets_at")))

    def text(self, key: str) -> str:
        """A text field of the last result, "" when it is absent or something else."""
        value = (self.result or {}).get(key)
        return value if isinstance(value, str) else ""

    @property
    def good(self) -> bool:
        """Whether the last result event says success and was the last word."""
        return (
            self.result is not None
            and self.concluded
            and self.result.get("is_error") is False
            and self.result.get("subtype") == "success"
        )

    @property
    def denied(self) -> tuple[str, ...]:
        """Names of the tools that the session was refused."""
        listed = (self.result or {}).get("permission_denials")
        if not isinstance(listed, list):
            return ()
        return tuple(str(one.get("tool_name", "?")) if isinstance(one, Mapping) else str(one) for one in listed)


def read(lines: Iterable[bytes]) -> Reading:
    """Folds raw stdout lines; what is no JSON object is counted as unknown and passed over."""
    reading = Reading()
    for line in lines:
        body = parse(line)
        if body is not None:
            reading.feed(body)
        elif line.strip():
            reading.unknown += 1
    return reading


def unix_seconds(value: object) -> float | None:
    """A moment given in seconds or milliseconds since 1970; None for what cannot be one."""
    seconds = number(value)
    if seconds is None or seconds <= 0:
        return None
    return seconds / 1000 if seconds > 1e11 else seconds
