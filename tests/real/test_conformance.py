"""Every provider on its real CLI, a scripted model behind it: each end of a run is judged as what it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.domain.outcome import Ending
from tests.support.agents import CANARY, STANDS, Bench
from tests.support.model_server import ModelServer, serving
from tests.support.real_parts import missing

pytestmark = pytest.mark.timeout(120)
"""One cell may take long: some CLIs ask again and again before they give up."""


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with serving() as server:
        yield server
    assert server.strays == []


@pytest.fixture(params=sorted(STANDS))
def bench(request: pytest.FixtureRequest, tmp_path: Path, model: ModelServer) -> Iterator[Bench]:
    if missing(STANDS[request.param].binary):
        pytest.skip(missing(STANDS[request.param].binary))
    made = Bench(request.param, tmp_path, model)
    made.lay_out()
    yield made
    made.bury()


FAILURES: dict[str, dict[str, str]] = {
    "401": {"": "auth_blocked"},
    "403": {"": "auth_blocked"},
    "404": {"": "model_unavailable"},
    "credit": {"": "no_credit"},
    "429": {"": "rate_limited", "gemini": "capacity_exhausted"},
    "500": {"": "network", "codex": "overloaded"},
    "529": {"": "overloaded", "gemini": "capacity_exhausted"},
    "cut": {"": "protocol_error", "codex": "network", "opencode": "max_runtime"},
}
"""The class of each failure; "" for all providers that are not named. Where it is the time limit, only that ends it."""


@pytest.mark.parametrize("scenario", FAILURES)
def test_each_failure_of_the_api_has_its_class(bench: Bench, scenario: str) -> None:
    wanted = FAILURES[scenario].get(bench.name, FAILURES[scenario][""])
    endless = wanted == "max_runtime"
    outcome = bench.cut_short(scenario, b'"unknown"', wanted) if endless else bench.run(scenario)
    assert outcome.ending is (Ending.TIMED_OUT if endless else Ending.FAILED), outcome
    assert outcome.reason in (wanted, f"{bench.name.replace('-', '_')}_{wanted}"), outcome.detail


def test_a_commit_and_a_good_end_are_success_with_the_cli_s_own_sum_of_tokens(bench: Bench) -> None:
    outcome = bench.run("commit")
    assert (outcome.ending, outcome.summary) == (Ending.SUCCEEDED, "All done."), outcome
    assert (outcome.usage.tokens_in, outcome.usage.tokens_out) == (200, 20)
    assert bench.git("log", "-1", "--format=%s") == "Add a greeting"


def test_an_answer_without_a_commit_is_no_change(bench: Bench) -> None:
    assert bench.run("text").ending is Ending.NO_CHANGE


@pytest.mark.parametrize(("number", "ending", "reason"), [
    (signal.SIGTERM, Ending.CANCELLED, "manual_stop"), (signal.SIGKILL, Ending.FAILED, "killed"),
])
def test_a_signal_in_the_middle_of_a_tool_is_never_success(
    bench: Bench, number: signal.Signals, ending: Ending, reason: str
) -> None:
    child = bench.start("slow-tool")
    bench.wait_for(bench.stand.works)
    child.send_signal(number)
    outcome = bench.judge(child)
    assert (outcome.ending, outcome.reason) == (ending, reason), outcome.detail


def test_no_token_of_the_coordinator_reaches_the_agent(bench: Bench) -> None:
    child = bench.start("hang")
    try:
        assert CANARY.encode() not in Path(f"/proc/{child.pid}/environ").read_bytes()
        assert b"OPENAI_API_KEY" not in Path(f"/proc/{child.pid}/environ").read_bytes() or bench.name == "codex"
    finally:
        child.kill()
        child.wait()
