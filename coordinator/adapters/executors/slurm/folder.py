"""Where a batch job begins: a folder by the name it has where sbatch is run, which need not be this machine."""

from __future__ import annotations

from coordinator.adapters.executors.slurm.queue import Run

_TIMEOUT = 30.0
# Whatever a login host says first stands in lines before the last one.
_ENTER = (
    'd=${1:-$HOME}; case $d in "~") d=$HOME;; "~/"*) d=$HOME/${d#"~/"};; esac; '
    '[ -n "$d" ] && CDPATH= cd -- "$d" >/dev/null && printf "\\n%s\\n" "$PWD"'
)


class NoFolder(Exception):
    """It cannot be entered there."""


def folder_there(run: Run, wanted: str) -> str:
    """`wanted` in full, `~` and "" being the home there. Raises NoFolder, Away."""
    said = run(["/bin/sh", "-c", _ENTER, "sh", wanted], "", _TIMEOUT)
    if not said.ok:
        raise NoFolder(said.err.strip().rpartition(": ")[2] or "it has no home")
    return said.out.removesuffix("\n").rpartition("\n")[2]
