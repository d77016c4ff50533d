"""The gate before work on beads: which question to `bd` and git comes next, and what the answers mean.

Each answer stands by itself, whole: nothing a program prints can be taken for the answer to another question.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OK = "beads_ok"
UNAVAILABLE = "beads_unavailable"
REPO_MISSING = "beads_external_repo_missing"
REMOTE_MISMATCH = "beads_external_remote_mismatch"
DB_ERROR = "beads_db_error"
REPO_MISMATCH = "beads_repo_mismatch"
WRITE_BLOCKED = "beads_write_blocked"
PROBE_NOT_FOUND = "beads_probe_not_found"
REASONS = (OK, UNAVAILABLE, REPO_MISSING, REMOTE_MISMATCH, DB_ERROR, REPO_MISMATCH, WRITE_BLOCKED, PROBE_NOT_FOUND)

NOT_FOUND, TIMED_OUT = 127, 124
COMMENT = "coordinator beads-gate: write probe"

_ID_KEY = re.compile(r"repo[ _-]?id", re.IGNORECASE)
# Bounded, so that no text makes the search slow.
_ID_LINE = re.compile(
    r"^[ \t]{0,20}(?P<key>[A-Za-z][\w -]{0,40}?)[ \t]{0,20}[:=][ \t]{0,20}"
    r"[\"']?(?P<id>[\w.-]{1,200})[\"']?,?[ \t]{0,20}\r?$",
    re.MULTILINE,
)
_NO_ANSWER = re.compile(r"connect|timed out|unreachable|locked|database is", re.IGNORECASE)
_MISMATCH = re.compile(r"database mismatch|repo(?:sitory)?[ _-]?id mismatch", re.IGNORECASE)
_NO_ISSUE = re.compile(r"not found|no (?:such )?issue|no issues? found|does not exist", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What is to be examined. `external` is the repository that holds the beads of all; `remote` must be part of its
    origin."""

    repo: Path
    external: Path
    remote: str
    probe_id: str = ""
    write: bool = False
    flush: bool = False
    strict: bool = False


@dataclass(frozen=True)
class Answer:
    """How a program ended and what it printed; for what was looked for: 0 and what was found, else 1."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def words(self) -> str:
        return (self.err.strip() or self.out.strip() or f"exit {self.code}")[:2000]


@dataclass(frozen=True)
class Ask:
    """The next question, asked in `where`: `argv` is run, `program` is looked for on PATH, of `files` the first that is
    there is read."""

    name: str
    where: Path
    argv: tuple[str, ...] = ()
    program: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """The verdict. `db_status` is ok, error or not_asked; ids and remote are "" where they are not known; `warnings` do
    not close the gate."""

    reason: str
    details: str
    db_status: str
    repo_id_local: str
    repo_id_db: str
    external_repo: str
    external_remote: str
    cure: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.reason == OK


Answers = Mapping[str, Answer]


def next_step(wanted: Wanted, answers: Answers) -> Ask | Gate:
    """The first question that is not answered yet, or the verdict as soon as one can be given."""
    for ask in questions(wanted):
        answer = answers.get(ask.name)
        if answer is None:
            return ask
        found = _fault(ask.name, answer, wanted, answers)
        if found is not None:
            return _gate(wanted, answers, *found)
    return _gate(wanted, answers, OK, _said(answers), "")


def questions(wanted: Wanted) -> Iterator[Ask]:
    """In the order in which they are asked."""
    external, repo = wanted.external, wanted.repo
    yield Ask("bd", repo, program="bd")
    yield Ask("external", external, ("git", "rev-parse", "--git-dir"))
    yield Ask("origin", external, ("git", "remote", "get-url", "origin"))
    yield Ask("status", repo, ("bd", "status"))
    if wanted.probe_id:
        yield Ask("probe", repo, ("bd", "show", wanted.probe_id))
    yield Ask("local", repo, files=(".beads/config", ".beads/config.yaml", ".beads/metadata.json"))
    yield Ask("database", repo, ("bd", "info", "--json"))
    if wanted.write:
        yield Ask("write", repo, ("bd", "comment", wanted.probe_id, COMMENT))
    if wanted.flush:
        yield Ask("flush", repo, ("bd", "sync", "--flush-only"))


def repo_id(text: str) -> str:
    """The repository's id as a configuration or `bd` names it, in JSON or on a line of its own; "" for none."""
    try:
        found = _in_json(json.loads(text))
    except (ValueError, RecursionError):
        found = ""
    if found:
        return found
    lines = (line for line in _ID_LINE.finditer(text) if _ID_KEY.search(line["key"]))
    return next((line["id"] for line in lines), "")


def _in_json(value: Any) -> str:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and _ID_KEY.fullmatch(key):
                return inner.strip()
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in map(_in_json, inside) if found), "")


# --- what an answer means -------------------------------------------------------------------------------

Fault = tuple[str, str, str]
"""Reason, details, cure."""


def _fault(name: str, answer: Answer, wanted: Wanted, answers: Answers) -> Fault | None:
    """What is wrong with an answer; None when the gate stays open."""
    match name:
        case "bd" if answer.code != 0:
            return UNAVAILABLE, "bd is not installed or not on PATH", "Install the beads CLI: `bd version` must answer."
        case "external" if answer.code != 0:
            return _no_external(answer, wanted)
        case "origin":
            return _foreign(answer, wanted)
        case "status" if answer.code != 0:
            return _no_database(answer, wanted)
        case "probe":
            return _no_probe(answer, wanted)
        case "database":
            return _other_repository(wanted, answers)
        case "write" if answer.code != 0:
            words = f"a comment on {wanted.probe_id} was refused: {answer.words}"
            return WRITE_BLOCKED, words, _there(wanted, f"bd comment {wanted.probe_id} test")
        case "flush" if answer.code != 0 and wanted.strict:
            return WRITE_BLOCKED, f"the flush failed: {answer.words}", _there(wanted, "bd sync --flush-only")
    return None


def _no_external(answer: Answer, wanted: Wanted) -> Fault:
    if answer.code in (NOT_FOUND, TIMED_OUT):
        return REPO_MISSING, f"git could not be asked about {wanted.external}: {answer.words}", "git --version"
    return (REPO_MISSING, f"no git repository at {wanted.external}: {answer.words}",
            f"git clone <the beads repository> {_quoted(wanted.external)}   # or set BEADS_REPO_PATH")


def _foreign(answer: Answer, wanted: Wanted) -> Fault | None:
    remote = answer.out.strip() if answer.code == 0 else ""
    if wanted.remote in remote:
        return None
    has = f"origin of {wanted.external} is {remote}" if remote else f"{wanted.external} has no origin"
    return (REMOTE_MISMATCH, f"{has}; it must contain {wanted.remote}",
            f"git -C {_quoted(wanted.external)} remote set-url origin <address>   # or set BEADS_REPO_REMOTE_SUBSTR")


def _no_database(answer: Answer, wanted: Wanted) -> Fault:
    if _MISMATCH.search(answer.out + answer.err):
        return REPO_MISMATCH, answer.words, _there(wanted, "bd migrate --update-repo-id")
    return DB_ERROR, f"bd status failed: {answer.words}", _there(wanted, "bd doctor")


def _no_probe(answer: Answer, wanted: Wanted) -> Fault | None:
    """An exit of 0 is not enough: bd has been seen to end well and print nothing but "not found"."""
    if answer.code == TIMED_OUT or (answer.code != 0 and _NO_ANSWER.search(answer.err)):
        return DB_ERROR, f"bd show gave no answer: {answer.words}", _there(wanted, "bd doctor")
    lines = [line for line in answer.out.splitlines() if line.strip()]
    if answer.code == 0 and lines and (len(lines) > 1 or not _NO_ISSUE.search(lines[0])):
        return None
    return PROBE_NOT_FOUND, f"bd knows no {wanted.probe_id}: {answer.words}", "Give the id of an issue that is there."


def _other_repository(wanted: Wanted, answers: Answers) -> Fault | None:
    local, database = _ids(answers)
    if not local or not database or local == database:
        return None
    return (REPO_MISMATCH, f"repo id {local} here, {database} in the database",
            _there(wanted, "bd migrate --update-repo-id"))


def _there(wanted: Wanted, command: str) -> str:
    return f"cd {_quoted(wanted.repo)} && {command}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _ids(answers: Answers) -> tuple[str, str]:
    """(of the checkout, of the database); "" where it is not told. A bd that tells it in its status is believed."""
    local = repo_id(answers["local"].out) if "local" in answers else ""
    told = [answers[name].out for name in ("status", "database") if name in answers]
    database = next((found for found in map(repo_id, told) if found), "")
    status = answers.get("status", Answer(0))
    if status.code != 0:   # bd's own words on a mismatch name both
        named = {line["key"].strip().lower(): line["id"] for line in _ID_LINE.finditer(status.out + "\n" + status.err)}
        local, database = named.get("current repo id", local), named.get("database repo id", database)
    return local, database


def _said(answers: Answers) -> str:
    local, database = _ids(answers)
    if local and database:
        return "all is well"
    return f"all is well; repo ids were not compared: {'the database' if local else 'the checkout'} names none"


def _gate(wanted: Wanted, answers: Answers, reason: str, details: str, cure: str) -> Gate:
    status, flush = answers.get("status"), answers.get("flush")
    local, database = _ids(answers)
    origin = answers.get("origin")
    warned = flush is not None and flush.code != 0 and reason == OK
    return Gate(
        reason=reason,
        details=details,
        db_status="not_asked" if status is None else "error" if status.code or reason == DB_ERROR else "ok",
        repo_id_local=local,
        repo_id_db=database,
        external_repo=str(wanted.external),
        external_remote=origin.out.strip() if origin is not None and origin.code == 0 else "",
        cure=cure,
        warnings=(f"the flush failed: {flush.words}",) if warned and flush is not None else (),
    )
