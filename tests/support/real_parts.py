"""Where the real parts lie that `make test-real` installs, and the words for a part that is not there."""

from __future__ import annotations

import os
from pathlib import Path

REAL = Path(os.environ.get("COORDINATOR_REAL") or Path(__file__).parents[2] / ".real")
MODULES = REAL / "node_modules"
CLAUDE = MODULES / ".bin" / "claude"
CODEX = MODULES / ".bin" / "codex"
GEMINI = MODULES / ".bin" / "gemini"
OPENCODE = MODULES / "opencode-linux-x64" / "bin" / "opencode"
NODE = MODULES / "node" / "bin" / "node"
EMULATE = MODULES / ".bin" / "emulate"


def missing(part: Path) -> str:
    """Why a test on this part must be skipped; "" when the part is there."""
    return "" if part.exists() else f"{part.relative_to(REAL)} is not installed: make test-real"
