"""Secrets are hidden by shape and by value; plain words are not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.runfiles import masking, transcript
from coordinator.runfiles.masking import Masker, mask, secrets_in

HEX = "0123456789abcdef" * 3


@pytest.mark.parametrize(
    "secret",
    [
        f"ghp_{HEX}",
        f"ghs_{HEX}",
        f"github_pat_{HEX}_x",
        f"sk-ant-api03-{HEX}",
        f"AKIA{'A1B2' * 4}",
        f"AIza{HEX}",
        f"xoxb-{HEX}",
        f"npm_{HEX}",
        f"pypi-{HEX}",
        f"glpat-{HEX}",
        f"eyJ{HEX}.{HEX}.{HEX}",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_of_known_shape_is_hidden_and_its_surroundings_are_kept(secret: str) -> None:
    assert mask(f"before {secret} after") == "before *** after"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:pa55@host/x", "https://***@host/x"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ***"),
        ('{"x-api-key": "abcdefgh"}', '{"x-api-key": "***"}'),
        ("export MY_API_KEY=abcdefghij && run", "export MY_API_KEY=*** && run"),
        ("GITHUB_TOKEN=abcdefghij", "GITHUB_TOKEN=***"),
        ("--header token=ab12cd34ef end", "--header token=*** end"),
        ("{'api_key': 'ab12cd34ef'}", "{'api_key': '***'}"),
        ("GET /v1?api_key=abcdefgh&page=2", "GET /v1?api_key=***&page=2"),
        ("https://h/hook?x=1&access_token=abcd-efgh#top", "https://h/hook?x=1&access_token=***#top"),
    ],
)
def test_what_leads_to_a_secret_is_kept(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "the token bucket refuses",
        "mail me@example.org",
        "git@github.com:acme/widgets.git",
        "sk-short",
        "max_tokens=4096",
        "task-0123456789abcdef0123456789",
        "secret ballot: yes",
        "connect(token=settings.value, password=ask())",
        "max_token=100000",
        "?page=2&monkey=banana",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert mask(text) == text


def test_values_of_the_environment_are_known_by_their_names() -> None:
    environ = {"ANTHROPIC_API_KEY": "value-one", "DB_PASSWORD": "value-two", "SHORT_TOKEN": "abc", "PATH": "/usr/bin"}
    assert set(secrets_in(environ)) == {"value-one", "value-two"}
    masker = Masker(secrets_in(environ))
    assert masker.value({"a": ["x value-one y", 3], "value-two": None}) == {"a": ["x *** y", 3], "***": None}


def test_what_a_tokens_file_holds_is_hidden_too_and_no_other_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("glm-s3cret\n")
    named = {"CC_GLM_TOKEN_FILE": "~/token", "HOME": str(tmp_path)}
    assert secrets_in(named) == ("glm-s3cret",)
    for path in (tmp_path / "token.old", tmp_path, "/dev/zero", ""):
        assert secrets_in({"CC_GLM_TOKEN_FILE": str(path)}) == ()
    assert secrets_in({"PROMPT_FILE": str(tmp_path / "token")}) == ()


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize("module", [masking, transcript])
def test_what_travels_to_hosts_is_written_in_the_syntax_of_python_3_9(module: object) -> None:
    ast.parse(Path(str(module.__file__)).read_text(), feature_version=(3, 9))  # type: ignore[attr-defined]


def test_a_key_that_was_found_later_is_hidden_from_then_on() -> None:
    masker = Masker(["known-from-the-start"])
    assert masker.text("a-key-of-1password") == "a-key-of-1password"
    masker.learn(["a-key-of-1password", "short"])
    assert masker.text("a-key-of-1password known-from-the-start short") == "*** *** short"
