"""Whether a job left what it was expected to: files there, not empty, readable, and numbers that are numbers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coordinator.domain.slurmjob import SlurmJob
from coordinator.planning.cluster.resubmission import fill, literal

READ = 1 << 20
"""Bytes of a file that is read; of larger ones the size must do."""
OK = "ok"
_NO_NUMBER = re.compile(r"(?i)(?:^|[,;\s=:])[+-]?(?:nan|inf|infinity)(?=$|[,;\s])", re.MULTILINE)
_TABLES, _STREAMS = (".csv", ".tsv", ".dat"), (".jsonl", ".ndjson")


@dataclass(frozen=True)
class There:
    """A file that is there. `content` None: it was not read."""

    path: str
    size: int
    content: bytes | None


def place(pattern: str, job: SlurmJob) -> str:
    """The absolute pattern of one job; "" where its folder is not known. Raises ValueError for a wrong {place}."""
    filled = fill(pattern, job, literal)
    if filled.startswith("/"):
        return filled
    return f"{job.workdir}/{filled}" if job.workdir else ""


def reads(path: str) -> bool:
    """Whether what stands in it can be judged; else its size must do."""
    return path.endswith((".json", *_STREAMS, *_TABLES))


def judge(pattern: str, found: Sequence[There]) -> str:
    """"ok", or what is wrong first of all, with the pattern: alike for all jobs that lack the like."""
    if not found:
        return f"missing ({pattern})"
    words = [_fault(one) for one in found]
    wrong = next((word for word in words if word), "")
    return f"{wrong} ({pattern})" if wrong else OK


def together(words: Iterable[str]) -> str:
    """Of several patterns the first that is not met; "" for none at all."""
    every = list(words)
    return next((word for word in every if word != OK), OK if every else "")


def no_number(found: Sequence[There]) -> str:
    """The file of a job that goes on in which a number is none; "". What is half written yet says nothing."""
    return next((one.path.rpartition("/")[2] for one in found if _fault(one) == "not a number"), "")


def _fault(one: There) -> str:
    if one.size == 0:
        return "empty"
    if one.content is None:
        return ""
    text = one.content.decode("utf-8", "replace")
    if one.path.endswith(_TABLES):
        return "not a number" if _NO_NUMBER.search(text) else ""
    texts = [line for line in text.splitlines() if line.strip()] if one.path.endswith(_STREAMS) else [text]
    return next((fault for fault in map(_json_fault, texts) if fault), "") if reads(one.path) else ""


class _NoNumber(Exception):
    pass


def _json_fault(text: str) -> str:
    def constant(_: str) -> float:
        raise _NoNumber

    try:
        json.loads(text, parse_constant=constant)
    except _NoNumber:
        return "not a number"
    except (ValueError, RecursionError):
        return "unreadable"
    return ""
