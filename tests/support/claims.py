"""A remote's claim in memory: one ref, moved by compare-and-swap, with answers that can be lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from coordinator.ports import ClaimMoved, GitError, GitUnreachable, PushRefused


@dataclass
class Ref:
    """What all coordinators see. `trouble` is raised in place of an answer, `deaf` lets a push be done all the same."""

    sha: str = ""
    words: str = ""
    branches: dict[str, str] = field(default_factory=dict)
    pushes: int = 0

    def now(self, known: str) -> tuple[str, str]:
        return self.sha, "" if self.sha == known else self.words

    def swap(self, held: str, words: str) -> str:
        if self.sha != held:
            raise ClaimMoved("another coordinator moved it")
        self.pushes += 1
        self.sha, self.words = f"c{self.pushes}", words
        return self.sha


@dataclass
class Line:
    """One coordinator's line to the ref."""

    ref: Ref
    cut: bool = False
    lost: bool = False
    refused: bool = False
    asked: int = 0
    on_push: Callable[[], None] = lambda: None

    def claim(self, known: str) -> tuple[str, str]:
        self._answers()
        return self.ref.now(known)

    def standing(self, prefix: str) -> Mapping[str, str]:
        self._answers()
        return {name: sha for name, sha in self.ref.branches.items() if name.startswith(prefix)}

    def put_claim(self, words: str, *, held: str) -> str:
        return self._put(words, held)

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()

    def push_claimed(self, words: str, *, held: str, branch: str, **_how: Any) -> tuple[str, str]:
        return self._put(words, held, branch), f"tip-of-{branch}"

    def _put(self, words: str, held: str, branch: str = "") -> str:
        self._answers()
        if self.refused:
            raise PushRefused("refusing to update this ref")
        self.on_push()
        sha = self.ref.swap(held, words)
        if branch:
            self.ref.branches[branch] = f"tip-of-{branch}"
        if self.lost:
            raise GitUnreachable("the remote hung up")
        return sha

    def _answers(self) -> None:
        self.asked += 1
        if self.cut:
            raise GitUnreachable("could not resolve host")


__all__ = ["GitError", "Line", "Ref"]
