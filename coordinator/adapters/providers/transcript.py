"""Makes the transcript that people and scripts read out of a run's raw output, as it is being printed.

Only whole lines are taken; secrets are masked; each failure has a `type=error` line of its own. A new process
writes the file anew from the raw log, under a temporary name, so that a line torn by a crash never stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from pathlib import Path
from typing import IO, Any

from coordinator.adapters.providers.rawlog import LONGEST_LINE, stderr_that_matters, whole_lines
from coordinator.adapters.system.seam import crossing
from coordinator.domain.outcome import Usage
from coordinator.ports import Provider, Recording, Said, Signs
from coordinator.runfiles import transcript as shape
from coordinator.runfiles.masking import Masker
from coordinator.runfiles.verdict.lines import parse
from coordinator.runfiles.verdict.tally import Tally

LONGEST_SIGN = 80
MOST_A_LOOK = 16 << 20
"""Bytes of a running agent's output that one look takes in, with the line that reaches it: a second or two of the
engine's time. One that prints faster is followed behind, and caught up with at its end."""
_FAILURES = frozenset({"retry", "error", "limit", "result"})


@dataclass
class _State:
    """How far one transcript has come. `offset` is the first byte of the raw log that is not in it. `trouble`: it could
    not be written; then what the run shows is read on all the same, and the file is written anew when it can be."""

    run: Recording
    offset: int = 0
    inode: int = 0
    finished: bool = False
    said: str = ""
    trouble: OSError | None = None
    tally: Tally = field(default_factory=Tally)
    signs: Signs = field(default_factory=Signs)


class Transcriber:
    """The Transcript port. `provider` finds a provider by name."""

    def __init__(self, provider: Callable[[str], Provider], masker: Masker) -> None:
        self._provider = provider
        self._masker = masker
        self._states: dict[Path, _State] = {}

    def follow(self, run: Recording, now: datetime) -> Signs:
        state = self._state(run, now)
        if not state.finished:
            self._append(state, self._new_lines(state, now, most=MOST_A_LOOK))
        return replace(state.signs, unwritten=str(state.trouble or ""))

    def finish(self, run: Recording, now: datetime, ended: str) -> Signs:
        """Raises OSError where it cannot be written: a run's end is not settled without."""
        state = self._state(run, now)
        if not state.finished and not state.trouble:
            self._append(state, self._last_lines(state, now, ended))
        if state.trouble:
            raise state.trouble
        state.finished = True
        return state.signs

    def _state(self, run: Recording, now: datetime) -> _State:
        """The known state, or a new one with the transcript written anew, as far as it can be written."""
        state = self._states.get(run.target)
        if state is not None and not (_same_run(state.run, run) and _same_log(state)):
            state = None
        if state is None or state.trouble or not _plain(run.target):
            try:
                state = self._rebuild(run, now)
            except OSError as error:
                state = state or _State(run, inode=_inode(run.log))
                state.trouble = error
            self._states[run.target] = state
        return state

    def _rebuild(self, run: Recording, now: datetime) -> _State:
        state = _State(run, inode=_inode(run.log))
        with crossing("file", f"transcript {run.target.name}"):
            run.target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(run.target) and not _plain(run.target):
                run.target.unlink()
            _keep_other_run(run)
        old_ended = _ending_of(run.target)
        if not run.log.exists() and run.target.exists():
            # The raw log was tidied away: what is left of the run is this transcript, so it stays.
            state.finished = True
            return state
        header = shape.started(run.task_id, run.provider, run.attempt, run.run_id)
        what = f"transcript {run.target.name}"
        with crossing("file", what), _old_stamps(run.target) as stamps, _replacing(run.target) as out:
            for body in self._whole(state, header, now, old_ended):
                out.write(self._dump(_stamped(body, next(stamps, None), now)))
        state.finished = old_ended is not None
        return state

    def _whole(
        self, state: _State, header: dict[str, Any], now: datetime, ended: str | None
    ) -> Iterator[Mapping[str, Any]]:
        yield header
        if ended is None:
            yield from self._new_lines(state, now)
        else:
            yield from self._last_lines(state, now, ended)

    def _append(self, state: _State, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Takes all of them in, and writes them as far as it can: what a run uses must be known on a full disk too."""
        first = next(iterator := iter(bodies), None)
        if first is None:
            return
        target = state.run.target
        try:
            if not state.trouble:
                with crossing("file", f"transcript {target.name}"), _to_write(target, os.O_APPEND) as out:
                    out.write(self._dump(first))
                    for body in iterator:
                        out.write(self._dump(body))
        except OSError as error:
            state.trouble = error
        for _ in iterator:
            pass

    def _new_lines(
        self, state: _State, now: datetime, *, torn: bool = False, most: int | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """What the raw log holds since `offset`, as transcript objects; moves the offset as it goes. No line is begun
        behind `most` bytes."""
        provider, enough = self._provider(state.run.provider), state.offset + most if most is not None else inf
        for line, offset in whole_lines(state.run.log, state.offset, torn=torn):
            state.offset = offset
            said = (_too_long(),) if line is None else provider.events(line) if line else ()
            for body in _bodies(said):
                yield _stamped(body, None, now)
            self._notice(state, said, now)
            for body in self._failures(state, said):
                yield _stamped(body, None, now)
            if offset >= enough:
                return

    def _last_lines(self, state: _State, now: datetime, ended: str) -> Iterator[Mapping[str, Any]]:
        yield from self._new_lines(state, now, torn=True)
        for line in stderr_that_matters(state.run.err):
            yield _stamped(shape.error("stderr", line), None, now)
        yield _stamped(shape.ended(ended), None, now)

    def _notice(self, state: _State, said: tuple[Said, ...], now: datetime) -> None:
        for one in said:
            state.tally.feed(one.raw)
            state.signs = self._moved(state.signs, one, now)
        state.signs = replace(state.signs, usage=Usage(*state.tally.use, state.tally.cached))

    def _moved(self, signs: Signs, one: Said, now: datetime) -> Signs:
        if one.kind == "init":
            session = str(one.raw.get("session_id") or "")
            signs = replace(signs, session_id=session, model=one.text)
        last = shape.one_line(self._masker.piece(_gist(one)), LONGEST_SIGN) or signs.last
        return replace(signs, events=signs.events + 1, last=last, last_at=now)

    @staticmethod
    def _failures(state: _State, said: tuple[Said, ...]) -> Iterator[dict[str, Any]]:
        """An error line for each failure among the events; the same words are not said twice in a row."""
        for one in said:
            for kind, words in _failure_words(one):
                if words != state.said:
                    state.said = words
                    yield shape.error(kind, words)
            if one.kind in {"text", "tool"}:
                state.said = ""

    def _dump(self, body: Mapping[str, Any]) -> bytes:
        text = json.dumps(self._masker.value(body, self._masker.piece), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace") + b"\n"


def _bodies(said: Iterable[Said]) -> Iterator[Mapping[str, Any]]:
    return (one.raw for one in said if one.raw)


def _stamped(body: Mapping[str, Any], stamp: str | None, now: datetime) -> Mapping[str, Any]:
    """The object with a timestamp: `stamp` if given, else its own, else now."""
    if stamp is None and isinstance(body.get("timestamp"), str):
        return body
    return {**body, "timestamp": stamp or now.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _too_long() -> Said:
    words = f"a line of more than {LONGEST_LINE // 1024 // 1024} MB was left out"
    return Said("error", words, is_error=True, raw=shape.error("output", words))


def _gist(one: Said) -> str:
    """Longer than it is shown: what hides secrets must see them whole."""
    if one.kind == "tool":
        block = next((block for block in shape.blocks(one.raw) if block.get("type") == "tool_use"), {})
        return f"{one.tool} {shape.tool_gist(block)}".strip()
    return shape.one_line(one.text) if one.kind in {"text", "retry", "error", "limit"} else ""


def _failure_words(one: Said) -> Iterator[tuple[str, str]]:
    if one.kind == "result":
        denials = one.raw.get("permission_denials")
        for denied in denials if isinstance(denials, list) else ():
            name = denied.get("tool_name", "?") if isinstance(denied, Mapping) else denied
            yield "permission_denied", f"refused tool: {name}"
    if one.is_error and one.kind in _FAILURES and one.raw.get("type") != "error":
        yield str(one.raw.get("error") or one.kind), one.text or _result_words(one.raw)


def _result_words(body: Mapping[str, Any]) -> str:
    parts = [str(body[key]) for key in ("subtype", "terminal_reason") if body.get(key)]
    return ", ".join(parts) or "failed"


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _same_run(one: Recording, other: Recording) -> bool:
    """A run_id alone counts seconds, and an attempt may follow another within one."""
    return (one.run_id, one.attempt) == (other.run_id, other.attempt)


def _same_log(state: _State) -> bool:
    """Whether the raw log is still the file that was read (not rotated, not cut), or gone with all of it
    read."""
    try:
        now = state.run.log.stat()
    except FileNotFoundError:
        return True
    return now.st_ino == state.inode and now.st_size >= state.offset


def _first_line(target: Path) -> dict[str, Any]:
    try:
        with target.open("rb") as source:
            return parse(source.readline(LONGEST_LINE)) or {}
    except FileNotFoundError:
        return {}


def _keep_other_run(run: Recording) -> None:
    """Moves another run's transcript aside, to `<task>.<attempt>.jsonl` or the next free number."""
    if not run.target.exists():
        return
    first = _first_line(run.target)
    attempt = first.get("attempt")
    if (first.get("run_id"), attempt) == (run.run_id, run.attempt):
        return
    number = attempt if isinstance(attempt, int) else 0
    while (kept := run.target.with_name(f"{run.target.stem}.{number}.jsonl")).exists():
        number += 1
    run.target.rename(kept)


def _ending_of(target: Path) -> str | None:
    """How a finished transcript says that its run ended; None while it does not."""
    try:
        with target.open("rb") as source:
            source.seek(max(0, target.stat().st_size - 4096))
            last = source.read().splitlines()[-1:]
    except FileNotFoundError:
        return None
    body = (parse(last[0]) if last else None) or {}
    return str(body.get("how", "")) if body.get("subtype") == shape.ENDED else None


def _plain(path: Path) -> bool:
    """Whether it is a file itself: agents can write where it lies, and could have put a link or a pipe there."""
    return path.is_file() and not path.is_symlink()


def _to_write(path: Path, how: int) -> IO[bytes]:
    """The open file, its owner's alone; no link is followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags | how, 0o600), "wb")


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """Writes a file under a temporary name and puts it in place when all went well."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with _to_write(temporary, os.O_TRUNC) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _old_stamps(target: Path) -> Iterator[Iterator[str | None]]:
    """The timestamps of a transcript's lines in turn: what was seen once keeps the time when it was seen."""
    if not target.exists():
        yield iter(())
        return
    with target.open("rb") as source:
        yield (_stamp_in(line) for line in source)


def _stamp_in(line: bytes) -> str | None:
    stamp = (parse(line) or {}).get("timestamp")
    return stamp if isinstance(stamp, str) else None
