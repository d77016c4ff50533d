"""Where configuration lies: the repository is found by looking upwards. Alone, so that `status` loads no more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILE = "coordinator.toml"


def find_root(start: Path) -> Path | None:
    """The nearest folder at or above `start` that holds coordinator.toml or .git; None when there is none.

    The nearest, so that a stray file in a folder above (/tmp) never takes over a repository below it.

    A worktree of ours has a .git file of its own, and a copy of coordinator.toml where that is committed; it
    belongs to the repository it was made from, and that one is meant.
    """
    folder = _main_checkout(start.absolute())
    held = (one for one in (folder, *folder.parents) if (one / FILE).is_file() or (one / ".git").exists())
    return next(held, None)


def user_file(environ: Mapping[str, str]) -> Path | None:
    """Where the user's own configuration lies, there or not.

    The XDG rule: an empty or relative XDG_CONFIG_HOME counts as unset.
    """
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.config"
    return Path(base) / "coordinator" / "config.toml"


def _main_checkout(start: Path) -> Path:
    """`start`, or the main checkout when `start` is inside a linked worktree."""
    for folder in (start, *start.parents):
        link = folder / ".git"
        if link.is_dir():
            break
        if link.is_file():
            target = folder / link.read_text("utf-8", "replace").removeprefix("gitdir:").strip()
            linked = target.parent.name == "worktrees" and target.parent.parent.name == ".git"
            return target.parent.parent.parent if linked else start
    return start
