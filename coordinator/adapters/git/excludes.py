"""What is kept out of everybody's commits here, without a change to a tracked file."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.adapters.git.funnel import Funnel
from coordinator.adapters.system.seam import crossing
from coordinator.runfiles import atomic


def add_excludes(funnel: Funnel, names: Sequence[str]) -> tuple[str, ...]:
    """Appends to .git/info/exclude the lines it lacks, in one write by replacement; the lines added."""
    path = funnel.common / "info" / "exclude"
    text = path.read_text("utf-8", "surrogateescape") if path.is_file() else ""
    there = set(text.splitlines())
    added = tuple(name for name in dict.fromkeys(names) if name not in there and "\n" not in name)
    if added:
        gap = "" if not text or text.endswith("\n") else "\n"
        whole = text + gap + "".join(f"{name}\n" for name in added)
        with crossing("file", "info/exclude"):
            path.parent.mkdir(exist_ok=True)
            atomic.write(str(path), whole.encode("utf-8", "surrogateescape"), 0o644)
    return added
