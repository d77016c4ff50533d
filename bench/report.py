"""Writes docs/benchmarks.md: what the scripts beside it print on this machine, now. `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

What `make bench` printed when it last ran. Figures differ from machine to machine; the ratio to the baseline measured
in the same run is what counts.
"""
PARTS = (
    ("Jobs", "jobs.py"), ("Transcripts", "transcripts.py"), ("Overlapping tasks", "overlap.py"),
    ("Many tasks", "scale.py"), ("Many workers elsewhere", "scale_workers.py"), ("Idle repositories", "scale_idle.py"),
)


def printed(script: str) -> str:
    """What a bench prints, shown as it comes. Raises CalledProcessError."""
    lines = []
    with subprocess.Popen([sys.executable, str(HERE / script)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, script)
    return "".join(lines).strip()


def main() -> None:
    parts = [f"## {title}\n\n{printed(script)}\n" for title, script in PARTS]
    PAGE.write_text("\n".join([HEAD, *parts]), "utf-8")


if __name__ == "__main__":
    main()
