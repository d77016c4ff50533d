"""The world as the beads gate asks it: programs on PATH, what `bd` and git answer, small files. It decides nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from coordinator.adapters.system.run import run
from coordinator.runfiles import gitsafe

LIMIT = 30.0
"""Seconds for one answer: a database behind a network may be slow, a gate must not hang."""
_LAST = 256 << 10

Heard = tuple[int, str, str]
"""Exit code, stdout, stderr; for what is looked for: 0 and what was found, else 1."""


class BeadsHost:
    """This host, asked with `environ`; a `limit` in seconds for each program."""

    def __init__(self, environ: Mapping[str, str], limit: float = LIMIT) -> None:
        self._environ, self._limit = dict(environ), limit

    def find(self, program: str) -> Heard:
        path = shutil.which(program, path=self._environ.get("PATH", ""))
        return (0, path, "") if path else (1, "", f"{program}: not found")

    def text(self, where: Path, names: Sequence[str]) -> Heard:
        """Of the files by these names the first that can be read."""
        for name in names:
            try:
                return 0, (where / name).read_text("utf-8", "replace")[:_LAST], ""
            except OSError:
                continue
        return 1, "", ""

    def run(self, where: Path, argv: Sequence[str]) -> Heard:
        """Runs a program in a folder; git without anything that a repository could have it run."""
        if not where.is_dir():
            return 1, "", f"{where} is no folder"
        env, words = self._environ, list(argv)
        if argv[0] == "git":
            env, words = gitsafe.hardened_env(env), ["git", *gitsafe.HARDENED_ARGS, *argv[1:]]
        ran = run(words, env=env, cwd=where, timeout=self._limit, last=_LAST)
        return ran.code, ran.out, ran.err
