"""Reads a transcript of any size for its account alone, in the memory of one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import tzinfo
from typing import IO, TextIO

from coordinator.cli.events import event
from coordinator.cli.views.account import Account, as_data, lines
from coordinator.cli.views.frame import Facts

BLOCK = 256 << 10
LONGEST_LINE = 12 << 20
"""What is longer is counted as unreadable, whatever is in it."""
_USER, _FAILED, _NOT, _CLOSED = b'{"type":"user",', b'"is_error"', b":false", ord("}")


def account_of(source: IO[bytes]) -> Account:
    """Of all that can be read from `source`, an unbuffered file, whatever it holds."""
    account, reader = Account(), _Reader(source)
    for line in reader.lines():
        found = event(line) if line is not None else None
        if found is not None or line is None or len(line) > BLOCK or bytes(line).strip():
            account.feed(found)
            if found is not None and found.timestamp is not None:
                reader.dated, reader.quiet = True, None
        del line   # the buffer of a long line goes with it
    account.events += reader.passed
    if isinstance(reader.quiet, bytes) and (last := event(reader.quiet)) is not None:
        account.last = last.timestamp or account.last
    return account


def summary(source: IO[bytes], facts: Facts, out: TextIO, zone: tzinfo | None, *, as_json: bool) -> None:
    """Prints the account of a transcript whose ends told these facts."""
    account = account_of(source)
    if as_json:
        out.write(json.dumps(as_data(facts, account), indent=2) + "\n")
    else:
        out.writelines(f"{line}\n" for line in lines(facts, account, zone))


class _Reader:
    """The lines of a file, but for those that are known to tell nothing once the first time is told (`dated`): what
    came back well from a tool, most of a transcript's bytes. They are counted in `passed`; `quiet` is the last of
    them, for its time, unless a later line tells one. Nobody asks of such a line whether it is JSON to its end."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.dated = False
        self.passed = 0
        self.quiet: bytes | slice | None = None

    def lines(self) -> Iterator[memoryview | None]:
        """Without their ends; None for one that is too long to be held. Each stands in the one buffer, until the next
        is asked for: nothing is copied but what a block's end cuts off."""
        buffer, have, skipping = bytearray(BLOCK), 0, False
        while got := _more(self._source, buffer, have):
            end, start = have + got, 0
            with memoryview(buffer) as whole:
                while (stop := buffer.find(b"\n", start, end)) >= 0:
                    if skipping:
                        yield None
                    elif self.dated and _is_quiet(buffer, start, stop):
                        self.passed += 1
                        self.quiet = slice(start, stop)
                    else:
                        yield whole[start:stop]
                    start, skipping = stop + 1, False
            if isinstance(self.quiet, slice):
                self.quiet = bytes(buffer[self.quiet])
            have = 0 if skipping else end - start
            if have == LONGEST_LINE:
                have, skipping = 0, True
            buffer = _moved(buffer, start, have)
        if have or skipping:
            yield None if skipping else memoryview(buffer)[:have]


def _is_quiet(buffer: bytearray, start: int, stop: int) -> bool:
    """Whether these bytes are an event of what came from the user's side, with no tool that failed. Bytes that look
    like a key are one: within a string its quotes would be escaped."""
    if stop - start > BLOCK or buffer[stop - 1] != _CLOSED or not buffer.startswith(_USER, start):
        return False
    found = buffer.find(_FAILED, start, stop)
    while found >= 0:
        found += len(_FAILED)
        if not buffer.startswith(_NOT, found):
            return False
        found = buffer.find(_FAILED, found, stop)
    return True


def _more(source: IO[bytes], buffer: bytearray, have: int) -> int:
    found: int = source.readinto(memoryview(buffer)[have:])   # type: ignore[attr-defined]
    return found


def _moved(buffer: bytearray, start: int, have: int) -> bytearray:
    """The buffer with what is left of it in front and room behind it: a larger one for a long line, and only for that.
    It is made at once: to grow would take twice the memory."""
    if have == len(buffer) or have <= BLOCK // 2 < len(buffer) // 2:
        fresh = bytearray(LONGEST_LINE if have == len(buffer) else BLOCK)
        fresh[:have] = memoryview(buffer)[start : start + have]
        return fresh
    buffer[:have] = memoryview(buffer)[start : start + have]
    return buffer
