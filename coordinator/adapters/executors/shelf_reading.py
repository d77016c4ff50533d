"""A folder of run files -> jobs, in one pass: the names first, then three small files a job, then who lives.

No process is started and nothing is written. One job's trouble is its own fault: the others are read all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from coordinator.adapters.executors.family import OTHERS, PAIRS, TELLING, Family, kind_of, plain
from coordinator.adapters.executors.foreign import view_of_foreign, written
from coordinator.adapters.executors.views import Who, beat_of, moment, view_of
from coordinator.domain.job import Job
from coordinator.domain.worker import Missing, Running, Unknown, Waiting, Witness, WorkerView
from coordinator.runfiles import identity

CLAIMED_WITHIN = 30.0
"""Seconds from writing the orders to the wrapper's first heartbeat, at the very most."""
HEARD_WITHIN = 120.0
"""Seconds after which nobody looks after the mirror of a run on another host: a host is asked far oftener."""
Pairs = dict[str, str]


def families(folder: str) -> Iterator[Family]:
    """Every job of one folder. One that does not exist, or may not be read, holds none."""
    found: dict[str, set[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                told = kind_of(entry.name)
                if told is not None:
                    found.setdefault(told[0], set()).add(told[1])
    except OSError:
        return
    for job in sorted(found):
        if plain(job):
            yield Family(folder, job, found[job])


def family_of(folder: str, job: str) -> Family | None:
    """The same for one job, without looking at the others."""
    family = Family(folder, job, set())
    family.kinds = {kind for kind in TELLING if os.path.lexists(family.path(kind))}
    return family if family.kinds else None


class Reader:
    """Reads families at one moment; what is asked of the host is asked once for all. `provider` is that of files which
    do not name one."""

    def __init__(self, now: datetime, provider: str) -> None:
        self._now = now
        self._provider = provider
        self._host = os.uname().nodename
        self._boot = identity.boot_id()

    def job(self, family: Family, provider: str) -> Job:
        """`provider` is the folder's; "" where the folder is flat and only the files can tell."""
        meta, beat, outcome = (family.pairs(kind) for kind in PAIRS)
        token = meta.get("token", "") if meta else beat.get("token") or outcome.get("token", "")
        if token:
            view, outcome = self._ours(family, meta, beat, outcome, token)
        else:
            view = self._foreign(family, meta, outcome)
        log = family.stat("log")
        if token and log is not None:
            view = _with_log(view, log.st_size, min(log.st_mtime, self._now.timestamp()))
        return Job(
            id=family.job, provider=provider or meta.get("provider") or outcome.get("provider") or self._provider,
            folder=family.folder, view=view, meta=meta, outcome=outcome,
            log_bytes=log.st_size if log is not None else 0, log_at=log.st_mtime if log is not None else None,
            foreign=not token, faults=tuple(dict.fromkeys(family.faults)),
        )  # fmt: skip

    def _ours(self, family: Family, meta: Pairs, beat: Pairs, outcome: Pairs, token: str) -> tuple[WorkerView, Pairs]:
        """The view of the run with this token, and its outcome, {} while it has none."""
        beat, outcome = _of(token, beat), _of(token, outcome)
        if outcome:
            return view_of(beat, lambda: outcome), outcome
        away = self._elsewhere(meta, beat.get("boot_id", ""))
        if away:
            return self._mirrored(family, token, beat) or Unknown(f"it runs on {away}: ask there",
                                                                  self._last(family, beat)), {}
        if family.broken:
            return Unknown(family.broken, self._last(family, beat)), {}
        if not beat:
            return self._unclaimed(family), {}
        written_since: Pairs = {}

        def anew() -> Pairs:
            written_since.update(_of(token, family.again("outcome")))
            return written_since

        try:
            return view_of(beat, anew, boot=lambda: self._boot), written_since
        except OSError as error:
            return Unknown(f"{error.strerror}: {error.filename}", self._now), {}

    def _mirrored(self, family: Family, token: str, beat: Pairs) -> WorkerView | None:
        """A run on another host as the coordinator last heard of it; None where it keeps no mirror of it."""
        seen = _of(token, family.again("seen"))
        if not seen:
            return None
        at = datetime.fromtimestamp(moment(seen.get("at", "")), UTC)
        away, state, host = seen.get("since", ""), seen.get("state", ""), seen.get("host", "")
        if away or state == "given_up":
            return Unknown(f"{host} is out of reach: {seen.get('words', '')}".rstrip(": "), at)
        if abs((self._now - at).total_seconds()) > HEARD_WITHIN:
            return Unknown(f"nobody has asked {host} since: coordinator run", at)
        if state == "missing":
            return Missing(started=True)
        who = Who(beat)
        told = seen.get("words") or "it is started"
        return Running(who.pid, who.started_at, beat_of(beat)) if beat else Waiting(told)

    def _foreign(self, family: Family, meta: Pairs, outcome: Pairs) -> WorkerView:
        away = "" if outcome or OTHERS in family.kinds else self._elsewhere(meta, meta.get("boot_id", ""))
        if away:
            return Unknown(f"it runs on {away}: ask there", self._last(family, {}))
        return view_of_foreign(family, meta, outcome, self._now.timestamp())

    def _elsewhere(self, meta: Pairs, boot: str) -> str:
        """The host of a job that is another's: by name, and by its boot, for a host may be given a new name."""
        host = meta.get("host", "")
        return host if host and host != self._host and boot != self._boot else ""

    def _unclaimed(self, family: Family) -> WorkerView:
        """No wrapper has claimed the run: it is about to, or never will. The fence is written once a start, before meta
        names the run; meta is edited at any time. A time to come is that of a clock set back."""
        seen = family.stat("fence") or family.stat("meta")
        age = self._now.timestamp() - seen.st_mtime if seen is not None else CLAIMED_WITHIN
        return Waiting("it is being started") if abs(age) < CLAIMED_WITHIN else Missing(started=False)

    def _last(self, family: Family, beat: Pairs) -> datetime:
        """When the job was last heard of."""
        try:
            return datetime.fromtimestamp(float(beat.get("at") or written(family)), UTC)
        except (ValueError, OverflowError, OSError):
            return self._now


def _with_log(view: WorkerView, size: int, at: float) -> WorkerView:
    """The log as it is now: what a heartbeat says of it may be half a minute old."""
    if not isinstance(view, Running) or view.beat is None or not size or at <= view.beat.log.moved_at:
        return view
    return replace(view, beat=replace(view.beat, log=Witness(max(view.beat.log.value, size), at)))


def _of(token: str, pairs: Pairs) -> Pairs:
    """The pairs of this run; {} where they are another's."""
    return pairs if pairs.get("token") == token else {}
