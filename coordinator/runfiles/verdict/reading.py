"""A whole stream folded into the few facts that a judgement needs, in one pass and little memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping

from coordinator.runfiles.tongues import CLAUDE, TEXT, tongue
from coordinator.runfiles.transcript import blocks, text_of
from coordinator.runfiles.verdict.lines import goes_on, number, parse
from coordinator.runfiles.verdict.tally import Tally, key_of

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Deque, Iterable, Optional, Tuple

_LONGEST_SAID = 20_000
_LONGEST_NAME = 100
_TOOLS_AT_ONCE = 64
_LONGEST_LINE = 1000
_ESCAPES = rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|[\x0e\x0f]"
_KILLED_TOOL = ("Exit code 137", "Exit code 143", "Exit code 130")


class Reading:
    """`speaks` is whose stream it was. `result` is the last result event; `concluded` says that the session did not go
    on after it. `answered`: the model did, once at least. `said`: the agent's words since its last tool. `error` is the
    last error class that the CLI named, `error_text` its words. `last_line` is the last that was no event.
    `tool_killed`: the last tool was taken away from outside, which claude does when it is sent SIGTERM."""

    def __init__(self, speaks: str = CLAUDE) -> None:
        self.speaks = speaks
        self.said = ""
        self.result: Optional[Mapping[str, Any]] = None
        self.concluded = False
        self.started = False
        self.answered = False
        self.session_id = ""
        self.model = ""
        self.error = ""
        self.error_text = ""
        self.retries = 0
        self.retry_status = 0
        self.reset_at: Optional[float] = None
        self.hook_stopped = False
        self.tool_killed = False
        self.unknown = 0
        self.last_line = b""
        self.tally = Tally()
        self._refused: Deque[str] = deque(maxlen=_TOOLS_AT_ONCE)
        self._stopped_tools: Deque[int] = deque(maxlen=_TOOLS_AT_ONCE)

    def feed(self, body: Mapping[str, Any]) -> None:
        self.tally.feed(body)
        if goes_on(body):
            self.concluded = False
        kind = body.get("type")
        if kind == "system":
            self._system(body)
        elif kind == "assistant":
            self._assistant(body)
        elif kind == "user":
            self._user(body)
        elif kind == "rate_limit_event":
            self._limit(body.get("rate_limit_info"))
        elif kind == "error":
            self.error, self.error_text = "unknown", text_of(body.get("error") or body.get("message"))
        elif kind == "result":
            self.result, self.concluded = body, True
            self.reset_at = unix_seconds(body.get("resets_at")) or self.reset_at
            self.session_id = str(body.get("session_id") or self.session_id)
        else:
            self.unknown += 1

    def _system(self, body: Mapping[str, Any]) -> None:
        subtype = body.get("subtype")
        if subtype == "init":
            self.started = True
            self.session_id = str(body.get("session_id") or "")
            self.model = str(body.get("model") or "")
        elif subtype == "api_retry":
            self.retries += 1
            self.retry_status = int(number(body.get("error_status")) or 0)
        elif subtype == "informational":
            self.hook_stopped = self.hook_stopped or body.get("prevent_continuation") is True
        elif subtype == "task_notification" and body.get("status") == "stopped":
            self._stopped_tools.append(key_of(body.get("tool_use_id")))

    def _assistant(self, body: Mapping[str, Any]) -> None:
        self.error = str(body.get("error") or "")
        if self.error:
            self.error_text = " ".join(str(block.get("text", "")) for block in blocks(body)).strip()
        else:
            # The model answered: whatever had been waited for is over.
            self.error_text, self.retries, self.answered = "", 0, True
            self.said = (self.said + _words(body))[-_LONGEST_SAID:]

    def _user(self, body: Mapping[str, Any]) -> None:
        for block in blocks(body):
            if block.get("type") == "tool_result":
                self.said = ""
                if block.get("refused_tool"):
                    self._refused.append(str(block["refused_tool"])[:_LONGEST_NAME])
                ended_by_signal = text_of(block.get("content")).startswith(_KILLED_TOOL)
                self.tool_killed = ended_by_signal and key_of(block.get("tool_use_id")) in self._stopped_tools

    def _limit(self, info: object) -> None:
        if isinstance(info, Mapping) and info.get("status") == "rejected":
            self.error = self.error or "rate_limit"
            self.reset_at = unix_seconds(info.get("resetsAt", info.get("resets_at")))

    def text(self, key: str) -> str:
        """A text field of the last result, "" when it is absent or something else."""
        value = (self.result or {}).get(key)
        return value if isinstance(value, str) else ""

    @property
    def conclusion(self) -> str:
        """The words with which it ended: the result's own, else what was said last."""
        return self.text("result") or self.said.strip()

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
    def denied(self) -> Tuple[str, ...]:
        """Names of the tools that the session was refused."""
        listed = (self.result or {}).get("permission_denials")
        if not isinstance(listed, list):
            return tuple(self._refused)
        return tuple(str(one.get("tool_name", "?")) if isinstance(one, Mapping) else str(one) for one in listed)


def read(lines: Iterable[bytes], speaks: str = CLAUDE) -> Reading:
    """Folds the raw stdout lines of whoever speaks so; what is no JSON object is counted as unknown and passed over.
    Of plain text so is everything. Raises ValueError for a tongue that nobody has."""
    reading, normal = Reading(speaks), tongue(speaks)
    for line in lines:
        body = None if speaks == TEXT else parse(line)
        if body is not None:
            for one in normal(body):
                reading.feed(one)
        elif line.strip():
            reading.unknown += 1
            reading.last_line = _visible(line[:_LONGEST_LINE]) or reading.last_line
    return reading


def _visible(line: bytes) -> bytes:
    """A line as it is read: a program in a terminal ends with sequences that let go of it."""
    return (re.sub(_ESCAPES, b"", line) if b"\x1b" in line else line).strip()


def _words(body: Mapping[str, Any]) -> str:
    return "".join(str(block.get("text", "")) for block in blocks(body) if block.get("type") == "text")


def unix_seconds(value: object) -> Optional[float]:
    """A moment given in seconds or milliseconds since 1970; None for what cannot be one."""
    seconds = number(value)
    if seconds is None or seconds <= 0:
        return None
    return seconds / 1000 if seconds > 1e11 else seconds
