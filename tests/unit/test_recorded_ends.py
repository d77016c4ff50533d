"""What was recorded of the real CLIs, version by version, is judged as the table of ends says."""

from __future__ import annotations

import pytest

from coordinator.adapters.providers import provider
from coordinator.ports import Finished
from tests.recordings.record import recorded, runs
from tests.support.conformance import PROVIDERS, ROWS, called, cells

RUNS = [pytest.param(name, row, run, id=f"{name} {version}: {row}") for name, version, row, run in runs()]
CELLS = {row.name: row for row in ROWS}


@pytest.mark.req("W25", "N6")
@pytest.mark.parametrize(("name", "row", "run"), RUNS)
def test_each_recorded_end_has_the_class_of_the_table(name: str, row: str, run: Finished) -> None:
    outcome = provider(name).judge(run)
    assert called(outcome, name) == CELLS[row].cell(name), outcome.detail


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_end_of_every_provider_is_recorded(name: str) -> None:
    newest = {row for one, version, row, _ in runs() if (one, version) == (name, recorded(name))}
    assert newest == {row.name for row, one in cells() if one == name}
