"""batch status, batch watch: how a batch stands, and what is new of it. They change nothing but the watch's journal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.batches.cluster import LONG, NOWHERE, SHORT, Expect, Given, homecoming, with_cluster
from coordinator.cli.batches.scope import Label, LogDir, Named, Plan, Prefix, batch_of
from coordinator.cli.jobs.reading import print_json, shown
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app.batches import Batch, Look

Json = Annotated[bool, typer.Option("--json", help="As JSON, and nothing else on stdout.")]


def add_to(app: typer.Typer) -> None:
    app.command()(with_cluster(status))
    app.command()(with_cluster(watch))


def status(
    batch: Named = "", prefix: Prefix = "", label: Label = "", plan: Plan = "", log_dir: LogDir = "",
    as_json: Json = False, expect: Expect = None, cluster: Given = NOWHERE,
) -> None:
    """Print how a batch stands: counts, causes of failure, its health, what to decide."""
    from coordinator.wording.batch_lines import status_lines

    named = replace(cluster, expect=tuple(expect or ()))
    made = batch_of(batch, prefix, label, plan, log_dir, named, aside=as_json)
    data = data_of(made, made.peek())
    if as_json:
        print_json(data)
    else:
        say(status_lines(data))


def watch(
    batch: Named = "",
    prefix: Prefix = "",
    label: Label = "",
    plan: Plan = "",
    log_dir: LogDir = "",
    until: Annotated[str, typer.Option(metavar="done|attention", help="done: till it is over; attention: or till it "
                                       "turns systemic.")] = "attention",
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="One cycle of waiting; 8h at most.")] = "8h",
    every: Annotated[str, typer.Option("--interval", metavar="DURATION", help="Look so often, whatever the cadence "
                                       "says.")] = "",
    once: Annotated[bool, typer.Option("--once", help="One look, then return.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only failures, turns of the batch and the end.")] = False,
    expect: Expect = None,
    sync: Annotated[list[str] | None, typer.Option("--sync", metavar="REMOTE:LOCAL", help="With --slurm: a folder that "
                    "is brought here as soon as jobs end; repeatable; else batch.sync.")] = None,
    cluster: Given = NOWHERE,
) -> int:
    """Tell what is new of a batch until it is done or wants somebody.

    0 done, none failed (or with --once: not systemic); 1 the time is up; 3 done with failures, or systemic; 130
    interrupted. Started again it tells only what happened meanwhile."""
    from coordinator.app import batches, credentials

    credentials.hide()
    if until not in ("done", "attention"):
        raise Trouble(f"--until is {until!r}", "Give done or attention.", code=USAGE)
    longest = duration("--timeout", timeout)
    if longest > batches.LONGEST_WATCH:
        raise Trouble(f"--timeout is {timeout}", "One cycle is 8h at most; start another one after it.", code=USAGE)
    if sync and not cluster.slurm:
        raise Trouble("--sync means nothing without --slurm", "It is for jobs of a cluster.", code=USAGE)
    named = replace(cluster, expect=tuple(expect or ()))
    made = batch_of(batch, prefix, label, plan, log_dir, named, patience=SHORT if once else LONG)
    pause = duration("--interval", every) if every else None
    home = homecoming(made, sync or (), quiet=quiet)
    teller = Teller(made, pause, quiet=quiet, also=home.news)
    order = batches.Watch(teller.news, teller.first, longest, to_the_end=until == "done", every=pause)
    began = time.monotonic()
    try:
        end = batches.watch(made, order, lambda pause: time.sleep(home.within(pause).total_seconds()), once=once)
    except KeyboardInterrupt:
        print(f"interrupted; take it up again: {made.scope.command('watch')}", file=sys.stderr)
        return 130
    teller.end(timedelta(seconds=time.monotonic() - began), once=once)
    return max(int(end), home.end())


class Teller:
    """Prints the looks of one watch, which come `every` so often if that was asked for."""

    def __init__(
        self, batch: Batch, every: timedelta | None, *, quiet: bool, also: Callable[[], list[str]] = list
    ) -> None:
        """`also` is done after each look, and gives lines of its own."""
        self._batch, self._every, self._quiet, self._also = batch, every, quiet, also
        self._last: Look | None = None

    def first(self, look: Look) -> None:
        """A batch that nobody looked at before is shown whole; of any other only what is new since then."""
        from coordinator.wording.batch_lines import NO_NEWS, pace_line, status_lines

        data = self._data(look)
        if look.news.first and not self._quiet:
            say(status_lines(data))
        elif not look.news.any and not self._quiet:
            say([f"{NO_NEWS} since {look.news.since:%Y-%m-%dT%H:%M:%SZ}; {pace_line(data)}"])
        self.news(look)

    def news(self, look: Look) -> None:
        from coordinator.app.batches import news_of
        from coordinator.app.calling import call
        from coordinator.wording.batch_lines import news_lines, now_line

        self._last = look
        say(list(news_lines(news_of(look), quiet=self._quiet)))
        say(list(call(self._batch, look, os.environ)))
        if look.news.any and not look.news.first and not self._quiet:
            say([now_line(self._data(look))])
        say(self._also())

    def _data(self, look: Look) -> dict[str, Any]:
        data = data_of(self._batch, look)
        return data if self._every is None else {**data, "next_look_seconds": self._every.total_seconds()}

    def end(self, span: timedelta, *, once: bool) -> None:
        """One line, and where somebody is wanted the evidence with what to do next."""
        from coordinator.cli.views.fitting import age
        from coordinator.wording.batch_lines import end_line, systemic_lines

        look, scope = self._last, self._batch.scope
        if look is None:
            return
        data = data_of(self._batch, look)
        if data["word"] == "systemic" and not look.over and (look.news.turned or look.news.first):
            say(list(systemic_lines(data, _what_next(self._batch, look))))
        elif not once or look.over:
            say([end_line(data, age(span.total_seconds()), over=look.over),
                 f"next: {scope.command('report' if look.over else 'watch')}"])


def _what_next(batch: Batch, look: Look) -> dict[str, str]:
    """In this order: what is wrong, the fix, and only then an end."""
    scope, worst = batch.scope, look.health.cause
    example = worst.ids[0] if worst is not None else ""
    looked = scope.job_command("diagnose", example) if scope.by_hand else f"coordinator why {example}"
    steps = {"find the root cause": looked} if example else {}
    steps["write down the fix and end what runs"] = scope.command("cancel --yes --fix TEXT")
    partial = " --partial PATTERN" if scope.cluster is not None else ""
    steps["remove what the failed ones left"] = scope.command(f"clean --yes{partial}")
    if not scope.by_hand:
        steps["after the fix: one is let through"] = scope.command("resume --canary")
    steps["start the failed ones again, one first"] = scope.command("resubmit --only-failed --yes")
    steps["watch on"] = scope.command("watch")
    return steps


def data_of(batch: Batch, look: Look) -> dict[str, Any]:
    """A look as plain data."""
    from coordinator.app import now
    from coordinator.app.batches import status_of

    return status_of(batch, look, now())


def duration(option: str, text: str) -> timedelta:
    """Above 0. Raises Trouble."""
    from coordinator.config.quantities import parse_duration

    try:
        found = parse_duration(text)
    except ValueError as wrong:
        raise Trouble(f"{option} {text!r} {wrong}", "Such as 90s, 15m or 8h.", code=USAGE) from wrong
    if found <= timedelta(0):
        raise Trouble(f"{option} is {text}", "Give more than 0.", code=USAGE)
    return found


def say(lines: list[str]) -> None:
    """Each on one line, secrets taken out, harmless to a terminal; at once, as somebody may follow a file."""
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        print(indent + shown(line), flush=True)
