"""What is asked before a person's command is submitted: where it begins, and whether what it waits for is there."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.adapters.executors.slurm import reading
from coordinator.adapters.executors.slurm.queue import Run
from coordinator.ports import Away

_TIMEOUT = 30.0
# Whatever a login host says first stands in lines before the last one.
_ENTER = (
    'd=${1:-$HOME}; case $d in "~") d=$HOME;; "~/"*) d=$HOME/${d#"~/"};; esac; '
    '[ -n "$d" ] && CDPATH= cd -- "$d" >/dev/null && printf "\\n%s\\n" "$PWD"'
)
_NO_SUCH = "invalid job id"


class NoFolder(Exception):
    """It cannot be entered there."""


def folder_there(run: Run, wanted: str) -> str:
    """`wanted` in full, as it is called where sbatch is run; `~` and "" are the home there. Raises NoFolder, Away."""
    said = run(["/bin/sh", "-c", _ENTER, "sh", wanted], "", _TIMEOUT)
    if not said.ok:
        raise NoFolder(said.err.strip().rpartition(": ")[2] or "it has no home")
    return said.out.removesuffix("\n").rpartition("\n")[2]


def unknown_of(run: Run, ids: Iterable[str]) -> tuple[str, ...]:
    """Those of these jobs that Slurm's controller has forgotten or never had: it takes a dependency on one for met, and
    would start the job at once. Raises Away."""
    wanted = tuple(ids)
    if not wanted:
        return ()
    said = run(reading.known_argv(wanted), "", _TIMEOUT)
    if not said.ok and _NO_SUCH not in said.err.lower():
        raise Away(f"squeue: {said.err.strip()}")
    known = reading.known(said.out) if said.ok else frozenset()
    return tuple(each for each in wanted if each not in known)
