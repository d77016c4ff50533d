"""status, health, check, tail, report: they read run files and nothing else, start nothing and change nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli import screen
from coordinator.cli.jobs.common import FaceContext, JobId, JsonFlag, LogDir, checked, face_of
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from coordinator.app.faces import Face
    from coordinator.cli.views.fitting import Line
    from coordinator.cli.views.jobs import Seen
    from coordinator.domain.job import Job
    from coordinator.planning.health import Settings

MISSING = 1
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These jobs alone.")]
Beads = Annotated[list[str] | None, typer.Option("--beads", "--job", metavar="ID", help="The same.")]
Recent = Annotated[int | None, typer.Option(min=1, metavar="N", help="The N jobs that ended last.")]
All = Annotated[bool, typer.Option("--all", help="Those that ended long ago too.")]
NoAnsi = Annotated[bool, typer.Option("--no-ansi", help="No colours.")]
Overrides = Annotated[bool, typer.Option("--show-overrides", help="Which jobs the watchdog leaves alone.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds.")]


def add_to(app: typer.Typer) -> None:
    for command in (status, health, check, tail, report):
        app.command()(command)


def status(
    ctx: FaceContext,
    ids: Ids = None,
    beads: Beads = None,
    as_json: JsonFlag = False,
    recent: Recent = None,
    everything: All = False,
    no_ansi: NoAnsi = False,
    show_overrides: Overrides = False,
    watch: Watch = False,
    log_dir: LogDir = "",
) -> int:
    """List the jobs that run and those that ended within a day."""
    from coordinator.cli.views.jobs import status_table

    asked = _Asked(face_of(ctx), log_dir, _ids(ids, beads), recent, everything, show_overrides)
    return _list(asked, status_table, as_json=as_json, no_ansi=no_ansi, watch=watch)


def health(
    ctx: FaceContext,
    ids: Ids = None,
    beads: Beads = None,
    as_json: JsonFlag = False,
    recent: Recent = None,
    everything: All = False,
    no_ansi: NoAnsi = False,
    show_overrides: Overrides = False,
    watch: Watch = False,
    log_dir: LogDir = "",
) -> int:
    """List the same jobs by health: healthy, starting, stalled, no_op, exited_ok, exited_err, blocked, missing."""
    from coordinator.cli.views.jobs import health_table

    asked = _Asked(face_of(ctx), log_dir, _ids(ids, beads), recent, everything, show_overrides)
    return _list(asked, health_table, as_json=as_json, no_ansi=no_ansi, watch=watch)


def check(
    ctx: FaceContext,
    job: JobId,
    stall_minutes: Annotated[float | None, typer.Option("--stall-minutes", metavar="N",
                                                        help="No sign of progress for so long is a stall.")] = None,
    as_json: JsonFlag = False,
    log_dir: LogDir = "",
) -> int:
    """Judge one job; the exit code tells: 0 well, 1 missing, 2 stalled, 3 failed or blocked, 23 no-op, 26 unknown."""
    from coordinator.cli.views import job_facts
    from coordinator.planning.health.jobs import CHECK_EXIT

    face = face_of(ctx)
    one = latest_seen(face, log_dir, job, stall_minutes)
    if as_json:
        print_json(job_facts.check(one, face.spelling))
        return CHECK_EXIT[one.word.health]
    from coordinator.wording.job_hints import silent_hint

    print(shown(f"{one.id} {one.state(face.spelling)}: {one.word.words}"))
    for fault in one.job.faults if one.job is not None else ():
        _hint(f"{one.id}: {fault}")
    if one.silent:
        from coordinator.cli.views.fitting import age

        _hint(silent_hint(one.id, face.name, age(one.elapsed or 0.0)))
    return CHECK_EXIT[one.word.health]


def report(
    ctx: FaceContext,
    job: JobId,
    form: Annotated[str, typer.Option("--format", metavar="json|markdown", help="For scripts or for people.")] = "json",
    log_dir: LogDir = "",
) -> int:
    """Print everything that is known of a job's last run, and what to do next."""
    from coordinator.cli.views import job_facts

    if form not in ("json", "markdown"):
        raise Trouble(f"--format is {form!r}", "Give json or markdown.", code=USAGE)
    face = face_of(ctx)
    one = latest_seen(face, log_dir, job)
    facts = job_facts.report(one, face.spelling)
    if form == "json":
        print_json(facts)
    else:
        from coordinator.wording.jobs import report_markdown

        print(report_markdown(_masker().value(facts)))
    return MISSING if one.job is None else 0


def tail(
    ctx: FaceContext,
    job: JobId,
    lines: Annotated[int, typer.Option(min=0, metavar="N", help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    no_ansi: NoAnsi = False,
    log_dir: LogDir = "",
) -> int:
    """Print the last lines of a job's log, secrets hidden; what it wrote to stderr goes to stderr."""
    from coordinator.cli.jobs import tailing

    face = face_of(ctx)
    found = latest_seen(face, log_dir, job)
    if found.job is None:
        raise missing(job, found)
    colours = not no_ansi and screen.coloured()

    def again() -> Job | None:
        from coordinator.app import jobs
        from coordinator.domain.job import latest

        return latest(jobs.shelf(face, log_dir, os.environ).of(job))

    shower = tailing.Shower(_masker(), colours=colours)
    try:
        tailing.show(found.job, lines, again if follow else None, shower)
    except KeyboardInterrupt:
        return 130
    return 0


# --- reading ----------------------------------------------------------------------------------------------


class _Asked:
    """What a list of jobs was asked for."""

    def __init__(self, face: Face, log_dir: str, ids: Sequence[str], recent: int | None, everything: bool,
                 overrides: bool) -> None:
        self.face, self.log_dir, self.ids = face, log_dir, tuple(ids)
        self.recent, self.everything, self.overrides = recent or 0, everything, overrides
        self.settings = settings()

    def look(self) -> tuple[Path, list[Seen], list[Seen]]:
        """(folder, every job that was read, those that are shown)."""
        from coordinator.cli.views.jobs import listed

        folder, found = seen(self.face, self.log_dir, self.ids, self.settings)
        if self.ids and not self.recent:
            return folder, found, found
        return folder, found, listed(found, recent=self.recent, everything=self.everything)


def _list(asked: _Asked, table: Callable[..., list[Line]], *, as_json: bool, no_ansi: bool, watch: bool) -> int:
    spelling = asked.face.spelling
    if watch:
        screen.watch(lambda width: _picture(asked, table, width), plain=no_ansi)
        return 0
    folder, found, shown_ones = asked.look()
    if as_json:
        from coordinator.cli.jobs.hints import warnings
        from coordinator.cli.views import job_facts

        print_json(job_facts.listing(shown_ones, spelling, now()))
        said: Iterable[str] = warnings(asked.face, folder, found)
    else:
        from coordinator.cli.jobs.hints import hints

        width = screen.width() if sys.stdout.isatty() else 0
        screen.show(_masked(table(shown_ones, spelling, overrides=asked.overrides, width=width)), plain=no_ansi)
        sys.stdout.flush()
        said = hints(asked.face, folder, found) if not asked.ids else ()
    for line in said:
        _hint(line)
    return MISSING if any(one.job is None for one in shown_ones) else 0


def _picture(asked: _Asked, table: Callable[..., list[Line]], width: int) -> list[Line]:
    from coordinator.cli.jobs.hints import hints
    from coordinator.cli.views.fitting import Line, clean, cut

    folder, found, shown_ones = asked.look()
    said = [Line("quiet", cut(clean(line), width)) for line in hints(asked.face, folder, found)]
    rows = table(shown_ones, asked.face.spelling, overrides=asked.overrides, width=width)
    return _masked([*said, *rows])


def seen(face: Face, log_dir: str, ids: Sequence[str], judged_by: Settings) -> tuple[Path, list[Seen]]:
    """(folder, jobs with what is judged of each): those named, with one that says `missing` for each unknown id; else
    all of them. A named job is read without looking at the others."""
    from coordinator.app import jobs
    from coordinator.cli.views.jobs import Seen
    from coordinator.planning.health.jobs import judge_job

    shelf = jobs.shelf(face, log_dir, os.environ)
    _readable(shelf.folder)
    at = now()
    if not ids:
        return shelf.folder, [Seen(one.id, one, judge_job(one, at, judged_by), at) for one in shelf.all()]
    found: list[Seen] = []
    for name in dict.fromkeys(ids):
        instances = shelf.of(name) or (None,)
        found += [Seen(name, one, judge_job(one, at, judged_by), at) for one in instances]
    return shelf.folder, found


def _readable(folder: Path) -> None:
    """A folder that is not there holds no jobs; one that cannot be looked into might. Raises Trouble."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Trouble(f"{folder} is no folder", "Name the folder of the run files with --log-dir.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Trouble(f"{folder} may not be read", f"ls -ld {folder}")


def latest_seen(face: Face, log_dir: str, job_id: str, stall_minutes: float | None = None) -> Seen:
    """The instance of a job that was started last, judged now."""
    from coordinator.cli.views.jobs import Seen
    from coordinator.domain.job import latest
    from coordinator.planning.health.jobs import judge_job

    judged_by = settings(stall_minutes)
    _, found = seen(face, log_dir, (job_id,), judged_by)
    job = latest(one.job for one in found if one.job is not None)
    at = now()
    return Seen(job_id, job, judge_job(job, at, judged_by), at)


def settings(stall_minutes: float | None = None) -> Settings:
    """By which health is judged. Raises Trouble for a limit that is none."""
    from coordinator.app import jobs

    found = jobs.reading_settings(os.environ)
    if stall_minutes is None:
        return found
    if not 0 < stall_minutes < 1e6:
        raise Trouble(f"--stall-minutes is {stall_minutes:g}", "Give a number above 0; 20 is usual.", code=USAGE)
    from datetime import timedelta

    return replace(found, stall=timedelta(minutes=stall_minutes))


def missing(job: str, found: Seen) -> Trouble:
    cure = "`status --all` lists the jobs; --log-dir names another folder."
    return Trouble(f"job {job} is missing: {found.word.words}", cure)


def now() -> Any:
    from coordinator import app

    return app.now()


def _ids(ids: list[str] | None, beads: list[str] | None) -> list[str]:
    return [checked(name) for name in (*(ids or ()), *(beads or ()))]


# --- showing ----------------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    import json

    text = json.dumps(value, ensure_ascii=False, indent=2)
    masker = _masker()
    if masker.text(text) != text:   # value by value: a mask must not eat a quote
        text = json.dumps(masker.value(value), ensure_ascii=False, indent=2)
    print(text)


def shown(text: str) -> str:
    """One line as people may see it: without secrets, harmless to a terminal."""
    from coordinator.cli.views.fitting import clean

    return clean(_masker().text(text))


def _masked(lines: list[Line]) -> list[Line]:
    masker = _masker()
    return [replace(line, text=masker.text(line.text)) for line in lines]


def _masker() -> Any:
    from coordinator.runfiles.masking import Masker, secrets_in

    return Masker(secrets_in(os.environ))


def _hint(text: str) -> None:
    print(f"hint: {shown(text)}", file=sys.stderr)
