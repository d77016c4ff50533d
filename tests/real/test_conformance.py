"""Every provider on its real CLI, a scripted model behind it: each end of a run is judged as what it was. The table of
what was found is printed at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from coordinator.adapters.providers import provider
from coordinator.ports import Finished
from coordinator.runfiles import identity
from tests.real.conftest import CELL
from tests.recordings.record import recorded, version
from tests.support.agents import CANARY, STANDS, Bench
from tests.support.conformance import PROVIDERS, Row, called, scenarios
from tests.support.conformance import cells as all_cells
from tests.support.model_server import serving
from tests.support.real_parts import missing

pytestmark = pytest.mark.timeout(240)
"""One cell may take long: some CLIs ask again and again before they give up."""


CELLS = list(all_cells())


def play(name: str, row: Row, folder: Path) -> tuple[Bench, Finished]:
    """One cell, on a model of its own: its scenarios count requests."""
    with serving() as server:
        server.scenarios |= scenarios()
        bench = Bench(name, folder, server)
        bench.lay_out()
        try:
            return bench, bench.play(row)
        finally:
            bench.bury()
            assert server.strays == []


@pytest.mark.req("N6", "W25")
@pytest.mark.parametrize(("row", "name"), [pytest.param(row, name, id=f"{name}: {row.name}") for row, name in CELLS])
def test_each_end_has_its_class(
    tmp_path: Path, record_property: Callable[[str, object], None], name: str, row: Row
) -> None:
    if missing(STANDS[name].binary):
        pytest.skip(missing(STANDS[name].binary))
    bench, run = play(name, row, tmp_path)
    outcome = provider(name).judge(run)
    found = called(outcome, name)
    record_property(CELL, [row.name, name, found])
    assert found == row.cell(name), outcome.detail
    assert (outcome.ending == "Succeeded") == (row.cell(name) == "success")
    if row.name == "limit with a reset" and name == "codex":
        assert outcome.reset_at is not None
    if row.name == "429, then an answer":
        assert bench.server.asked[row.asked(name)] > 1, "it was refused once and asked again"
    if row.name == "commit":
        assert outcome.summary == "All done."
        assert (outcome.usage.tokens_in, outcome.usage.tokens_out) == (200, 20), "the CLI's own totals"
        assert bench.git("log", "-1", "--format=%s") == "Add a greeting"


@pytest.fixture(params=PROVIDERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if missing(STANDS[request.param].binary):
        pytest.skip(missing(STANDS[request.param].binary))
    with serving() as server:
        made = Bench(request.param, tmp_path, server)
        made.lay_out()
        yield made
        made.bury()


def test_the_installed_version_is_the_recorded_one(bench: Bench) -> None:
    """A new version is recorded anew (`python -m tests.recordings.record`), which shows what it calls otherwise."""
    assert recorded(bench.name) == version(bench.stand.binary)


def test_no_token_of_the_coordinator_and_no_key_of_another_provider_reaches_the_agent(bench: Bench) -> None:
    makers = {"ANTHROPIC": "claude", "GEMINI": "gemini", "OPENAI": "codex", "ZAI": "cc-glm"}
    foreign = {f"{key}_API_KEY": f"the-key-of-{owner}" for key, owner in makers.items() if owner != bench.name}
    child = bench.start("hang", environ=foreign)
    try:
        handed = [identity.environ(pid) for pid in (child.pid, *_below(child.pid))]
        for secret in (CANARY, *foreign.values()):
            assert not [one for one in handed if secret.encode() in one], secret
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _below(pid: int) -> list[int]:
    return [one.pid for one in psutil.Process(pid).children(recursive=True)]
