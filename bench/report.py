"""Writes docs/benchmarks.md: what the scripts beside it print on this machine, now. `make bench`.

`python bench/report.py [--only store.py,status.py]`: the other sections stay as the page has them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

What `make bench` printed when it last ran. Figures differ from machine to machine; the ratio to the baseline measured
in the same run is what counts.
"""
PARTS = {
    "latency.py": "From label to worker, from its end to the comment",
    "restart.py": "Killed and started again",
    "stopping.py": "What a stop leaves alive",
    "worktrees.py": "A ready worktree",
    "memory.py": "Memory and CPU",
    "status.py": "Looking",
    "store.py": "The store",
    "jobs.py": "Jobs",
    "transcripts.py": "Transcripts",
    "overlap.py": "Overlapping tasks",
    "scale.py": "Many tasks",
    "scale_workers.py": "Many workers elsewhere",
    "scale_idle.py": "Idle repositories",
}
SECTION = re.compile(r"^## ([^\n]+)\n\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


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


def kept() -> dict[str, str]:
    """The page's sections by title."""
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    return {title: body.strip() for title, body in SECTION.findall(text)}


def written(sections: dict[str, str]) -> None:
    ordered = [f"## {title}\n\n{sections[title]}\n" for title in PARTS.values() if title in sections]
    PAGE.write_text("\n".join([HEAD, *ordered]), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="scripts, separated by commas")
    sections = kept()
    for script in parser.parse_args().only.split(","):
        if script not in PARTS:
            parser.error(f"--only: there is no {script!r}; known are {', '.join(PARTS)}")
        print(f"\n## {PARTS[script]}\n", flush=True)
        sections[PARTS[script]] = printed(script)
        written(sections)


if __name__ == "__main__":
    main()
