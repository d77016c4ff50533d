"""What no cap can count is said: by the sessions that ended, by the configuration before any began."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.app.prices import blind_caps
from coordinator.config import Config, load
from coordinator.domain.outcome import Ending, Usage
from coordinator.planning.limits.metering import Unmetered, blind, unmetered
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Gate, Snapshot
from coordinator.runfiles.tongues import FOREIGN, LATE, tongue
from coordinator.runfiles.verdict.lines import parse
from coordinator.runfiles.verdict.tally import Tally
from tests.factories import NOW, a_snapshot, a_task, an_attempt
from tests.recordings.record import runs

WORKED = an_attempt(provider="codex", launched_at=NOW - timedelta(hours=2), ended_at=NOW - timedelta(hours=1),
                    ending=Ending.CANCELLED, answered=True)


def of(**changes: object) -> Snapshot:
    return a_snapshot(a_task(attempts=1), attempts={"gh-1": (replace(WORKED, **changes),)})


@pytest.mark.parametrize(("changes", "untold"), [
    ({}, ("codex",)),
    ({"usage": Usage(0, 0)}, ()),
    ({"usage": Usage(1200, 30, 0.01)}, ()),
    ({"answered": False}, ()),
    ({"answered": False, "ending": Ending.SUCCEEDED}, ("codex",)),
    ({"ended_at": NOW - timedelta(days=1)}, ()),
    ({"ended_at": None, "ending": None}, ()),
])
def test_a_session_that_worked_and_told_no_tokens_is_known_by_its_provider(changes, untold):
    assert unmetered(of(**changes)).untold == untold


@pytest.mark.parametrize(("changes", "unpriced"), [
    ({"usage": Usage(900, 9), "model": "new-1"}, ("new-1",)),
    ({"usage": Usage(900, 9)}, ("codex",)),
    ({"usage": Usage(900, 9, 0.01), "model": "new-1"}, ()),
    ({"usage": Usage(0, 0), "model": "new-1"}, ()),
    ({"model": "new-1"}, ()),
    ({"usage": Usage(900, 9), "model": "new-1", "ended_at": NOW - timedelta(days=2)}, ()),
])
def test_a_model_of_which_tokens_are_known_and_no_price_is_named(changes, unpriced):
    assert unmetered(of(**changes)).unpriced == unpriced


def test_a_cap_of_money_that_did_not_count_a_model_names_those_to_set_instead():
    policy = Policy(money_per_day=2.0, money_per_task=1.0, tokens_per_task=9)
    snapshot = replace(of(usage=Usage(900, 9), model="new-1"), policy=policy)
    assert blind(snapshot, unmetered(snapshot)) == (
        Gate("unpriced", "no price is known for new-1: caps.money_per_task and caps.money_per_day did not count it",
             "set caps.tokens_per_task or caps.sessions_per_day"),)
    assert blind(replace(snapshot, policy=Policy(tokens_per_task=9)), unmetered(snapshot)) == ()


@pytest.mark.parametrize(("caps", "named"), [
    ({"tokens_per_task": 9}, "caps.tokens_per_task"),
    ({"money_per_day": 2.0, "tokens_per_task": 9}, "caps.tokens_per_task and caps.money_per_day"),
])
def test_the_caps_that_did_not_count_it_are_named_with_those_that_do(caps, named):
    snapshot = replace(of(), policy=Policy(**caps))
    assert blind(snapshot, unmetered(snapshot)) == (
        Gate("untold", f"codex told no tokens of a session that worked: {named} did not count it",
             "set caps.sessions_per_task and caps.sessions_per_day"),)


def test_where_no_such_cap_is_set_or_all_was_told_nothing_is_said():
    assert blind(of(), unmetered(of())) == ()
    assert blind(replace(of(), policy=Policy(tokens_per_task=9)), Unmetered()) == ()


def middle(name: str, lines: list[bytes]) -> Tally:
    """What was told of a run before its last line."""
    tally, normal = Tally(), tongue(name)
    for body in filter(None, map(parse, lines[:-1])):
        for one in normal(body):
            tally.feed(one)
    return tally


@pytest.mark.parametrize(("name", "run"), [(name, run) for name, _, row, run in runs() if row == "commit"])
def test_who_tells_tokens_late_was_measured_on_the_real_ones(name, run):
    assert (middle(name, list(run.lines)).use[0] is None) == (name in LATE)


@pytest.mark.parametrize(("name", "line"), [
    ("gemini", b'{"type": "result", "status": "success"}'),
    ("opencode", b'{"type": "step_finish", "part": {"type": "step-finish", "messageID": "m"}}'),
    ("codex", b'{"type": "turn.completed"}'),
])
def test_tokens_that_a_stream_does_not_tell_are_unknown_and_not_none_at_all(name, line):
    assert name in FOREIGN
    assert middle(name, [line, b""]).use == (None, None, None)


def configured(folder: Path, text: str) -> Config:
    (folder / "coordinator.toml").write_text(text)
    return load(folder / "coordinator.toml", {})


@pytest.mark.parametrize(("provider", "caps", "words"), [
    ("codex", "tokens_per_task = 5", ["codex tells its tokens when", "caps.tokens_per_task end none in the middle"]),
    ("gemini", "money_per_day = 5", ["gemini tells its tokens when", "caps.money_per_day end none in the middle"]),
    ("command", "money_per_task = 5", ["in claude's stream alone", "caps.money_per_task count nothing of it"]),
    ("claude", "tokens_per_task = 5", []), ("codex", "sessions_per_day = 5", []),
])
def test_before_a_run_it_is_said_which_cap_cannot_see_what_its_agent_uses(tmp_path, provider, caps, words):
    found = list(blind_caps(configured(tmp_path, f'[workers]\nprovider = "{provider}"\n[caps]\n{caps}\n')))
    assert len(found) == bool(words)
    for said, cure in found:
        assert all(one in said for one in words)
        assert "caps.sessions_per_task" in cure


def test_those_that_may_stand_in_are_looked_at_too(tmp_path):
    text = '[workers]\nprovider = "claude"\n[caps]\ntokens_per_task = 5\n[fallback]\nclaude = ["codex", "opencode"]\n'
    [(said, _)] = blind_caps(configured(tmp_path, text))
    assert said.startswith("codex ")


UNPRICED = "no price is known for new-1 (opencode): caps.money_per_day count nothing of it"


@pytest.mark.parametrize(("provider", "model", "caps", "said"), [
    ("opencode", "new-1", "money_per_day = 5", [UNPRICED]),
    ("opencode", "glm-5", "money_per_day = 5", []), ("opencode", "new-1", "tokens_per_task = 5", []),
    ("claude", "new-1", "money_per_day = 5", []), ("opencode", "", "money_per_day = 5", []),
])
def test_a_model_without_a_price_is_named_before_a_run_where_money_is_capped(tmp_path, provider, model, caps, said):
    text = f'[workers]\nprovider = "{provider}"\n[providers.{provider}]\nmodel = "{model}"\n[caps]\n{caps}\n'
    assert [words for words, _ in blind_caps(configured(tmp_path, text))] == said
