"""Judges a finished run: what the wrapper knows goes first, then what the agent's stream says (runfiles/verdict, which
the wrapper of a job started by hand asks too)."""

from __future__ import annotations

from coordinator.domain.outcome import Ending, Outcome, Usage, Work
from coordinator.domain.reasons import REASONS
from coordinator.ports import Finished
from coordinator.runfiles.masking import mask
from coordinator.runfiles.tongues import EITHER, OWING, refused
from coordinator.runfiles.verdict import rules
from coordinator.runfiles.verdict.causes import reset_of
from coordinator.runfiles.verdict.reading import read

LONGEST_SUMMARY = 2000

_WRAPPER_ENDINGS = {
    "stalled": Ending.STALLED,
    "no_mutation": Ending.STALLED,
    "max_runtime": Ending.TIMED_OUT,
    "lost": Ending.LOST,
    "host_reboot": Ending.LOST,
    "host_lost": Ending.LOST,
    "slurm_node_fail": Ending.LOST,
    "slurm_preempted": Ending.LOST,
    "slurm_timeout": Ending.TIMED_OUT,
    "slurm_cancelled": Ending.CANCELLED,
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

_WAITED = frozenset({"stalled", "no_mutation", "max_runtime"})
"""What a run looks like from outside whose every request was refused, and that went on asking in silence."""

_OTHER_SPELLINGS = {
    "no_mutation_timeout": "no_mutation",
    "max_runtime_exceeded": "max_runtime",
    "extended_stall": "stalled",
}
_LIMITS = frozenset({"rate_limited", "usage_limited"})


def judge(name: str, run: Finished, speaks: str = EITHER, *, plain: bool = False) -> Outcome:
    """The outcome of a run of whoever speaks so. Where no result event is owed, a run without one is judged by its exit
    code; else a missing result is a failure whatever the exit code. `plain` as in rules.Case."""
    case = rules.Case(name, run.code, run.signal, read(run.lines, speaks), stderr=run.stderr_tail,
                      worked=_worked(run.work), owes=speaks in OWING, plain=plain)
    return _wrapper(case, run) or _outcome(case, rules.judge(case), run.ended_at)


def _worked(work: Work | None) -> bool:
    return work is not None and bool(work.commits or work.dirty)


def _wrapper(case: rules.Case, run: Finished) -> Outcome | None:
    reason = _OTHER_SPELLINGS.get(run.wrapper_reason, run.wrapper_reason)
    if reason == "launch_failed" and run.code in {126, 127}:
        return _outcome(case, case.ends(rules.FAILED, "binary_missing", judged_by="wrapper"))
    if reason not in REASONS or reason == "process_exit":
        return None
    cause = refused(case.reading.speaks, case.stderr) if reason in _WAITED and not case.reading.answered else ""
    if cause:
        words = f"{REASONS[reason].meaning} before the model had answered once"
        return _outcome(case, case.ends(rules.FAILED, cause, words, judged_by="wrapper"))
    ending = _WRAPPER_ENDINGS.get(reason, Ending.FAILED)
    return _outcome(case, case.ends(ending, reason, REASONS[reason].meaning, judged_by="wrapper"))


def _outcome(case: rules.Case, verdict: rules.Verdict, ended_at: float | None = None) -> Outcome:
    reading = case.reading
    return Outcome(
        ending=Ending(verdict.ending),
        reason=REASONS[verdict.reason].code,
        detail=verdict.words,
        usage=Usage(*reading.tally.use, reading.tally.cached),
        session_id=reading.session_id,
        model=reading.model,
        reset_at=reset_of(reading, ended_at) if verdict.suffix in _LIMITS else None,
        summary=mask(reading.conclusion).strip()[:LONGEST_SUMMARY],
        judged_by=verdict.judged_by,
        answered=reading.answered,
    )
