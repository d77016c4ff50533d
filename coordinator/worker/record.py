"""The wrapper's own run files: the claim, heartbeats, pid and outcome.

Each is written under the job's lock and refused once another run has taken the job over.
"""

from __future__ import annotations

import errno
import os
import time

from coordinator.runfiles import atomic, codec, fences, identity
from coordinator.runfiles.lock import Lock
from coordinator.worker.spec import Refused

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, Optional

    from coordinator.worker.spec import Spec

_ROOM = 8192
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Fenced(Exception):
    """Another run owns the job now: nothing of ours may be written any more."""


class Record:
    """Writes for one run. `claim` comes first and decides whether there is a run at all."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._outcome: Optional[atomic.Reserved] = None
        me = identity.look(os.getpid())
        self._who = {
            "token": spec.token, "fence": str(spec.fence), "run_id": spec.run_id, "worker_id": spec.worker_id,
            "wrapper_pid": str(os.getpid()), "wrapper_start": str(me.start if me else 0),
            "boot_id": identity.boot_id(), "started_at": "%.3f" % time.time(),
        }

    def claim(self, first: Dict[str, str]) -> None:
        """The first heartbeat, before the agent exists. Raises Refused when this token was claimed before,
        ended before, or a higher fence stands: then nothing is started."""
        with self._lock():
            beat = self._pairs("heartbeat")
            if self._spec.token in (beat.get("token"), self._pairs("outcome").get("token")):
                raise Refused("this run was started before; nothing was started", 0)
            if max(self.fence(), codec.whole(beat.get("fence", ""))) > self._spec.fence:
                raise Refused("a newer attempt has taken over; nothing was started", 75)
            self._outcome = atomic.Reserved(self._spec.path("outcome"), _ROOM)
            self._put("heartbeat", first, lasting=True)
            atomic.write(self._spec.path("pid"), b"%d\n" % os.getpid(), lasting=False)

    def beat(self, pairs: Dict[str, str]) -> None:
        """Raises Fenced, Busy or OSError; a beat that fails is made good by the next."""
        with self._lock(patience=0):
            self._check()
            self._put("heartbeat", pairs)

    def end(self, pairs: Dict[str, str], in_short: Dict[str, str]) -> None:
        """The outcome, `in_short` where there is no room for all of it; then the pid file goes. Raises Fenced, Busy or
        OSError; it may be tried again."""
        with self._lock():
            self._check()
            place = self._outcome or atomic.Reserved(self._spec.path("outcome"), _ROOM)
            self._outcome = place
            try:
                place.fill(codec.encode({**pairs, **self._who}))
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                place.fill(codec.encode({"token": self._who["token"], **in_short}))
            place.drop()
            _remove(self._spec.path("pid"))

    def fence(self) -> int:
        return fences.standing(self._spec.folder, self._spec.job)

    def _lock(self, patience: float = 10) -> Lock:
        return Lock(self._spec.path("lock"), patience)

    def _check(self) -> None:
        if self._pairs("heartbeat").get("token", self._spec.token) != self._spec.token:
            raise Fenced("another run has claimed the job")
        if self.fence() > self._spec.fence:
            raise Fenced("a higher fence stands")

    def _put(self, kind: str, pairs: Dict[str, str], *, lasting: bool = False) -> None:
        atomic.write(self._spec.path(kind), codec.encode({**self._who, **pairs}), lasting=lasting)

    def _pairs(self, kind: str) -> Dict[str, str]:
        return atomic.read_pairs(self._spec.path(kind)) or {}


def _remove(name: str) -> None:
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass   # a person was faster
