"""Run files -> what an executor can say of a worker. Pairs in, domain values out; asks the kernel only who lives.

Read commands stand on it: it must stay light, without threads, processes or anything from outside the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from coordinator.domain.worker import Beat, Exited, Missing, Running, Witness
from coordinator.runfiles import identity
from coordinator.runfiles.codec import number, whole

Pairs = Mapping[str, str]
_FAR = 32503680000.0
"""The year 3000, in Unix seconds."""
Alive = Callable[[int, int, str], bool]


def view_of(beat: Pairs, outcome: Callable[[], Pairs], *, alive: Alive = identity.alive,
            boot: Callable[[], str] = identity.boot_id) -> Running | Exited | Missing:
    """What heartbeat and outcome of one run say ({} for a file that is not there or is another run's). `outcome` reads
    anew each time: a worker that ended between two looks has left one. Raises OSError where `alive` cannot ask."""
    done = outcome()
    if done:
        return exited_of(done)
    if not beat:
        return Missing(started=False)
    who = Who(beat)
    if alive(who.pid, who.start, who.boot):
        return Running(who.pid, who.started_at, beat_of(beat))
    done = outcome()
    if done:
        return exited_of(done)
    if who.boot != boot():
        return Exited(None, None, "host_reboot", "the host was restarted")
    return Missing(started=True)


def beat_of(pairs: Pairs) -> Beat | None:
    """None before the agent was started: the claim is no heartbeat of a worker."""
    if not pairs.get("agent_pid"):
        return None
    at = moment(pairs.get("at", ""))
    output = number(pairs.get("log_bytes", "")) + number(pairs.get("err_bytes", ""))
    return Beat(
        at=at,
        since=moment(pairs.get("since", ""), at),
        cpu=Witness(number(pairs.get("cpu_sec", "")), moment(pairs.get("cpu_moved_at", ""), at)),
        log=Witness(output, moment(pairs.get("log_moved_at", ""), at)),
        event=Witness(number(pairs.get("events", "")), moment(pairs.get("last_event_at", ""), at)),
        tree=Witness(number(pairs["tree"]), moment(pairs.get("tree_moved_at", ""), at)) if pairs.get("tree") else None,
        cpu_share=number(pairs.get("cpu_share", "")),
        rss_kb=whole(pairs.get("rss_kb", "")),
        stopped_since=moment(pairs.get("stopped_since", "")) or None,
    )


def exited_of(pairs: Pairs) -> Exited:
    """The wrapper's own word of it, not the verdict. An outcome that names a signal has no exit code of its own."""
    ended_by = whole(pairs.get("signal", ""))
    return Exited(
        code=None if ended_by else whole(pairs.get("exit_code", ""), 1),
        signal=ended_by or None,
        reason=pairs.get("ended_by") or pairs.get("reason_code") or "process_exit",
        words=pairs.get("words", ""),
        ended_at=moment(pairs.get("ended_at", "")),
        duration_sec=number(pairs.get("duration_exact") or pairs.get("duration_sec", "")),
        cpu_sec=number(pairs.get("cpu_sec", "")),
        max_rss_kb=whole(pairs.get("max_rss_kb", "")),
        survivors=tuple(whole(pid) for pid in pairs.get("survivors", "").split(",") if pid.isdigit()),
    )


class Who:
    """The wrapper as its heartbeat names it."""

    def __init__(self, pairs: Pairs) -> None:
        self.pid = whole(pairs.get("wrapper_pid", ""))
        self.start = whole(pairs.get("wrapper_start", ""))
        self.boot = pairs.get("boot_id", "")
        self.agent = (whole(pairs.get("agent_pid", "")), whole(pairs.get("agent_start", "")))
        self.started_at = moment(pairs.get("started_at", ""))


def moment(text: str, default: float = 0.0) -> float:
    """Unix seconds of a time that a calendar has; `default` for anything else."""
    found = number(text, default)
    return found if 0 <= found < _FAR else default
