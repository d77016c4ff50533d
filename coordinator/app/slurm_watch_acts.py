"""What is done about jobs of a cluster: ended, tidied up after, submitted again. Each is asked for anew right before,
and nothing outside the batch is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.adapters.executors.ssh import Unreachable
from coordinator.adapters.executors.there import Found, look_script, read_look, remove_script
from coordinator.app.slurm_watch_poll import Poll, last_words
from coordinator.domain.slurmjob import Phase, SlurmJob
from coordinator.engine.batches.jobs import Done
from coordinator.planning.cluster import resubmission, tidying
from coordinator.planning.cluster.members import replacements

_AT_ONCE = 100
"""Ids in one scancel."""
_LIVES = (Phase.WAITING, Phase.RUNNING)


def alive(poll: Poll) -> list[str]:
    """Ids of those that were in the queue at the last look: those that can never run too."""
    return [name for name, job in poll.known.items() if job.phase in _LIVES]


def cancel(poll: Poll, ids: Sequence[str]) -> Iterator[Done]:
    """Ends those of `ids` that still are of the batch, in the queue, and of its user."""
    now = {job.id: job for job in poll.jobs()}
    mine = [name for name in ids if name in now and now[name].phase in _LIVES]
    for name in ids:
        if name not in mine:
            yield Done(name, ok=True, words="had ended before" if name in now else "is not of the batch any more")
    words: dict[str, str] = {}
    for at in range(0, len(mine), _AT_ONCE):
        some = mine[at : at + _AT_ONCE]
        said = poll.asked(["scancel", f"--user={poll.cluster.user}", *some])
        words.update((name, last_words(said.err)) for name in some if said.code)
    after = {job.id: job for job in poll.jobs()} if mine else {}
    yield from (_ended(name, now[name], after.get(name), words.get(name, "")) for name in mine)


def _ended(name: str, before: SlurmJob, after: SlurmJob | None, complaint: str) -> Done:
    """By what Slurm shows afterwards: of many ids it complains when one of them had ended meanwhile."""
    if after is None or after.phase not in _LIVES:
        return Done(name, ok=True, words=f"cancelled (was {before.state})")
    if complaint:
        return Done(name, ok=False, words=f"scancel: {complaint}")
    return Done(name, ok=True, words=f"told to end ({after.state} still)")


# --- partial outputs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leftover:
    """A file or folder that a job left behind and nobody else has a part in."""

    job: str
    path: str
    size: int


def leftovers(poll: Poll, ids: Sequence[str], patterns: Sequence[str]) -> tuple[list[Leftover], list[str]]:
    """What the patterns find of these jobs, and in words what was passed over. Raises ValueError for a pattern that
    does not say of which job."""
    jobs = {job.id: job for job in poll.jobs()}
    wanted = [(job, place) for job in jobs.values() for one in patterns if (place := tidying.place(one, job))]
    raw = poll.patience.over(lambda: poll.reach.script(look_script([(place, 0) for _, place in wanted]))).raw
    found: dict[str, list[Found]] = {}
    for one in read_look(raw):
        found.setdefault(wanted[one.number][0].id, []).append(one)
    over = [name for name in ids if name in jobs and jobs[name].phase is Phase.OVER]
    paths = {name: [one.path for one in files] for name, files in found.items()}
    kept, words = tidying.own(paths, over, {name: job.workdir for name, job in jobs.items()})
    sizes = {one.path: one.size for files in found.values() for one in files}
    return [Leftover(name, path, sizes[path]) for name, path in kept], words


def clean(poll: Poll, left: Sequence[Leftover]) -> Iterator[Done]:
    """Removes them; what lies elsewhere than it seems (a link in its path) is kept."""
    jobs = {job.id: job for job in poll.jobs()}
    mine = [one for one in left if one.job in jobs and jobs[one.job].phase is Phase.OVER]
    said = poll.patience.over(lambda: poll.reach.script(
        remove_script([(jobs[one.job].workdir, one.path) for one in mine])))
    gone = {int(word) for word in said.out.split() if word.isdecimal()}
    for number, one in enumerate(mine):
        words = f"removed {one.path}" if number in gone else f"kept {one.path}: it lies outside the job's folder"
        yield Done(one.job, ok=number in gone, words=words)


# --- again -------------------------------------------------------------------------------------------------


@dataclass
class Again:
    """Submits jobs again; `command` is a person's own way, "" = as they were submitted."""

    poll: Poll
    command: str = ""

    def words(self, job: SlurmJob, replaced: Mapping[str, str]) -> tuple[str, ...]:
        """Raises CannotTell."""
        if job.phase is Phase.OVER and self.command:
            return resubmission.filled(self.command, job)
        return resubmission.again(job, replaced)

    def shown(self, ids: Sequence[str]) -> dict[str, str]:
        """By id the line that would be run, or why there is none."""
        replaced = replacements(self.poll.journal().acts)
        return {name: self._line(self.poll.known[name], replaced) for name in ids if name in self.poll.known}

    def _line(self, job: SlurmJob, replaced: Mapping[str, str]) -> str:
        try:
            return " ".join(self.words(job, replaced))
        except resubmission.CannotTell as why:
            return f"not possible: {why}"

    def start(self, ids: Sequence[str]) -> Iterator[Done]:
        """In the order of their ids, so that a job that depends on another one comes after it."""
        jobs = {job.id: job for job in self.poll.jobs()}
        made = replacements(self.poll.journal().acts)
        for name in ids:
            done = self._again(jobs.get(name), name, made)
            if done.run:
                made[name] = done.run
            yield done

    def _again(self, job: SlurmJob | None, name: str, made: Mapping[str, str]) -> Done:
        if job is None or name in made:
            words = f"was resubmitted as {made[name]}" if name in made else "Slurm's books do not have it any more"
            return Done(name, ok=False, words=words)
        try:
            argv = self.words(job, made)
            said = self.poll.reach.inside(job.workdir, argv)
        except (resubmission.CannotTell, Unreachable) as why:
            return Done(name, ok=False, words=str(why))
        new = resubmission.new_id(said.out, job) if not said.code else ""
        if not new:
            return Done(name, ok=False, words=f"{argv[0]}: {last_words(said.err or said.out)}")
        return Done(name, ok=True, words="submitted", run=new)


