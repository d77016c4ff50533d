"""Which folders a program needs to be started: its own, those of whatever it is a link to, its interpreter's. Looks,
changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

_SIBLINGS = ("lib", "lib64", "libexec", "pyvenv.cfg")
"""Beside a folder `bin` what is in it is made of: a virtual environment, an installation of node."""
_MODULES = "node_modules"
_DEEPEST = 40
"""Links in a row, as the kernel has it."""


class Needs:
    """Collects what a program needs beyond `seen`: `found` are real places, `links` (what it says, where it stands)
    on the way to them. Of the folders `forbidden`, and those around them, no one is ever shown whole."""

    def __init__(self, seen: Iterable[Path], forbidden: Iterable[Path]) -> None:
        self._seen = list(seen)
        self._forbidden = [path.resolve() for path in forbidden]
        self.found: list[Path] = []
        self.links: list[tuple[str, Path]] = []

    def program(self, name: str, environ: Mapping[str, str], depth: int = 0) -> None:
        """A name or path as execvp(3) finds it, with all that it leads to."""
        at = shutil.which(name, path=environ.get("PATH", os.defpath))
        if at is None or depth > _DEEPEST:
            return
        path = Path(os.path.normpath(Path.cwd() / at))
        self._folder_of(path)
        for _ in range(_DEEPEST):
            if not path.is_symlink():
                break
            path = Path(os.path.normpath(path.parent / path.readlink()))
            self._folder_of(path)
        interpreter = _interpreter(path)
        if interpreter:
            self.program(interpreter, environ, depth + 1)

    def path(self, environ: Mapping[str, str]) -> None:
        """The folders of PATH: an agent's tools are found by it."""
        for name in filter(None, environ.get("PATH", "").split(os.pathsep)):
            folder = Path(name)
            if folder.is_absolute() and stands(folder):
                self._folder(folder)

    def place(self, path: Path) -> None:
        """This file or folder, whatever it is."""
        if stands(path):
            self.links += [link for link in links_to(path) if not self._shown(link[1])]
            self._show(path.resolve())

    def _folder_of(self, path: Path) -> None:
        real = path.parent.resolve() / path.name
        if _MODULES in real.parts:
            top = Path(*real.parts[:real.parts.index(_MODULES) + 1])
            if not self._too_much(top):
                self.place(top)
                return
        if self._too_much(real.parent):
            self.place(path)
        else:
            self._folder(path.parent)

    def _folder(self, folder: Path) -> None:
        if self._too_much(folder.resolve()):
            return
        self.place(folder)
        if folder.name == "bin":
            for name in _SIBLINGS:
                self.place(folder.parent / name)

    def _too_much(self, folder: Path) -> bool:
        return any(place.is_relative_to(folder) for place in self._forbidden)

    def _show(self, path: Path) -> None:
        if not self._shown(path):
            self.found.append(path)

    def _shown(self, path: Path) -> bool:
        return any(path.is_relative_to(place) for place in (*self._seen, *self.found))


def stands(path: Path) -> bool:
    """Whether it can be shown: what we do not get to, nobody behind our walls does."""
    try:
        return path.exists()
    except OSError:
        return False


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        return False


def links_to(path: Path) -> list[tuple[str, Path]]:
    """The links among a path's folders and itself, each with what it says: without them it is not found where only real
    places are shown."""
    found: list[tuple[str, Path]] = []
    waiting, real = list(Path(os.path.normpath(Path.cwd() / path)).parts[1:]), Path("/")
    while waiting and len(found) < _DEEPEST:
        at = real / waiting.pop(0)
        if _is_link(at):
            says = str(at.readlink())
            found.append((says, at))
            onward = Path(os.path.normpath(real / says))
            waiting, real = [*onward.parts[1:], *waiting], Path("/")
        else:
            real = at
    return found


def _interpreter(path: Path) -> str:
    """The program that a script names on its first line; with `env` the one that this looks for. ""."""
    try:
        with path.open("rb") as file:
            first = file.readline(512)
    except OSError:
        return ""
    words = first[2:].decode("utf-8", "replace").split() if first.startswith(b"#!") else []
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[0] if words else ""
