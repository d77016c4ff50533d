"""How a job of a cluster is submitted again: by the line it was submitted with, as Slurm's books keep it. Pure.

The books keep the words without their quotes. A line of which that loses the meaning is refused, never guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from coordinator.domain.slurmjob import Phase, SlurmJob
from coordinator.planning.cluster import submitted

_DROPPED = frozenset({"--array", "--dependency", "--clusters", "--parsable", "--wait", "--test-only", "--quiet"})
"""Given anew where they are wanted, or of no use to a program that reads the answer."""
_ID = re.compile(r"\d+(?:_\d+)?")


class CannotTell(Exception):
    """The job cannot be submitted again from what is known; the words say why."""


def again(job: SlurmJob, replaced: Mapping[str, str]) -> tuple[str, ...]:
    """sbatch's words for the same job, to be run in its folder; the new id is printed alone. A dependency on a job
    that was replaced is one on the new job. Raises CannotTell."""
    if job.phase is not Phase.OVER:
        raise CannotTell("it still stands in the queue: cancel it first")
    line = submitted.parse(job.line)
    if line.program != "sbatch":
        raise CannotTell(f"it is not known how it was submitted ({job.line[:80] or 'no accounting'}): --submit CMD")
    if not line.rest:
        raise CannotTell("its script was given as --wrap, of which the quotes are lost, or on stdin: --submit CMD")
    index = job.array[1]
    wanted = [f"--array={index}"] if index else []
    if depends := _ID.sub(lambda one: _newest(one[0], replaced), line.value("--dependency")):
        wanted.append(f"--dependency={depends}")
    kept = (word for one in line.options if one.name not in _DROPPED for word in one.words)
    return ("sbatch", "--parsable", *wanted, *kept, *line.rest)


def _newest(name: str, replaced: Mapping[str, str]) -> str:
    seen = {name}
    while name in replaced and replaced[name] not in seen:
        name = replaced[name]
        seen.add(name)
    return name


def filled(command: str, job: SlurmJob) -> tuple[str, ...]:
    """A person's own command for one job, each of its words with {id}, {name}, {index} and {user} filled in: whatever a
    name holds, it stays one word. Raises CannotTell."""
    try:
        words = shlex.split(command)
        return tuple(fill(word, job) for word in words)
    except ValueError as wrong:
        raise CannotTell(f"--submit cannot be read: {wrong}") from wrong


PLACES = ("id", "array", "index", "name", "user")


def literal(value: str) -> str:
    """What a shell's pattern finds this very value by, whatever somebody called his job."""
    return re.sub(r"[*?\[]", r"[\g<0>]", value)


def fill(text: str, job: SlurmJob, how: Callable[[str], str] = str) -> str:
    """`text` with the {places} filled in, each value as `how` makes it. Raises ValueError for one that there is not."""
    whole, index = job.array
    values = {"id": job.id, "array": whole, "index": index, "name": job.name, "user": job.user}

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ValueError(f"{{{found[1]}}} is none of {', '.join(f'{{{one}}}' for one in PLACES)}")
        return how(values[found[1]])

    return re.sub(r"\{([^{}]*)\}", value, text)


def new_id(said: str, job: SlurmJob) -> str:
    """The id in what was printed, with the index of one of an array; "" where there is none."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for line in reversed(lines):
        if found := re.fullmatch(r"(?:Submitted batch job )?(\d{1,12})(?:;\S+)?", line):
            index = job.array[1]
            return f"{found[1]}_{index}" if index else found[1]
    return ""
