"""Lines beside the tables, on stderr: where we looked, what lies elsewhere, what a silent job wants.

One file is touched: the mark by which the warning of other folders is given once an hour at most.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.runfiles import names
from coordinator.wording import job_hints as wording

if TYPE_CHECKING:
    from coordinator.app.faces import Face
    from coordinator.cli.views.jobs import Seen

AN_HOUR = 3600.0
_MARK = ".siblings-told"
_MOST_SILENT = 5


def hints(face: Face, folder: Path, jobs: Sequence[Seen]) -> Iterator[str]:
    """All that is to be said beside a table of these jobs, the whole folder's."""
    here = os.uname().nodename
    yield wording.place_hint(here, str(folder), len(jobs))
    if not jobs:
        yield wording.empty_hint(str(folder), face.name)
        yield from _elsewhere(face)
    yield from warnings(face, folder, jobs)
    yield from _silent(face, jobs)
    for one in jobs:
        if one.job is not None and one.job.faults:
            yield wording.faults_hint(one.id, one.job.faults)


def warnings(face: Face, folder: Path, jobs: Sequence[Seen]) -> Iterator[str]:
    """What makes this list another than the one that was meant."""
    owner = _owner(folder)
    if owner not in (None, os.geteuid()):
        yield wording.foreign_hint(str(folder), owner or 0)
    beside = siblings(face, folder)
    if beside and (not jobs or _due(folder)):
        yield wording.siblings_hint(beside)
    here = os.uname().nodename
    hosts = [str(one.job.meta.get("host") or here) for one in jobs if one.job is not None]
    others = Counter(host for host in hosts if host != here)
    if others:
        yield wording.away_hint(others, here, len(hosts) - others.total())


def siblings(face: Face, folder: Path) -> list[tuple[str, int]]:
    """(folder, jobs in it) of our own folders beside the name's own that hold jobs: `/tmp/cc-glm-jobs-*`."""
    base = Path(face.folder)
    if not face.folder or folder.parent != base.parent or not folder.name.startswith(base.name):
        return []
    found = [base, *sorted(base.parent.glob(f"{base.name}-*"))]
    counted = [(str(one), _count(one)) for one in found if one != folder and _owner(one) == os.geteuid()]
    return [(place, count) for place, count in counted if count]


def _elsewhere(face: Face) -> Iterator[str]:
    """Hosts that are disabled are not named: nobody is sent there past their gate."""
    from coordinator.app import hosts
    from coordinator.wording.hosts import elsewhere

    enabled = hosts.enabled(os.environ)
    if enabled:
        yield elsewhere(enabled, f"{face.name} status")


def _silent(face: Face, jobs: Sequence[Seen]) -> Iterator[str]:
    from coordinator.cli.views.fitting import age

    found = [one for one in jobs if one.silent]
    for one in found[:_MOST_SILENT]:
        yield wording.silent_hint(one.id, face.name, age(one.elapsed or 0.0))


def _due(folder: Path) -> bool:
    """Whether the warning was last given more than an hour ago; giving it now is noted where that is possible."""
    mark = folder / _MARK
    try:
        if time.time() - mark.lstat().st_mtime < AN_HOUR:
            return False
    except OSError:
        pass   # never given
    try:
        mark.touch(mode=0o600)
    except OSError:
        return True   # no such folder, or not ours to write: it is said each time
    return True


def _owner(folder: Path) -> int | None:
    try:
        return folder.lstat().st_uid
    except OSError:
        return None


def _count(folder: Path) -> int:
    """Jobs in a flat or nested folder, by their names alone."""
    try:
        places = [folder, *(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())]
        found = {(str(place), told[0]) for place in places for one in place.iterdir()
                 if (told := names.job_of(one.name)) is not None and told[1] in ("meta", "pid", "outcome")}
    except OSError:
        return 0
    return len(found)
