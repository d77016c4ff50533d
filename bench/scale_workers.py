"""What thousands of running workers cost behind one far end and one Slurm: the look, its messages, mirror and queue.

`python bench/scale_workers.py [--sizes 500,2000]` prints its tables. The far end is a real process, its folder and the
mirror hold real files; the wrappers and Slurm's own programs are not there: heartbeats are moved on by hand, and what
squeue and sacct say is made up. The baselines are what anybody would have to do: open and read those files, split that
text. Times are CPU seconds, the far end's process included.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.adapters.executors.remote.executor import Looks, Manner, RemoteExecutor
from coordinator.adapters.executors.remote.link import Here, Link
from coordinator.adapters.executors.slurm import reading
from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.reading import FIELD, RECORD
from coordinator.adapters.executors.slurm.starter import JOB, SlurmStarter, Wishes
from coordinator.adapters.executors.ssh import Answer
from coordinator.adapters.system.run import Ran
from coordinator.domain.worker import Running
from coordinator.far import wire
from coordinator.ports import Handle
from coordinator.runfiles import atomic, codec, identity, names

SLURM, PROVIDER = "slurm", "command"
OUTPUT = b"what the agent has said meanwhile\n" * 6
POLL, LOOK, BEAT = timedelta(seconds=15), timedelta(seconds=2), 30
"""`slurm.poll` by default, how often a host with workers is looked at, and seconds between two heartbeats."""


@dataclass
class Moving:
    """The clock of this machine, or one that goes on when it is told."""

    at: datetime | None = None

    def now(self) -> datetime:
        return self.at or datetime.now(UTC)


@dataclass
class Counted:
    """A shell of this machine that knows how much went through it; a far end there has the time of `clock`."""

    inner: Here
    clock: Moving
    sent: int = 0
    got: int = 0

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        answer = self.inner.run(remote, stdin, timeout)
        self.sent, self.got = len(stdin), len(answer.out)
        if self.clock.at is None or wire.MARK not in answer.out:
            return answer
        said, blobs = wire.unpack(answer.out)
        return replace(answer, out=wire.pack({**said, "now": self.clock.at.timestamp()}, blobs))


@dataclass
class Slurm:
    """`jobs` that run, of which the first `ended` have left the queue."""

    jobs: int
    ended: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    def run(self, argv: Sequence[str], _stdin: str, _timeout: float) -> Ran:
        program = next(word for word in argv if word in {"squeue", "sacct"})
        self.calls[program] += 1
        return Ran(0, self.squeue() if program == "squeue" else self.sacct(), "")

    def squeue(self) -> str:
        return "".join(FIELD.join((
            str(number), str(number), "RUNNING", "None", "0", "0", f"node{number % 100:03d}", "1790000000",
            "1790007200", f"{number:032x}", f"rpi-gh-{number}")) + RECORD + "\n"
            for number in range(self.ended + 1, self.jobs + 1))  # fmt: skip

    def sacct(self) -> str:
        """Two lines a job: its own, and that of its batch step."""
        return "".join(FIELD.join((
            name, "COMPLETED", "0:0", "1790000000", "1790003600", "204800K" if "." in name else "", "1G", "1",
            "node001", "batch" if "." in name else f"rpi-gh-{number}")) + "\n"
            for number in range(1, self.jobs + 1) for name in (str(number), f"{number}.batch"))  # fmt: skip


class Site:
    """A far end with so many runs, and their mirror here."""

    def __init__(self, root: Path, size: int) -> None:
        self.far, self.jobs = root / "there" / ".coordinator" / "jobs" / PROVIDER, root / "here"
        self.handles = [Handle(PROVIDER, f"gh-{number}", f"{number:032x}", SLURM) for number in range(1, size + 1)]
        names.make_folder(str(self.far))
        names.make_folder(str(self.jobs / PROVIDER))
        for folder in (self.far, self.jobs / PROVIDER):
            for handle in self.handles:
                _lay(folder, handle)
        self.clock, self.slurm = Moving(), Slurm(size)
        self.shell = Counted(Here(dict(os.environ)), self.clock)
        queue = Queue(self.slurm.run, self.clock.now, POLL)
        self.executor = RemoteExecutor(
            SLURM, Link(SLURM, self.shell, str(root / "there"), sys.executable), self.jobs, wake=lambda _: None,
            clock=self.clock, ours={}, manner=Manner(SLURM, shared=True), looks=Looks.NEVER,
            starter=SlurmStarter(queue, Wishes()))
        self.executor.look(self.handles)

    def beat(self) -> None:
        """Each wrapper has written its heartbeat, each agent a few lines."""
        for handle in self.handles:
            _beat(self.far, handle, self.clock.now())
            with (self.far / f"{handle.job}.log").open("ab") as log:
                log.write(OUTPUT)

    def look(self) -> None:
        self.executor.refresh()

    def minute(self) -> Counter[str]:
        """Files of the mirror that are put anew or added to while each worker beats twice, by kind."""
        found: Counter[str] = Counter()
        began = self.clock.now()
        for at in range(0, 60, int(LOOK.total_seconds())):
            self.clock.at = began + timedelta(seconds=at)
            if at % BEAT == 0:
                self.beat()
            before = self._state()
            self.look()
            found.update(name.rpartition(".")[2] for name, seen in self._state().items() if seen != before.get(name))
        return found

    def _state(self) -> dict[str, tuple[int, int]]:
        return {one.name: ((seen := one.stat()).st_ino, seen.st_size) for one in os.scandir(self.jobs / PROVIDER)}


def _lay(folder: Path, handle: Handle) -> None:
    def put(kind: str, **pairs: str) -> None:
        data = codec.encode({"token": handle.token, **pairs})
        atomic.write(names.path(str(folder), handle.job, kind), data, lasting=False)

    put("meta", provider=PROVIDER, beads=handle.job, **{JOB: str(int(handle.token, 16))})
    put("spec", fence="1")
    _beat(folder, handle, datetime.now(UTC))
    for kind in ("log", "err", "prompt", "lock", "fence", "contract"):
        (folder / f"{handle.job}.{kind}").write_bytes(b"")


def _beat(folder: Path, handle: Handle, at: datetime, pid: int = 100, start: int = 1) -> None:
    """As a wrapper writes it, its size included."""
    moved = f"{at.timestamp():.3f}"
    pairs = {
        "token": handle.token, "fence": "1", "wrapper_pid": str(pid), "wrapper_start": str(start),
        "boot_id": identity.boot_id(), "agent_pid": "101", "agent_start": "1", "at": moved, "since": moved,
        "started_at": moved, "cpu_sec": "12.50",
        "cpu_moved_at": moved, "log_moved_at": moved, "last_event_at": moved, "tree_moved_at": moved, "tree": "1234567",
        "log_bytes": "123456", "err_bytes": "0", "events": "321", "cpu_share": "0.120", "rss_kb": "204800", JOB: "1",
    }  # fmt: skip
    atomic.write(names.path(str(folder), handle.job, "heartbeat"), codec.encode(pairs), lasting=False)


@contextmanager
def site(size: int) -> Iterator[Site]:
    root = Path(tempfile.mkdtemp(prefix="bench-scale-"))
    try:
        made = Site(root, size)
        yield made
        made.executor.close()
    finally:
        shutil.rmtree(root)


# --- measuring ----------------------------------------------------------------------------------------


def cpu_ms(act: Callable[[], object], rounds: int = 3) -> float:
    """Ours and our children's; the least of some rounds."""
    times = []
    for _ in range(rounds):
        began = _cpu()
        act()
        times.append(_cpu() - began)
    return 1000 * min(times)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def read_all(folder: Path, size: int) -> None:
    """The baseline of a look: each run's heartbeat, and the end of its log."""
    for number in range(1, size + 1):
        (folder / f"gh-{number}.heartbeat").read_bytes()
        (folder / f"gh-{number}.log").stat()


def _files(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def looks(sizes: Sequence[int]) -> Iterator[str]:
    yield ("| running workers | a look, nothing new | all have beaten and printed | baseline | : baseline | question "
           "| answer, nothing new | with what is new | files here, there |")
    yield "|---|---|---|---|---|---|---|---|---|"
    for size in sizes:
        with site(size) as one:
            one.look()
            views = one.executor.look(one.handles).values()
            assert all(isinstance(view, Running) for view in views), next(iter(views))
            still, quiet = cpu_ms(one.look), one.shell.got
            one.beat()
            busy = cpu_ms(one.look, rounds=1)
            moved, asked = one.shell.got, one.shell.sent
            baseline = cpu_ms(lambda one=one, size=size: read_all(one.far, size))
            here, there = _files(one.jobs / PROVIDER), _files(one.far)
        yield (f"| {size} | {still:.0f} ms | {busy:.0f} ms | {baseline:.0f} ms | {still / baseline:.1f}, "
               f"{busy / baseline:.1f} | {asked / 1e3:.0f} KB | {quiet / 1e3:.0f} KB | {moved / 1e3:.0f} KB "
               f"| {here}, {there} |")  # fmt: skip


def here(sizes: Sequence[int]) -> Iterator[str]:
    """Workers of this machine, which a tick itself looks at. Their wrapper is this very process."""
    yield "| workers of this machine | a look | baseline | : baseline |"
    yield "|---|---|---|---|"
    me = identity.look(os.getpid())
    for size in sizes:
        with site(size) as one:
            handles = [replace(handle, host="") for handle in one.handles]
            for handle in handles:
                _beat(one.jobs / PROVIDER, handle, datetime.now(UTC), os.getpid(), me.start if me is not None else 0)
            local = LocalExecutor(one.jobs, lambda _: None)
            took = cpu_ms(lambda local=local, handles=handles: local.look(handles))
            assert all(isinstance(view, Running) for view in local.look(handles).values())
            local.close()
            baseline = cpu_ms(lambda one=one, size=size: read_all(one.jobs / PROVIDER, size))
        yield f"| {size} | {took:.0f} ms | {baseline:.0f} ms | {took / baseline:.1f} |"


def writes(size: int) -> Iterator[str]:
    with site(size) as one:
        found = one.minute()
    yield "| file of the mirror | put or added to in a minute, of each worker |"
    yield "|---|---|"
    for kind, times in sorted(found.items()):
        yield f"| `{kind}` | {times / size:.1f} |"


def commands(sizes: Sequence[int]) -> Iterator[str]:
    """One minute of looks on a clock of its own, while a tenth of the jobs ends."""
    yield "| jobs of ours | squeue a minute | sacct a minute, while jobs end |"
    yield "|---|---|---|"
    for size in sizes:
        slurm, clock, began = Slurm(size), Moving(), datetime.now(UTC)
        queue, ids = Queue(slurm.run, clock.now, POLL), [str(number) for number in range(1, size + 1)]
        for second in range(0, 60, 2):
            slurm.ended, clock.at = size * second // 600, began + timedelta(seconds=second)
            queue.look(ids)
        yield f"| {size} | {slurm.calls['squeue']} | {slurm.calls['sacct']} |"


def answers(sizes: Sequence[int]) -> Iterator[str]:
    yield "| jobs | squeue's answer | read | split alone | : split | sacct's answer | read | split alone | : split |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for size in sizes:
        slurm = Slurm(size)
        queued, booked = slurm.squeue(), slurm.sacct()
        rows, split = cpu_ms(lambda text=queued: reading.rows(text)), cpu_ms(lambda text=queued: _split(text, RECORD))
        accounts = cpu_ms(lambda text=booked: reading.accounts(text))
        lines = cpu_ms(lambda text=booked: _split(text, "\n"))
        yield (f"| {size} | {len(queued) / 1e3:.0f} KB | {rows:.0f} ms | {split:.0f} ms | {rows / split:.1f} "
               f"| {len(booked) / 1e3:.0f} KB | {accounts:.0f} ms | {lines:.0f} ms | {accounts / lines:.1f} |")


def _split(text: str, record: str) -> list[list[str]]:
    return [one.split(FIELD) for one in text.split(record)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="500,2000")
    sizes = [int(one) for one in parser.parse_args().sizes.split(",")]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; CPU time of ours and of the far end together.\n")
    least = min(sizes)
    for part in (looks(sizes), here([100, least]), writes(least), commands([20, 2000]), answers([2000, 10000])):
        for line in part:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
