"""What a report on a job says: what to do next, as a word scripts can act on, and the page for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.domain.reasons import REASONS
from coordinator.domain.worker import Health
from coordinator.wording.escape import code, defuse, one_line

_ELSEWHERE = {
    "gemini": "retry_backoff_or_switch_to_opencode_or_cc_glm",
    "opencode": "retry_backoff_or_switch_to_gemini_or_cc_glm",
}
_OF_CLASS = {
    "binary_missing": "install_provider", "auth_missing": "set_credentials", "auth_blocked": "renew_credentials",
    "model_unavailable": "choose_model", "model_unsupported": "choose_model", "rate_limited": "retry_backoff",
    "usage_limited": "retry_backoff", "capacity_exhausted": "retry_backoff", "permission_denied": "check_logs",
    "context_exhausted": "split_task", "protocol_error": "check_logs",
}  # fmt: skip
_OF_REASON = {
    "opencode_model_unavailable": "use_cc_glm_or_gemini", "opencode_model_unsupported": "use_cc_glm_or_gemini",
    "lost": "restart", "host_reboot": "restart", "killed": "restart", "pid_file_missing": "restart",
    "overloaded": "retry_backoff", "network": "retry_backoff", "no_credit": "top_up_credit",
    "max_runtime": "split_task", "max_turns": "split_task", "disk_full": "free_disk_space",
    "output_limit": "check_logs",
    "oom_killed": "split_task", "needs_human": "answer_worker", "start_refused": "mend_and_start",
}  # fmt: skip
_OF_HEALTH = {
    Health.WAITING: "wait", Health.STARTING: "wait", Health.HEALTHY: "none", Health.UNKNOWN: "wait",
    Health.EXITED_OK: "review_output", Health.STOPPED: "none", Health.BLOCKED: "unblock_and_restart",
    Health.LEAKED: "end_survivors", Health.MISSING: "check_name", Health.NO_OP: "check_logs",
}  # fmt: skip

NEXT_ACTIONS = frozenset((*_ELSEWHERE.values(), *_OF_CLASS.values(), *_OF_REASON.values(), *_OF_HEALTH.values(),
                          "restart_with_pty", "ask_host"))  # fmt: skip
"""Every word that `next_action` may be."""


def next_action(health: Health, reason: str, *, retries: int = 0, silent: bool = False, away: bool = False) -> str:
    """One of NEXT_ACTIONS. `silent`: alive with an empty log; `away`: the job is another host's to judge."""
    if health is Health.STALLED:
        if retries:
            return "check_logs"   # it was restarted once: the cause is deeper
        return "restart_with_pty" if silent else "restart"
    if health is Health.UNKNOWN and away:
        return "ask_host"
    return _OF_HEALTH.get(health) or _after(reason)


def _after(reason: str) -> str:
    if reason in _OF_REASON:
        return _OF_REASON[reason]
    for name, word in _ELSEWHERE.items():
        if reason in (f"{name}_rate_limited", f"{name}_usage_limited", f"{name}_capacity_exhausted"):
            return word
    return next((word for ending, word in _OF_CLASS.items() if reason.endswith(f"_{ending}")), "check_logs")


# --- report -------------------------------------------------------------------------------------------


def report_markdown(facts: Mapping[str, object]) -> str:
    """A report's facts as a page: whatever stands in them opens no column, heading or link."""
    state, reason = str(facts.get("state") or ""), str(facts.get("reason_code") or "")
    lines = [f"# {defuse(one_line(str(facts.get('beads') or '')))}: {state}", ""]
    if facts.get("words"):
        lines += [f"{defuse(_cell(facts['words']))}.", ""]
    if reason in REASONS:
        lines += [f"`{reason}`: {REASONS[reason].meaning}.", ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {key} | {_value(value)} |" for key, value in facts.items() if key != "words"]
    return "\n".join([*lines, "", f"Next: `{facts.get('next_action')}`"])


def _value(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, list | tuple):
        return "; ".join(_value(one) for one in value) or "-"
    return code(_cell(value)) if isinstance(value, str) else str(value)


def _cell(value: object) -> str:
    return one_line(str(value), 400).replace("|", "¦")
