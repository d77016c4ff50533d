"""Every provider on its real CLI, a scripted model behind it: each end of a run is judged as what it was. The table of
what was found is printed at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from coordinator.adapters.providers import provider
from tests.real.conftest import FOUND
from tests.recordings.record import recorded, version
from tests.support.agents import CANARY, STANDS, Bench
from tests.support.conformance import PROVIDERS, ROWS, Row, called, scenarios
from tests.support.model_server import ModelServer, serving
from tests.support.real_parts import missing

pytestmark = pytest.mark.timeout(120)
"""One cell may take long: some CLIs ask again and again before they give up."""


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with serving() as server:
        server.scenarios |= scenarios()
        yield server
    assert server.strays == []


@pytest.fixture(params=PROVIDERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, model: ModelServer) -> Iterator[Bench]:
    if missing(STANDS[request.param].binary):
        pytest.skip(missing(STANDS[request.param].binary))
    made = Bench(request.param, tmp_path, model)
    made.lay_out()
    yield made
    made.bury()


@pytest.mark.req("N6", "W25")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_end_has_its_class(bench: Bench, row: Row) -> None:
    outcome = provider(bench.name).judge(bench.play(row))
    FOUND[row.name, bench.name] = called(outcome, bench.name)
    assert FOUND[row.name, bench.name] == row.cell(bench.name), outcome.detail
    assert (outcome.ending == "Succeeded") == (row.cell(bench.name) == "success")
    if "with a reset" in row.name and bench.name == "codex":
        assert outcome.reset_at is not None
    if row.name == "commit":
        assert outcome.summary == "All done."
        assert (outcome.usage.tokens_in, outcome.usage.tokens_out) == (200, 20), "the CLI's own totals"
        assert bench.git("log", "-1", "--format=%s") == "Add a greeting"


def test_the_installed_version_is_the_recorded_one(bench: Bench) -> None:
    """A new version is recorded anew (`python -m tests.recordings.record`), which shows what it calls otherwise."""
    assert recorded(bench.name) == version(bench.stand.binary)


def test_no_token_of_the_coordinator_and_no_key_of_another_provider_reaches_the_agent(bench: Bench) -> None:
    makers = {"ANTHROPIC": "claude", "GEMINI": "gemini", "OPENAI": "codex", "ZAI": "cc-glm"}
    foreign = {f"{key}_API_KEY": f"the-key-of-{owner}" for key, owner in makers.items() if owner != bench.name}
    child = bench.start("hang", environ=foreign)
    try:
        handed = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (child.pid, *_below(child.pid))]
        for secret in (CANARY, *foreign.values()):
            assert not [one for one in handed if secret.encode() in one], secret
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _below(pid: int) -> list[int]:
    return [one.pid for one in psutil.Process(pid).children(recursive=True)]
