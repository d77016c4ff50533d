"""A small file of this user's alone that several of our processes change: each change is read, made and put in place
whole before the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.adapters.system.seam import crossing
from coordinator.runfiles import atomic
from coordinator.runfiles.lock import Lock

LARGEST = 16 << 20


class Unusable(Exception):
    """What stands there cannot be read: it is kept aside."""


class Notebook:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """None when there is none. Raises OSError."""
        return atomic.read(str(self.path), LARGEST)

    def change(self, how: Callable[[bytes | None], str]) -> None:
        """`how` is given what stands there, and raises Unusable for what it cannot read. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Lock(f"{self.path}.lock"):
            raw = self.read()
            try:
                text = how(raw)
            except Unusable:
                self._put(self.path.with_name(f"{self.path.name}.unreadable"), raw or b"")
                text = how(None)
            self._put(self.path, text.encode("utf-8", "replace"))

    @staticmethod
    def _put(path: Path, data: bytes) -> None:
        with crossing("file", path.name):
            atomic.write(str(path), data)
