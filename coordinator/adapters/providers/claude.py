"""Claude Code: how to start it so that it can neither push nor go on past a STOP file, and how to judge its
end.

Starts no process: argv and environment in, events and an outcome out. What is said here of the CLI was
measured on 2.1.197.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from coordinator.adapters.providers import preflight, stream
from coordinator.adapters.providers.environment import worker_env
from coordinator.adapters.providers.judging import judge
from coordinator.domain.outcome import Outcome
from coordinator.ports import Command, Finished, Probe, Readiness, RunSpec, Said, Settings

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
_OTHERS_KEYS = ("OPENAI_*", "GEMINI_*", "GOOGLE_API_KEY", "ZAI_*", "CC_GLM_*", "OPENCODE_*", "CODEX_*")

_SKIP = "--dangerously-skip-permissions"

# Interrupting its parent is the one way that ends the session with a result event: exit 2 or a denial alone
# lets a stubborn model ask again without end, and SIGTERM lets it say that all went well.
_STOP_HOOK = 'if [ -e "$CLAUDE_PROJECT_DIR/STOP" ]; then kill -INT $PPID; exit 2; fi'
HOOKS = {"hooks": {"PreToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command": _STOP_HOOK}]}]}}


class Claude:
    """The `claude` provider."""

    name = "claude"

    def command(self, spec: RunSpec) -> Command:
        """Raises ValueError for a setting that cannot work here."""
        settings = spec.settings
        if spec.as_root and _SKIP in settings.args:
            raise ValueError(
                f"claude refuses {_SKIP} as root. Name the tools it may use in template.toml "
                '(tools = ["Bash", ...]), or run the coordinator as an ordinary user.'
            )
        return Command(
            argv=_argv(settings, spec.session_id),
            env=claude_env(spec.environ, settings),
            stdin="prompt",
            stop_signal="INT",
            auth_source=auth_source(spec.environ),
            model=settings.model,
        )

    def events(self, line: bytes) -> tuple[Said, ...]:
        return stream.events(line)

    def judge(self, run: Finished) -> Outcome:
        return judge(self.name, run)

    def ready(self, probe: Probe, settings: Settings) -> Readiness:
        return preflight.first_failure((self._binary(probe, settings), self._credentials(probe)))

    def preflight(self, probe: Probe, settings: Settings, *, live: bool) -> tuple[Readiness, ...]:
        found = self._binary(probe, settings)
        if not found.ok:
            return (found,)
        lines = [
            preflight.version(probe, self.name, _binary(settings), SUPPORTED, INSTALL),
            self._credentials(probe),
        ]
        if live and all(line.ok for line in lines):
            env = claude_env(probe.environ(), settings)
            lines.append(preflight.live_answer(probe, self, _argv(settings, session_id=""), env))
        return tuple(lines)

    def _binary(self, probe: Probe, settings: Settings) -> Readiness:
        return preflight.binary(probe, self.name, _binary(settings), INSTALL)

    def _credentials(self, probe: Probe) -> Readiness:
        source = auth_source(probe.environ())
        if source != LOGIN or probe.read(preflight.home(probe, "CLAUDE_CONFIG_DIR", ".claude") / ".credentials.json"):
            return Readiness(ok=True, words=f"claude: credentials from {source}")
        return Readiness(
            ok=False,
            words="claude: no credentials: ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN and"
            " CLAUDE_CODE_OAUTH_TOKEN are unset and nobody is logged in",
            reason="claude_auth_missing",
            cure="claude setup-token",
        )


LOGIN = "login in ~/.claude"


def auth_source(environ: Mapping[str, str]) -> str:
    """The name of what claude will authenticate with, never its value."""
    return next((name for name in _AUTH if environ.get(name)), LOGIN)


def claude_env(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The worker's environment for claude: its own keys and no other provider's."""
    own = (*_OWN, *settings.environment)
    return worker_env(environ, own, {"DISABLE_AUTOUPDATER": "1"}, _OTHERS_KEYS)


def _binary(settings: Settings) -> str:
    return settings.binary or "claude"


def _argv(settings: Settings, session_id: str) -> tuple[str, ...]:
    argv = [_binary(settings), "-p", "--output-format", "stream-json", "--verbose"]
    if session_id:
        argv += ["--session-id", session_id]
    if settings.model:
        argv += ["--model", settings.model]
    if settings.max_turns:
        argv += ["--max-turns", str(settings.max_turns)]
    # A repository's own settings may hold hooks, which -p runs without asking: only the user's count.
    argv += ["--setting-sources", "user", "--settings", json.dumps(HOOKS)]
    return (*argv, "--allowedTools", *(settings.tools or DEFAULT_TOOLS), *settings.args)
