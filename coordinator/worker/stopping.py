"""Why a run is to stop, and by which steps. Looks at STOP, the owner's order, the fence and the clock."""

from __future__ import annotations

import os
import signal
import time

from coordinator.runfiles import atomic, codec, hunt

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from coordinator.worker.agent import Agent
    from coordinator.worker.record import Record
    from coordinator.worker.spec import Spec

WARNINGS = {
    "slurm_timeout": ("Slurm's time limit for the job is near", "WIP: Time limit reached"),
    "slurm_preempted": ("Slurm ends the job: its place is needed, or somebody cancelled it", "WIP: Preempted"),
}
"""Reason code -> what is said of it, and of the commit that keeps the work."""
MOST = 2 << 30
"""Bytes that one run may print, `log` and `err` together: hours of an agent's talk are some ten million."""
_SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "QUIT": signal.SIGQUIT}


class Stop:
    """A decision to stop. `soft` is how long the agent may take to end by itself before the first signal; `exit_code`
    is recorded in place of its own. `keep` is the message under which uncommitted work is saved; only a warning has
    one, and any order outranks it."""

    def __init__(self, reason: str, words: str, *, hard: bool = False, soft: float = 0.0,
                 exit_code: Optional[int] = None, keep: str = "") -> None:
        self.reason, self.words, self.hard, self.soft, self.exit_code = reason, words, hard, soft, exit_code
        self.keep = keep


class Watch:
    """Answers whether to stop, from what lies there now."""

    def __init__(self, spec: Spec, record: Record) -> None:
        self._spec, self._record = spec, record
        self._until = time.monotonic() + spec.timeout if spec.timeout > 0 else float("inf")
        self._flag = spec.cwd + "/STOP"
        self._fence_file = spec.path("fence")
        self._fence_stamp: Optional[Tuple[int, int]] = None
        self._overtaken = False

    def until_limit(self) -> float:
        """Seconds until the run's own time limit."""
        return max(0.0, self._until - time.monotonic())

    def look(self, signalled: int) -> Optional[Stop]:
        """`signalled` is the number of a signal that reached us, 0 for none."""
        told = self.told()
        if told is not None:
            return told
        if signalled in self._spec.warn:
            return self.warning(signalled)
        if signalled:
            return Stop("manual_stop", "%s reached the wrapper" % signal.Signals(signalled).name)
        if time.monotonic() >= self._until:
            return Stop("max_runtime", "the time limit of %g s was reached" % self._spec.timeout)
        if self._printed() > MOST:
            return Stop("output_limit", "it printed more than %d GiB" % (MOST >> 30))
        return None

    def _printed(self) -> int:
        """Bytes of output."""
        size = 0
        for kind in ("log", "err"):
            try:
                size += os.lstat(self._spec.path(kind)).st_size
            except OSError:
                pass   # nobody has printed there
        return size

    def warning(self, number: int) -> Stop:
        """What this signal of the spec's `warn` stands for."""
        reason = self._spec.warn[number]
        said, keep = WARNINGS.get(reason, ("its scheduler will end it", "WIP: Stopped by the scheduler"))
        return Stop(reason, "%s (%s)" % (said, signal.Signals(number).name), keep=keep)

    def told(self) -> Optional[Stop]:
        """What somebody put in a file. It counts after the agent's end too: its own hook may have been faster
        than we."""
        order = self.order()
        if order is not None:
            return order
        if self.fenced():
            return Stop("lost", "a newer attempt has taken over", hard=True)
        try:
            flag = os.lstat(self._flag)
        except (OSError, ValueError):
            return None
        waited = max(0.0, time.time() - flag.st_mtime)
        return Stop("manual_stop", "STOP file in %s" % self._spec.cwd, soft=max(0.0, self._spec.soft - waited))

    def order(self) -> Optional[Stop]:
        """The owner's order for this run, `<job>.stop`."""
        try:
            pairs = atomic.read_pairs(self._spec.path("stop"))
        except OSError:
            return None
        if not pairs or pairs.get("token") != self._spec.token:
            return None
        reason = pairs.get("reason") or "manual_stop"
        code = pairs.get("exit_code", "")
        return Stop(reason, pairs.get("words", ""), hard=pairs.get("hard") == "1",
                    exit_code=codec.whole(code) if code else None)

    def fenced(self) -> bool:
        """Reads the fence only when it was replaced: this is asked every second beside every agent."""
        try:
            seen = os.stat(self._fence_file)
            stamp = (seen.st_mtime_ns, seen.st_ino)
            if stamp != self._fence_stamp:
                self._overtaken = self._record.fence() > self._spec.fence
                self._fence_stamp = stamp
        except OSError:
            return False
        return self._overtaken


class Steps:
    """Carries a stop out a step at a time: the agent's own way, its polite signal, TERM to all, then `spent`.

    The polite signal comes after `soft` seconds, TERM `grace` later, KILL half a `grace` after that.
    """

    def __init__(self, spec: Spec, agent: Agent, stop: Stop) -> None:
        self._spec, self._agent, self._stop = spec, agent, stop
        self._since = time.monotonic()
        self._done = 0

    def press(self, *, hard: bool) -> bool:
        """Takes the step that is due; True when only KILL is left."""
        passed = time.monotonic() - self._since - self._stop.soft
        if hard or passed >= 1.5 * self._spec.grace:
            return True
        if passed >= self._spec.grace and self._done < 2:
            self._done = 2
            self._to_all(signal.SIGTERM)
        elif passed >= 0 and self._done < 1:
            self._done = 1
            self._agent.signal(_SIGNALS.get(self._spec.stop_signal, signal.SIGTERM))
            self._agent.signal(signal.SIGCONT)
        return False

    def _to_all(self, number: int) -> None:
        for each in (number, signal.SIGCONT):   # a stopped process hears nothing until it is let go on
            hunt.signal_all([os.getpid()], self._spec.token, each, self._agent.frame())
