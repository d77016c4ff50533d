"""One tool call in a few words: which file, which command, which search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.runfiles.transcript import one_line, tool_gist, tool_input

_ICONS = {
    "Read": "📖",
    "NotebookRead": "📖",
    "Edit": "✏️",
    "MultiEdit": "✏️",
    "NotebookEdit": "✏️",
    "Write": "📝",
    "Grep": "🔎",
    "Glob": "🔎",
    "LS": "🔎",
    "WebFetch": "🌐",
    "WebSearch": "🌐",
    "Task": "🤖",
    "TodoWrite": "📋",
}


def icon(block: Mapping[str, Any]) -> str:
    return _ICONS.get(str(block.get("name")), "🔧")


def words(block: Mapping[str, Any]) -> str:
    """The tool's name and what it is about: `Edit src/parse.py +9 −2`."""
    name, given = str(block.get("name", "?")), tool_input(block)
    gist = f"{name} {tool_gist(block)}".strip()
    if name in {"Edit", "MultiEdit"}:
        return f"{gist} {_changed(given)}"
    if name == "Write":
        return f"{gist} {_count(given.get('content'))} lines"
    if name == "TodoWrite" and isinstance(given.get("todos"), list):
        return f"{name} {len(given['todos'])} items"
    if name == "Grep" and given.get("path"):
        return f"{gist} in {one_line(str(given['path']))}"
    return gist


def _changed(given: Mapping[str, Any]) -> str:
    edits = given.get("edits") if isinstance(given.get("edits"), list) else [given]
    changes = [edit for edit in edits or [] if isinstance(edit, Mapping)]
    added = sum(_count(edit.get("new_string")) for edit in changes)
    return f"+{added} −{sum(_count(edit.get('old_string')) for edit in changes)}"


def _count(text: object) -> int:
    return len(text.splitlines()) if isinstance(text, str) else 0


def parameters(block: Mapping[str, Any]) -> list[str]:
    """Every parameter, whole: one line each, several for a value of several lines."""
    lines: list[str] = []
    for key, value in tool_input(block).items():
        first, *rest = _shown(value).split("\n")
        lines.append(f"{key}: {first}")
        lines += [f"  {line}" for line in rest]
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)
