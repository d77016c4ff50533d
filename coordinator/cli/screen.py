"""Lines shown on a terminal, once or again and again in the same place; plain text everywhere else.

rich is loaded where colours are shown, and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.cli.views.fitting import Line

EVERY = 2.0
_STYLES = {
    "head": "bold", "warning": "yellow", "title": "dim", "quiet": "dim", "RUNNING": "green", "BLOCKED": "red",
    "FAILED": "red", "HELD": "yellow", "DONE": "dim", "CANCELLED": "dim",
}  # fmt: skip


def width() -> int:
    """As shutil tells it, without the compressors that shutil loads."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1).columns or 120
    except (OSError, ValueError):
        return 120


def coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(lines: list[Line], *, plain: bool = False) -> None:
    if plain or not coloured():
        print("\n".join(line.text for line in lines))
        return
    from rich.console import Console

    Console(highlight=False).print(styled(lines), no_wrap=True, crop=False, overflow="ignore")


def styled(lines: list[Line]) -> Any:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ignore")
    for line in lines:
        text.append(line.text, style=_STYLES.get(line.kind, ""))
        text.append("\n" if line is not lines[-1] else "")
    return text


def watch(picture: Callable[[int], list[Line]], *, plain: bool = False) -> None:
    """In one place of the screen on a terminal; one picture below the other elsewhere. `picture` is given the width."""
    import time

    try:
        if not sys.stdout.isatty():
            while True:
                show(picture(width()))
                print(flush=True)
                time.sleep(EVERY)
        _watch_screen(picture, plain=plain)
    except KeyboardInterrupt:
        return


def _watch_screen(picture: Callable[[int], list[Line]], *, plain: bool) -> None:
    """Until q or Ctrl-C; the terminal is left as it was found."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from coordinator.cli.keys import ctrl_c, pressed, single_keys

    console = Console(highlight=False)
    with ctrl_c(heard=False), single_keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        key = ""
        while key != "q":
            lines = picture(console.width)[: console.height]
            bare = Text("\n".join(line.text for line in lines), no_wrap=True)
            live.update(bare if plain or not coloured() else styled(lines), refresh=True)
            with ctrl_c(heard=True):
                key = pressed(EVERY)
