"""diagnose: all that an escalation needs in one file for its owner's eyes, secrets taken out of every part.

It reads what the read commands read, and their tables; it changes no job.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.jobs import reading
from coordinator.cli.jobs.common import FaceContext, LogDir, checked, face_of

if TYPE_CHECKING:
    from coordinator.app.faces import Face
    from coordinator.cli.views.fitting import Line
    from coordinator.cli.views.jobs import Seen
    from coordinator.domain.job import Job

LINES = 40
"""Of the end of each log and err."""
_MOST = 65536
_PAIRS = ("meta", "contract", "heartbeat", "outcome")
Part = tuple[str, str]
"""A title and the text below it, raw."""


def add_to(app: typer.Typer) -> None:
    app.command()(diagnose)


def diagnose(
    ctx: FaceContext,
    job: Annotated[str, typer.Option("--beads", "--job", metavar="ID", help="This job alone.")] = "",
    output: Annotated[str, typer.Option(metavar="FILE", help="Where; else a fresh file in the temporary folder.")] = "",
    log_dir: LogDir = "",
) -> None:
    """Write the escalation bundle: versions, status, health, run files and the ends of logs, without secrets."""
    from coordinator.app import bundle

    face, masker = face_of(ctx), _masker()
    folder, seen = reading.seen(face, log_dir, (checked(job),) if job else (), reading.settings())
    if job and seen[0].job is None:
        raise reading.missing(job, seen[0])
    of_jobs = (part for one in seen if one.job is not None for part in _of(one.job, masker))
    parts = (*_general(face, folder, seen), *of_jobs)
    text = "\n\n".join(f"=== {_shown(title, masker)} ===\n{_shown(body, masker)}" for title, body in parts)
    print(bundle.keep(output, text + "\n"))
    print("It holds no secret that is known or looks like one; read it before you hand it on.", file=sys.stderr)


def _masker() -> Any:
    from coordinator.runfiles.masking import Masker, secrets_in

    return Masker(secrets_in(os.environ))


def _shown(text: str, masker: Any) -> str:
    """Part by part: what one part opens (a private key, an escape sequence) swallows nothing of another."""
    from coordinator.cli.views.harmless import harmless

    return str(masker.text(harmless(text))).rstrip("\n")


def _general(face: Face, folder: Path, seen: Sequence[Seen]) -> Iterator[Part]:
    from coordinator.app import bundle
    from coordinator.cli.jobs.hints import hints
    from coordinator.cli.views.jobs import health_table, listed, status_table

    shown = listed(seen, everything=True)
    yield "diagnosis", f"made {reading.now():%Y-%m-%dT%H:%M:%SZ} by {face.name}"
    yield "versions", "\n".join(bundle.versions(os.environ))
    yield "host", "\n".join(_host(folder))
    yield "hints", "\n".join(hints(face, folder, seen))
    yield "status --no-ansi --show-overrides", _table(status_table(shown, face.spelling, overrides=True))
    yield "health --no-ansi --show-overrides", _table(health_table(shown, face.spelling, overrides=True))


def _host(folder: Path) -> Iterator[str]:
    from coordinator.app import bundle

    system = os.uname()
    yield f"{system.nodename}: {system.sysname} {system.release} {system.machine}, user id {os.geteuid()}"
    yield f"here: {Path.cwd()}"
    yield f"jobs: {folder}"
    yield bundle.room(folder)


def _table(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


# --- one job --------------------------------------------------------------------------------------------


def _of(job: Job, masker: Any) -> Iterator[Part]:
    from coordinator.runfiles import names

    present = _files(job)
    yield f"files of {job.id} ({job.provider})", "\n".join(_entry(Path(job.folder) / name) for name in present)
    if job.faults:
        yield f"faults of {job.id} ({job.provider})", "\n".join(job.faults)
    for kind in _PAIRS:
        for name in (one for one in present if (names.job_of(one) or ("", ""))[1] == kind):
            yield f"{job.provider}/{name}", _text(f"{job.folder}/{name}")
    for kind in ("log", "err"):
        if f"{job.id}.{kind}" in present:
            yield f"the last {LINES} lines of {job.provider}/{job.id}.{kind}", _end(job, kind, masker)


def _files(job: Job) -> list[str]:
    """The names of its run files, rotated ones too."""
    from coordinator.runfiles import names

    try:
        found = [path.name for path in Path(job.folder).iterdir()]
    except OSError:
        return []
    mine = [name for name in found if (names.job_of(name) or ("", ""))[0] == job.id or name == f"{job.id}.rc"]
    return sorted(mine, key=lambda name: (name.rstrip("0123456789"), len(name), name))


def _entry(path: Path) -> str:
    from datetime import UTC, datetime

    try:
        seen = path.lstat()
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    at = datetime.fromtimestamp(seen.st_mtime, UTC)
    return f"{seen.st_mode & 0o777:04o} {seen.st_size:>12,} {at:%Y-%m-%dT%H:%M:%SZ} {path.name}"


def _text(path: str) -> str:
    from coordinator.runfiles import atomic

    try:
        return (atomic.read(path, _MOST) or b"").decode("utf-8", "replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _end(job: Job, kind: str, masker: Any) -> str:
    """A key that began further up, and is cut here, is seen by the reader of ends alone."""
    from coordinator.cli.jobs.tailing import Shower, Stream

    said = io.StringIO()
    stream = Stream(kind, Shower(masker, colours=False), said)
    stream.open(job, LINES)
    stream.end()
    return said.getvalue()
