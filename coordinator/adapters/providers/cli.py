"""What the providers have in common that start an agent CLI with a stream of its own: the prompt on stdin, one tongue,
one preflight. A provider of this kind says only what is its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from coordinator.adapters.providers import preflight, stream
from coordinator.adapters.providers.environment import others_keys, worker_env
from coordinator.adapters.providers.judging import judge
from coordinator.adapters.providers.preflight import Version
from coordinator.domain.outcome import Outcome
from coordinator.domain.walls import Own
from coordinator.ports import Choice, Command, Credentials, Finished, Probe, Readiness, RunSpec, Said, Settings


class CliProvider(ABC):
    """`own` names what passes of the coordinator's environment, `fixed` is set whatever it holds; `supported` from,
    up to but not including."""

    name: str
    program: str
    install: str
    supported: tuple[Version, Version]
    own: tuple[str, ...]
    fixed: Mapping[str, str] = {}
    stop_signal = "TERM"

    @abstractmethod
    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """Raises AuthUnresolved."""

    @abstractmethod
    def argv(self, settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
        """The command line, the prompt left out. Raises ValueError for a setting that cannot work."""

    def model(self, settings: Settings, environ: Mapping[str, str]) -> str:
        """The model that is wanted; "" leaves it to the CLI."""
        del environ
        return settings.model

    def choose(self, probe: Probe, settings: Settings) -> Choice:
        """Raises NoModel."""
        return Choice(self.model(settings, probe.environ()))

    def own_lines(self, probe: Probe, settings: Settings) -> tuple[Readiness, ...]:
        """What its preflight asks beside the questions of all."""
        del probe, settings
        return ()

    def at_home(self, environ: Mapping[str, str]) -> Own:
        """What the CLI needs of its home: its settings to read, its login to renew."""
        del environ
        return Own()

    def facts(self, environ: Mapping[str, str]) -> dict[str, str]:
        """base_url and the like, for the contract; no secret."""
        del environ
        return {}

    def command(self, spec: RunSpec) -> Command:
        """Raises ValueError for a setting that cannot work here."""
        return Command(
            argv=self.argv(spec.settings, spec.environ),
            env=self.env(spec.environ, spec.settings, spec.credentials),
            stdin="prompt",
            stop_signal=self.stop_signal,
            auth_source=spec.credentials.source,
            model=self.model(spec.settings, spec.environ),
            speaks=self.name,
            facts={"auth_mode": spec.credentials.mode, **self.facts(spec.environ)},
            own=self.at_home(spec.environ),
        )

    def env(self, environ: Mapping[str, str], settings: Settings, credentials: Credentials) -> dict[str, str]:
        """The agent's whole environment: its own keys and no other provider's, but for those that the settings name."""
        named = settings.environment
        never = [pattern for pattern in others_keys(self.name) if not any(fnmatchcase(name, pattern) for name in named)]
        return worker_env(environ, (*self.own, *settings.environment), {**self.fixed, **credentials.env}, never)

    def events(self, line: bytes) -> tuple[Said, ...]:
        return stream.events(line, self.name)

    def judge(self, run: Finished) -> Outcome:
        return judge(self.name, run, self.name)

    def ready(self, probe: Probe, settings: Settings) -> Readiness:
        return preflight.first_failure((self._binary(probe, settings), preflight.credentials(self, probe, settings)))

    def preflight(self, probe: Probe, settings: Settings, *, live: bool) -> tuple[Readiness, ...]:
        found = self._binary(probe, settings)
        if not found.ok:
            return (found,)
        program = settings.binary or self.program
        lines = [
            preflight.version(probe, self.name, program, self.supported, self.install),
            preflight.credentials(self, probe, settings),
        ]
        if all(line.ok for line in lines):
            lines += self.own_lines(probe, settings)
        if live and all(line.ok for line in lines):
            env = self.env(probe.environ(), settings, self.credentials(probe, settings))
            chosen = replace(settings, model=self.choose(probe, settings).model)
            lines.append(preflight.live_answer(probe, self, self.argv(chosen, probe.environ()), env))
        return tuple(lines)

    def _binary(self, probe: Probe, settings: Settings) -> Readiness:
        return preflight.binary(probe, self.name, settings.binary or self.program, self.install)


def first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first of these variables that holds something; ""."""
    return next((name for name in names if environ.get(name, "").strip()), "")

