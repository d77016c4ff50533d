"""What runs left here goes when it is old: run files, worktrees, parcels, and what travelled in earlier versions.

Whatever may still be somebody's stays: a run without an outcome, and every run that the coordinator asks for.
"""

from __future__ import annotations

import os
import sys
import time

from coordinator.far import running, trees
from coordinator.runfiles import emptying, names

TYPE_CHECKING = False   # one habit of the rooms that travel
if TYPE_CHECKING:
    from typing import Callable, FrozenSet, Iterator, List, Tuple

    from coordinator.far.home import Home

_BEGUN = 3600.0
"""Seconds in which a run that was laid is looked for at the latest."""
_STAY = ("lock", "fence")
"""What orders later runs of a job: it stays for ever, a few bytes each."""


def tidy(home: Home, before: float, wanted: FrozenSet[str]) -> int:
    """How many runs, worktrees and parcels went that nobody changed since `before` (Unix seconds). `wanted` are
    jobs."""
    gone = _runs(home, before, lambda job: job not in wanted) + _secrets(home, wanted)
    gone += _trees(home, before, lambda job: job not in wanted)
    return gone + _files(home.parcels, before) + _versions(home, before)


def forget(home: Home, before: float, only: FrozenSet[str]) -> int:
    """The same of these jobs alone, of which nothing is needed any more but what never came home: that waits until it
    is old."""
    going = only - frozenset(job for repo, job in _standing(home) if job in only and trees.owed(home, repo, job))
    return _runs(home, before, going.__contains__) + _trees(home, before, going.__contains__)


def _runs(home: Home, before: float, which: Callable[[str], bool]) -> int:
    gone = 0
    for folder, job in list(_over(home, before)):
        if which(job):
            for name in os.listdir(folder):
                told = names.job_of(name)
                if told is not None and told[0] == job and told[1] not in _STAY:
                    os.unlink("%s/%s" % (folder, name))
            gone += 1
    return gone


def _over(home: Home, before: float) -> Iterator[Tuple[str, str]]:
    for _, folder in running.folders(home):
        for name in os.listdir(folder):
            told = names.job_of(name)
            if told is not None and name == "%s.outcome" % told[0] and _old("%s/%s" % (folder, name), before):
                yield folder, told[0]


def _trees(home: Home, before: float, which: Callable[[str], bool]) -> int:
    """Worktrees of jobs that have no papers here any more."""
    known = {told[0] for _, folder in running.folders(home) for name in os.listdir(folder)
             if (told := names.job_of(name)) is not None and told[1] == "spec"}
    gone = 0
    for repo, job in _standing(home):
        path = "%s/%s/%s" % (home.trees, repo, job)
        if job not in known and which(job) and not os.path.islink(path) and _old(path, before):
            gone += _gone(home, repo, job, path)
    return gone


def _standing(home: Home) -> List[Tuple[str, str]]:
    """(repository, job) of whatever lies where worktrees do; a worker may write where it likes."""
    return [(repo, job) for repo in sorted(os.listdir(home.trees)) if os.path.isdir("%s/%s" % (home.trees, repo))
            for job in sorted(os.listdir("%s/%s" % (home.trees, repo)))]


def _gone(home: Home, repo: str, job: str, path: str) -> bool:
    try:
        emptying.remove_all(path)
    except OSError:
        return False   # what one worker left in another's name keeps nothing else here
    trees.forget(home, repo, job)
    return True


def _secrets(home: Home, wanted: FrozenSet[str]) -> int:
    """Environments of runs that nobody has begun and nobody looks for any more: a key may stand in them."""
    gone = 0
    for _, folder in running.folders(home):
        for name in os.listdir(folder):
            told, path = names.job_of(name), "%s/%s" % (folder, name)
            if told is not None and told[1] == "env" and told[0] not in wanted and _old(path, time.time() - _BEGUN):
                os.unlink(path)
                gone += 1
    return gone


def _versions(home: Home, before: float) -> int:
    """What travelled here before this version; a living wrapper still reads from its own."""
    if running.live(home, begun=True):
        return 0
    return _files(home.folder + "/.coordinator", before, but=os.path.basename(sys.argv[0]))


def _files(folder: str, before: float, but: str = "") -> int:
    gone = 0
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        if entry.name != but and entry.is_file(follow_symlinks=False) and _old(entry.path, before):
            os.unlink(entry.path)
            gone += 1
    return gone


def _old(path: str, before: float) -> bool:
    return os.lstat(path).st_mtime < before
