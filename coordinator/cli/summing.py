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
LONGEST_LINE = 16 << 20
"""What is longer is counted as unreadable, whatever is in it."""


def account_of(source: IO[bytes]) -> Account:
    """Of all that can be read from `source`, whatever it holds."""
    account = Account()
    for line in _lines(source):
        found = event(line) if line is not None else None
        if found is not None or line is None or line.strip():
            account.feed(found)
    return account


def summary(source: IO[bytes], facts: Facts, out: TextIO, zone: tzinfo | None, *, as_json: bool) -> None:
    """Prints the account of a transcript whose ends told these facts."""
    account = account_of(source)
    if as_json:
        out.write(json.dumps(as_data(facts, account), indent=2) + "\n")
    else:
        out.writelines(f"{line}\n" for line in lines(facts, account, zone))


def _lines(source: IO[bytes]) -> Iterator[bytes | bytearray | None]:
    """Without their ends; None for one that is too long to be held."""
    begun, too_long = bytearray(), False
    while block := source.read(BLOCK):
        first, *others = block.split(b"\n")
        if not too_long:
            begun += first
        too_long = too_long or len(begun) > LONGEST_LINE
        if others:
            yield None if too_long else begun
            yield from others[:-1]
            too_long, begun = False, bytearray(others[-1])
        elif too_long:
            begun.clear()
    if begun or too_long:
        yield None if too_long else begun
