"""Secrets are hidden by shape and by value; plain words are not."""

from __future__ import annotations

import ast
import json
import re
import time
from base64 import b64encode, urlsafe_b64encode
from math import inf
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
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
        ('self.token = config.token = "abcd1234efgh"', 'self.token = config.token = "***"'),
        ('api_key: settings.api_key="a1b2c3d4e5f6"', 'api_key: settings.api_key="***"'),
        ("secret=missing-api-key: k9f8d7s6a5", "secret=missing-api-key: ***"),
        ("token=api_key='ab12cd34ef'", "token=api_key='***'"),
        (r"one\nAuthorization: Bearer abc.def\ntwo", r"one\nAuthorization: Bearer ***\ntwo"),
        (r"one\nx-api-key: abcdefgh\ntwo", r"one\nx-api-key: ***\ntwo"),
    ],
)
def test_what_leads_to_a_secret_is_kept(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize("before", [r"\n", r"\r\n", r"\t", "%3D", "%0a", r"\u003d", r"\u0022"])
@pytest.mark.parametrize("secret", [f"ghp_{HEX}", f"eyJ{HEX}.{HEX}.{HEX}", f"sk-ant-api03-{HEX}"])
def test_a_shape_is_hidden_behind_a_sign_that_was_written_as_letters(before: str, secret: str) -> None:
    assert mask(f"a{before}{secret} b") == f"a{before}*** b"


PIECES = ("token", "secret", "passwd", "api-key", "private_key", "=", ": ", ' = "', "'", "self.", "settings", "/", "7",
          "12345678", "abcd1234", "k9f8d7s6", " ", ",")  # fmt: skip
AFTER_A_NAME = re.compile(
    r"((?:token|secret|password|passwd|api[_-]?key|private_key)[\"']?\s*[=:]\s*[\"']?)"
    r"(?=[A-Za-z._~+/=-]*[0-9])(?=[0-9._~+/=-]*[A-Za-z])[A-Za-z0-9._~+/=-]{8,}")


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=500)
def test_what_a_name_leads_to_is_hidden_whatever_stands_before_it(text: str) -> None:
    """As it would be if each place were tried, however long that takes."""
    assert mask(text) == AFTER_A_NAME.sub(r"\1***", text)


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
        "token = settings.token = settings.value",
        "secret = required: abcd1234efgh",
        r"C:\work\task-0123456789abcdef0123456789",
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


KNOWN = 'so+shape/of "any" maker%0123456789'
PASSWORDS = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=12, max_size=60)


@pytest.mark.req("W19")
@pytest.mark.parametrize("broken", [
    "{0}\x1b[0m{1}", "{0}\x1b[38;5;196m\x1b[1m{1}", "{0}\x1b]8;;http://x\x07{1}", "{0}\r\n{1}", "{0}\n{1}",
    "{0} {1}", "{0}\x1b[K\r\n\x1b[31m{1}", "{0}\u200b{1}", "{0}\ufeff\u00ad{1}", "{0}\\n{1}", "{0}\\\\r\\\\n{1}",
    "{0}\n+{1}", "{0}\n-{1}", "{0}\n> > {1}", "{0}\n\x1b[32m+\x1b[m\x1b[32m{1}", "{0}\\n+    {1}", "{0}\\\n{1}",
])  # fmt: skip
def test_what_is_known_is_hidden_where_a_terminal_broke_it_and_what_stands_around_it_stays(broken: str) -> None:
    masker = Masker([KNOWN])
    for at in range(1, len(KNOWN)):
        text = f"\x1b[32mfound\x1b[0m: {broken.format(KNOWN[:at], KNOWN[at:])}\nand more"
        assert masker.text(text) == "\x1b[32mfound\x1b[0m: ***\nand more"


@pytest.mark.req("W19")
@pytest.mark.parametrize("colour", ["\x1b[0m", "\x1b[1;31m", "\u200b"])
def test_a_shape_is_hidden_within_colours_and_ends_with_its_line(colour: str) -> None:
    secret = f"ghp_{HEX}"
    assert mask(f"a {secret[:9]}{colour}{secret[9:]} b") == "a *** b"
    assert mask(f"a {colour}{secret}{colour} b") == f"a {colour}***{colour} b"
    assert mask(f"a {secret}\nb") == "a ***\nb"


@pytest.mark.req("W19")
@given(value=PASSWORDS.filter(lambda one: one == one.strip()), before=st.binary(max_size=4),
       after=st.binary(max_size=4))
def test_what_is_known_is_hidden_however_it_is_coded(value: str, before: bytes, after: bytes) -> None:
    masker = Masker([value])
    raw = before + value.encode() + after
    for coded in (b64encode(raw).decode(), urlsafe_b64encode(raw).decode()):
        shown = masker.text(f"<{coded}>")
        assert "***" in shown
        assert len(shown) < 18 + 2 * len(before + after)   # of its own letters nothing is left but what the edges share
    assert masker.text(f"<{quote(value, safe='')}>") == "<***>"
    for coded in (value.encode().hex(), value.encode().hex().upper(), value.encode().hex(" ", 2)):
        assert masker.text(f"<{before.hex()}{coded}{after.hex()}>") == f"<{before.hex()}***{after.hex()}>"
    assert masker.text(json.dumps([value])[1:-1]).strip('"') == "***"


@pytest.mark.req("W19")
def test_a_secret_in_two_pieces_of_a_stream_leaves_no_more_than_a_word_of_it() -> None:
    masker = Masker(["short-of-it", KNOWN])
    for at in range(1, len(KNOWN)):
        first, second = masker.piece(f"I found {KNOWN[:at]}"), masker.piece(f"{KNOWN[at:]} there")
        left = first.removeprefix("I found ").replace("***", "") + second.removesuffix(" there").replace("***", "")
        assert len(left) < max(8, len(KNOWN) // 3), (first, second)
    assert masker.piece("nothing of it") == "nothing of it"
    assert masker.piece(f"cut: {KNOWN[:-4]}…") == "cut: ***…"
    assert masker.piece(f"…{KNOWN[4:]} is the rest") == "…*** is the rest"
    assert masker.piece(f"{KNOWN[:14]} \\") == "*** \\"
    assert masker.piece(f"+  {KNOWN[12:]}") == "+  ***"
    assert masker.piece("…") == "…"


BROKEN = f"{KNOWN[:9]}\n+{KNOWN[9:]} "
HOSTILE = (
    "gh\x1b[0mp_aaaaaaaaaaaaaaaaaaaaaa ", "gh\u200bp_aaaaaaaaaaaaaaaaaaaaaa ", f"ghp_{HEX} ", f"{KNOWN} ", BROKEN,
    "a\x1b[0m", "a\u200b", "\x1b]", "\x1b[00000000000", "\x1b[0000 ", "\\", "\\n", " \n", "\n+", "-eyJ", "sk-",
    "-eyJ" * 500 + "." + "a" * 8000, "eyJaaaaaaaaaaaaaaaa.", "eyJaaaaaaaaaaaaaaaa.aaaaaaaaaa.", "token=", "token = '",
    'token="', "token : ", "token = x.token = ", "secret:api_key", "token=aaaaaaaa.token ", r"\neyJ", "%3DeyJ",
    r"\nsk-",
    "TOKEN", 'TOKEN="', "api_", "://a", "://" + "a" * 400, "?" + "-" * 40, "?access-", "-----BEGIN A PRIVATE KEY",
    "-----BEGIN PRIVATE KEY----------END PRIVATE ", "bearer         ", "authorization:         bearer         ",
    "x-api-key         ",
)  # fmt: skip
PLAIN = 'def turn(wheel):\n    return f"{wheel} turns"  # its token is "a secret"\n'


@pytest.mark.req("W19")
def test_no_text_that_an_agent_may_write_takes_much_longer_than_plain_words() -> None:
    """What grows as the square of the text's length takes many times as long here."""
    masker = Masker([KNOWN, *(f"another-key-{number}" for number in range(7))])

    def seconds(piece: str) -> float:
        text, best = (piece * (240_000 // len(piece) + 1))[:240_000], inf
        for _ in range(3):
            begun = time.thread_time()
            masker.piece(text)
            best = min(best, time.thread_time() - begun)
        return best

    plain = seconds(PLAIN)
    assert {piece: ratio for piece in HOSTILE if (ratio := seconds(piece) / plain) > 6} == {}


def test_a_token_behind_a_descriptor_is_known_and_no_other_descriptor_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("what-a-file-holds")
    with (tmp_path / "file").open() as file:
        for number in (str(file.fileno()), "0", "9999", "x", "-1", ""):
            assert secrets_in({"COORDINATOR_GITHUB_TOKEN_FD": number}) == ()
