"""Which files of a failed job may be removed: those that a pattern finds for it and for no job that did not fail.

Pure: what the patterns find is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from posixpath import normpath

from coordinator.domain.slurmjob import SlurmJob
from coordinator.planning.cluster.resubmission import fill, literal


def place(pattern: str, job: SlurmJob) -> str:
    """The absolute pattern for one job; "" where its folder is not known. Raises ValueError for one that does not say
    of which job, or that leaves the job's folder."""
    if "{id}" not in pattern and "{name}" not in pattern:
        raise ValueError(f"{pattern!r} holds neither {{id}} nor {{name}}: it would find the files of every job")
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r} may leave the folder of the job; name what lies in it")
    filled = fill(pattern, job, _plain)
    return f"{job.workdir}/{filled}" if job.workdir and ".." not in filled.split("/") else ""


def _plain(value: str) -> str:
    return literal(value.replace("/", "_"))


def own(
    found: Mapping[str, Sequence[str]], failed: Iterable[str], folders: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """(job, path) of what only failed jobs have, and in words what others have a part in. A path within another
    one counts as the same."""
    bad = set(failed)
    others = {path: name for name, paths in found.items() if name not in bad for path in paths}
    kept: dict[str, str] = {}
    words: list[str] = []
    for name in sorted(bad & set(found)):
        for path in found[name]:
            inside = f"{normpath(folders[name])}/"
            sharer = next((other for there, other in others.items() if _overlap(path, there)), "")
            if sharer:
                words.append(f"{path} is kept: it is also of {sharer}, which did not fail")
            elif normpath(path).startswith(inside):
                kept.setdefault(path, name)
    return [(name, path) for path, name in kept.items()], words


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
