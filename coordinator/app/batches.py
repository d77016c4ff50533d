"""Builders for batches: where members are found, where a batch's journal lies, and the verbs for the command line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.adapters.system.notebook import Notebook, Unusable
from coordinator.app import now
from coordinator.app.faces import COORDINATOR, state_home, where
from coordinator.domain.job import Job, latest
from coordinator.engine.batches.batch import Batch, Files, Find, Look, Memory
from coordinator.engine.batches.watching import End, Watch, watch
from coordinator.planning.batch import kept, telling
from coordinator.planning.batch.cadence import LONGEST_WATCH, Mode
from coordinator.planning.batch.cohort import Bands, BatchWord
from coordinator.planning.batch.journal import Journal, Sight, run_of, sight
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.scope import LABEL, PLAN, PREFIX, Scope, parse_key
from coordinator.planning.batch.signature import last_error
from coordinator.planning.batch.sources import of_job, of_row
from coordinator.planning.health.jobs import judge_job
from coordinator.runfiles import names
from coordinator.runfiles.masking import Masker, secrets_in

if TYPE_CHECKING:
    from coordinator.config import Config
    from coordinator.planning.health import Settings

__all__ = [
    "LABEL", "LONGEST_WATCH", "PLAN", "PREFIX", "Bands", "Batch", "BatchWord", "End", "JournalFile", "Look",
    "Member", "Memory", "Mode", "Scope", "Stand", "Watch", "bands_of", "batch_of", "files_of_jobs", "files_of_rows",
    "gate_of", "job_scope", "jobs_of", "members_of_jobs", "members_of_rows", "news_of", "parse_key", "sights_of",
    "status_of", "watch",
]  # fmt: skip

_TAIL = 16384
"""Bytes of a log's end in which the last error is looked for."""


def batch_of(
    scope: Scope, find: Find, bands: Bands, environ: Mapping[str, str], gate: Callable[[], str] = str,
    files: Callable[[], Mapping[str, Files]] = dict,
) -> Batch:  # fmt: skip
    """Nothing is opened or made."""
    return Batch(scope, find, JournalFile(scope, environ), bands, now, gate, files)


def sights_of(members: Iterable[Member]) -> dict[str, Sight]:
    """What is to be known of members at the next look."""
    return {one.id: sight(one) for one in members}


def status_of(batch: Batch, look: Look, at: datetime) -> dict[str, Any]:
    """A look as plain data."""
    return telling.status(batch.scope, look.members, look.health, look.journal, look.pace, at, batch.gate())


def news_of(look: Look) -> dict[str, Any]:
    return telling.news(look.news, look.health)


def bands_of(config: Config) -> Bands:
    given = config.batch
    return Bands(given.watch, given.systemic, given.min_ended, given.min_same)


# --- jobs -----------------------------------------------------------------------------------------------


def job_scope(prefix: str, log_dir: str, environ: Mapping[str, str]) -> Scope:
    """Jobs whose id begins with `prefix`, in the folder that `coordinator job` would use."""
    return Scope(PREFIX, prefix, str(where(COORDINATOR, log_dir, environ).folder), log_dir)


def jobs_of(scope: Scope, environ: Mapping[str, str]) -> list[Job]:
    """The latest instance of each job of a prefix; entries without any record of a run are none."""
    from coordinator.app import jobs

    found: dict[str, list[Job]] = {}
    for one in jobs.shelf(COORDINATOR, scope.log_dir, environ).all():
        if one.id.startswith(scope.name) and (one.meta or one.outcome):
            found.setdefault(one.id, []).append(one)
    newest = (latest(instances) for _, instances in sorted(found.items()))
    return [one for one in newest if one is not None]


def files_of_jobs(scope: Scope, environ: Mapping[str, str]) -> dict[str, Files]:
    return {one.id: Files(one.meta.get("worktree", ""), names.path(one.folder, one.id, "log"))
            for one in jobs_of(scope, environ)}


def members_of_jobs(scope: Scope, environ: Mapping[str, str], judged_by: Settings) -> Find:
    """Logs are read for jobs that failed since they were seen last, and for no other."""
    from coordinator.app import jobs

    shelf, mask = jobs.shelf(COORDINATOR, scope.log_dir, environ), Masker(secrets_in(environ)).text

    def find(before: Mapping[str, Sight]) -> Sequence[Member]:
        at = now()
        return [member(one, at, before.get(one.id)) for one in jobs_of(scope, environ)]

    def member(job: Job, at: datetime, seen: Sight | None) -> Member:
        made = of_job(job, judge_job(job, at, judged_by))
        if made.stand is not Stand.BAD:
            return made
        if seen is not None and (seen.run, seen.state) == (run_of(made), made.state):
            return replace(made, words=seen.words)
        return replace(made, words=mask(_words(job, shelf.tail(job, _TAIL)) or made.words))

    return find


def _words(job: Job, tail: bytes) -> str:
    """The last line that tells of an error. A stream of JSON was read by the judge of the run, whose words stand in the
    outcome."""
    if job.outcome.get("judged_by") == "result":
        return ""
    lines = tail.decode("utf-8", "replace").splitlines()
    return last_error("\n".join(line for line in lines if not line.lstrip().startswith("{")))


# --- tasks ----------------------------------------------------------------------------------------------


def members_of_rows(rows: Iterable[Mapping[str, Any]], kind: str, name: str) -> list[Member]:
    """Of the board's rows those of a label or a plan, in the order of their ids; an issue that was closed while nobody
    looked has no labels any more, and is of the batch that its gate knows."""
    mine = (row for row in rows if (name in (row.get("labels") or ()) if kind == LABEL else row.get("plan") == name)
            or (row.get("batch") or {}).get("key") == f"{kind}:{name}")
    return sorted((of_row(row) for row in mine), key=lambda one: one.id)


def files_of_rows(rows: Iterable[Mapping[str, Any]], logs: Path) -> dict[str, Files]:
    """`logs` is the folder of the transcripts."""
    return {str(row["id"]): Files(str(row.get("worktree") or ""), str(logs / f"{row['id']}.jsonl")) for row in rows}


def gate_of(board: Mapping[str, Any], scope: Scope) -> str:
    """How the coordinator's gate stands for this batch, by its board."""
    rows = board.get("batches")
    mine = (row for row in (rows if isinstance(rows, list) else []) if isinstance(row, dict))
    row = next((one for one in mine if one.get("key") == scope.key), {})
    words = {"held": f"held: {row.get('held_for')}", "canary": f"{row.get('canary')} is tried alone",
             "wave": f"wave {row.get('wave')} is tried; its health decides the rest"}
    return words.get(str(row.get("phase") or ""), "open" if row else "")


# --- the journal ----------------------------------------------------------------------------------------


class JournalFile:
    """The journal of one batch in a file of the user's state folder; one that cannot be read is kept aside."""

    def __init__(self, scope: Scope, environ: Mapping[str, str], facts: Mapping[str, str] | None = None) -> None:
        self._blank = Journal(scope.kind, scope.name, scope.place, facts=facts or {})
        self._file = Notebook(state_home(environ) / "coordinator" / "batches" / f"{_file_name(scope)}.json")

    @property
    def path(self) -> Path:
        return self._file.path

    def read(self) -> Journal:
        try:
            return self._parsed(self._file.read())
        except Unusable:
            return self._blank

    def change(self, how: Callable[[Journal], Journal]) -> Journal:
        after: list[Journal] = []

        def text(raw: bytes | None) -> str:
            after.append(how(self._parsed(raw)))
            return json.dumps(kept.to_data(after[-1]), ensure_ascii=False, indent=1)

        self._file.change(text)
        return after[-1]

    def _parsed(self, raw: bytes | None) -> Journal:
        if raw is None:
            return self._blank
        try:
            return kept.from_data(json.loads(raw), self._blank)
        except (ValueError, RecursionError, kept.Unreadable) as error:
            raise Unusable(str(error)) from error


def _file_name(scope: Scope) -> str:
    """Readable, and another for each batch of each place."""
    from hashlib import sha256

    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", scope.name)[:40]
    digest = sha256(os.fsencode(f"{scope.kind}\0{scope.name}\0{Path(scope.place).absolute()}")).hexdigest()[:10]
    return f"{scope.kind}-{clean}-{digest}"
