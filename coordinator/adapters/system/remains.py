"""Finds transcripts and run files that runs left behind. Reads only names, times and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from coordinator.domain.remains import Remain
from coordinator.runfiles import names

_TRANSCRIPT = re.compile(r"(?P<task>.+?)(\.(?P<attempt>\d+))?\.jsonl")
_NEVER = ("lock", "fence")
"""What orders later runs of a job: it stays for ever, a few bytes each."""


def remains(logs: Path, jobs: Path) -> tuple[Remain, ...]:
    """All of both folders; of a folder that cannot be read, none."""
    return (*_transcripts(logs), *_run_files(jobs))


def _transcripts(logs: Path) -> Iterator[Remain]:
    for path in _files(logs, "*.jsonl"):
        found = _TRANSCRIPT.fullmatch(path.name)
        if found is not None:
            yield from _remain("transcript", path, found["task"], newest=found["attempt"] is None)


def _run_files(jobs: Path) -> Iterator[Remain]:
    for path in _files(jobs, "*/*"):
        named = names.job_of(path.name)
        if named is not None and named[1] not in _NEVER:
            yield from _remain("run file", path, named[0], newest=not path.suffix.removeprefix(".").isdigit())


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        found = sorted(folder.glob(pattern))
    except OSError:
        return
    yield from (path for path in found if path.is_file() and not path.is_symlink())


def _remain(kind: str, path: Path, task_id: str, *, newest: bool) -> Iterator[Remain]:
    try:
        stat = path.stat()
    except OSError:
        return   # gone meanwhile
    yield Remain(kind, str(path), task_id, datetime.fromtimestamp(stat.st_mtime, UTC), newest, stat.st_size)
