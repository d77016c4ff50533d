"""The list of a batch as people write it: one `id:prompt:repo` a line. Reads text; opens no file."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.domain.task import TASK_ID

FORM = "id:prompt:repo"


@dataclass(frozen=True)
class Entry:
    """One job of the list: the prompt is a file's path, the repository a name or a path. Lines count from 1."""

    line: int
    job: str
    prompt: str
    repo: str


@dataclass(frozen=True)
class Fault:
    line: int
    words: str


def parse(text: str) -> tuple[tuple[Entry, ...], tuple[Fault, ...]]:
    """The entries and what is wrong, each in the list's order. Blank lines and lines that begin with `#` are passed
    over. The id ends at the first colon, the repository begins after the last: one between belongs to the prompt."""
    entries: dict[str, Entry] = {}
    faults: list[Fault] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _entry(number, line)
        if isinstance(found, Entry) and found.job in entries:
            found = Fault(number, f"{found.job} stands on line {entries[found.job].line} already")
        if isinstance(found, Fault):
            faults.append(found)
        else:
            entries[found.job] = found
    return tuple(entries.values()), tuple(faults)


def _entry(number: int, line: str) -> Entry | Fault:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in line):
        return Fault(number, "it holds a control character")
    job, _, rest = line.partition(":")
    prompt, _, repo = rest.rpartition(":")
    job, prompt, repo = job.strip(), prompt.strip(), repo.strip()
    if not job or not prompt or not repo:
        return Fault(number, f"{line[:80]!r} is not {FORM}")
    if not TASK_ID.fullmatch(job):
        return Fault(number, f"job id {job[:80]!r}: 1 to 64 letters, digits, dots, dashes or underscores, the first a"
                             " letter or a digit")
    return Entry(number, job, prompt, repo)
