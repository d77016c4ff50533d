"""Judges a finished run: what the wrapper knows goes first, then the last result event, and the exit code
last.

An exit code of 0 proves nothing (claude exits 0 when its tools were denied, and when it was sent SIGTERM in
the middle of one), and neither does the word "success" in a result whose `is_error` is true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coordinator.adapters.providers.causes import by_words, failure, is_api_error, reset_of
from coordinator.adapters.providers.reading import Reading, read
from coordinator.domain.outcome import Ending, Outcome, Work
from coordinator.domain.reasons import REASONS, provider_reason
from coordinator.ports import Finished
from coordinator.runfiles.masking import mask

LONGEST_SUMMARY = 2000
LONGEST_DETAIL = 600

_WRAPPER_ENDINGS = {
    "stalled": Ending.STALLED,
    "no_mutation": Ending.STALLED,
    "max_runtime": Ending.TIMED_OUT,
    "lost": Ending.LOST,
    "host_reboot": Ending.LOST,
    "manual_stop": Ending.CANCELLED,
    "label_removed": Ending.CANCELLED,
    "issue_closed": Ending.CANCELLED,
    "paused": Ending.CANCELLED,
    "shutdown": Ending.CANCELLED,
    "cap_reached": Ending.CANCELLED,
    "merged": Ending.CANCELLED,
    "pr_open": Ending.CANCELLED,
    "pr_closed": Ending.CANCELLED,
}
"""How a run ended that its wrapper ended. Every other reason code of the wrapper is a failure."""

_OTHER_SPELLINGS = {
    "no_mutation_timeout": "no_mutation",
    "max_runtime_exceeded": "max_runtime",
    "extended_stall": "stalled",
}

_SIGNAL_CODES = {129: 1, 130: 2, 137: 9, 143: 15}
_BY_HAND = frozenset({1, 2, 15})
_KILL = 9


@dataclass(frozen=True)
class Case:
    """One run under judgement: the provider's name, the run as it was found, and what its stream says."""

    name: str
    run: Finished
    reading: Reading

    @property
    def work(self) -> Work | None:
        return self.run.work

    @property
    def has_work(self) -> bool:
        return self.work is not None and bool(self.work.commits or self.work.dirty)

    @property
    def signal(self) -> int | None:
        return self.run.signal or _SIGNAL_CODES.get(self.run.code or 0)

    def outcome(self, ending: Ending, suffix: str, words: str = "", judged_by: str = "result") -> Outcome:
        reading = self.reading
        return Outcome(
            ending=ending,
            reason=suffix if suffix in REASONS else provider_reason(self.name, suffix),
            detail=_paragraph(words or _own_words(self)),
            usage=reading.tally.usage,
            session_id=reading.session_id,
            model=reading.model,
            reset_at=reset_of(reading) if suffix in {"rate_limited", "usage_limited"} else None,
            summary=mask(reading.text("result")).strip()[:LONGEST_SUMMARY],
            judged_by=judged_by,
        )


Rule = Callable[[Case], Outcome | None]


def judge(name: str, run: Finished, *, by_exit: bool = False) -> Outcome:
    """The outcome of a run. `by_exit`: a run without any result event is judged by its exit code (the agent
    is not known to print one); else a missing result is a failure whatever the exit code."""
    case = Case(name, run, read(run.lines))
    rules = (
        _wrapper,
        _never_started,
        _stopped_by_hand,
        _good_result,
        _bad_result,
        _signalled,
        _exit_alone if by_exit else _no_result,
    )
    for rule in rules:
        outcome = rule(case)
        if outcome is not None:
            return outcome
    return case.outcome(Ending.FAILED, "protocol_error", judged_by="exit")


def _wrapper(case: Case) -> Outcome | None:
    reason = _OTHER_SPELLINGS.get(case.run.wrapper_reason, case.run.wrapper_reason)
    if reason == "launch_failed" and case.run.code in {126, 127}:
        return case.outcome(Ending.FAILED, "binary_missing", judged_by="wrapper")
    if reason not in REASONS or reason == "process_exit":
        return None
    ending = _WRAPPER_ENDINGS.get(reason, Ending.FAILED)
    return case.outcome(ending, reason, REASONS[reason].meaning, judged_by="wrapper")


def _never_started(case: Case) -> Outcome | None:
    if case.run.code in {126, 127} and not case.reading.started and case.reading.result is None:
        return case.outcome(Ending.FAILED, "binary_missing", judged_by="exit")
    return None


def _stopped_by_hand(case: Case) -> Outcome | None:
    """Marks in the stream of a session that was ended from outside, though it exits 0 and may say success."""
    reading = case.reading
    aborted = reading.text("terminal_reason").startswith(("aborted", "hook_stopped"))
    if aborted or reading.hook_stopped or (reading.good and reading.tool_killed):
        return case.outcome(Ending.CANCELLED, "manual_stop", "the agent was interrupted from outside")
    return None


def _good_result(case: Case) -> Outcome | None:
    reading = case.reading
    if not reading.good or is_api_error(reading.text("result")):
        return None
    if case.has_work:
        return case.outcome(Ending.SUCCEEDED, "process_exit", reading.text("result") or "done")
    if reading.denied:
        tools = ", ".join(sorted(set(reading.denied)))
        return case.outcome(Ending.FAILED, "permission_denied", f"refused tools: {tools}; nothing was changed")
    return case.outcome(Ending.NO_CHANGE, "no_change", reading.text("result"))


def _bad_result(case: Case) -> Outcome | None:
    reading = case.reading
    if reading.result is None or not reading.concluded:
        return None
    if reading.text("subtype") in {"error_max_turns", "error_max_budget_usd"}:
        return case.outcome(Ending.FAILED, "max_turns", _limit_words(reading))
    return case.outcome(Ending.FAILED, failure(reading) or "process_exit")


def _signalled(case: Case) -> Outcome | None:
    if case.signal in _BY_HAND:
        return case.outcome(
            Ending.CANCELLED,
            "manual_stop",
            f"ended by signal {case.signal}, which was not ours",
            judged_by="exit",
        )
    if case.signal == _KILL:
        return case.outcome(Ending.FAILED, "killed", "ended by signal 9 (SIGKILL)", judged_by="exit")
    return None


def _no_result(case: Case) -> Outcome:
    reading = case.reading
    suffix = failure(reading) if reading.error or reading.retries else by_words(case.run.stderr_tail)
    return case.outcome(Ending.FAILED, suffix or "protocol_error", judged_by="exit")


def _exit_alone(case: Case) -> Outcome | None:
    """A good exit proves nothing of a program that speaks claude's stream: it owes a result."""
    reading = case.reading
    if reading.result is not None or (case.run.code == 0 and reading.started):
        return None
    if case.run.code == 0:
        ending, reason = (Ending.SUCCEEDED, "process_exit") if case.has_work else (Ending.NO_CHANGE, "no_change")
        return case.outcome(ending, reason, "exit 0, no result event", judged_by="exit")
    return case.outcome(Ending.FAILED, "process_exit", judged_by="exit")


def _limit_words(reading: Reading) -> str:
    which = "turns" if reading.text("subtype") == "error_max_turns" else "money"
    turns = (reading.result or {}).get("num_turns", "?")
    return f"the session's limit of {which} was reached after {turns} turns"


def _own_words(case: Case) -> str:
    """What the agent itself said of its end, else how it ended."""
    stderr = case.run.stderr_tail.strip()[-LONGEST_DETAIL:]
    said = case.reading.text("result") or case.reading.error_text or stderr
    ended = f"signal {case.run.signal}" if case.run.signal else f"exit {case.run.code}"
    unread = f" ({case.reading.unknown} lines of it are no events)" if case.reading.unknown else ""
    return said or f"{ended}, no result event in its output{unread}"


def _paragraph(text: str) -> str:
    return " ".join(mask(text).split())[:LONGEST_DETAIL]
