"""How a run ended, as the pairs of its outcome. Pure but for the time it is given."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from coordinator.worker.agent import Agent
    from coordinator.worker.spec import Spec
    from coordinator.worker.stopping import Stop

TIMED_OUT = 124
NOT_STARTED = 127
_BY_HAND = (signal.SIGTERM, signal.SIGINT)


def reason_of(agent: Agent, stop: Optional[Stop]) -> Tuple[str, str]:
    """(reason code, words). A signal that we did not send: TERM and INT are a person's stop, KILL is a crash.
    An agent that catches them and says so by 128 + number counts alike."""
    if agent.failure:
        return "launch_failed", agent.failure
    if stop is not None:
        return stop.reason, stop.words
    code, number = _status(agent.status)
    heard = number or (code or 0) - 128
    if heard in _BY_HAND:
        return "manual_stop", "the agent was sent %s from outside" % signal.Signals(heard).name
    if number == signal.SIGKILL:
        return "killed", "the agent was killed from outside (SIGKILL)"
    return "process_exit", ""


def pairs_of(
    spec: Spec, agent: Agent, stop: Optional[Stop], began: float, survivors: List[int],
) -> Dict[str, str]:
    """`began` is by the monotonic clock."""
    reason, words = reason_of(agent, stop)
    code, number = (NOT_STARTED, 0) if agent.failure else _status(agent.status)
    if reason == "max_runtime":
        code, number = TIMED_OUT, 0
    used, now = os.times(), time.time()
    return {
        **spec.carried,
        "beads": spec.job, "provider": spec.provider,
        "exit_code": str(128 + number if code is None else code), "signal": str(number or ""),
        "state": _state(reason, code), "reason_code": reason, "words": words,
        "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)), "ended_at": "%.3f" % now,
        "duration_sec": "%.2f" % (time.monotonic() - began),
        "cpu_sec": "%.2f" % (used.children_user + used.children_system),
        "max_rss_kb": str(agent.max_rss_kb),
        "agent_pid": str(agent.pid or ""),
        "run_instance": "%s-%s-%d" % (spec.run_id, spec.provider, os.getpid()),
        "cwd": spec.cwd, "survivors": ",".join(str(pid) for pid in survivors),
    }


def _status(status: Optional[int]) -> Tuple[Optional[int], int]:
    """(exit code, 0) or (None, signal)."""
    if status is None:
        return None, signal.SIGKILL   # it would not die: it stands among the survivors
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), 0


def _state(reason: str, code: Optional[int]) -> str:
    if reason == "process_exit":
        return "success" if code == 0 else "failed"
    return "failed" if reason in ("max_runtime", "launch_failed", "lost") else "killed"
