"""How a run ended, as the pairs of its outcome: what the wrapper itself knows first, then what the agent's stream says.

`ended_by` is the wrapper's own word, `reason_code` the judged one in the spelling that was asked for.
"""

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

    Pairs = Dict[str, str]

TIMED_OUT = 124
NOT_STARTED = 127
_KILLED = 128 + signal.SIGKILL
_BY_HAND = (signal.SIGTERM, signal.SIGINT)
_LIMITS = ("max_runtime", "slurm_timeout")
_FAILURES = (*_LIMITS, "output_limit", "launch_failed", "lost", "killed", "oom_killed")
_SPELLINGS = {"dx-runner": {"no_mutation": "no_mutation_timeout", "max_runtime": "max_runtime_exceeded",
                            "stalled": "extended_stall"}}
_SHORT = ("exit_code", "signal", "state", "reason_code", "ended_by", "completed_at", "ended_at", "duration_sec")
_LOOKED_AT = 4096
_LITTLE = 64 << 10


def reason_of(agent: Agent, stop: Optional[Stop], *, starved: bool = False) -> Tuple[str, str]:
    """(reason code, words). A signal that we did not send: TERM and INT are a person's stop, KILL is a crash, and one
    for want of memory where `starved` says so. An agent that catches TERM or INT and says so by 128 + number counts
    alike."""
    if agent.failure:
        return "launch_failed", agent.failure
    if stop is not None:
        return stop.reason, stop.words
    code, number = _status(agent.status)
    if starved and (number == signal.SIGKILL or code == _KILLED):
        return "oom_killed", "the kernel killed it: its cgroup was out of memory"
    heard = heard_of(agent.status)
    if heard in _BY_HAND:
        return "manual_stop", "the agent was sent %s from outside" % signal.Signals(heard).name
    if number == signal.SIGKILL or (agent.walls and code == _KILLED):   # bubblewrap passes signals on as codes alone
        return "killed", "the agent was killed from outside (SIGKILL)"
    return "process_exit", ""


def pairs_of(
    spec: Spec, agent: Agent, stop: Optional[Stop], began: float, survivors: List[int], seen: Pairs, *,
    starved: bool = False,
) -> Pairs:
    """`began` is by the monotonic clock, `seen` what the last look at its output and worktree found."""
    reason, words = reason_of(agent, stop, starved=starved)
    code, number = _code(agent, stop, reason)
    verdict = {"state": _state(reason, code), "reason_code": reason, "words": words,
               "judged_by": "exit" if reason == "process_exit" else "wrapper"}
    verdict.update(_stream_s_word(spec, agent, reason, code, number, worked=seen.get("mutations", "") not in ("", "0")))
    verdict = _without_room(spec, verdict)
    verdict["reason_code"] = _SPELLINGS.get(spec.spelling, {}).get(verdict["reason_code"], verdict["reason_code"])
    used, now, lasted = os.times(), time.time(), time.monotonic() - began
    return {
        **spec.carried,
        "beads": spec.job, "provider": spec.provider,
        "exit_code": str(128 + number if code is None else code), "signal": str(number or ""),
        **verdict, "ended_by": reason,
        "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)), "ended_at": "%.3f" % now,
        "duration_sec": "%d" % lasted, "duration_exact": "%.3f" % lasted,
        "cpu_sec": "%.2f" % (used.children_user + used.children_system),
        "max_rss_kb": str(agent.max_rss_kb),
        **seen,
        "agent_pid": str(agent.pid or ""),
        "run_instance": "%s-%s-%d" % (spec.run_id, spec.provider, os.getpid()),
        "cwd": spec.cwd, "survivors": ",".join(str(pid) for pid in survivors),
    }


def in_short(pairs: Pairs) -> Pairs:
    """What must be kept of an outcome where there is hardly room."""
    kept = {key: pairs[key] for key in _SHORT}
    if pairs["survivors"]:
        kept["survivors"] = pairs["survivors"]
    return {**kept, "words": "the disk is full: kept in short"}


def _stream_s_word(spec: Spec, agent: Agent, reason: str, code: Optional[int], number: int, *, worked: bool) -> Pairs:
    if not agent.pid or agent.failure or (spec.speaks == "text" and (reason != "process_exit" or not code)):
        return {}
    try:
        if spec.speaks == "either" and not _prints_events(spec.path("log")):
            return {}
        from coordinator.worker import judging  # json and re would stand in memory beside the agent

        if spec.speaks == "text":
            return judging.told(spec)
        return judging.judged(spec, code, number, worked=worked, by_itself=reason == "process_exit")
    except Exception as error:  # noqa: BLE001 - whatever the log holds, or became of it: an outcome there must be
        if reason != "process_exit":
            return {}
        return {"state": "failed", "reason_code": spec.provider.replace("-", "_") + "_protocol_error",
                "words": "its output could not be read: %s" % error}


def _prints_events(log: str) -> bool:
    """Whether the end of the output looks like events at all: most programs print none."""
    fd = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        return b'"type"' in os.pread(fd, _LOOKED_AT, 0) + os.pread(fd, _LOOKED_AT, max(0, size - _LOOKED_AT))
    finally:
        os.close(fd)


def _without_room(spec: Spec, verdict: Pairs) -> Pairs:
    """A full disk is said; it is taken for the cause where nothing else was found for a failure."""
    full = [folder for folder in (spec.folder, spec.cwd) if _is_full(folder)]
    if not full:
        return verdict
    said = "no room left on the disk of %s" % full[0]
    words = "%s; %s" % (verdict["words"], said) if verdict["words"] else said
    unexplained = verdict["state"] == "failed" and verdict["reason_code"] == "process_exit"
    return {**verdict, "words": words, "reason_code": "disk_full" if unexplained else verdict["reason_code"]}


def _is_full(folder: str) -> bool:
    try:
        seen = os.statvfs(folder)
    except OSError:
        return False
    room = seen.f_bavail if os.geteuid() else seen.f_bfree
    return seen.f_blocks > 0 and room * seen.f_frsize < _LITTLE


def _code(agent: Agent, stop: Optional[Stop], reason: str) -> Tuple[Optional[int], int]:
    """(exit code, 0) or (None, signal) for the record."""
    if agent.failure:
        return NOT_STARTED, 0
    if stop is not None and stop.exit_code is not None:
        return stop.exit_code, 0
    return (TIMED_OUT, 0) if reason in _LIMITS else _status(agent.status)


def heard_of(status: Optional[int]) -> int:
    """The signal that ended it, or that it says by 128 + number to have caught; else no signal's number."""
    code, number = _status(status)
    return number or (code or 0) - 128


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
    return "failed" if reason in _FAILURES else "killed"
