"""What a provider's preflight may ask of this host: run, find, read. It changes nothing but its own scratch
folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from coordinator.adapters.system.run import run
from coordinator.adapters.system.seam import crossing


class SystemProbe:
    """Probe of the host we run on; `environ` None = this process's environment."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = dict(os.environ if environ is None else environ)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
    ) -> tuple[int, str, str]:
        ran = run(argv, env=self._environ if env is None else env, cwd=cwd, stdin=stdin, timeout=timeout)
        return ran.code, ran.out, ran.err

    def which(self, name: str) -> str | None:
        return shutil.which(name, path=self._environ.get("PATH", os.defpath))

    def stands(self, path: Path) -> str:
        try:
            return "file" if path.is_file() else "folder" if path.is_dir() else "other" if path.exists() else ""
        except (OSError, ValueError):
            return "other"

    def read(self, path: Path) -> str | None:
        try:
            return path.read_text("utf-8", "replace")
        except OSError:
            return None

    def environ(self) -> Mapping[str, str]:
        return self._environ

    def scratch(self) -> Path:
        """Removed with this probe, at the latest when the process ends."""
        with crossing("file", "scratch folder"):
            path = tempfile.mkdtemp(prefix="coordinator-probe-")
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return Path(path)
