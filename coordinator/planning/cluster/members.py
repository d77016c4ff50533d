"""Members of a batch from Slurm's jobs: what each state is worth, which logs are read, what is remembered of jobs that
Slurm forgot. Waiting in a queue is never trouble, however long; a job that can never run is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from coordinator.domain.reasons import REASONS
from coordinator.domain.slurmjob import Phase, SlurmJob
from coordinator.planning.batch.journal import Act, Sight, run_of
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.signature import last_error
from coordinator.planning.cluster import submitted

NEVER_RUNS, CANCELLED, FORGOTTEN = "slurm_never_runs", "slurm_cancelled", "FORGOTTEN"
UNSEEN = "unknown"
"""The state of a job that neither the queue nor the books showed at one look: at the next it is forgotten."""
COUNTED = ("RUNNING", "PENDING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OOM")
"""Shown always, in this order; other states where there are any."""
_SHORT = {"OUT_OF_MEMORY": "OOM"}
_KILL = 9
TAIL, ALL_TAILS = 16_384, 4 << 20
"""Bytes of one log's end that are read at most, and of all logs at one look."""

CURES: Mapping[str, str] = {
    "process_exit": "Read the log of one of them, mend the cause, then resubmit one first.",
    "slurm_timeout": "Ask for more time (sbatch --time), or make the job smaller.",
    "slurm_oom": "Ask for more memory (sbatch --mem), or make the job smaller.",
    NEVER_RUNS: "Mend what the reason names (limit, dependency, QOS, account), cancel these and submit them anew.",
    "slurm_node_fail": "Nothing; resubmit them.",
    "slurm_preempted": "Nothing; resubmit them.",
}
"""The jobs of others are mended where they are submitted, not in our settings."""


@dataclass(frozen=True)
class Heard:
    """What was read of one job's files: `words` is the last telling line of one that failed, `signal` a line of
    trouble in the log of one that goes on, `artefact` as a Member has it."""

    words: str = ""
    signal: str = ""
    artefact: str = ""


_NOTHING = Heard()


def stand_of(job: SlurmJob) -> Stand:
    if job.phase is Phase.GONE or job.why == CANCELLED:
        return Stand.STOPPED
    if job.why:
        return Stand.BAD
    return {Phase.WAITING: Stand.WAITING, Phase.RUNNING: Stand.RUNNING}.get(job.phase, Stand.GOOD)


def member(job: SlurmJob, heard: Heard = _NOTHING, runs_before: int = 0) -> Member:
    stand, reason = stand_of(job), REASONS.get(job.why)
    bad = stand is Stand.BAD
    return Member(
        id=job.id,
        stand=stand,
        state=job.state,
        reason=job.why,
        words=(heard.words or _by_itself(job)) if bad else "",
        excluded=bad and reason is not None and not reason.counts,
        since=job.ended_at or job.started_at or job.submitted_at,
        started_at=job.started_at,
        ended_at=job.ended_at if job.phase is Phase.OVER else None,
        duration_sec=_duration(job),
        attempts=runs_before + job.restarts + 1,
        provider="slurm",
        title=job.name,
        artefact=heard.artefact if stand in (Stand.GOOD, Stand.RUNNING) else "",
        signal="" if bad else heard.signal,
    )


def _duration(job: SlurmJob) -> float:
    if job.phase is not Phase.OVER or job.started_at is None or job.ended_at is None:
        return 0.0
    return max(0.0, (job.ended_at - job.started_at).total_seconds())


def _by_itself(job: SlurmJob) -> str:
    """Where no log tells more."""
    if job.why == NEVER_RUNS:
        return f"it can never run: {job.pending}"
    if job.signal:
        return f"ended by signal {job.signal}"
    return f"exit {job.code}" if job.code else ""


def members(
    jobs: Iterable[SlurmJob], before: Mapping[str, Sight], replaced: Mapping[str, str], heard: Mapping[str, Heard],
    *, asked: bool = True,
) -> list[Member]:  # fmt: skip
    """All of a batch, by id: what Slurm shows now, and what was seen of those that it forgot. `replaced` names for the
    ids of jobs that were resubmitted those that took their place: the new one alone counts. `asked`: the books were
    asked too, or there are none."""
    fresh = {job.id: job for job in jobs if job.id not in replaced and not _lost_for_good(job, before)}
    made = [member(job, heard.get(job.id, _NOTHING), runs_before(job.id, replaced)) for job in fresh.values()]
    lost = (_lost(name, seen, asked=asked) for name, seen in before.items()
            if name not in fresh and name not in replaced)
    return sorted([*made, *lost], key=lambda one: order(one.id))


def _lost_for_good(job: SlurmJob, before: Mapping[str, Sight]) -> bool:
    """Books that were never closed say for ever that it goes on."""
    return job.state == UNSEEN and job.id in before and before[job.id].state in (UNSEEN, FORGOTTEN)


def runs_before(name: str, replaced: Mapping[str, str]) -> int:
    """How many jobs it took the place of, one after the other."""
    old = {new: before for before, new in replaced.items()}
    number, seen = 0, {name}
    while name in old and old[name] not in seen:
        name = old[name]
        seen.add(name)
        number += 1
    return number


def _lost(name: str, seen: Sight, *, asked: bool) -> Member:
    """One that ended stays as it ended. Of one that went on nobody knows the end: it counts for neither side."""
    if seen.stand not in (Stand.WAITING, Stand.RUNNING):
        return Member(name, seen.stand, seen.state, reason=seen.reason, words=seen.words, provider="slurm",
                      excluded=_uncounted(seen), attempts=1)  # fmt: skip
    if seen.state != UNSEEN or not asked:
        return Member(name, seen.stand, UNSEEN, provider="slurm", attempts=1)
    return Member(name, Stand.STOPPED, FORGOTTEN, provider="slurm", attempts=1)


def _uncounted(seen: Sight) -> bool:
    reason = REASONS.get(seen.reason)
    return seen.stand is Stand.BAD and reason is not None and not reason.counts


def order(name: str) -> tuple[int, int, str]:
    """Ids as people sort them: by number, then by index."""
    whole, _, index = name.partition("_")
    return (int(whole) if whole.isdecimal() else 0, int(index) if index.isdecimal() else -1, name)


def merged(
    queue: Iterable[SlurmJob], books: Iterable[SlurmJob], known: Mapping[str, SlurmJob], *, booked: bool = True
) -> list[SlurmJob]:
    """One of each id. The queue knows best what goes on and where files lie, the books how a job ended; `known` is
    what was told of a job before, for what nobody says any more. One that goes on by the books alone was lost.
    `booked`: the books answered; then a job that was killed is not over before they say whether for its memory."""
    entered = {job.id: job for job in books}
    found = {job.id: job if not booked or _told(job, entered.get(job.id)) else _ending(job) for job in queue}
    for job in entered.values():
        there = found.get(job.id)
        if there is None:
            found[job.id] = _pathed(job if job.phase is Phase.OVER else replace(job, state=UNSEEN), known.get(job.id))
        elif there.phase is Phase.OVER and job.phase is Phase.OVER:
            found[job.id] = replace(_pathed(job, there), restarts=there.restarts)
        else:
            found[job.id] = replace(there, line=job.line)
    return [_complete(job, known.get(job.id)) for job in found.values()]


def _told(job: SlurmJob, book: SlurmJob | None) -> bool:
    """A kill for memory is a kill like others until the last part of a job's end is written down."""
    killed = job.phase is Phase.OVER and job.signal == _KILL
    return not killed or (book is not None and book.phase is Phase.OVER and not book.partial)


def _ending(job: SlurmJob) -> SlurmJob:
    return replace(job, phase=Phase.RUNNING, state="COMPLETING", why="", signal=0, ended_at=None)


def _pathed(job: SlurmJob, other: SlurmJob | None) -> SlurmJob:
    """With the paths of its logs: as the queue told them, else as it was submitted."""
    if other is not None and (other.stdout or other.stderr):
        return replace(job, stdout=other.stdout, stderr=other.stderr)
    line = submitted.parse(job.line)
    return replace(job, stdout=line.value("--output"), stderr=line.value("--error"))


def _complete(job: SlurmJob, known: SlurmJob | None) -> SlurmJob:
    return job if job.line or known is None else replace(job, line=known.line)


# --- what was done about it -------------------------------------------------------------------------------


def replacements(acts: Iterable[Act]) -> dict[str, str]:
    return {old: new for act in acts for old, new in act.made.items()}


def tally(members: Iterable[Member]) -> dict[str, int]:
    """How many are in each of Slurm's states; those that everybody asks for are there even with none."""
    found = dict.fromkeys(COUNTED, 0)
    for one in members:
        word = _SHORT.get(one.state, one.state)
        found[word] = found.get(word, 0) + 1
    return found


# --- logs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """A part of a log: at most the last `most` bytes of what lies behind `start`."""

    job: str
    path: str
    start: int
    most: int


def logs_wanted(
    jobs: Sequence[SlurmJob], before: Mapping[str, Sight], replaced: Mapping[str, str], sizes: Mapping[str, int]
) -> tuple[Wanted, ...]:
    """Of jobs that failed since they were seen last their errors, of those that run what was written since; of all
    others nothing. `sizes` holds by path what was read before."""
    pairs = [(job, path) for job in jobs if job.id not in replaced
             for path in _logs(job, before.get(job.id), runs_before(job.id, replaced))]
    most = min(TAIL, ALL_TAILS // max(1, len(pairs)))
    return tuple(Wanted(job.id, path, sizes.get(path, 0) if job.phase is Phase.RUNNING else 0, most)
                 for job, path in pairs)  # fmt: skip


def _logs(job: SlurmJob, seen: Sight | None, runs: int) -> Iterator[str]:
    failed = stand_of(job) is Stand.BAD and job.phase is Phase.OVER
    known = seen is not None and (seen.run, seen.state) == (run_of(member(job, runs_before=runs)), job.state)
    if job.phase is Phase.RUNNING or (failed and not known):
        paths = (expanded(job.stdout, job), expanded(job.stderr, job) if job.stderr else "")
        yield from dict.fromkeys(path for path in paths if path)


def kept(heard: Mapping[str, Heard], jobs: Iterable[SlurmJob], before: Mapping[str, Sight]) -> dict[str, Heard]:
    """With the words of those that failed before, whose logs are not read again."""
    found = dict(heard)
    for job in jobs:
        seen = before.get(job.id)
        if seen is not None and seen.words and stand_of(job) is Stand.BAD and job.id not in found:
            found[job.id] = Heard(words=seen.words)
    return found


def telling(texts: Iterable[str]) -> str:
    """The line of a failed job's logs (stdout, stderr) that tells most: what was said last on stderr, else before."""
    return next((line for line in map(last_error, reversed(list(texts))) if line), "")


_DEFAULT, _DEFAULT_ARRAY = "slurm-%j.out", "slurm-%A_%a.out"


def expanded(path: str, job: SlurmJob) -> str:
    """A path of sbatch's --output with its %-words filled in, absolute; "" where it cannot be known or is no file."""
    whole, index = job.array
    if not path and job.workdir:
        path = _DEFAULT_ARRAY if index else _DEFAULT
    words = {"j": job.raw_id or job.id, "A": whole, "a": index, "x": job.name, "u": job.user, "%": "%", "N": job.node,
             "J": job.raw_id or job.id, "s": "batch", "t": "0", "n": "0", "b": _modulo(index)}  # fmt: skip
    made, at = "", 0
    while at < len(path):
        letter = path[at]
        if letter == "\\":   # sbatch expands nothing behind one
            return _placed(path.replace("\\", ""), job)
        width, after = _width(path, at + 1) if letter == "%" else (0, at)
        if letter == "%" and after < len(path) and path[after] in words:
            value = words[path[after]]
            made += value.zfill(min(width, 10)) if value.isdecimal() else value
            at = after + 1
        else:
            made += letter
            at += 1
    return _placed(made, job)


def _width(path: str, at: int) -> tuple[int, int]:
    end = at
    while end < len(path) and path[end].isdecimal():
        end += 1
    return (int(path[at:end]) if end > at else 0), end


def _modulo(index: str) -> str:
    return str(int(index) % 10) if index.isdecimal() else ""


def _placed(path: str, job: SlurmJob) -> str:
    if not path or path == "/dev/null" or "\n" in path:
        return ""
    if path.startswith("/"):
        return path
    return f"{job.workdir}/{path}" if job.workdir else ""
