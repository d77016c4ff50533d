"""Commands that keep an older tool's exit codes: wrong usage ends with 2 there, whatever name they are called by."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from coordinator.cli.trouble import Trouble

MISUSED = 2
_Usage = next(one for one in typer.BadParameter.__mro__ if issubclass(one, Exception) and one.__name__ == "UsageError")


class OldUsage(TyperCommand):
    """For `app.command(cls=OldUsage)`."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except _Usage as error:
            path = getattr(getattr(error, "ctx", None), "command_path", "") or info_name or ""
            words = error.format_message() if hasattr(error, "format_message") else str(error)
            raise misused(words, path) from error


def misused(words: str, path: str = "") -> Trouble:
    return Trouble(words, *([f"{path} --help shows what is possible."] if path else []), code=MISUSED)
