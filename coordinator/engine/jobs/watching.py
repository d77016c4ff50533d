"""The watchdog: looks at all jobs of one folder again and again and carries out what the rules say, job by job.

One job's trouble is one line and never the end of the watch. What is decided is decided in planning.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.domain.job import Job
from coordinator.domain.worker import Running
from coordinator.engine.contacts import Message, Ways, hand_over
from coordinator.engine.jobs.desk import Desk, handle_of, stamp
from coordinator.engine.jobs.editing import block
from coordinator.engine.jobs.ending import end_run, settle
from coordinator.engine.jobs.restarting import Again, restart
from coordinator.engine.wakes import Handlers, Wakes
from coordinator.planning.health import NEXT_BEAT, Settings
from coordinator.planning.watchdog import Action, Await, Block, End, Note, Orders, Record, Restart, Say, watch
from coordinator.ports import StopOrder
from coordinator.wording import escalation

SLACK = timedelta(seconds=30)
"""How much later than asked for a pass may begin without the clock having leapt."""
_LOOK_AGAIN = timedelta(seconds=1)
_UNDONE = {Restart: "not restarted", Block: "not blocked", End: "not ended", Record: "not recorded"}


@dataclass(frozen=True)
class Watch:
    """`stall` is given in place of the configured one; `only` names one job. `read_prompt` gives a prompt file's text
    and raises what is wrong with it; `diagnose` is the command that looks into the job `{}`."""

    read_prompt: Callable[[str], str]
    orders: Orders = field(default_factory=Orders)
    interval: timedelta = timedelta(seconds=60)
    stall: timedelta | None = None
    only: str = ""
    diagnose: str = "coordinator job diagnose --beads {}"


class Watchdog:
    """Its memory is small and may be lost: what was said already, and when the clock leapt."""

    def __init__(self, desk: Desk, order: Watch) -> None:
        self._desk, self._order = desk, order
        self._wakes = Wakes()
        self._over = False
        self._due: datetime | None = None
        self._woke_at: datetime | None = None
        self._waiting = False
        self._said: dict[tuple[str, str], tuple[str, str]] = {}

    def once(self) -> Iterator[str]:
        """One pass: what was done, line by line. After a leap of the clock it looks again until it is sure."""
        with self._alone(), self.heard():
            yield from self._pass()
            while self._waiting and not self._over:
                self._desk.pause(_LOOK_AGAIN)
                yield from self._pass()

    def run(self, say: Callable[[str], None], first: str) -> None:
        """Pass after pass until SIGTERM or SIGINT: heard between two jobs. `first` is said once the folder is ours."""
        with self._alone(), self.heard():
            say(first)
            while not self._over:
                for line in self._pass():
                    say(line)
                if not self._over:
                    rest = min(self._order.interval, NEXT_BEAT) if self._waiting else self._order.interval
                    self._wakes.wait(rest.total_seconds())

    def stamped(self, show: Callable[[str], None]) -> Callable[[str], None]:
        """Shows lines with the time before them, as a log has them."""
        return lambda line: show(f"{stamp(self._desk.clock.now())} {line}")

    def _alone(self) -> AbstractContextManager[None]:
        """Who only observes writes nothing and is in nobody's way."""
        return nullcontext() if self._order.orders.observe_only else self._desk.jobs.one_watchdog()

    def heard(self) -> AbstractContextManager[None]:
        """SIGTERM and SIGINT are heard within, before `run` too: whoever leaves traces of its own begins with it."""
        return Handlers({signal.SIGTERM: self._end, signal.SIGINT: self._end})

    def _end(self) -> None:
        self._over = True
        self._wakes.put("end")

    # --- one pass -----------------------------------------------------------------------------------

    def _pass(self) -> Iterator[str]:
        now = self._desk.clock.now()
        self._notice_leaps(now)
        self._desk.executor.reap()
        self._waiting = False
        for job in self._jobs():
            if self._over:
                return
            yield from self._guarded(job, now)
        self._due = self._desk.clock.now() + self._order.interval

    def _notice_leaps(self, now: datetime) -> None:
        """A watchdog that has just begun cannot know what was before, so it counts as woken too."""
        expected = self._due
        if expected is None or not expected - self._order.interval <= now <= expected + SLACK:
            self._woke_at = now

    def _jobs(self) -> tuple[Job, ...]:
        shelf = self._desk.jobs
        return shelf.of(self._order.only) if self._order.only else shelf.all()

    def _judge(self, jobs: Iterable[Job], now: datetime) -> tuple[Action, ...]:
        return watch(jobs, now, self._settings(), self._order.orders, self._woke_at)

    def _settings(self) -> Settings:
        known = self._desk.rules.health
        return known if self._order.stall is None else replace(known, stall=self._order.stall)

    def _guarded(self, job: Job, now: datetime) -> Iterator[str]:
        """`now` is when the job was read: a pass takes a while, and must not make those at its end look old."""
        doing = "not judged"
        try:
            found = self._judge([job], now)
            if all(isinstance(action, Note) for action in found):
                self._said.pop((job.provider, job.id), None)
            for action in found:
                doing = _UNDONE.get(type(action), "not noted")
                yield from self._carry_out(action)
        except Exception as error:  # noqa: BLE001 - one job's trouble must not leave the others unguarded
            words = str(getattr(error, "words", "") or error) or type(error).__name__
            cure = getattr(error, "cure", "")
            yield from self._news(job, words, f"{doing}: {words}" + (f" → {cure}" if cure else ""))

    def _carry_out(self, action: Action) -> Iterator[str]:
        match action:
            case Say(job, cause, words):
                yield from self._news(job, cause, words)
            case Await(job, words):
                self._waiting = True
                yield from self._news(job, "await", words)
            case Note(job, cpu, progress):
                self._desk.jobs.note(job, {"last_cpu_time": cpu, "last_progress_at": stamp(progress)})
            case _:
                fresh = self._anew(action)
                if fresh is not None:
                    yield from self._act(fresh)

    def _anew(self, action: Action) -> Action | None:
        """The same action for the job as it is by now: others act meanwhile."""
        job = action.job
        again = [one for one in self._desk.jobs.of(job.id) if one.provider == job.provider]
        found = self._judge(again, self._desk.clock.now())
        return next((one for one in found if type(one) is type(action)), None)

    def _act(self, action: Action) -> Iterator[str]:
        match action:
            case Restart():
                yield self._restart(action)
            case Block(job, reason, words):
                yield from self._block(job, reason, words)
            case End(job, reason, words):
                end_run(self._desk, job, StopOrder(reason, words))
                yield f"{_name(job)}: ended ({reason}): {words}"
            case Record(job):
                outcome = settle(self._desk, job).outcome
                left = f"; alive still: {outcome['survivors']}" if outcome.get("survivors") else ""
                yield f"{_name(job)}: gone without an outcome, recorded as {outcome.get('reason_code', 'lost')}{left}"

    def _restart(self, due: Restart) -> str:
        job = due.job
        prompt = self._order.read_prompt(self._prompt_of(job))
        again = Again(prompt, reason="stalled", words=due.words, run=job.token, unbegun=due.unbegun)
        notes = restart(self._desk, job.id, again).notes
        nth = f"restart {due.nth} of {self._order.orders.max_retries}"
        return "; ".join([f"{_name(job)}: restarted ({nth}): {due.words}", *notes])

    def _prompt_of(self, job: Job) -> str:
        """The prompt file, so that it can be mended; the text as it was sent where that is gone."""
        named = job.meta.get("prompt_file", "")
        there = bool(named) and self._desk.files.exists(Path(named))
        return named if there else str(self._desk.executor.prompt_path(handle_of(job)))

    def _block(self, job: Job, reason: str, words: str) -> Iterator[str]:
        """Written once, so it is said once; never onto a run that somebody begins at this moment."""
        with self._desk.jobs.one_start():
            if self._anew(Block(job, reason, words)) is None:
                return
            block(self._desk, job, reason)
        tried = f"after {job.retries} restart{'' if job.retries == 1 else 's'}"
        cure = self._order.diagnose.replace("{}", job.id, 1)
        line = f"ESCALATE {job.id}: blocked ({reason}) {tried}: {words} → {cure}"
        yield line
        about = {"COORDINATOR_CAUSE": f"job:{job.provider}/{job.id}:{reason}",
                 "COORDINATOR_REPOSITORY": job.meta.get("repo", "")}
        ways = Ways(self._desk.probe, self._desk.notifier, self._desk.environ)
        yield from hand_over(self._desk.rules.contacts, Message(line, self._bundle(), about), ways)

    def _bundle(self) -> tuple[str, ...]:
        """How many jobs of the folder run, and what the others ended with or are blocked for."""
        active, failing = 0, defaultdict(list)
        for job in self._desk.jobs.all():
            reason = job.blocked_reason or (job.outcome.get("reason_code", "") if _failed(job) else "")
            active += isinstance(job.view, Running)
            if reason:
                failing[reason].append(job.id)
        return escalation.bundle(active, 0, 0, failing, "jobs")

    def _news(self, job: Job, cause: str, words: str) -> Iterator[str]:
        """A line of which nothing is new is not said again."""
        key = (job.provider, job.id)
        if self._said.get(key) != (job.token, cause):
            self._said[key] = (job.token, cause)
            yield f"{_name(job)}: {words}"


def _failed(job: Job) -> bool:
    return job.outcome.get("state", "success") != "success"


def _name(job: Job) -> str:
    return f"{job.id} ({job.provider})"
