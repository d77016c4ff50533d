"""The shape of a transcript's lines, for those who write them and those who read them.

A transcript (`logs/gh-471.jsonl`) holds claude's stream-json for every provider, `type=error` lines for each
failure, and two lines of ours: how the run began and how it ended. Nothing here may raise for any JSON value.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

STARTED = "coordinator_started"
ENDED = "coordinator_ended"
OUTPUT = "output"

# What a tool call is about, in the order in which its parameters tell it best.
_TELLING = (
    "command",
    "file_path",
    "notebook_path",
    "pattern",
    "path",
    "url",
    "query",
    "skill",
    "description",
    "prompt",
)


def started(task: str, provider: str, attempt: int, run_id: str) -> Dict[str, Any]:
    """The first line."""
    return {
        "type": "system",
        "subtype": STARTED,
        "task": task,
        "provider": provider,
        "attempt": attempt,
        "run_id": run_id,
    }


def ended(how: str) -> Dict[str, Any]:
    """The last line; `how` is for people: "exit 0", "stopped"."""
    return {"type": "system", "subtype": ENDED, "how": how}


def output(text: str) -> Dict[str, Any]:
    """A line of the agent's output that is no event."""
    return {"type": "system", "subtype": OUTPUT, "content": text}


def error(kind: str, message: str) -> Dict[str, Any]:
    """A failure, for those who look for `type=error`."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def blocks(body: Mapping[str, Any]) -> Tuple[Mapping[str, Any], ...]:
    """The content blocks of a message; content given as a plain string is one text block."""
    message = body.get("message")
    content = message.get("content") if isinstance(message, Mapping) else message
    if isinstance(content, str):
        return ({"type": "text", "text": content},)
    if not isinstance(content, list):
        return ()
    return tuple(_block(block) for block in content)


def _block(block: Any) -> Mapping[str, Any]:
    return block if isinstance(block, Mapping) else {"type": "text", "text": str(block)}


def text_of(content: Any) -> str:
    """The text of a tool result or an error, whichever of its shapes it has."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return str(content.get("text") or content.get("message") or "")
    if isinstance(content, list):
        return "\n".join(text_of(part) for part in content)
    return "" if content is None else str(content)


def tool_input(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a tool call, {} when they are not an object."""
    value = block.get("input")
    return value if isinstance(value, Mapping) else {}


def tool_gist(block: Mapping[str, Any]) -> str:
    """What a tool call is about, on one line: its command, file, pattern or address; "" when none tells."""
    given = tool_input(block)
    found = next((given[key] for key in _TELLING if isinstance(given.get(key), str) and given[key]), "")
    return one_line(found)


def retry_words(body: Mapping[str, Any]) -> str:
    """What claude waits for when it asks the API again, from a line `system/api_retry`."""
    why = str(body.get("error") or "error").replace("_", " ")
    status = " ({})".format(body["error_status"]) if body.get("error_status") else ""
    delay = body.get("retry_delay_ms")
    wait = ", waits {:.1f} s".format(delay / 1000) if isinstance(delay, (int, float)) else ""
    attempt, most = body.get("attempt", "?"), body.get("max_retries", "?")
    return "{}{}{} (attempt {} of {})".format(why, status, wait, attempt, most)


def one_line(text: str, limit: int = 200) -> str:
    """The text on one line, cut to `limit` characters."""
    joined = " ".join(text[: limit * 4].split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"
