"""What a run was that ended by itself: its last result event first, the exit code last.

An exit code of 0 proves nothing (claude exits 0 when its tools were denied, and when it was sent SIGTERM in the middle
of one), and neither does the word "success" in a result whose `is_error` is true.
"""

from __future__ import annotations

from coordinator.runfiles import tongues
from coordinator.runfiles.masking import mask
from coordinator.runfiles.verdict.causes import by_words, code_of, failure, is_api_error, plain_failure

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

    from coordinator.runfiles.verdict.reading import Reading

    Rule = Callable[["Case"], Optional["Verdict"]]

LONGEST_DETAIL = 600
SUCCEEDED, NO_CHANGE, FAILED, CANCELLED = "Succeeded", "NoChange", "Failed", "Cancelled"
"""Of the endings of domain/outcome.py those that a run can come to by itself."""

_SIGNAL_CODES = {129: 1, 130: 2, 137: 9, 143: 15}
_BY_HAND = frozenset((1, 2, 15))
_KILL = 9
_LOCAL = ("launch_failed", "permission_denied", "disk_full", "oom_killed")


class Verdict:
    """`suffix` is the class of the reason, `reason` the same with the provider's name where it has one. `words` are for
    people: masked, one paragraph."""

    def __init__(self, case: Case, ending: str, suffix: str, words: str, judged_by: str) -> None:
        self.ending, self.suffix, self.judged_by = ending, suffix, judged_by
        self.reason = code_of(case.name, suffix)
        self.words = " ".join(case.hide(words or case.own_words()).split())[:LONGEST_DETAIL]


class Case:
    """One run under judgement. `code` is None where a signal ended the agent. `worked`: whether anything was changed.
    `owes`: it is known to print a result event, so that a missing one is a failure whatever the exit code. `plain`: it
    is known to be claude, which may print text. `hide` masks what is quoted of its words."""

    def __init__(self, name: str, code: Optional[int], signal: Optional[int], reading: Reading, *,
                 stderr: str, worked: bool, owes: bool, plain: bool = False,
                 hide: Callable[[str], str] = mask) -> None:
        self.name, self.code, self.reading = name, code, reading
        self.signal = signal or _SIGNAL_CODES.get(code or 0)
        self.ended = "signal %d" % signal if signal else "exit %s" % code
        self.stderr, self.worked, self.owes, self.plain, self.hide = stderr, worked, owes, plain, hide

    def ends(self, ending: str, suffix: str, words: str = "", judged_by: str = "result") -> Verdict:
        return Verdict(self, ending, suffix, words, judged_by)

    def explained(self) -> str:
        """The class of its end by what else than its stream this program is known to tell. A good exit tells nothing
        of an agent that printed a result or never began."""
        told = self.code if self.reading.started and self.reading.result is None else self.code or None
        return tongues.ended(self.reading.speaks, told, self.stderr)

    def own_words(self) -> str:
        """What the agent itself said of its end, else how it ended."""
        said = self.reading.text("result") or self.reading.error_text or self.stderr.strip()[-LONGEST_DETAIL:]
        unread = " (%d lines of it are no events)" % self.reading.unknown if self.reading.unknown else ""
        return said or "%s, no result event in its output%s" % (self.ended, unread)


def judge(case: Case) -> Verdict:
    for rule in _RULES:
        verdict = rule(case)
        if verdict is not None:
            return verdict
    return case.ends(FAILED, "protocol_error", judged_by="exit")


def _never_started(case: Case) -> Optional[Verdict]:
    if case.code in (126, 127) and not case.reading.started and case.reading.result is None:
        return case.ends(FAILED, "binary_missing", judged_by="exit")
    return None


def _stopped_by_hand(case: Case) -> Optional[Verdict]:
    """Marks in the stream of a session that was ended from outside, though it exits 0 and may say success."""
    reading = case.reading
    aborted = reading.text("terminal_reason").startswith(("aborted", "hook_stopped"))
    if aborted or reading.hook_stopped or (reading.good and reading.tool_killed):
        return case.ends(CANCELLED, "manual_stop", "the agent was interrupted from outside")
    return None


def _good_result(case: Case) -> Optional[Verdict]:
    reading = case.reading
    if not reading.good or _disguised(reading):
        return None
    if case.worked:
        return case.ends(SUCCEEDED, "process_exit", reading.conclusion or "done")
    if reading.denied:
        tools = ", ".join(sorted(set(reading.denied)))
        return case.ends(FAILED, "permission_denied", "refused tools: %s; nothing was changed" % tools)
    return case.ends(NO_CHANGE, "no_change", reading.conclusion)


def _disguised(reading: Reading) -> bool:
    """The others have an event for a failure: what stands in the words of theirs is the model's own."""
    return reading.speaks not in tongues.FOREIGN and is_api_error(reading.conclusion)


def _bad_result(case: Case) -> Optional[Verdict]:
    reading = case.reading
    if reading.result is None or not reading.concluded:
        return None
    if reading.text("subtype") in ("error_max_turns", "error_max_budget_usd"):
        return case.ends(FAILED, "max_turns", _limit_words(reading))
    return case.ends(FAILED, failure(reading) or case.explained() or "process_exit")


def _signalled(case: Case) -> Optional[Verdict]:
    if case.signal in _BY_HAND:
        words = "ended by signal %d, which was not ours" % case.signal
        return case.ends(CANCELLED, "manual_stop", words, judged_by="exit")
    if case.signal == _KILL:
        return case.ends(FAILED, "killed", "ended by signal 9 (SIGKILL)", judged_by="exit")
    return None


def _explained(case: Case) -> Optional[Verdict]:
    """An agent may leave its stream unfinished, and yet tell why in its own way."""
    cause = case.explained()
    if not cause:
        return None
    if cause == "manual_stop":
        return case.ends(CANCELLED, cause, "it left without a result, as it does when it is told to stop", "exit")
    return case.ends(FAILED, cause, judged_by="exit")


def _without_result(case: Case) -> Optional[Verdict]:
    """A good exit proves nothing of a program that owes a result event."""
    reading = case.reading
    if case.owes:
        suffix = failure(reading) if reading.error or reading.retries else _of_stderr(case)
        return case.ends(FAILED, suffix or "protocol_error", judged_by="exit")
    if reading.result is not None or (case.code == 0 and reading.started):
        return None
    if case.code == 0:
        ending, suffix = (SUCCEEDED, "process_exit") if case.worked else (NO_CHANGE, "no_change")
        return case.ends(ending, suffix, "exit 0, no result event", judged_by="exit")
    suffix = plain_failure(reading) if case.plain and not reading.started else ""
    return case.ends(FAILED, suffix or "process_exit", judged_by="exit")


def _of_stderr(case: Case) -> str:
    """Once the model has answered, stderr may repeat what a tool said: only what is the host's own is believed then."""
    found = by_words(case.stderr)
    return found if found in _LOCAL or not case.reading.answered else ""


_RULES: Tuple[Rule, ...] = (
    _never_started, _stopped_by_hand, _good_result, _bad_result, _signalled, _explained, _without_result,
)


def _limit_words(reading: Reading) -> str:
    which = "turns" if reading.text("subtype") == "error_max_turns" else "money"
    turns = (reading.result or {}).get("num_turns", "?")
    return "the session's limit of %s was reached after %s turns" % (which, turns)
