"""What of the coordinator's environment reaches an agent: a table for each provider, with nothing left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.adapters.executors.ssh import Ssh
from coordinator.adapters.git.funnel import around
from coordinator.adapters.providers import PROVIDERS, provider
from coordinator.app.credentials import NoToken, github_token, without_tokens
from coordinator.ports import Credentials, RunSpec, Settings
from tests.support.fake_ssh import program


def names(line: str) -> frozenset[str]:
    return frozenset(line.split())


NEUTRAL = names(
    "PATH HOME LANG LC_ALL TERM TZ TMPDIR USER LOGNAME SHELL XDG_CONFIG_HOME https_proxy SSL_CERT_FILE GIT_AUTHOR_NAME")
OURS = names(
    "GITHUB_TOKEN GH_TOKEN GITHUB_ENTERPRISE_TOKEN GH_ENTERPRISE_TOKEN GITHUB_PAT GITHUB_TOKEN_FILE "
    "COORDINATOR_GITHUB_TOKEN_FD COORDINATOR_NOTIFY_URLS COORDINATOR_NOTIFY_COMMAND SSH_AUTH_SOCK SSH_ASKPASS "
    "GIT_ASKPASS OP_SERVICE_ACCOUNT_TOKEN OP_SERVICE_ACCOUNT_TOKEN_FILE IS_SANDBOX CLAUDE_CODE_SSE_PORT "
    "CLAUDE_CODE_ENTRYPOINT")
"""What no configuration lets through."""
OTHERS = names(
    "COORDINATOR_TRUST_USERS GIT_DIR OP_SESSION_my AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AZURE_CLIENT_SECRET "
    "GOOGLE_APPLICATION_CREDENTIALS GOOGLE_API_KEY GOOGLE_CLOUD_PROJECT NPM_TOKEN PYPI_TOKEN DATABASE_URL VAULT_TOKEN "
    "KUBECONFIG DOCKER_CONFIG NETRC ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN CC_GLM_AUTH_TOKEN "
    "CC_GLM_TOKEN_FILE ZAI_API_KEY OPENAI_API_KEY CODEX_HOME GEMINI_API_KEY GEMINI_MODEL OPENCODE_MODEL "
    "OPENCODE_ALLOWED_MODELS ZHIPU_API_KEY PYTHONPATH LD_PRELOAD NODE_OPTIONS BASH_ENV ENV PERL5LIB")
OWN = {
    "claude": "ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN",
    "cc-glm": "",   # its one key was resolved before, and comes as ANTHROPIC_AUTH_TOKEN
    "codex": "OPENAI_API_KEY CODEX_HOME",
    "gemini": "GEMINI_API_KEY GEMINI_MODEL GOOGLE_API_KEY GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_PROJECT",
    "opencode": "OPENCODE_MODEL OPENCODE_ALLOWED_MODELS ZHIPU_API_KEY",
    "command": "",
}
AROUND = {name: f"value of {name}" for name in NEUTRAL | OURS | OTHERS}
WALLS = {"GIT_TERMINAL_PROMPT", "GIT_SSH_COMMAND", "GH_CONFIG_DIR", "GH_PROMPT_DISABLED", "GIT_CONFIG_COUNT"}


def env_of(name: str, *allowed: str) -> dict[str, str]:
    own = {"ANTHROPIC_AUTH_TOKEN": "resolved"} if name == "cc-glm" else {}
    settings = Settings(argv=("true",), environment=allowed)
    spec = RunSpec("gh-1", 1, "p", Path("/p"), Path("/w"), "s", settings, AROUND,
                   credentials=Credentials("a", "b", env=own))
    return dict(provider(name).command(spec).env)


def passed(env: dict[str, str]) -> frozenset[str]:
    """The names whose values came through, under whatever name."""
    back = {value: name for name, value in AROUND.items()}
    return frozenset(back[value] for value in env.values() if value in back)


@pytest.mark.req("W19")
@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_an_agent_gets_what_all_need_and_its_own_keys_and_nothing_else(name: str) -> None:
    env = env_of(name)
    assert passed(env) == NEUTRAL | names(OWN[name])
    assert set(env) >= WALLS


@pytest.mark.req("W19")
@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_what_is_allowed_by_name_gets_through_and_what_is_ours_never(name: str) -> None:
    assert passed(env_of(name, "DATABASE_URL")) == NEUTRAL | names(OWN[name]) | {"DATABASE_URL"}
    assert passed(env_of(name, "*")) & OURS == set()
    assert passed(env_of(name, *OURS)) & OURS == set()


@pytest.mark.req("W19")
def test_git_ssh_and_gh_get_no_key_and_no_program_that_we_start_the_token(tmp_path: Path) -> None:
    assert set(Ssh("host", (), None, AROUND).env()) - NEUTRAL == {"SSH_AUTH_SOCK", "SSH_ASKPASS"}
    program(tmp_path / "gh", f"#!/bin/sh\ncat /proc/self/environ > {tmp_path}/seen\necho a-token-of-gh\n")
    given = {**without_tokens(AROUND), "PATH": f"{tmp_path}:/usr/bin:/bin", "GH_CONFIG_DIR": "/gh"}
    assert github_token(given) == ("a-token-of-gh", "gh")
    seen = {pair.partition("=")[0] for pair in (tmp_path / "seen").read_text().split("\0")}
    assert seen - NEUTRAL - {"", "PWD", "_", "SHLVL", "OLDPWD"} == {"GH_CONFIG_DIR"}
    assert set(around(AROUND)) - NEUTRAL == {"SSH_AUTH_SOCK", "GIT_ASKPASS", "GIT_DIR"}
    assert set(AROUND) - set(without_tokens(AROUND)) == {
        "GITHUB_TOKEN", "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITHUB_TOKEN_FILE",
        "COORDINATOR_GITHUB_TOKEN_FD"}


@pytest.mark.req("W19")
@pytest.mark.parametrize(("host", "found"), [
    ("ghe.example", True), ("GHE.example ", True), ("notgithub.com", True), ("github.com", False),
    ("acme.ghe.com", False), ("", False),
])
def test_an_enterprise_server_s_token_is_one_where_gh_would_take_it_for_one(host: str, found: bool) -> None:
    given = {"GH_HOST": host, "GITHUB_ENTERPRISE_TOKEN": "second", "GH_ENTERPRISE_TOKEN": "first", "PATH": ""}
    if not found:
        with pytest.raises(NoToken, match="no GitHub token"):
            github_token(given)
    else:
        assert github_token(given) == ("first", "GH_ENTERPRISE_TOKEN")
        assert github_token({**given, "GH_ENTERPRISE_TOKEN": ""}) == ("second", "GITHUB_ENTERPRISE_TOKEN")
    assert github_token({**given, "GH_TOKEN": "nearer"}) == ("nearer", "GH_TOKEN")
