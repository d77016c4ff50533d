"""The run files of all jobs in one folder, whoever wrote them: `ports.JobFiles` on this host.

Reading is one pass without locks and changes nothing. What is written is written under the job's lock, each file whole.
Read commands stand on this module: what only a write needs is imported by the write.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.adapters.executors.shelf_reading import Reader, families, family_of
from coordinator.adapters.system.clock import SystemClock
from coordinator.runfiles import atomic, fences, names

if TYPE_CHECKING:
    from coordinator.adapters.executors.family import Family
    from coordinator.domain.job import Job
    from coordinator.ports import Clock


class Shelf:
    """`flat`: the run files lie in `folder` itself, else in a folder for each provider. `default_provider` is that of
    files in a flat folder which do not name one."""

    def __init__(
        self, folder: Path, *, flat: bool, default_provider: str = "cc-glm", clock: Clock | None = None
    ) -> None:
        self.folder = folder
        self.flat = flat
        self._default = default_provider
        self._clock: Clock = clock or SystemClock()

    # --- reading ------------------------------------------------------------------------------------

    def all(self) -> tuple[Job, ...]:
        return self._read((provider, family) for provider, place in self._places() for family in families(place))

    def of(self, job_id: str) -> tuple[Job, ...]:
        """As the port says; a name that no job can have has no instances."""
        try:
            names.check_name(job_id)
        except ValueError:
            return ()
        found = ((provider, family_of(place, job_id)) for provider, place in self._places())
        return self._read((provider, family) for provider, family in found if family is not None)

    def _read(self, found: Iterable[tuple[str, Family]]) -> tuple[Job, ...]:
        reader = Reader(self._clock.now(), self._default)
        return tuple(reader.job(family, provider) for provider, family in found)

    def _places(self) -> Iterator[tuple[str, str]]:
        """(provider, folder), every provider's folder, ours or not; ("", folder) when flat."""
        if self.flat:
            yield "", str(self.folder)
            return
        try:
            with os.scandir(self.folder) as entries:
                found = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            return
        for name in found:
            if not name.startswith("."):
                yield name, f"{self.folder}/{name}"

    def _place(self, provider: str) -> str:
        return str(self.folder if self.flat else self.folder / names.check_name(provider, "provider"))

    def contract(self, job: Job) -> Mapping[str, str]:
        return atomic.read_pairs(names.path(job.folder, job.id, "contract")) or {}

    def fence(self, provider: str, job_id: str) -> int:
        try:
            return fences.standing(self._place(provider), names.check_name(job_id))
        except OSError:
            return 0

    def tail(self, job: Job, limit: int = 65536) -> bytes:
        last = _end(names.path(job.folder, job.id, "err"), limit // 2)
        return _end(names.path(job.folder, job.id, "log"), limit - len(last)) + last

    # --- writing ------------------------------------------------------------------------------------

    def note(self, job: Job, changes: Mapping[str, str]) -> None:
        from coordinator.adapters.executors import shelf_writing as writing

        writing.note(self.folder, job, changes)

    def record_end(self, job: Job, pairs: Mapping[str, str]) -> bool:
        from coordinator.adapters.executors import shelf_writing as writing

        return writing.record_end(self.folder, job, pairs)

    def refuse(self, provider: str, job_id: str, pairs: Mapping[str, str]) -> None:
        from coordinator.adapters.executors import shelf_writing as writing

        writing.refuse(self.folder, self._place(provider), names.check_name(job_id), pairs)

    def remove(self, job: Job, kinds: Sequence[str]) -> None:
        from coordinator.adapters.executors import shelf_writing as writing

        writing.remove(self.folder, job, kinds)

    def one_start(self) -> AbstractContextManager[None]:
        from coordinator.adapters.executors.shelf_writing import one_start

        return one_start(self.folder)

    def one_watchdog(self) -> AbstractContextManager[None]:
        from coordinator.adapters.executors.shelf_writing import one_watchdog

        return one_watchdog(self.folder)


def _end(target: str, limit: int) -> bytes:
    """The last bytes of a plain file; none of anything else."""
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, limit, max(0, os.fstat(fd).st_size - limit)) if limit > 0 else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
