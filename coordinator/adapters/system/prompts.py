"""Reads a prompt file. What cannot be an agent's task is refused here, before anything is started for it."""

from __future__ import annotations

import shlex
from pathlib import Path

MOST = 16 << 20
"""Bytes. Far beyond any model's context; a device or a log taken for a prompt ends here."""


class BadPrompt(Exception):
    """A prompt that no agent should be given; `cure` is a command or a sentence."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(words)
        self.words = words
        self.cure = cure


def read_prompt(path: Path) -> str:
    """The text of a prompt file (a pipe is one too), a byte order mark taken off. Raises BadPrompt."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadPrompt(f"prompt file not found: {path}", "Write the task into it, or correct the path.") from error
    except IsADirectoryError as error:
        raise BadPrompt(f"prompt file is a folder: {path}", f"Name a file in it: ls {_quoted(path)}") from error
    except PermissionError as error:
        raise BadPrompt(f"prompt file cannot be read: {path} (no permission)", f"chmod u+r {_quoted(path)}") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadPrompt(f"prompt file cannot be read: {path} ({why})", f"ls -ld {_quoted(path)}") from error
    return _text(path, data)


def _text(path: Path, data: bytes) -> str:
    if len(data) > MOST:
        raise BadPrompt(f"prompt file is larger than {MOST >> 20} MB: {path}", "Name the task's own file.")
    binary = BadPrompt(f"prompt file is no text: {path}", f"It must be UTF-8 without zero bytes: file {_quoted(path)}")
    if b"\0" in data:
        raise binary
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise binary from error
    if not text.strip():
        raise BadPrompt(f"prompt file is empty: {path}", "Write the task into it: its whole content goes to the agent.")
    return text


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
