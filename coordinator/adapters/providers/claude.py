"""Claude Code: how to start it so that it can neither push nor go on past a STOP file, and how to judge its
end.

Starts no process: argv and environment in, events and an outcome out. What is said here of the CLI was
measured on 2.1.197.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from coordinator.adapters.providers import preflight
from coordinator.adapters.providers.cli import CliProvider
from coordinator.adapters.providers.environment import others_keys, worker_env
from coordinator.domain.walls import Own
from coordinator.ports import AuthUnresolved, Command, Credentials, Probe, RunSpec, Settings
from coordinator.runfiles.masking import mask
from coordinator.runfiles.tongues import CLAUDE

SUPPORTED = ((2, 0, 0), (3, 0, 0))
INSTALL = "npm install -g @anthropic-ai/claude-code"
DEFAULT_TOOLS = ("Bash", "Edit", "Write", "Read", "NotebookEdit", "Glob", "Grep", "TodoWrite")

_AUTH = (
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
)
"""In the order in which the CLI itself looks."""

_OWN = (
    "ANTHROPIC_*",
    "CLAUDE_CODE_*",
    "CLAUDE_CONFIG_DIR",
    "API_TIMEOUT_MS",
    "BASH_*_TIMEOUT_MS",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "MAX_THINKING_TOKENS",
)

_SHOWN = ("settings.json", "CLAUDE.md", "agents", "commands", "hooks", "output-styles", "plugins", "rules", "skills")
"""What people put into its folder and it only reads."""

_SKIP = "--dangerously-skip-permissions"

# Interrupting its parent is the one way that ends the session with a result event: exit 2 or a denial alone
# lets a stubborn model ask again without end, and SIGTERM lets it say that all went well.
_STOP_HOOK = 'if [ -e "$CLAUDE_PROJECT_DIR/STOP" ]; then kill -INT $PPID; exit 2; fi'
HOOKS = {"hooks": {"PreToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command": _STOP_HOOK}]}]}}


class Claude(CliProvider):
    """The `claude` provider."""

    name = CLAUDE
    program = "claude"
    install = INSTALL
    supported = SUPPORTED
    own = _OWN

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """The CLI finds them by itself: nothing is added to its environment."""
        del settings
        source = auth_source(probe.environ())
        if source != LOGIN:
            return Credentials(source, "environment")
        place = preflight.home(probe, "CLAUDE_CONFIG_DIR", ".claude") / ".credentials.json"
        if probe.read(place):
            return Credentials(source, "login", str(place))
        raise AuthUnresolved(
            "claude_auth_missing",
            "claude: no credentials: ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN and"
            " CLAUDE_CODE_OAUTH_TOKEN are unset and nobody is logged in",
            "claude setup-token",
        )

    def argv(self, settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
        del environ
        return argv(settings, session_id="")

    def env(self, environ: Mapping[str, str], settings: Settings, credentials: Credentials) -> dict[str, str]:
        del credentials
        return claude_env(environ, settings)

    def command(self, spec: RunSpec) -> Command:
        """Raises ValueError for a setting that cannot work here."""
        source = auth_source(spec.environ)
        refuse_skipping(spec)
        facts = {
            "auth_mode": "login" if source == LOGIN else "environment",
            "base_url": mask(spec.environ.get("ANTHROPIC_BASE_URL", "")),
            "timeout_ms": spec.environ.get("API_TIMEOUT_MS", ""),
        }
        return Command(
            argv=argv(spec.settings, spec.session_id),
            env=claude_env(spec.environ, spec.settings),
            stdin="prompt",
            stop_signal="INT",
            auth_source=source,
            model=spec.settings.model,
            facts=facts,
            own=at_home(spec.environ),
        )


LOGIN = "login in ~/.claude"


def auth_source(environ: Mapping[str, str]) -> str:
    """The name of what claude will authenticate with, never its value."""
    return next((name for name in _AUTH if environ.get(name)), LOGIN)


def claude_env(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The worker's environment for claude: its own keys and no other provider's."""
    own = (*_OWN, *settings.environment)
    return worker_env(environ, own, {"DISABLE_AUTOUPDATER": "1"}, others_keys("claude"))


def at_home(environ: Mapping[str, str]) -> Own:
    """Its settings, and the login that it renews; transcripts and the like it keeps for itself."""
    home, own = Path(environ.get("HOME") or "/"), environ.get("CLAUDE_CONFIG_DIR", "")
    folder = Path(own) if own else home / ".claude"
    state = (folder if own else home) / ".claude.json"
    return Own((folder,), (state, *(folder / name for name in _SHOWN)), (folder / ".credentials.json",))


def program(settings: Settings) -> str:
    return settings.binary or "claude"


def refuse_skipping(spec: RunSpec) -> None:
    """Raises ValueError for what the CLI itself would refuse, later and with fewer words."""
    if spec.as_root and _SKIP in spec.settings.args:
        raise ValueError(
            f"claude refuses {_SKIP} as root. Name the tools it may use in template.toml "
            '(tools = ["Bash", ...]), or run the coordinator as an ordinary user.'
        )


def argv(settings: Settings, session_id: str, *, speaks: str = "claude", sources: str = "user") -> tuple[str, ...]:
    """The command line, the prompt left out. `speaks` as in Command; `sources`: whose settings files count."""
    words = [program(settings), "-p", "--output-format"]
    words += ["stream-json", "--verbose"] if speaks == "claude" else ["text"]
    if session_id:
        words += ["--session-id", session_id]
    if settings.model:
        words += ["--model", settings.model]
    if settings.max_turns:
        words += ["--max-turns", str(settings.max_turns)]
    # A repository's own settings may hold hooks, which -p runs without asking: only the user's count.
    words += ["--setting-sources", sources, "--settings", json.dumps(HOOKS)]
    return (*words, "--allowedTools", *(settings.tools or DEFAULT_TOOLS), *settings.args)
