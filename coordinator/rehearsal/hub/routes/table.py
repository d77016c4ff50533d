"""What a route is: a method, an address with names in it, who may call it, and the function behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from coordinator.rehearsal.hub.wire import Call, Reply

REPOSITORY = "/repos/{owner}/{repo}"
PATTERNS = {"number": r"\d+", "id": r"\d+", "ref": r".+", "branch": r".+"}


@dataclass(frozen=True)
class Route:
    """`level` is the role needed in the repository, `grant` what a fine-grained token must hold."""

    method: str
    template: str
    answer: Callable[[Call], Reply]
    level: str = "read"
    grant: tuple[str, str] = ("metadata", "read")
    creates: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        def named(found: re.Match[str]) -> str:
            return f"(?P<{found[1]}>{PATTERNS.get(found[1], '[^/]+')})"

        return re.compile(re.sub(r"\{(\w+)\}", named, self.template))

    def match(self, method: str, path: str) -> dict[str, str] | None:
        found = self._pattern.fullmatch(path) if method == self.method else None
        return found.groupdict() if found else None
