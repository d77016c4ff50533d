"""The wrapper: claims the run, starts the agent, watches, ends the whole tree and writes down how it ended.

It restarts nothing, never waits for "any child", and needs nobody alive but itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from coordinator.runfiles import cgroup, hunt, identity, names
from coordinator.runfiles.lock import Busy
from coordinator.worker import ending, notice
from coordinator.worker import spec as specs
from coordinator.worker.agent import WATCHED, Agent, become_subreaper
from coordinator.worker.record import Fenced, Record
from coordinator.worker.stopping import Steps, Stop, Watch
from coordinator.worker.witness import Observer

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Optional

_LOOK = 1.0        # a STOP file counts within two seconds
_NOTICED = 5.0     # the same where the kernel says when one is made; what was printed is weighed as often
_CALM = 0.25       # for an agent that makes files all the time
_STEP = 0.1
_DRAIN = 2.0
_PATIENCE = 300.0
_ASKING = (signal.SIGTERM, signal.SIGINT)
_HEARD = 1.0       # a scheduler signals all processes of a job, in no order: the agent may be dead of it before we hear


class Wrapper:
    """One run from claim to outcome."""

    def __init__(self, spec: specs.Spec) -> None:
        self._spec = spec
        self._record = Record(spec)
        self._heard = (*WATCHED, *spec.warn)
        self._hear = _timed
        self._place = _place_of(spec) if spec.warn else ""
        self._watch = Watch(spec, self._record)
        self._agent = Agent()
        self._observer = Observer(spec, self._agent.frame)
        self._stop: Optional[Stop] = None
        self._steps: Optional[Steps] = None
        self._group: Optional[cgroup.Group] = None
        self._memory = cgroup.Memory()
        self._orphans_are_ours = False
        self._look = _LOOK
        self._stirred = False
        self._fenced = False
        self._next_beat = 0.0

    def run(self) -> int:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)   # whoever ignores it never learns of a child's end
        signal.pthread_sigmask(signal.SIG_BLOCK, self._heard)
        self._record.claim(self._pairs())
        heir = identity.PROC and become_subreaper()
        self._group = cgroup.make(self._spec.token) if self._spec.cgroup else None
        began = time.monotonic()
        self._agent.launch(self._spec, self._group)
        if not hasattr(signal, "sigtimedwait"):
            from coordinator.worker.hearing import Ears

            self._hear = Ears(self._heard).wait
        self._orphans_are_ours = heir and self._agent.all_known
        self._look = _NOTICED if notice.arm(self._spec.cwd) else _LOOK
        self._guard()
        survivors = self._end_tree()
        self._keep()
        return self._settle(began, survivors)

    def _guard(self) -> None:
        """Until the agent has ended or only KILL is left."""
        got = 0
        while True:
            self._agent.reap()
            if not self._agent.running():
                self._stop = self._stop or self._watch.told() or self._warning(got)
                return
            self._beat()
            found = self._watch.look(got if got in (*_ASKING, *self._spec.warn) else 0)
            if self._stop is None and found is not None:
                self._stop, self._steps = found, Steps(self._spec, self._agent, found)
            hard = any(stop is not None and stop.hard for stop in (found, self._stop))
            if self._steps is not None and self._steps.press(hard=hard):
                return
            got = self._wait(self._patience())

    def _warning(self, got: int) -> Optional[Stop]:
        """That of the scheduler, when the agent has ended; `got` is the signal that came last."""
        warn = self._spec.warn
        if warn and got not in warn:
            patience = _HEARD if ending.heard_of(self._agent.status) in warn else 0
            got = self._hear(tuple(warn), patience)
        return self._watch.warning(got) if got in warn else None

    def _patience(self) -> float:
        if self._steps is not None:
            return _STEP
        next_beat = max(0.0, self._next_beat - time.monotonic())
        return min(self._look, next_beat, self._watch.until_limit(), _CALM if self._stirred else self._look)

    def _wait(self, seconds: float) -> int:
        """Sleeps until a signal comes; its number, 0 for none."""
        got = self._hear([each for each in self._heard if each != notice.SIGNAL or not self._stirred], seconds)
        self._stirred = got == notice.SIGNAL
        return got

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
        survivors = set(hunt.end_all(roots, self._spec.token, self._agent.reap)) if self._left() else set()
        if self._group is not None:
            survivors.update(self._group.remove())
        return sorted(survivors)

    def _left(self) -> bool:
        """Where orphans become our children there is no need to ask every process of the host, which is dear when many
        agents end at once; a stop asks all the same."""
        if self._agent.reap():
            return True
        if self._orphans_are_ours and self._stop is None:
            return False
        return bool(next(hunt.members([os.getpid()], self._spec.token), None))

    def _linger(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._left() and time.monotonic() < until:
            if identity.PROC:
                self._wait(0.05)
            else:
                time.sleep(0.05)   # the end of the ps that looked would wake us at once

    def _keep(self) -> None:
        """The work of a run that its scheduler ended. An order, STOP and a higher fence outrank the warning, whichever
        came first: then the work is for whoever ordered it, and the worktree may be another attempt's by now."""
        if self._stop is None or not self._stop.keep:
            return
        told = self._watch.told()
        if told is not None:
            self._stop = told
            return
        from coordinator.worker import keeping

        self._stop.words += "; " + keeping.keep(self._place, self._spec, self._stop.keep)

    def _beat(self) -> None:
        if time.monotonic() < self._next_beat or self._fenced:
            return
        self._next_beat = time.monotonic() + self._spec.beat
        self._memory.look(self._group)
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
            **_where(), **self._observer.observe(),
        }

    def _settle(self, began: float, survivors: List[int]) -> int:
        """Writes the outcome, again and again while the disk is full or the lock held. The exit code: 0 when
        it stands, 75 when another run owns the job, 74 when there was no way."""
        if self._agent.terminal is not None:
            self._agent.terminal.finish(_DRAIN)
        self._agent.max_rss_kb = max(self._agent.max_rss_kb, self._observer.max_rss_kb)
        pairs = ending.pairs_of(self._spec, self._agent, self._stop, began, survivors, self._observer.last_look(),
                                starved=self._memory.ran_out())
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._record.end(pairs, ending.in_short(pairs))
                return 0
            except Fenced:
                return 75
            except (Busy, OSError) as error:
                if time.monotonic() >= until:
                    print("the outcome could not be written: %s" % error, file=sys.stderr)
                    return 74
            self._wait(1.0)


def _timed(numbers: Iterable[int], seconds: float) -> int:
    """The signal of these that came within that time, 0 for none."""
    got = signal.sigtimedwait(numbers, seconds)
    return 0 if got is None else got.si_signo


def _where() -> Dict[str, str]:
    """The host, and the scheduler's names for job and node where it gave some."""
    given = {"slurm_job": os.environ.get("SLURM_JOB_ID", ""), "node": os.environ.get("SLURMD_NODENAME", "")}
    return {"host": os.uname().nodename, **{key: value for key, value in given.items() if value}}


def _place_of(spec: specs.Spec) -> str:
    from coordinator.worker import keeping  # only where a scheduler may end the run

    return keeping.place_of(spec.cwd)


def main(argv: List[str]) -> int:
    """`<provider> <job> --dir FOLDER --token TOKEN [--env]`: the names come first, people look for them with ps."""
    if len(argv) not in (6, 7) or argv[2] != "--dir" or argv[4] != "--token" or argv[6:] not in ([], ["--env"]):
        print("usage: wrapper PROVIDER JOB --dir FOLDER --token TOKEN [--env]", file=sys.stderr)
        return 64
    provider, job, _, folder, _, token = argv[:6]
    try:
        names.check_name(job)
        spec = specs.read(provider, job, folder, token)
        if argv[6:]:
            from coordinator.worker import environment

            environment.take(spec)
        return Wrapper(spec).run()
    except specs.Refused as refused:
        print("%s: %s" % (job, refused), file=sys.stderr)
        return refused.code
    except (OSError, ValueError, Busy) as error:
        print("%s: %s" % (job, error), file=sys.stderr)
        return 70
