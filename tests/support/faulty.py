"""`python -m tests.support.faulty FILE ARGV...`: the program with a bug of ours in it, one that knows too much. The
first tick after FILE is there fails with the GitHub token and its codings in its words."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from pathlib import Path

from coordinator import app
from coordinator.cli.main import main
from coordinator.engine.tick import Engine

_tick = Engine.tick


def _faulty(engine: Engine) -> object:
    sign = Path(sys.argv[1])
    if sign.exists():
        sign.unlink()
        token, _ = app.github_token(os.environ)
        coded = b64encode(f"x-access-token:{token}".encode()).decode()
        broken = f"{token[:9]}\x1b[0m{token[9:]}"
        raise RuntimeError(f"GET https://x:{token}@example.org gave 500; sent: Basic {coded}, {broken}")
    return _tick(engine)


if __name__ == "__main__":
    Engine.tick = _faulty  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[2:]))
