"""Checks `req` marks at collection: one that cannot be believed stops the run before it starts."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

import pytest

from tests.rows import MOST_IDS, Row, read_table


def pytest_configure() -> None:
    """A run in the background is started deaf to Ctrl-C, and so would be everything it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    known = read_table()
    wrong = dict.fromkeys(line for item in items for line in _faults(item, known))
    if wrong:
        raise pytest.UsageError(*wrong)


def _faults(item: pytest.Item, known: Mapping[str, Row]) -> list[str]:
    ids = list(dict.fromkeys(name for mark in item.iter_markers("req") for name in mark.args))
    where = item.nodeid.partition("[")[0]
    lines = [f"{where}: no row {name!r} in docs/requirements.tsv" for name in ids if name not in known]
    if len(ids) > MOST_IDS:
        lines.append(f"{where}: carries {len(ids)} rows; {MOST_IDS} at most, split the test")
    return lines
