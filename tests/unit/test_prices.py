"""What tokens cost: by a dated table, by the agent's own word first, and never by a guess."""

from __future__ import annotations

import json
from datetime import date

import pytest

from coordinator.adapters.providers import provider
from coordinator.app.prices import prices
from coordinator.domain.outcome import Usage
from coordinator.domain.prices import Price, Prices
from coordinator.ports import Finished
from coordinator.runfiles.verdict.tally import Tally

TABLE = Prices("2026-01-01", {"big-1": Price(sent=2.0, written=10.0, cached=0.5), "big": Price(9.0, 9.0, 9.0)})


@pytest.mark.parametrize(("usage", "dollars"), [
    (Usage(1_000_000, 0), 2.0),
    (Usage(0, 1_000_000), 10.0),
    (Usage(1_000_000, 100_000, None, 800_000), 0.2 * 2 + 0.8 * 0.5 + 1.0),
    (Usage(1_000, None), 0.002),
    (Usage(1_000, 0, None, 5_000), 0.0005),
])
def test_tokens_out_of_the_cache_cost_less_than_new_ones(usage, dollars):
    assert TABLE.priced(usage, "big-1", "codex").cost_usd == pytest.approx(dollars)


@pytest.mark.parametrize("name", ["big-1", "BIG-1", "maker/big-1", "a/b/big-1", "big-1-20260101", "big-1@20260101",
                                  "big-1[1m]", "big-1-latest", "big-1-20260101[1m]"])
def test_a_model_is_known_by_all_its_names(name):
    assert TABLE.of(name) == TABLE.models["big-1"]


@pytest.mark.parametrize("name", ["", "big-2", "big-1-mini", "bigger", "big-1-2026", "/"])
def test_a_model_outside_the_table_has_no_price_and_keeps_its_tokens(name):
    assert TABLE.priced(Usage(5, 7), name, "codex") == Usage(5, 7)


def test_the_agents_own_word_on_money_stays():
    told = Usage(1_000_000, 0, 0.01)
    assert TABLE.priced(told, "big-1", "claude") == told


def test_claudes_word_on_the_money_of_glm_does_not_count():
    told = Usage(1_000_000, 0, 3.0)
    assert TABLE.priced(told, "big-1", "cc-glm").cost_usd == 2.0
    assert TABLE.priced(told, "unknown", "cc-glm") == Usage(1_000_000, 0)


def test_no_tokens_no_money():
    assert TABLE.priced(Usage(), "big-1", "codex") == Usage()


def test_the_table_that_is_shipped_has_a_date_and_prices_that_can_be():
    table = prices()
    assert date.fromisoformat(table.dated) > date(2026, 1, 1)
    assert {"claude-sonnet-4-5", "gpt-5-codex", "gemini-3-flash-preview", "glm-5"} <= set(table.models)
    for price in table.models.values():
        assert 0 < price.cached < price.sent < price.written < 100


def message(ident: str, fresh: int, cached: int, out: int) -> dict[str, object]:
    usage = {"input_tokens": fresh, "cache_read_input_tokens": cached, "output_tokens": out}
    return {"type": "assistant", "message": {"id": ident, "usage": usage}}


def test_what_came_out_of_the_cache_is_counted_once_a_message_while_it_runs_and_by_the_result_at_its_end():
    tally = Tally()
    assert tally.cached is None
    for body in (message("a", 10, 100, 1), message("a", 10, 100, 5), message("b", 20, 300, 7)):
        tally.feed(body)
    assert (tally.use, tally.cached) == ((430, 12, None), 400)
    tally.feed({"type": "result", "usage": {"input_tokens": 40, "cache_read_input_tokens": 500, "output_tokens": 13}})
    assert (tally.use, tally.cached) == ((540, 13, None), 500)


def test_a_judged_run_is_priced_with_its_cache():
    told = {"type": "result", "subtype": "success", "is_error": False, "result": "ok",
            "usage": {"input_tokens": 100_000, "cache_read_input_tokens": 900_000, "output_tokens": 10_000}}
    run = Finished(0, None, "process_exit", [json.dumps(told).encode()], "", None)
    outcome = provider("claude").judge(run)
    assert outcome.usage == Usage(1_000_000, 10_000, None, 900_000)
    priced = prices().priced(outcome.usage, "claude-sonnet-4-5-20250929", "claude")
    assert priced.cost_usd == pytest.approx(0.3 + 0.27 + 0.15)
