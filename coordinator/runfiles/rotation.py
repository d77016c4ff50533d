"""Before a new attempt the last one's output steps aside: `log` becomes `log.1`, lowest number oldest.

Nothing is ever truncated or overwritten. Called under the job's lock.
"""

from __future__ import annotations

import os

from coordinator.runfiles import names

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Iterable


def rotate(folder: str, job: str) -> int:
    """Gives log, err and outcome of the last attempt one common number and returns it (0 = there was none).
    Empty files are dropped; a writer that still holds one goes on writing into the renamed file."""
    present = os.listdir(folder)
    number = 0
    for kind in names.ROTATED:
        current = names.path(folder, job, kind)
        if "%s.%s" % (job, kind) not in present:
            continue
        if os.path.getsize(current) == 0:
            os.unlink(current)
            continue
        number = number or 1 + last(present, job)
        os.rename(current, "%s.%d" % (current, number))
    return number


def last(present: Iterable[str], job: str) -> int:
    """The highest number that a rotated file of this job has among these names."""
    highest = 0
    for name in present:
        stem, _, tail = name.rpartition(".")
        if tail.isdecimal() and stem in ["%s.%s" % (job, kind) for kind in names.ROTATED]:
            highest = max(highest, int(tail))
    return highest


def drop_strays(folder: str, job: str) -> None:
    """Removes temporary files that writers of this job left when they were killed."""
    for name in os.listdir(folder):
        if name.startswith(".%s." % job) and name.endswith(".tmp"):
            inner = names.job_of(name[1:].rpartition(".")[0].rpartition(".")[0])
            if inner is not None and inner[0] == job:
                os.unlink("%s/%s" % (folder, name))
