"""`view`: a worker's transcript for people, read as it lies there, whatever its size and state.

Standard library only unless the output is a terminal or the account is asked for: people run this in a loop.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import IO, Any, TextIO

from coordinator.cli.views.conversation import Choice, Conversation, Line, plain
from coordinator.cli.views.frame import Facts, footer, header
from coordinator.runfiles import transcript as shape

HEAD_LINES = 50
HEAD_BYTES = 1024 * 1024
TAIL_BYTES = 64 * 1024
LONGEST_LINE = 64 * 1024 * 1024
LOOK_EVERY = 0.5
_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STYLES = {"text": "", "tool": "cyan", "error": "bold red", "note": "dim"}


@dataclass(frozen=True)
class ViewOptions:
    """What was asked for on the command line."""

    detailed: bool = False
    tools: bool = False
    errors: bool = False
    as_json: bool = False
    follow: bool = False
    summary: bool = False


def task_of(issue: str) -> str:
    """`471`, `#471` and `gh-471` are one task; any other task id stands for itself. Raises ValueError."""
    name = issue.removeprefix("#")
    name = f"gh-{name}" if name.isdigit() else name
    if _TASK.fullmatch(name) is None:
        raise ValueError(f"no issue number and no task id: {issue!r}. Give a number such as 471, or gh-471.")
    return name


def transcript_path(root: Path, task: str, attempt: int | None = None) -> Path:
    """Where the transcript of a task lies, or of one of its earlier attempts."""
    current = root / "logs" / f"{task}.jsonl"
    if attempt is None:
        return current
    kept = current.with_name(f"{task}.{attempt}.jsonl")
    return current if not kept.exists() and _attempt_of(current) == attempt else kept


def view(
    path: Path,
    options: ViewOptions,
    out: TextIO,
    err: TextIO,
    *,
    zone: tzinfo | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Prints the transcript at `path`; the exit code. 1 with words when there is none."""
    try:
        with path.open("rb") as source:
            if options.summary:
                _print_summary(source, path, options, out, zone)
            elif options.as_json:
                _print_json(source, path, options, out, pause)
            else:
                _print(source, path, options, out, zone, pause)
    except FileNotFoundError:
        print(_missing(path), file=err)
        return 1
    except IsADirectoryError:
        print(f"error: {path} is a folder, not a transcript", file=err)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _mute(out)
    return 0


def _missing(path: Path) -> str:
    beside = sorted(one.name for one in path.parent.glob("*.jsonl"))[:10] if path.parent.is_dir() else []
    there = f"There are: {', '.join(beside)}." if beside else f"There is no transcript in {path.parent} yet."
    return (
        f"error: no transcript: {path}\n  A task has one from the moment its worker first prints something."
        f"\n  {there} `coordinator status` lists the tasks."
    )


def _print(
    source: IO[bytes],
    path: Path,
    options: ViewOptions,
    out: TextIO,
    zone: tzinfo | None,
    pause: Callable[[float], None],
) -> None:
    put = _printer(out, zone)
    choice = Choice(options.detailed, options.tools, options.errors, hold=not options.follow)
    talk = Conversation(choice)
    out.write(header(_facts(source, path), zone) + "\n")
    for body in _bodies(source, path, pause if options.follow else None):
        for line in talk.feed(body):
            put(line)
        if options.follow:   # the next one may be long in coming
            out.flush()
    for line in talk.end():
        put(line)
    out.write(footer(talk.totals) + "\n")


def _print_summary(source: IO[bytes], path: Path, options: ViewOptions, out: TextIO, zone: tzinfo | None) -> None:
    from coordinator.cli.summing import summary

    facts = _facts(source, path)
    with path.open("rb", buffering=0) as plain:
        summary(plain, facts, out, zone, as_json=options.as_json)


def _print_json(
    source: IO[bytes], path: Path, options: ViewOptions, out: TextIO, pause: Callable[[float], None]
) -> None:
    for body in _bodies(source, path, pause if options.follow else None):
        if isinstance(body, dict) and _wanted(body, options):
            out.write(json.dumps(body) + "\n")
            if options.follow:
                out.flush()


def _wanted(body: dict[str, Any], options: ViewOptions) -> bool:
    if not (options.tools or options.errors):
        return True
    kinds = {block.get("type") for block in shape.blocks(body)}
    is_tool = bool(kinds & {"tool_use", "tool_result"})
    return (options.tools and is_tool) or (options.errors and body.get("type") == "error")


def _printer(out: TextIO, zone: tzinfo | None) -> Callable[[Line], None]:
    if not out.isatty():
        return lambda line: print(plain(line, zone), file=out)
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)

    def put(line: Line) -> None:
        text = Text(plain(line, zone), style="red" if line.failed else _STYLES.get(line.kind, ""))
        text.stylize("dim", 0, 8)
        console.print(text)

    return put


def _facts(source: IO[bytes], path: Path) -> Facts:
    """From the first lines and the end of the file alone, so that a page stands at once, whatever the
    size."""
    facts = Facts(path.stem)
    for line in source.read(HEAD_BYTES).split(b"\n", HEAD_LINES)[:HEAD_LINES]:
        body = _parse(line)
        if isinstance(body, dict):
            facts.feed(body)
        if facts.complete:
            break
    source.seek(max(0, os.fstat(source.fileno()).st_size - TAIL_BYTES))
    for line in source.read().splitlines():
        body = _parse(line)
        if isinstance(body, dict):
            facts.feed(body)
    source.seek(0)
    return facts


def _bodies(source: IO[bytes], path: Path, pause: Callable[[float], None] | None) -> Iterator[object]:
    """Each line's JSON value, None where it has none. With `pause` it waits for more until the run's end."""
    for line in _whole_lines(source, path, pause):
        body = _parse(line)
        yield body
        if pause and isinstance(body, dict) and body.get("subtype") == shape.ENDED:
            return


def _whole_lines(source: IO[bytes], path: Path, pause: Callable[[float], None] | None) -> Iterator[bytes]:
    """Lines that are not blank; a torn last one too, but only once nothing can complete it."""
    with ExitStack() as opened:
        while True:
            line = source.readline(LONGEST_LINE)
            if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                if pause is not None and path.exists():
                    source.seek(-len(line), os.SEEK_CUR)
                    pause(LOOK_EVERY)
                    source = _reopened(source, path, opened)
                    continue
                if not line:
                    return
            if line.strip():
                yield line


def _reopened(source: IO[bytes], path: Path, opened: ExitStack) -> IO[bytes]:
    """The same file, or the one that took its place. A transcript that was written anew begins with the very
    same lines, so reading goes on at the same offset; a shorter one is another run's, read from its start."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return source
    if found.st_ino == os.fstat(source.fileno()).st_ino:
        return source
    fresh = opened.enter_context(path.open("rb"))
    fresh.seek(source.tell() if found.st_size >= source.tell() else 0)
    return fresh


def _parse(line: bytes) -> object:
    try:
        value: object = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _attempt_of(path: Path) -> int | None:
    try:
        with path.open("rb") as source:
            body = _parse(source.readline())
    except FileNotFoundError:
        return None
    attempt = body.get("attempt") if isinstance(body, dict) else None
    return attempt if isinstance(attempt, int) else None


def _mute(out: TextIO) -> None:
    """The reader went away (`| head`): what is still buffered must not become an error at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, out.fileno())
    os.close(null)
