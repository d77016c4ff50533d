"""The files by which a repository tells agents what to do and what to run: hooks, tools, instructions."""

from __future__ import annotations

NAMES = (
    ".claude", ".mcp.json", "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "AGENTS.override.md", ".codex", ".gemini",
    "GEMINI.md", "opencode.json", "opencode.jsonc", ".opencode",
)  # fmt: skip
"""In the root of a checkout, files and folders: there a CLI looks when it is started."""

PATTERNS = tuple(f"/{name}/" for name in NAMES)
"""The same for domain/patterns.py: each of them and all that is in it."""
