"""What holds for every test: marks that can be believed, Ctrl-C that is heard, and no limit that only measures how
busy the machine is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.rows import MOST_IDS, Row, read_table
from tests.support.turns import turn

ALONE = "alone"
WRONG = pytest.StashKey[list[str]]()

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Most tests wait for processes more than they work, so that a machine carries more of them than it has cores."""
    return min(len(os.sched_getaffinity(0)) + 2, 8)


def pytest_configure() -> None:
    """A run in the background is started deaf to Ctrl-C, and so would be everything it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("busy machine")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known = read_table()
    wrong = list(dict.fromkeys(line for item in items for line in _faults(item, known)))
    if not hasattr(config, "workeroutput"):
        if wrong:
            raise pytest.UsageError(*wrong)
        return
    if wrong:   # one of several processes of a run: the first of them tells it
        config.workeroutput["wrong"] = wrong
        items.clear()
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: {"": 1, ALONE: 2}.get(groups[item], 0))


def _group(item: pytest.Item) -> str:
    """The tests that one process of a run takes together; "" for one by itself."""
    if item.get_closest_marker(ALONE):
        return ALONE
    return item.path.stem if _shares(item) else ""


def _shares(item: pytest.Item) -> bool:
    """Whether it uses what is made once for a module: its module's tests stay in one process, so that it is."""
    made = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    return any(definitions[-1].scope == "module" for definitions in made.values())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    if not hasattr(item.config, "workerinput"):
        return (yield)
    folder = item.config._tmp_path_factory.getbasetemp().parent   # of all processes of this run
    with turn(folder, alone=item.get_closest_marker(ALONE) is not None):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash.setdefault(WRONG, []).extend(getattr(node, "workeroutput", {}).get("wrong", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if wrong := session.config.stash.get(WRONG, []):
        raise pytest.UsageError(*dict.fromkeys(wrong))


def _faults(item: pytest.Item, known: Mapping[str, Row]) -> list[str]:
    ids = list(dict.fromkeys(name for mark in item.iter_markers("req") for name in mark.args))
    where = item.nodeid.partition("[")[0]
    lines = [f"{where}: no row {name!r} in docs/requirements.tsv" for name in ids if name not in known]
    if len(ids) > MOST_IDS:
        lines.append(f"{where}: carries {len(ids)} rows; {MOST_IDS} at most, split the test")
    return lines
