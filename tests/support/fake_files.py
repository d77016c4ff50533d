"""Files in memory, for the engine's small world."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from coordinator.adapters.system.seam import crossing
from coordinator.domain.room import Room


@dataclass
class FakeFiles:
    """Files by path; `full` makes every write fail as a full disk does."""

    texts: dict[Path, str] = field(default_factory=dict)
    full: bool = False

    def read(self, path: Path) -> str | None:
        return self.texts.get(path)

    def put(self, path: Path, text: str) -> None:
        with crossing("file", path.name):
            if self.full:
                raise OSError(28, "No space left on device", str(path))
            self.texts[path] = text

    def remove(self, path: Path) -> None:
        with crossing("file", path.name):
            self.texts.pop(path, None)

    def exists(self, path: Path) -> bool:
        return path in self.texts

    def put_if_unchanged(self, path: Path, text: str, seen: str | None) -> bool:
        if self.texts.get(path) != seen:
            return False
        self.put(path, text)
        return True

    def room(self, path: Path) -> Room:
        return Room()
