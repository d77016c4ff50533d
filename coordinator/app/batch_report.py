"""Builder for the report of a batch: what only the report asks, such as whether results are where they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coordinator.engine.batches.batch import Batch, Files
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.report import Inputs, assemble
from coordinator.ports import GitError


def report_of(batch: Batch) -> dict[str, Any]:
    """Reads only; nothing of it is noted in the batch's journal."""
    look, journal, files = batch.peek(), batch.memory.read(), batch.files()
    return assemble(Inputs(
        batch.scope, look.members, look.health, journal, batch.bands, batch.now(),
        outputs={one.id: words for one in look.members if (words := _output(one, files.get(one.id))) is not None},
        logs={one.id: log for one in look.members if (log := files.get(one.id, Files()).log) and Path(log).is_file()},
    ))  # fmt: skip


def _output(member: Member, files: Files | None) -> str | None:
    """"" when what a member made is somewhere else too, else what is not; None where there is nothing to compare."""
    from coordinator.adapters.git.removing import unsaved
    from coordinator.config.rooting import find_root

    place = Path(files.worktree) if files is not None and files.worktree else None
    if member.stand is not Stand.GOOD or place is None or not place.is_dir():
        return None
    root = find_root(place)
    if root is None or root == place:
        return None
    try:
        return unsaved(root, place)
    except GitError as error:
        return f"could not be compared: {error.words}"
