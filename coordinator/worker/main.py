"""The wrapper: claims the run, starts the agent, watches, ends the whole tree and writes down how it ended.

It restarts nothing and judges nothing, never waits for "any child", and needs nobody alive but itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from coordinator.runfiles import cgroup, hunt, names
from coordinator.runfiles.lock import Busy
from coordinator.worker import ending
from coordinator.worker import spec as specs
from coordinator.worker.agent import WATCHED, Agent, become_subreaper
from coordinator.worker.record import Fenced, Record
from coordinator.worker.stopping import Steps, Stop, Watch
from coordinator.worker.witness import Observer

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, List, Optional

_POLL = 0.4
_PATIENCE = 300.0


class Wrapper:
    """One run from claim to outcome."""

    def __init__(self, spec: specs.Spec) -> None:
        self._spec = spec
        self._record = Record(spec)
        self._observer = Observer(spec)
        self._watch = Watch(spec, self._record)
        self._agent = Agent()
        self._stop: Optional[Stop] = None
        self._steps: Optional[Steps] = None
        self._group: Optional[cgroup.Group] = None
        self._fenced = False
        self._next_beat = 0.0

    def run(self) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        self._record.claim(self._pairs())
        become_subreaper()
        self._group = cgroup.make(self._spec.token) if self._spec.cgroup else None
        began = time.monotonic()
        self._agent.launch(self._spec, self._group)
        self._guard()
        return self._settle(began, self._end_tree())

    def _guard(self) -> None:
        """Until the agent has ended or only KILL is left."""
        signalled = 0
        while True:
            self._agent.reap()
            if not self._agent.running():
                self._stop = self._stop or self._watch.told()
                return
            self._beat()
            found = self._watch.look(signalled)
            if self._stop is None and found is not None:
                self._stop, self._steps = found, Steps(self._spec, self._agent, found)
            hard = any(stop is not None and stop.hard for stop in (found, self._stop))
            if self._steps is not None and self._steps.press(hard=hard):
                return
            signalled = self._wait(min(_POLL, self._spec.beat)) or signalled

    def _wait(self, seconds: float) -> int:
        """Sleeps until a signal comes; its number when it asks us to stop."""
        got = signal.sigtimedwait(WATCHED, seconds)
        return int(got.si_signo) if got is not None and got.si_signo in (signal.SIGTERM, signal.SIGINT) else 0

    def _end_tree(self) -> List[int]:
        """Everything the agent left behind goes too: by itself, on TERM, or by KILL. The survivors."""
        roots = [os.getpid()]
        if not self._agent.running():
            if self._stop is None:
                self._linger(self._spec.linger)
            if self._left():
                hunt.signal_all(roots, self._spec.token, signal.SIGTERM)
                hunt.signal_all(roots, self._spec.token, signal.SIGCONT)
                self._linger(self._spec.linger)
        if self._group is not None:
            self._group.kill()
        survivors = set(hunt.end_all(roots, self._spec.token, self._agent.reap))
        if self._group is not None:
            survivors.update(self._group.remove())
        return sorted(survivors)

    def _left(self) -> bool:
        return self._agent.reap() or bool(next(hunt.members([os.getpid()], self._spec.token), None))

    def _linger(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._left() and time.monotonic() < until:
            self._wait(0.05)

    def _beat(self) -> None:
        if time.monotonic() < self._next_beat or self._fenced:
            return
        self._next_beat = time.monotonic() + self._spec.beat
        try:
            self._record.beat(self._pairs())
        except Fenced as fenced:
            self._fenced = True
            self._stop = Stop("lost", str(fenced), hard=True)
            self._steps = Steps(self._spec, self._agent, self._stop)
        except (Busy, OSError):
            self._next_beat = time.monotonic() + min(1.0, self._spec.beat)

    def _pairs(self) -> Dict[str, str]:
        return {
            "provider": self._spec.provider, "beat_sec": "%g" % self._spec.beat,
            "agent_pid": str(self._agent.pid or ""), "agent_start": str(self._agent.start or ""),
            "cgroup": self._group.folder if self._group is not None else "",
            **self._observer.observe(),
        }

    def _settle(self, began: float, survivors: List[int]) -> int:
        """Writes the outcome, again and again while the disk is full or the lock held. The exit code: 0 when
        it stands, 75 when another run owns the job, 74 when there was no way."""
        self._agent.max_rss_kb = max(self._agent.max_rss_kb, self._observer.max_rss_kb)
        pairs = ending.pairs_of(self._spec, self._agent, self._stop, began, survivors)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._record.end(pairs)
                return 0
            except Fenced:
                return 75
            except (Busy, OSError) as error:
                if time.monotonic() >= until:
                    print("the outcome could not be written: %s" % error, file=sys.stderr)
                    return 74
            self._wait(1.0)


def main(argv: List[str]) -> int:
    """`<provider> <job> --dir FOLDER --token TOKEN`: the names come first, people look for them with ps."""
    if len(argv) != 6 or argv[2] != "--dir" or argv[4] != "--token":
        print("usage: wrapper PROVIDER JOB --dir FOLDER --token TOKEN", file=sys.stderr)
        return 64
    provider, job, _, folder, _, token = argv
    try:
        names.check_name(job)
        return Wrapper(specs.read(provider, job, folder, token)).run()
    except specs.Refused as refused:
        print("%s: %s" % (job, refused), file=sys.stderr)
        return refused.code
    except (OSError, ValueError, Busy) as error:
        print("%s: %s" % (job, error), file=sys.stderr)
        return 70
