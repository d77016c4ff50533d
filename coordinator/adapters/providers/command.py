"""Any program as an agent: argv from the configuration, the prompt on its stdin.

If it prints claude's stream-json it is judged like claude; if not, its plain lines are its words and its exit
code decides (recorded as judged_by = "exit").
"""

from __future__ import annotations

import re
import sys

from coordinator.adapters.providers import preflight, stream
from coordinator.adapters.providers.environment import worker_env
from coordinator.adapters.providers.judging import judge
from coordinator.domain.outcome import Outcome
from coordinator.ports import Choice, Command, Credentials, Finished, Probe, Readiness, RunSpec, Said, Settings
from coordinator.runfiles.verdict.lines import parse

PLACEHOLDERS = ("prompt_file", "output_file", "worktree", "model", "task", "attempt", "python")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_EXAMPLE = 'argv = ["my-agent", "--prompt", "{prompt_file}"] under [providers.command] in coordinator.toml'


class CommandProvider:
    """The `command` provider."""

    name = "command"

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """Its own affair: what it may see of the environment is configured."""
        del probe, settings
        return Credentials()

    def choose(self, probe: Probe, settings: Settings) -> Choice:
        del probe
        return Choice(settings.model)

    def command(self, spec: RunSpec) -> Command:
        """Raises ValueError for a template without words or with an unknown placeholder."""
        settings = spec.settings
        values = {
            "prompt_file": str(spec.prompt_file),
            "output_file": str(spec.output_file),
            "worktree": str(spec.worktree),
            "model": settings.model,
            "task": spec.task_id,
            "attempt": str(spec.attempt),
            "python": sys.executable,
        }
        if not settings.argv:
            raise ValueError(f"provider command: argv is empty, so there is nothing to start. Set {_EXAMPLE}.")
        return Command(
            argv=tuple(fill(word, values) for word in (*settings.argv, *settings.args)),
            env=worker_env(spec.environ, settings.environment, {}),
            stdin="prompt",
            stop_signal="TERM",
            model=settings.model,
            speaks="either",
        )

    def events(self, line: bytes) -> tuple[Said, ...]:
        return events_or_words(line)

    def judge(self, run: Finished) -> Outcome:
        return judge(self.name, run)

    def ready(self, probe: Probe, settings: Settings) -> Readiness:
        if not settings.argv:
            return Readiness(
                ok=False,
                words="command: no argv is configured",
                reason="command_binary_missing",
                cure=f"set {_EXAMPLE}",
            )
        program = settings.argv[0]
        if program == "{python}":
            return Readiness(ok=True, words=f"command: {sys.executable}")
        return preflight.binary(probe, self.name, program, f"install {program}, or correct argv in coordinator.toml")

    def preflight(self, probe: Probe, settings: Settings, *, live: bool) -> tuple[Readiness, ...]:
        """A foreign program has no version and no question that we would know: `live` adds nothing."""
        del live
        return (self.ready(probe, settings),)


def events_or_words(line: bytes) -> tuple[Said, ...]:
    """The events of a line of claude's stream; any other line is what the agent says."""
    body = parse(line)
    if body is not None and isinstance(body.get("type"), str):
        return stream.said(body)
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    return (stream.spoken(text),) if text.strip() else ()


def fill(word: str, values: dict[str, str]) -> str:
    """Puts values in for `{name}`; what a value holds is never looked at again. Raises ValueError for an
    unknown name; other braces (JSON, say) stay as they are."""

    def put(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in values:
            known = " ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            raise ValueError(f"provider command: unknown placeholder {{{name}}} in argv word {word!r}. Known: {known}.")
        return values[name]

    return _PLACEHOLDER.sub(put, word)
