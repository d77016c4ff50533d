"""[notify]: addresses hold tokens, so no output and no error may; ages are a table over the usual ones."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.adapters.notify.addresses import secrets_of
from coordinator.adapters.providers.environment import NEVER
from coordinator.config import Config, ConfigError, entries, load
from coordinator.runfiles.masking import secrets_in

SECRET = "xoxb-T0psecret99"
URLS = (f"slack://{SECRET}/B11111111/c22222222", f"mailto://me:{SECRET}@example.org", f"json://h/x?token={SECRET}")


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "coordinator.toml"
    path.write_text(content)
    return path


def of(tmp_path: Path, value: str, key: str = "urls") -> Config:
    return load(written(tmp_path, f"[notify]\n{key} = {value}\n"), {})


def test_addresses_are_read_from_the_file_and_the_environment(tmp_path: Path) -> None:
    assert of(tmp_path, str(list(URLS))).notify.urls == URLS
    assert load(None, {"COORDINATOR_NOTIFY_URLS": " ".join(URLS)}).notify.urls == URLS


def test_of_an_address_its_scheme_alone_is_shown(tmp_path: Path) -> None:
    config = of(tmp_path, str(list(URLS)))
    shown = {one.key: one.value for one in entries(config)}["notify.urls"]
    assert shown == '["slack://***", "mailto://***", "json://***"]'
    assert SECRET not in repr(config)


@pytest.mark.parametrize("value", [
    f'"{URLS[0]}"', f'["{URLS[0]}", "{SECRET}"]', f'["{URLS[0]}", 7]', f'["{URLS[0]} {SECRET}"]', f'["slack://{SECRET}\\n"]',
])  # fmt: skip
def test_an_error_about_an_address_says_which_and_never_its_text(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(tmp_path, value)
    assert "notify.urls = ***" in caught.value.words
    assert SECRET not in str(caught.value)


def test_addresses_in_the_environment_that_cannot_be_split_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"COORDINATOR_NOTIFY_URLS": f"'{URLS[0]}"})
    assert "COORDINATOR_NOTIFY_URLS" in caught.value.words
    assert SECRET not in str(caught.value)


def test_what_of_an_address_may_be_a_token_is_known_and_a_host_is_not() -> None:
    found = set(secrets_of([*URLS, "json://hooks.example.org/one%2Dtwo%2Dthree"]))
    assert {*URLS, SECRET, "B11111111", "c22222222", "one-two-three"} <= found
    assert not {"hooks.example.org", "example.org", "me", "h", "slack"} & found


def test_no_agent_inherits_the_addresses_and_the_variable_counts_as_a_secret() -> None:
    assert "COORDINATOR_NOTIFY_*" in NEVER
    assert secrets_in({"COORDINATOR_NOTIFY_URLS": URLS[0]}) == (URLS[0],)


def test_ages_that_are_named_stand_over_the_usual_ones(tmp_path: Path) -> None:
    usual = load(None, {}).notify.ages
    mine = of(tmp_path, '{ RUNNING = "4h", done = "0s" }', "ages").notify.ages
    assert mine == {**usual, "RUNNING": timedelta(hours=4), "DONE": timedelta(0)}
    assert load(None, {"COORDINATOR_NOTIFY_AGES": "RUNNING=4h DONE=0s"}).notify.ages == mine


@pytest.mark.parametrize(("value", "words"), [
    ('{ SLEEPING = "1d" }', 'has "SLEEPING", which is none of HELD, QUEUED'),
    ('{ RUNNING = "soon" }', 'has RUNNING = "soon", which is no duration'),
    ("{ RUNNING = 4 }", "has RUNNING = 4, which is a number"),
    ('"1d"', "must be a table of durations"),
])
def test_an_age_that_cannot_be_meant_is_refused_with_its_name(tmp_path: Path, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(tmp_path, value, "ages")
    assert words in caught.value.words
