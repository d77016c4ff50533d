"""The environment of a worker: what it may have is listed, what it must never have is refused, and git in it
cannot push. A worker commits; the coordinator pushes, with credentials the worker never sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

COMMON = (
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TERM",
    "TZ",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SHELL",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
)

NEVER = (
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_PAT",
    "GITHUB_TOKEN_FILE",
    "COORDINATOR_GITHUB_*",
    "COORDINATOR_NOTIFY_*",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GIT_ASKPASS",
    "OP_SERVICE_ACCOUNT_TOKEN*",
    "IS_SANDBOX",
)
"""Refused even when a configuration names them: each would let a worker push, or pass a wall unasked."""

KEYS = {
    "claude": ("ANTHROPIC_*", "CLAUDE_CODE_OAUTH_TOKEN"),
    "cc-glm": ("CC_GLM_*", "ZAI_*"),
    "codex": ("OPENAI_*", "CODEX_*"),
    "gemini": ("GEMINI_*", "GOOGLE_API_KEY", "GOOGLE_GEMINI_*", "GOOGLE_GENAI_*"),
    "opencode": ("OPENCODE_*", "ZHIPU_*"),
}
"""What each provider authenticates with or is led by: it is no other provider's business."""

# IS_SANDBOX lies about the host; the two of an enclosing claude session would tie the worker to that session.
_ENCLOSING = ("CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT")

_NO_PUSH = (
    ("credential.helper", ""),
    # git knows no helper of this name, so a push ends before anything is sent, whatever .netrc holds
    ("url.coordinator-pushes-not-the-worker::.pushInsteadOf", "https://"),
    ("url.coordinator-pushes-not-the-worker::.pushInsteadOf", "http://"),
)

_FIXED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "echo 'The coordinator pushes, not the worker: commit and end.' >&2; false",
    "GH_CONFIG_DIR": "/dev/null/gh",
    "GH_PROMPT_DISABLED": "1",
}

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Coordinator",
    "GIT_AUTHOR_EMAIL": "coordinator@localhost",
    "GIT_COMMITTER_NAME": "Coordinator",
    "GIT_COMMITTER_EMAIL": "coordinator@localhost",
}


def worker_env(
    environ: Mapping[str, str], allow: Iterable[str], extra: Mapping[str, str], never: Iterable[str] = ()
) -> dict[str, str]:
    """The whole environment of a worker: of `environ` what COMMON and `allow` name (`*` allowed at will) and
    NEVER and `never` do not, then `extra`, then the walls, which nothing can take away."""
    wanted, refused = (*COMMON, *allow), (*NEVER, *_ENCLOSING, *never)
    env = dict(_IDENTITY)
    env |= {
        name: value
        for name, value in environ.items()
        if _named(name, wanted) and not _named(name, refused) and (value or name not in _IDENTITY)
    }
    env |= extra
    return env | _walls()


def others_keys(name: str) -> tuple[str, ...]:
    """The patterns of every provider's keys but this one's."""
    return tuple(pattern for owner, patterns in KEYS.items() if owner != name for pattern in patterns)


def _walls() -> dict[str, str]:
    walls = dict(_FIXED) | {"GIT_CONFIG_COUNT": str(len(_NO_PUSH))}
    for index, (key, value) in enumerate(_NO_PUSH):
        walls |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return walls


def _named(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
