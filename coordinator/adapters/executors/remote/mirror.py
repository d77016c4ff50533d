"""The run files of runs on another host, kept here as far as they were heard of.

Readers of run files find them where they find all others. `<job>.seen` tells when the host was last heard of. What a
file holds here, the host has said; only `seen` is ours. Times of the host's clock are turned into ours.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordinator.adapters.executors import launch
from coordinator.adapters.executors.views import moment
from coordinator.adapters.system.seam import crossing
from coordinator.domain.parcel import Inbound
from coordinator.ports import Handle
from coordinator.runfiles import atomic, codec, names
from coordinator.runfiles.lock import Lock

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_TIMES = ("at", "since", "started_at", "cpu_moved_at", "log_moved_at", "last_event_at", "tree_moved_at",
          "stopped_since", "ended_at")
"""Keys of heartbeat and outcome that are Unix seconds of the host's clock."""
_SKEW = 2.0
"""Seconds by which two clocks may differ before it matters."""
_NOTED_EVERY = 10.0
"""Seconds after which it is written down again that a host still answers."""
_INBOUND = ("head", "tip", "on", "files", "sent", "trouble")

Pairs = dict[str, str]


class Mirror:
    """The files of one run."""

    def __init__(self, jobs: Path, handle: Handle) -> None:
        self.handle = handle
        self.folder = str(jobs / handle.provider)

    def path(self, kind: str) -> Path:
        return Path(names.path(self.folder, self.handle.job, kind))

    def pairs(self, kind: str) -> Pairs:
        """{} where the file is another run's, or is not there. Raises OSError."""
        pairs = atomic.read_pairs(str(self.path(kind))) or {}
        return pairs if pairs.get("token") == self.handle.token else {}

    def asked(self) -> bool:
        """Whether this run may ever have been asked for: before that nobody was."""
        return bool(self.pairs("meta"))

    def ours(self) -> bool:
        """Whether it was, and was not given up since."""
        return self.asked() and self.pairs("seen").get("state") != "given_up"

    def laid_at(self) -> datetime:
        """When its papers were laid here. Raises OSError."""
        return datetime.fromtimestamp(self.path("spec").stat().st_mtime, UTC)

    def sizes(self) -> dict[str, int]:
        """Bytes of output that are home."""
        return {kind: self.size(kind) for kind in ("log", "err")}

    def size(self, kind: str) -> int:
        """Bytes of this file that are home."""
        return self.path(kind).stat().st_size if self.path(kind).exists() else 0

    def append(self, kind: str, piece: bytes) -> None:
        if not piece:
            return
        with crossing("file", str(self.path(kind))):
            fd = os.open(self.path(kind), _APPEND, 0o600)
            try:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(fd, rest):]
            finally:
                os.close(fd)

    def put(self, kind: str, pairs: Mapping[str, str], skew: float = 0.0) -> None:
        """Nothing where it says the same already. A heartbeat is not forced onto the disk, neither here nor there: the
        next look brings it again."""
        told = {key: _shifted(key, value, skew) for key, value in pairs.items()}
        if told and told != self.pairs(kind):
            with crossing("file", str(self.path(kind))):
                atomic.write(str(self.path(kind)), codec.encode(told), lasting=kind != "heartbeat")

    def note(self, state: str, at: datetime, *, away_since: datetime | None = None, words: str = "") -> None:
        """What `seen` says: `state` is waiting, running, ended, missing or given_up; `at` when the host was last heard
        of."""
        before, now = self.pairs("seen"), at.timestamp()
        told = {"token": self.handle.token, "host": self.handle.host, "state": state, "at": f"{now:.3f}",
                "since": f"{away_since.timestamp():.3f}" if away_since else "", "words": words}
        if {**before, "at": ""} != {**told, "at": ""} or not \
                0 <= now - codec.number(before.get("at", "")) < _NOTED_EVERY:
            with crossing("file", str(self.path("seen"))):
                atomic.write(str(self.path("seen")), codec.encode(told), lasting=False)

    def heard_at(self) -> datetime | None:
        """When its host was last heard of."""
        at = moment(self.pairs("seen").get("at", ""))
        return datetime.fromtimestamp(at, UTC) if at > 0 else None

    def locked(self) -> Lock:
        """Against another run that is given this one's place."""
        return Lock(str(self.path("lock")))

    def mark(self, changes: Mapping[str, str]) -> None:
        """Keys of meta that are known later than the start."""
        with self.locked():
            launch.merge_meta(self.folder, self.handle.job, changes)

    def heeded(self) -> bool:
        """Whether it was told to stop."""
        return bool(self.pairs("stop"))

    def heed(self, reason: str) -> None:
        """It was told to stop, for this reason code."""
        launch.put_pairs(self.folder, self.handle.job, "stop", {"token": self.handle.token, "reason": reason})

    # --- what came home ---

    def keep_parcel(self, told: Mapping[str, Any]) -> None:
        """What is coming, before its bundle."""
        pairs = {key: str(told.get(key, "")) for key in (*_INBOUND, "size", "sha256")}
        launch.put_pairs(self.folder, self.handle.job, "parcel", {"token": self.handle.token, **pairs})

    def inbound(self) -> Inbound | None:
        pairs = self.pairs("parcel")
        if not pairs:
            return None
        bundle = self.path("bundle") if pairs.get("sha256") else None
        return Inbound(**{key: pairs.get(key, "") for key in _INBOUND}, bundle=bundle)

    def digest(self, kind: str) -> str:
        """SHA-256; "" where there is no such file."""
        try:
            with self.path(kind).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return ""

    def drop_parcel(self) -> None:
        """What tells of the bundle goes first: who comes after a death in between would look for one that is gone."""
        for kind in ("parcel", "bundle"):
            with crossing("file", f"remove {self.path(kind)}"):
                self.path(kind).unlink(missing_ok=True)


def _shifted(key: str, value: str, skew: float) -> str:
    """A time of the host's clock in ours; `skew` is how far the host's is ahead, in seconds. By whole ones: it was
    measured over a line, a little otherwise at each look, and what has not changed there is not to be written anew."""
    if key not in _TIMES or abs(skew) < _SKEW or not codec.number(value):
        return value
    return f"{codec.number(value) - round(skew):.3f}"
