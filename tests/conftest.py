"""What holds for every test: marks that can be believed, Ctrl-C that is heard, and no limit that only measures how
busy the machine is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
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
    """A run in the background is started deaf to Ctrl-C, under nohup to a closed terminal, and so would be all that it
    starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
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
    items.sort(key=lambda item: 2 if item.get_closest_marker(ALONE) else 0 if _shares(item.path) else 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each process takes the next test when it has done one. What is made once for a module is made in one process:
    the tests of its file stay together, and come first, as such a file takes long."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if _shares(config.rootpath / file) else nodeid

    return Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


@cache
def _shares(file: Path) -> bool:
    return 'scope="module"' in file.read_text("utf-8")


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
