"""A secret that 1Password keeps: with which token op signs in, what its silence and its noise are told as, and that
nothing secret is ever said."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.adapters.providers.onepassword import KEPT, READ_LIMIT, Unusable, quoted, secret
from coordinator.app import provider_settings
from coordinator.config import ConfigError, load
from coordinator.ports import Settings
from tests.support.op import ACCOUNT, HOST, KEY, Answer, Host

URI = "op://dev/Agent Secrets/KEY"
READ, WHO = f"read {URI}", "user get --me"
SYSTEMD = "/home/w/.config/systemd/user"
SITE = Settings(op_token_file="/etc/site-op-token", op_legacy_names=("op-old-token", "op-older-token"))
WELL: Answer = (0, f"{KEY}\n", "")


def opened(host: Host, settings: Settings = SITE) -> str:
    return secret(host, URI, settings, host.say)


def refused(host: Host, uri: str = URI) -> Unusable:
    with pytest.raises(Unusable) as caught:
        secret(host, uri, SITE, host.say)
    assert KEY not in caught.value.words + caught.value.cure
    assert ACCOUNT not in caught.value.words + caught.value.cure + "".join(host.said)
    return caught.value


# --- the answer -----------------------------------------------------------------------------------------


def test_what_op_prints_is_the_secret_and_it_has_only_so_long_to_print_it() -> None:
    host = Host(op={READ: WELL})
    assert opened(host) == KEY
    assert [(argv, limit) for argv, _, limit in host.asked] == [(("read", URI), READ_LIMIT)]
    assert READ_LIMIT < KEPT


@pytest.mark.req("B80")
def test_where_op_is_absent_its_installation_on_macos_and_linux_is_told() -> None:
    error = refused(Host())
    assert error.code == 10
    assert "op CLI not found" in error.words
    assert "macOS: brew install 1password-cli" in error.cure
    assert "Linux: " in error.cure


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("", "an empty answer"),
        (" \n\n", "an empty answer"),
        (f"{KEY}\nsecond line\n", "more than one line"),
        ("<html><body>502</body></html>", "no key"),
        ("Service Unavailable", "no key"),
        ("null", "no key"),
        (f"{KEY}\x1b[0m", "no key"),
        ("k" * 5000, "no key"),
        ("schlüssel-0123456", "no key"),
    ],
)
def test_an_answer_that_can_be_no_key_is_refused_and_not_repeated(out: str, words: str) -> None:
    error = refused(Host(op={READ: (0, out, "")}))
    assert words in error.words
    assert not out.strip() or out.strip() not in error.words + error.cure
    assert f"op read '{URI}'" in error.cure


@pytest.mark.req("A4", "A71")
@pytest.mark.parametrize(
    "answer", [(1, "", "[ERROR] You are not currently signed in.\n"), (1, "", "[ERROR] No accounts configured\n"),
               (1, "", "")],
)  # fmt: skip
def test_where_nobody_is_signed_in_the_command_that_signs_in_is_named(answer: Answer) -> None:
    error = refused(Host(op={READ: answer, WHO: (1, "", "")}))
    assert "nobody is signed in" in error.words
    assert error.cure.startswith('eval "$(op signin)"')


@pytest.mark.req("A4")
def test_where_somebody_is_signed_in_the_address_or_a_right_is_to_blame() -> None:
    host = Host(op={READ: (1, "", '[ERROR] "Agent Secrets" isn\'t an item in the "dev" vault\n'), WHO: (0, "ok", "")})
    error = refused(host)
    assert "isn't an item" in error.words
    assert "signin" not in error.cure
    assert [argv for argv, *_ in host.asked] == [("read", URI), ("user", "get", "--me")]


def test_a_refused_service_account_is_named_by_where_its_token_came_from() -> None:
    host = Host({"OP_SERVICE_ACCOUNT_TOKEN": ACCOUNT}, op={READ: (1, "", f"[ERROR] 401: {ACCOUNT} is no good\n")})
    error = refused(host)
    assert "signed in with OP_SERVICE_ACCOUNT_TOKEN" in error.words
    assert "*** is no good" in error.words
    assert len(host.asked) == 1


def test_an_op_that_does_not_answer_in_time_is_said_to_be_locked_or_slow_and_not_asked_more() -> None:
    host = Host(op={READ: (124, "", "no answer")})
    error = refused(host)
    assert "locked or slow" in error.words
    assert "op signin" in error.cure
    assert len(host.asked) == 1


@pytest.mark.parametrize("uri", ["op://", "op://dev/item", "op://dev//KEY", "op://dev/item/\nKEY"])
def test_what_is_no_whole_address_is_not_even_asked(uri: str) -> None:
    host = Host(op={})
    assert "op://vault/item/field" in refused(host, uri).cure
    assert host.asked == []


def test_an_address_that_could_leave_its_quotes_is_not_offered_to_be_pasted() -> None:
    assert quoted("op://a b/c/d") == "'op://a b/c/d'"
    assert {quoted(f"op://x/y{bad}/z") for bad in ("'; rm -rf ~; '", "$(id)", "`id`", "\\", "\n")} == {"op://..."}


# --- the account ----------------------------------------------------------------------------------------

EVERYWHERE = {
    "/env-named": "ops_named", "/etc/site-op-token": "ops_site", f"{SYSTEMD}/op-{HOST}-token": "ops_host",
    f"{SYSTEMD}/op-old-token": "ops_old", f"{SYSTEMD}/op-older-token": "ops_older",
}  # fmt: skip


@pytest.mark.req("B61", "B62", "B63", "B64")
@pytest.mark.parametrize(
    ("gone", "token"),
    [
        (0, "ops_direct"),
        (1, "ops_named"),
        (2, "ops_site"),
        (3, "ops_host"),
        (4, "ops_old"),
        (5, "ops_older"),
    ],
)
def test_op_signs_in_with_the_first_service_account_that_is_there(gone: int, token: str) -> None:
    environ = {"OP_SERVICE_ACCOUNT_TOKEN": "ops_direct", "OP_SERVICE_ACCOUNT_TOKEN_FILE": "/env-named"}
    left = dict(list(environ.items())[gone:])
    files = dict(list(EVERYWHERE.items())[max(0, gone - 1):])
    host = Host(left, files, {READ: WELL})
    opened(host)
    assert host.asked[0][1]["OP_SERVICE_ACCOUNT_TOKEN"] == token


def test_without_any_service_account_op_uses_its_own_login() -> None:
    host = Host({"OP_SESSION_my": "session", "OP_SERVICE_ACCOUNT_TOKEN": " "}, op={READ: WELL})
    opened(host)
    env = host.asked[0][1]
    assert env["OP_SESSION_my"] == "session"
    assert "OP_SERVICE_ACCOUNT_TOKEN" not in env, "an empty one would be taken for a service account's"


@pytest.mark.req("B63")
def test_the_hosts_own_name_is_in_the_name_of_its_file_and_leads_to_no_other_folder() -> None:
    files = {"/proc/sys/kernel/hostname": "../../etc/x\n", f"{SYSTEMD}/op-../../etc/x-token": "ops_other"}
    host = Host(files=files, op={READ: WELL})
    opened(host, Settings())
    assert "OP_SERVICE_ACCOUNT_TOKEN" not in host.asked[0][1]
    elsewhere = Host({"HOSTNAME": "mac"}, {"/proc/sys/kernel/hostname": None, f"{SYSTEMD}/op-mac-token": "ops_mac"},
                     {READ: WELL})  # fmt: skip
    opened(elsewhere, Settings())
    assert elsewhere.asked[0][1]["OP_SERVICE_ACCOUNT_TOKEN"] == "ops_mac"


def test_a_home_in_a_configured_path_is_the_environments_own() -> None:
    host = Host(files={"/home/w/op-token": "ops_home"}, op={READ: WELL})
    opened(host, Settings(op_token_file="~/op-token"))
    assert host.asked[0][1]["OP_SERVICE_ACCOUNT_TOKEN"] == "ops_home"


@pytest.mark.req("A91", "B79")
@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("/none", "", "Token file not found: /none (OP_SERVICE_ACCOUNT_TOKEN_FILE)"),
        ("/folder", "", "is a folder"),
        ("/dev/zero", "", "no regular file"),
        ("/secret", None, "cannot be read"),
        ("/empty", " \n", "is empty"),
        ("/two", "one\ntwo", "line break"),
    ],
)
def test_a_named_token_file_that_cannot_be_used_is_told_and_not_passed_over(
    path: str, text: str | None, words: str
) -> None:
    files = {} if path in ("/none", "/folder", "/dev/zero") else {path: text}
    host = Host({"OP_SERVICE_ACCOUNT_TOKEN_FILE": path}, {**EVERYWHERE, **files}, {READ: WELL})
    error = refused(host)
    assert (error.code, words in error.words, path in error.words) == (11, True, True)
    assert error.cure
    assert host.asked == []


@pytest.mark.req("B79")
def test_a_token_file_that_stands_where_tokens_are_kept_and_holds_none_is_told_too() -> None:
    assert refused(Host(files={f"{SYSTEMD}/op-{HOST}-token": ""}, op={READ: WELL})).code == 11


def test_op_is_given_what_it_needs_and_nothing_of_any_agent_or_of_github() -> None:
    foreign = dict.fromkeys(("GITHUB_TOKEN", "GH_TOKEN", "ANTHROPIC_API_KEY", "ZAI_API_KEY", "OPENAI_API_KEY"), "no")
    host = Host({**foreign, "OP_ACCOUNT": "acme", "DISPLAY": ":0", "OP_SERVICE_ACCOUNT_TOKEN_FILE": "/env-named"},
                EVERYWHERE, {READ: WELL})  # fmt: skip
    opened(host)
    env = host.asked[0][1]
    assert not set(foreign) & set(env)
    assert (env["OP_ACCOUNT"], env["DISPLAY"], env["HOME"]) == ("acme", ":0", "/home/w")
    assert env["OP_SERVICE_ACCOUNT_TOKEN"] == "ops_named"


# --- where a site says that its token lies ------------------------------------------------------------------


@pytest.mark.req("B62", "B64")
def test_a_site_names_its_files_in_the_configuration_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text('[providers.cc-glm]\nop_token_file = "/etc/op-token"\nop_legacy_names = ["op-old-token"]\n')
    known = provider_settings(load(file, {}))["cc-glm"]
    assert (known.op_token_file, known.op_legacy_names) == ("/etc/op-token", ("op-old-token",))
    variables = {"TOKEN_FILE": "~/op", "LEGACY_NAMES": "a 'b c'"}
    environ = {f"COORDINATOR_PROVIDERS_CC_GLM_OP_{name}": value for name, value in variables.items()}
    known = provider_settings(load(None, environ))["cc-glm"]
    assert (known.op_token_file, known.op_legacy_names) == ("~/op", ("a", "b c"))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("op_token_file", "op", "is no path of a file"),
        ("op_token_file", "/etc/", "is no path of a file"),
        ("op_legacy_names", "a/b", "is no file name"),
        ("op_legacy_names", "..", "is no file name"),
    ],
)
def test_a_place_that_can_be_none_is_refused_with_its_value(key: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load(None, {}, {f"providers.cc-glm.{key}": value})
    assert value in caught.value.words
