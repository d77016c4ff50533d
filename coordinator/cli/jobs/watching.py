"""watchdog: restarts jobs that stall and blocks those that stall again, once or for ever; or only says what it sees."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs import hints
from coordinator.cli.jobs.common import FaceContext, LogDir, acting, checked, face_of
from coordinator.cli.trouble import USAGE, Trouble
from coordinator.cli.views.harmless import harmless

if TYPE_CHECKING:
    from coordinator.app.faces import Face
    from coordinator.app.verbs import Desk, Watch, Watchdog

_LONGEST = 10**7
"""Seconds or minutes; beyond it a number is a slip of the keyboard."""


def add_to(app: typer.Typer) -> None:
    app.command()(watchdog)


def watchdog(
    ctx: FaceContext,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 60,
    stall_minutes: Annotated[
        float, typer.Option("--stall-minutes", help="So long without progress is a stall. 0: as configured (20).")] = 0,
    max_retries: Annotated[int, typer.Option("--max-retries", min=0, help="Restarts before a job is blocked.")] = 1,
    once: Annotated[bool, typer.Option("--once", help="One look, then return.")] = False,
    observe_only: Annotated[bool, typer.Option("--observe-only", help="Say what would be done; do nothing.")] = False,
    no_auto_restart: Annotated[
        bool, typer.Option("--no-auto-restart", help="Block at the first stall instead of restarting.")] = False,
    job: Annotated[str, typer.Option("--beads", "--job", metavar="ID", help="This job alone.")] = "",
    pidfile: Annotated[str, typer.Option(metavar="FILE", help="Holds our pid while we run.")] = "",
    log_dir: LogDir = "",
) -> None:
    """Watch jobs: restart what stalls, at most --max-retries times, then block it for a person."""
    from coordinator.app import credentials, jobs, verbs

    credentials.hide()
    face = face_of(ctx)
    order = verbs.Watch(
        read_prompt=jobs.prompt_of,
        orders=verbs.Orders(max_retries, observe_only, no_auto_restart),
        interval=timedelta(seconds=_positive("--interval", interval)),
        stall=timedelta(minutes=_positive("--stall-minutes", stall_minutes)) if stall_minutes else None,
        only=checked(job) if job else "",
        diagnose=f"{face.name} diagnose --beads {{}}" + (f" --log-dir {shlex.quote(log_dir)}" if log_dir else ""),
    )
    jobs.check_contacts(os.environ)
    with acting(face, log_dir) as desk:
        _sees_beats(desk, order)
        if job:
            desk.latest(job)
        _warn(face, desk)
        try:
            dog = verbs.Watchdog(desk, order)
            with dog.heard(), jobs.pidfile(pidfile):
                _once(dog) if once else _for_ever(dog, desk, order)
        except verbs.WatchdogRuns as other:
            raise Trouble(f"{other}: {desk.jobs.folder}", f"To end that one: kill {other.pid or 'PID'}") from other
        except verbs.PidfileHeld as held:
            raise Trouble(str(held), f"To end that one: kill {held.pid or 'PID'}") from held
        except verbs.NoPidfile as wrong:
            raise Trouble(str(wrong), "Name a file of its own with --pidfile.", code=USAGE) from wrong


def _positive(option: str, value: float) -> float:
    if not 0 < value < _LONGEST:
        raise Trouble(f"{option} is {value:g}", "Give a number above 0.", code=USAGE)
    return value


def _sees_beats(desk: Desk, order: Watch) -> None:
    """Between two heartbeats the healthiest job shows no sign; they come at least four times in the configured limit
    and in two minutes. Raises Trouble."""
    least = min(desk.rules.health.stall, timedelta(minutes=2))
    if order.stall is not None and order.stall < least:
        words = f"--stall-minutes is {order.stall / timedelta(minutes=1):g}, less than a few heartbeats of a job"
        raise Trouble(words, f"Give {least / timedelta(minutes=1):g} or more; workers.stall makes them come oftener.",
                      code=USAGE)


def _warn(face: Face, desk: Desk) -> None:
    for line in hints.warnings(face, desk.jobs.folder, ()):
        print(line, file=sys.stderr)


def _once(dog: Watchdog) -> None:
    count = 0
    for line in dog.once():
        _show(line)
        count += 1
    if not count:
        print("nothing to do")


def _for_ever(dog: Watchdog, desk: Desk, order: Watch) -> None:
    mode = " (observe only)" if order.orders.observe_only else ""
    say = dog.stamped(_show)
    every = f"every {order.interval.total_seconds():g} s{mode}"
    dog.run(say, f"watchdog (pid {os.getpid()}) looks at {desk.jobs.folder} {every}")
    say("watchdog ended; the workers run on")


def _show(line: str) -> None:
    """At once: the output may be a log file that somebody follows."""
    from coordinator.runfiles.masking import Masker, secrets_in

    print(Masker(secrets_in(os.environ)).text(harmless(line)), flush=True)
