"""Files that people and other programs read in place; every write passes the seam."""

from __future__ import annotations

import os
from pathlib import Path

from coordinator.adapters.system.seam import crossing
from coordinator.domain.room import Room
from coordinator.runfiles import atomic, room


class SystemFiles:
    """ports.Files on this machine."""

    def read(self, path: Path) -> str | None:
        try:
            return path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def put(self, path: Path, text: str) -> None:
        with crossing("file", path.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(str(path), text.encode("utf-8", "replace"), mode=_mode(path))

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def put_if_unchanged(self, path: Path, text: str, seen: str | None) -> bool:
        if self.read(path) != seen:
            return False
        self.put(path, text)
        return True

    def remove(self, path: Path) -> None:
        with crossing("file", f"remove {path.name}"):
            path.unlink(missing_ok=True)

    def room(self, path: Path) -> Room:
        return Room(**room.measure(str(path)))


def _mode(path: Path) -> int:
    """A file that was there keeps its permissions; a new one is for everybody to read."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o644
