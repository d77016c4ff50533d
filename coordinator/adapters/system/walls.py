"""Walls as a command line of bubblewrap (bwrap(1)): what is said here of it was measured on 0.8.0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from coordinator.domain.walls import Walls
from coordinator.runfiles import relay as relay_text

APART = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
         "--cap-drop", "ALL", "--die-with-parent")
"""Its own processes, and no rights but its user's: as root, bubblewrap would leave it all of root's."""
FIRST = ("--proc", "/proc", "--dev", "/dev")
DOOR = Path("/run/proxy")
PORT = 3128
"""Of the loopback behind the walls, which is nobody else's; what proxies mostly listen at."""
LAST = ("--remount-ro", "/proc", "--remount-ro", "/")
"""Root's /proc/sys is root's to write whatever it may do besides, so a worker of root could have the kernel start a
program outside (core_pattern): bubblewrap covers it for nobody."""


def argv(walls: Walls, program: Sequence[str], *, pty: bool = False) -> tuple[str, ...]:
    """`program` behind these walls. A pty is its own; else it has no terminal to put words into."""
    words = [walls.program, *APART]
    words += [] if pty else ["--new-session"]
    words += ["--unshare-net"] if walls.proxy or not walls.network else []
    words += FIRST
    for _, _, mount in sorted(_mounts(walls)):
        words += mount
    words += LAST
    for name, value in sorted(walls.environ.items()):
        words += ["--setenv", name, value]
    for name in walls.without:
        words += ["--unsetenv", name]
    relay = (walls.python, "-I", "-S", "-c", _relay(), str(DOOR), str(PORT)) if walls.proxy else ()
    return (*words, "--chdir", str(walls.cwd), "--", *relay, *program)


@cache
def _relay() -> str:
    return Path(relay_text.__file__).read_text("utf-8")


def _mounts(walls: Walls) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(depth, place, words): what lies deeper is put over what lies around it. Of one place the last word counts."""
    found: dict[Path, tuple[str, ...]] = {}
    for path in walls.empty:
        found[path] = ("--tmpfs", str(path))
    for text, path in walls.links:
        found[path] = ("--symlink", text, str(path))
    for path in walls.read:
        found[path] = ("--ro-bind", str(path), str(path))
    for path in walls.write:
        found[path] = ("--bind", str(path), str(path))
    if walls.proxy:
        found[DOOR] = ("--bind", str(walls.door), str(DOOR))
    for path, place in walls.swap:
        found[place] = ("--bind", str(path), str(place))
    for path in walls.hidden:
        found[path] = ("--ro-bind", "/dev/null", str(path))
    for path in walls.closed:
        found[path] = ("--tmpfs", str(path))
    return ((len(path.parts), str(path), words) for path, words in found.items())
