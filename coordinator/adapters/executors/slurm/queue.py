"""One queue of Slurm as all its callers share it: few commands however many jobs, and a memory of what they said.

A command that could not ask says nothing of any job. Runs no process itself: `run` does, here or on a login host.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from coordinator.adapters.executors.slurm import reading, states
from coordinator.adapters.executors.slurm.reading import Account, Row
from coordinator.adapters.executors.slurm.script import CARRIED, PREFIX, Order, argv, script, unusable
from coordinator.adapters.executors.slurm.states import Kind, Standing
from coordinator.adapters.system.run import NOT_FOUND, Ran
from coordinator.adapters.system.seam import crossing
from coordinator.ports import Away, LaunchFailed

Run = Callable[[Sequence[str], str, float], Ran]
"""(argv, standard input, seconds) -> how it ended. May raise Away."""

_ASK_TIMEOUT, _SUBMIT_TIMEOUT = 30.0, 90.0
_LATE = timedelta(minutes=2)
"""How long after a job left the queue sacct may lack it; the queue itself keeps ended ones for some minutes."""
_KEPT = timedelta(days=1)
_LATE_STATE = "late"
_MOST_IDS = 5000
"""Of one command: an argument holds 128 KB."""
_ACCOUNTING_OFF = "accounting storage is disabled"
T = TypeVar("T", Row, Account)
_PAST = ("invalid job id", "already completing or completed", "job has finished")
_PAST_CODES = (2017 & 0xFF, 2021 & 0xFF)
"""The same without a word, when it ends in the very moment: Slurm's own numbers as an exit code has room for them."""


class Queue:
    """`poll` is the least time between two questions. Safe to use from several threads."""

    def __init__(self, run: Run, now: Callable[[], datetime], poll: timedelta) -> None:
        self._run, self._now, self._poll = run, now, poll
        self._lock = threading.RLock()
        self._began = now()
        self._asked_at: datetime | None = None
        self._heard_at: datetime | None = None
        self._away = ""
        self._away_since: datetime | None = None
        self._rows: Mapping[str, Sequence[Row]] = {}
        self._tokens: dict[str, str] = {}
        self._known: dict[str, Standing] = {}
        self._final: set[str] = set()
        self._wanted: set[str] = set()
        self._doubted: dict[str, datetime] = {}
        self._just_submitted: dict[tuple[str, str], str] = {}
        self._accounting = True
        self._environ: Mapping[str, str] = {}

    def submit(self, order: Order) -> str:
        """The id of the job with this token, submitted unless Slurm has one. Raises LaunchFailed when Slurm refuses it,
        Away when nothing is known: the next try looks for it first."""
        if wrong := unusable(order.wishes.args):
            raise LaunchFailed("slurm_submit_refused", f"slurm.args: {wrong}. Take it out of coordinator.toml.")
        with self._lock:
            if self._heard_at is None or order.token in self._doubted:
                self._ask()
            if found := self._tokens.get(order.token):
                return found
        try:
            command = argv(order, self._around())
            with crossing("process", f"sbatch {order.name}"):
                answer = self._run(command, script(order), _SUBMIT_TIMEOUT)
            job_id = self._accepted(order, answer)
        except Away:
            with self._lock:
                self._doubted[order.token] = self._now()
            raise
        with self._lock:
            self._doubted.pop(order.token, None)
            self._tokens[order.token] = job_id
            self._just_submitted[order.name, order.token] = job_id
            self._known[job_id] = Standing(Kind.WAITING, words="it was just submitted", since=self._now(),
                                           name=order.name, token=order.token)
        return job_id

    def find(self, token: str) -> str | None:
        """The id of the job with this comment. Asks when the last question is older than `poll`, or than a submission
        of this token whose end nobody knows. Raises Away."""
        with self._lock:
            if token not in self._tokens:
                self._ask_anew(since=self._doubted.get(token))
            return self._tokens.get(token)

    def ours(self) -> dict[tuple[str, str], str]:
        """(name, token) -> id of every job of ours that has not ended, those just submitted among them. Asks when the
        last question is older than `poll`. Raises Away."""
        with self._lock:
            self._ask_anew()
            queued = {(row.name, row.comment): reading.base_id(row.id) for rows in self._rows.values() for row in rows
                      if row.name.startswith(PREFIX) and row.comment and states.of_row(row).kind is not Kind.ENDED}
            return {**self._just_submitted, **queued}

    def look(self, ids: Iterable[str]) -> dict[str, Standing]:
        """What each stands at. Asks when the last question is older than `poll`, never raises."""
        with self._lock:
            wanted = list(ids)
            self._wanted.update(each for each in wanted if each not in self._final)
            if self._wanted:
                try:
                    self._ask_anew()
                except Away:
                    pass   # every standing that is not final says so
            return {each: self._standing(each) for each in wanted}

    def cancel(self, ids: Iterable[str], *, hard: bool) -> None:
        """Those that wait leave the queue. One that runs gets TERM at its wrapper; when `hard` Slurm ends it, by TERM
        to all of it and KILL some seconds later. Those that ended are no error. Raises Away."""
        for some in _chunks(sorted(set(ids))):
            if hard:
                self._scancel(some)
            else:
                self._scancel(["--state=PENDING", *some])
                self._scancel(["--state=RUNNING", "--batch", "--signal=TERM", *some])

    # --- asking -------------------------------------------------------------------------------------

    def _ask_anew(self, since: datetime | None = None) -> None:
        """Asks when the last question was asked a poll ago; also when nobody answered since `since`, but no more often.
        Raises Away, also for what was said to the last question."""
        asked = self._asked_at
        due = asked is None or not timedelta() <= self._now() - asked < self._poll   # a clock may be set back
        unheard = since is not None and not self._away and (self._heard_at is None or self._heard_at <= since)
        if due or unheard:
            self._ask()
        if self._away:
            raise Away(self._away)

    def _ask(self) -> None:
        """One squeue, and one sacct when a job that is wanted has left the queue or ended in it. Raises Away."""
        now = self._asked_at = self._now()
        try:
            rows = reading.rows(self._heard(self._run(reading.queue_argv(), "", _ASK_TIMEOUT), "squeue"))
        except Away as away:
            self._away, self._away_since = away.words, self._away_since or now
            raise
        self._away, self._away_since, self._heard_at = "", None, now
        self._rows, self._just_submitted = _by_id(rows), {}
        self._tokens = {**{t: i for t, i in self._tokens.items() if i in self._known}, **_tokens(rows)}
        self._note(now)

    def _note(self, now: datetime) -> None:
        """What is wanted, or was just submitted, is remembered as it stands now; what ended, for a day."""
        wanted = self._wanted | {each for each, known in self._known.items()
                                 if each not in self._final and now - known.since < _LATE}
        self._wanted = set()
        self._known = {each: known for each, known in self._known.items()
                       if each not in self._final or now - known.since < _KEPT}
        self._final &= self._known.keys()
        queued = {each: self._in_queue(each) for each in wanted}
        accounts = self._accounts(sorted(each for each, there in queued.items()
                                         if there is None or there.kind is Kind.ENDED))
        fresh = {each: self._told(each, there, accounts, now) for each, there in queued.items()}
        kept = {each: self._known[each] for each in self._final - fresh.keys()}
        self._known = {**kept, **{each: self._since(each, standing) for each, standing in fresh.items()}}

    def _told(self, job_id: str, queued: Standing | None, accounts: Mapping[str, Sequence[Account]] | str,
              now: datetime) -> Standing:
        """What the queue and the accounts say together. `accounts` are words where they could not be asked."""
        if queued is not None and queued.kind is not Kind.ENDED:
            return replace(queued, since=now)
        kept = [] if isinstance(accounts, str) else accounts.get(job_id, [])
        booked = states.together([states.of_account(each) for each in kept]) if kept else None
        before = self._known.get(job_id)
        waits = before is not None and (before.kind in {Kind.ENDED, Kind.GONE} or before.state == _LATE_STATE)
        waited = now - before.since if before is not None and waits else timedelta()
        if booked is not None and booked.kind is Kind.ENDED:
            if waited > _LATE or all(each.whole for each in kept):
                self._final.add(job_id)
            return replace(booked, since=now, name=queued.name if queued else booked.name,
                           token=queued.token if queued else "")
        if queued is not None:
            if not self._accounting or waited > _LATE:
                self._final.add(job_id)
            return replace(queued, since=now)
        if isinstance(accounts, str):
            return Standing(Kind.UNKNOWN, words=accounts, since=now)
        if self._accounting and waited < _LATE and (before is None or before.kind is not Kind.GONE):
            return Standing(Kind.UNKNOWN, words="Slurm's accounting does not have its end yet", since=now,
                            state=_LATE_STATE)
        return Standing(Kind.GONE, "lost", "Slurm has forgotten the job", since=now)

    def _accounts(self, ids: Sequence[str]) -> Mapping[str, Sequence[Account]] | str:
        """By id and by id of their array; words when sacct could not be asked, nothing where there is no accounting."""
        found: list[Account] = []
        for some in _chunks(ids):
            if not self._accounting:
                break
            try:
                answer = self._run(reading.account_argv(some), "", _ASK_TIMEOUT)
            except Away as away:
                return away.words
            if _ACCOUNTING_OFF in answer.err.lower():
                self._accounting = False
            elif not answer.ok:
                return f"sacct: {_said(answer)}"
            found += reading.accounts(answer.out).values()
        return _by_id(found)

    def _heard(self, answer: Ran, program: str) -> str:
        """The output of a question. Raises Away: whatever stood in the way, no job can be judged by it."""
        if answer.code == NOT_FOUND:
            raise Away(f"{_said(answer)}. Set slurm.login to a host that has Slurm's commands, or install them here.")
        if not answer.ok:
            raise Away(f"{program}: {_said(answer)}")
        return answer.out

    # --- remembering --------------------------------------------------------------------------------

    def _in_queue(self, job_id: str) -> Standing | None:
        rows = self._rows.get(job_id)
        return states.together([states.of_row(row) for row in rows]) if rows else None

    def _since(self, job_id: str, standing: Standing) -> Standing:
        before = self._known.get(job_id)
        return replace(standing, since=before.since) if before is not None and before.alike(standing) else standing

    def _standing(self, job_id: str) -> Standing:
        known = self._known.get(job_id)
        if known is not None and job_id in self._final:
            return known
        if self._away:
            return Standing(Kind.UNKNOWN, words=self._away, since=self._away_since or self._began)
        if known is not None:
            return known
        heard = self._heard_at or self._began
        if (queued := self._in_queue(job_id)) is not None and queued.kind is not Kind.ENDED:
            return replace(queued, since=heard)
        return Standing(Kind.UNKNOWN, words="Slurm was not asked about it yet", since=heard)

    # --- acting -------------------------------------------------------------------------------------

    def _accepted(self, order: Order, answer: Ran) -> str:
        text = _said(answer)
        if answer.ok:
            if job_id := reading.submitted(answer.out):
                return job_id
            raise Away(f"sbatch named no job: {text}")
        if answer.code != NOT_FOUND and (states.is_full(text) or states.is_away(text)):
            raise Away(f"sbatch: {text}")
        if answer.code == NOT_FOUND:
            raise LaunchFailed("slurm_submit_refused", f"{text}. Set slurm.login to a host that has sbatch, or install "
                                                       "Slurm's commands here.")
        raise LaunchFailed("slurm_submit_refused", f"Slurm refused the job: {text}. {_cure(order, text.lower())}")

    def _around(self) -> Mapping[str, str]:
        """The environment where the commands are run, which may be a login host."""
        if not self._environ:
            shown = self._heard(self._run(["env", "-0"], "", _ASK_TIMEOUT), "env")
            split = (pair.partition("=") for pair in shown.split("\0"))
            pairs = {name.rpartition("\n")[2]: value for name, _, value in split}   # a login host may greet first
            self._environ = {name: pairs[name] for name in CARRIED if name in pairs}
        return self._environ

    def _scancel(self, words: Sequence[str]) -> None:
        with crossing("process", f"scancel {' '.join(words)}"):
            answer = self._run(["env", "-u", "SLURM_CLUSTERS", "scancel", "--me", *words], "", _ASK_TIMEOUT)
        lines = [line for line in answer.err.split("\n") if line.strip()]
        past = all(any(word in line.lower() for word in _PAST) for line in lines) if lines \
            else answer.code in _PAST_CODES
        if not answer.ok and not past:
            raise Away(f"scancel: {_said(answer)}")


def _by_id(found: Iterable[T]) -> dict[str, list[T]]:
    """By id, and by the id of the array or job of several parts that it belongs to."""
    result: dict[str, list[T]] = defaultdict(list)
    for each in found:
        for name in {each.id, reading.base_id(each.id)}:
            result[name].append(each)
    return dict(result)


def _tokens(rows: Iterable[Row]) -> dict[str, str]:
    """Token -> id; of several, one that has not ended, else the first."""
    found: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (states.of_row(row).kind is Kind.ENDED, _number(row.id))):
        if row.comment:
            found.setdefault(row.comment, reading.base_id(row.id))
    return found


def _number(job_id: str) -> int:
    return int(reading.base_id(job_id))


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[start:start + _MOST_IDS]) for start in range(0, len(ids), _MOST_IDS))


def _cure(order: Order, text: str) -> str:
    """What a person mends who reads these words of a refusal, in small letters."""
    if order.depends and "dependency" in text:
        return "Mend --after: Slurm must still know each of those jobs."
    if order.array and "array" in text:
        return "Mend --array: the cluster limits how high its numbers may be."
    return f"Mend {states.refusal(text) or '[slurm]'} in coordinator.toml."


def _said(answer: Ran) -> str:
    """Slurm's own words in one line, without the name of the program before each."""
    lines = (answer.err.strip() or answer.out.strip()).split("\n")
    parts = [line.strip().removeprefix("sbatch: ").removeprefix("error: ") for line in lines if line.strip()]
    return "; ".join(parts)[-500:] or f"it ended with {answer.code} and said nothing"
