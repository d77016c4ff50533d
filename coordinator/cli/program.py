"""Runs one command of a program: the one place where an error becomes words and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from coordinator.cli.trouble import BUG, USAGE, Trouble, told

INTERRUPTED = 130
_Usage = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "UsageError")


def run_program(program: typer.Typer, name: str, argv: Sequence[str]) -> int:
    """Runs one command of a program under this name and returns its exit code. Never raises."""
    _open_the_closed()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = _run(program, name, argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()
        return 0
    return code


def _run(program: typer.Typer, name: str, argv: Sequence[str]) -> int:
    try:
        code = program(args=list(argv), prog_name=name, standalone_mode=False)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes words
        return _failed(error, name)
    return code if isinstance(code, int) else 0


def _failed(error: Exception, name: str) -> int:
    trouble = _expected(error, name)
    if trouble is None:
        trouble = _bug(error)
    print(_masked(told(trouble)), file=sys.stderr)
    return trouble.code


def _masked(text: str) -> str:
    from coordinator.runfiles.masking import Masker, secrets_in

    return Masker(secrets_in(os.environ)).text(text)


def _expected(error: Exception, name: str) -> Trouble | None:
    if isinstance(error, Trouble):
        return error
    if isinstance(error, _Usage):
        return _misused(error, name)
    from coordinator.app.expected import expected

    known = expected(error)
    return None if known is None else Trouble(known.words, *known.cure, code=known.code)


def _misused(error: Exception, name: str) -> Trouble:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "") or name
    words = str(getattr(error, "message", "")) or getattr(error, "format_message", lambda: str(error))()
    if hasattr(error, "format_message"):
        words = str(error.format_message())
    if not words.strip() or words.startswith("Usage:"):
        words = "a command is missing"
    return Trouble(words, f"{path} --help shows what is possible.", code=USAGE)


def _bug(error: Exception) -> Trouble:
    """A bug of ours: the trace goes into a file that can be sent, not onto the screen."""
    trace = "".join(traceback.format_exception(error))
    from coordinator import app as composition

    try:
        path = str(composition.save_bug(composition.place(), trace))
    except Exception:  # noqa: BLE001 - no repository or no room: a temporary file does as well
        path = _temporary(trace)
    words = f"this is a bug of the coordinator: {type(error).__name__}: {str(error)[:300]}"
    return Trouble(words, f"The trace is in {path}", "Please send it with what you did.", code=BUG)


def _temporary(trace: str) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="coordinator-bug-", suffix=".txt", delete=False) as file:
        file.write(_masked(trace))
    return file.name


def _open_the_closed() -> None:
    """Daemons start programs with their standard descriptors closed (`<&- >&-`): what is printed then goes nowhere, and
    no file that we open may get such a number, for a program we start would read or write it."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _mute() -> None:
    """The reader went away (`| head`): what is still buffered must not become an error at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
