"""One look at Slurm's jobs: one squeue and one sacct, however many there are, then those logs that have something new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from coordinator.adapters.executors.reach import Reach, Said
from coordinator.adapters.executors.slurm import watched
from coordinator.adapters.executors.slurm.states import is_away
from coordinator.adapters.executors.ssh import Unreachable
from coordinator.adapters.executors.there import look_script, read_look, read_tails, tails_script
from coordinator.app.slurm_watch_asking import Later, Patience
from coordinator.domain.slurmjob import Cluster, Phase, SlurmJob
from coordinator.planning.batch.journal import Journal, Sight
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.signature import trouble
from coordinator.planning.cluster import artefacts
from coordinator.planning.cluster import members as of_cluster
from coordinator.planning.cluster.artefacts import There
from coordinator.planning.cluster.members import Heard

SURELY_KEPT = timedelta(minutes=4)
"""Without accounting Slurm forgets a job some minutes after its end (MinJobAge, 300 s): nobody may look less often."""
ALL_READ = 32 << 20
"""Bytes of results that are read at one look."""
_NO_BOOKS = ("accounting storage is disabled", "slurm accounting is disabled")
_NOT_QUEUED = "invalid job id"


class Refused(Exception):
    """Slurm answered, and will not do it. `words` are its own."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class NoJobs(Exception):
    """Slurm shows none of the batch, and none was seen before."""


@dataclass
class Poll:
    """`journal` reads what is remembered; `since` is how far back one looks for jobs by name; `mask` takes secrets out
    of lines. `expect` are the files that each job is to leave. `books`: whether accounting answers; None = there is
    none. It remembers between looks what was read, and whose results are `sound`."""

    reach: Reach
    cluster: Cluster
    patience: Patience
    journal: Callable[[], Journal]
    now: Callable[[], datetime]
    since: timedelta
    mask: Callable[[str], str]
    say: Callable[[str], None]
    books: bool | None = True
    known: dict[str, SlurmJob] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    expect: tuple[str, ...] = ()
    sound: set[str] = field(default_factory=set)

    def find(self, before: Mapping[str, Sight]) -> Sequence[Member]:
        """Raises Blocked and Refused."""
        journal = self.journal()
        replaced = of_cluster.replacements(journal.acts)
        jobs = self.jobs()
        heard = of_cluster.kept(self._heard(jobs, before, replaced), jobs, before)
        heard = {**heard, **self._artefacts(jobs, heard)}
        found = of_cluster.members(jobs, before, replaced, heard, asked=self.books is not False)
        if not found:
            raise NoJobs
        return found

    def jobs(self) -> list[SlurmJob]:
        """Those of the batch, as Slurm has them now; those that took the place of one of them included."""
        journal = self.journal()
        wide = self._with_new(journal)
        queue = self._asked(watched.squeue(wide), watched.queued)
        books = self._booked(wide, journal)
        found = of_cluster.merged(queue, books, self.known, booked=self.books is True)
        new = set(of_cluster.replacements(journal.acts).values())
        mine = [job for job in found if wide.holds(job) or (job.id in new and job.user == wide.user)]
        self.known.update((job.id, job) for job in mine)
        return mine

    def _with_new(self, journal: Journal) -> Cluster:
        """By id, jobs that were resubmitted go on under another one."""
        made = of_cluster.replacements(journal.acts).values()
        ids = (*self.cluster.ids, *made) if self.cluster.ids else ()
        return replace(self.cluster, ids=tuple(dict.fromkeys(ids)))

    def _asked(self, argv: Sequence[str], read: Callable[[str], Iterable[SlurmJob]]) -> list[SlurmJob]:
        said = self.asked(argv)
        if said.code and _NOT_QUEUED not in said.err.lower():
            raise Refused(f"{_program(argv)}: {last_words(said.err)}")
        return list(read(said.out))

    def asked(self, argv: Sequence[str]) -> Said:
        """The answer to a command that may be given twice. Raises Blocked."""
        return self.patience.over(lambda: self._answer(argv))

    def _answer(self, argv: Sequence[str]) -> Said:
        """Raises Later where the controller could not be asked, Unreachable where the host could not."""
        said = self.reach.slurm(argv)
        if said.code and is_away(said.err):
            raise Later(f"{_program(argv)}: {last_words(said.err)}")
        return said

    def _booked(self, cluster: Cluster, journal: Journal) -> list[SlurmJob]:
        """Nothing where there is no accounting; where it does not answer now, that is said and the queue must do."""
        if self.books is None:
            return []
        began = journal.begun_at or self.now()
        seconds = int((self.now() - began + self.since).total_seconds())
        try:
            said = self.reach.slurm(watched.sacct(cluster, seconds))
        except Unreachable as error:
            said = Said(1, b"", error.words)
        if any(words in said.err.lower() for words in _NO_BOOKS) or said.code in (126, 127):
            self.books = None
            self.say("note: there is no accounting (sacct): jobs are followed by the queue alone, at least every 4 min")
            return []
        if said.code and self.books:
            self.say(f"note: sacct does not answer, so the queue must do: {last_words(said.err)}")
        self.books = said.code == 0
        return list(watched.booked(said.out)) if self.books else []

    def _heard(
        self, jobs: Sequence[SlurmJob], before: Mapping[str, Sight], replaced: Mapping[str, str]
    ) -> dict[str, Heard]:
        """What those logs say that have something new. What cannot be read says nothing: the next look may."""
        wanted = of_cluster.logs_wanted(jobs, before, replaced, self.sizes)
        if not wanted:
            return {}
        script = tails_script([(one.path, one.start, one.most) for one in wanted])
        said = self.patience.over(lambda: self.reach.script(script))
        texts: dict[str, list[str]] = {}
        for part in read_tails(said.raw):
            if part.number < len(wanted):
                one = wanted[part.number]
                self.sizes[one.path] = part.size
                texts.setdefault(one.job, []).append(part.content.decode("utf-8", "replace"))
        failed = {job.id for job in jobs if of_cluster.stand_of(job) is Stand.BAD}
        return {name: self._said(found, failed=name in failed) for name, found in texts.items()}

    def _artefacts(self, jobs: Sequence[SlurmJob], heard: Mapping[str, Heard]) -> dict[str, Heard]:
        """Whether those that ended well, and those that run, made what is expected. What was found sound once is not
        read again."""
        some = [job for job in jobs if job.phase in (Phase.RUNNING, Phase.OVER) and not job.why
                and job.id not in self.sound]
        wanted = [(job, one, place) for job in some for one in self.expect if (place := artefacts.place(one, job))]
        known = {job.id: replace(heard.get(job.id, Heard()), artefact=artefacts.OK)
                 for job in jobs if job.id in self.sound}  # fmt: skip
        if not wanted:
            return known
        most = min(artefacts.READ, ALL_READ // len(wanted))
        script = look_script([(place, most if artefacts.reads(place) else 0) for _, _, place in wanted])
        raw = self.patience.over(lambda: self.reach.script(script)).raw
        there: dict[int, list[There]] = {}
        for one in read_look(raw):
            there.setdefault(one.number, []).append(There(one.path, one.size, one.content))
        found: dict[str, list[tuple[str, list[There]]]] = {}
        for number, (job, pattern, _) in enumerate(wanted):
            found.setdefault(job.id, []).append((pattern, there.get(number, [])))
        judged = ((job.id, self._judged(job, found[job.id], heard.get(job.id, Heard()))) for job in some
                  if job.id in found)  # fmt: skip
        return {**known, **dict(judged)}

    def _judged(self, job: SlurmJob, found: Sequence[tuple[str, Sequence[There]]], heard: Heard) -> Heard:
        word = artefacts.together(artefacts.judge(pattern, files) for pattern, files in found)
        if job.phase is Phase.OVER:
            if word == artefacts.OK:
                self.sound.add(job.id)
            return replace(heard, artefact=word)
        wrong = next((name for _, files in found if (name := artefacts.no_number(files))), "")
        signal = heard.signal or (f"{wrong} holds what is not a number" if wrong else "")
        return replace(heard, artefact=artefacts.OK if word == artefacts.OK else "", signal=signal)

    def _said(self, texts: Sequence[str], *, failed: bool) -> Heard:
        if failed:
            return Heard(words=self.mask(of_cluster.telling(texts)))
        return Heard(signal=self.mask(next((line for line in map(trouble, texts) if line), "")))


def _program(argv: Sequence[str]) -> str:
    return next((word for word in argv if word in ("squeue", "sacct", "scancel", "sbatch", "scontrol")), argv[0])


def last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
