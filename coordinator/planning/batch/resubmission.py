"""How a job of a cluster is submitted again: by the line it was submitted with, as Slurm's books keep it. Pure.

The books keep the words without their quotes. A line of which that loses the meaning is refused, never guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from coordinator.domain.slurmjob import Phase, SlurmJob

_DROPPED = {"--array": "-a", "--dependency": "-d", "--clusters": "-M"}
"""Options with a value that are left out; they are given anew where they are wanted."""
_FLAGS = frozenset({"--parsable", "--wait", "-W", "--test-only", "-Q", "--quiet"})
_TAKES_NO_FILE = re.compile(r"--wrap(=|$)")
_ID = re.compile(r"\d+(?:_\d+)?")


class CannotTell(Exception):
    """The job cannot be submitted again from what is known; the words say why."""


def again(job: SlurmJob, replaced: Mapping[str, str]) -> tuple[str, ...]:
    """sbatch's words for the same job, to be run in its folder; the new id is printed alone. A dependency on a job
    that was replaced is one on the new job. Raises CannotTell."""
    if job.phase is not Phase.OVER:
        raise CannotTell("it still stands in the queue: cancel it first")
    words = job.line.split()
    if not words or words[0].rpartition("/")[2] != "sbatch":
        raise CannotTell(f"it is not known how it was submitted ({job.line[:80] or 'no accounting'}): --submit CMD")
    if any(_TAKES_NO_FILE.match(word) for word in words):
        raise CannotTell("its script was given as --wrap, of which the quotes are lost: --submit CMD")
    index = job.array[1]
    wanted = [f"--array={index}"] if index else []
    wanted += [f"--dependency={found}"] if (found := _dependency(words, replaced)) else []
    return ("sbatch", "--parsable", *wanted, *_kept(words[1:]))


def _kept(words: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _DROPPED or word in _DROPPED.values():
            skip = True
        elif not _dropped(word):
            yield word


def _dropped(word: str) -> bool:
    if word in _FLAGS or any(word.startswith(f"{name}=") for name in _DROPPED):
        return True
    return any(word.startswith(short) and not word.startswith("--") for short in _DROPPED.values())


def _dependency(words: Sequence[str], replaced: Mapping[str, str]) -> str:
    """Those it had, of jobs that were replaced on the new ones."""
    found = ""
    for at, word in enumerate(words):
        if word.startswith("--dependency="):
            found = word.partition("=")[2]
        elif word in ("--dependency", "-d") and at + 1 < len(words):
            found = words[at + 1]
    return _ID.sub(lambda one: _newest(one[0], replaced), found)


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
