"""Builders that ask hosts how they are: several at the same time, and the gate of one. They change nothing there but
our own folder, which the wrapper is copied into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.app import hosts
from coordinator.domain.hostcheck import HostLine, HostReport
from coordinator.wording import host_check as wording
from coordinator.wording.hosts import command_on

if TYPE_CHECKING:
    from coordinator.adapters.executors.ssh import Ssh
    from coordinator.config import Config
    from coordinator.ports import Probe, Provider, Settings

TIMEOUT = 60.0
AT_ONCE = 16
_AUTH = ("auth_missing", "auth_blocked")


def check(config: Config, names: Sequence[str], environ: Mapping[str, str]) -> Iterator[HostReport]:
    """A report for each, in this order, several being asked at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    closed = hosts.gates(config, environ)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="host") as pool:
        yield from pool.map(lambda name: _report(config, name, closed[name], environ), names)


@dataclass(frozen=True)
class Gate:
    """How a gate's command ended; `said` is the end of what it printed."""

    code: int
    said: str


def run_gate(config: Config, name: str, environ: Mapping[str, str]) -> Gate:
    """Runs the host's gate there, in the user's shell. Raises hosts.NotDone."""
    from coordinator.adapters.executors.ssh import Unreachable
    from coordinator.adapters.executors.ssh_marks import with_path
    from coordinator.runfiles.masking import Masker, secrets_in

    host = config.hosts[name]
    try:
        answer = hosts.reach(host, environ).run(with_path(host.path, host.gate), timeout=hosts.GATE_TIMEOUT)
    except Unreachable as error:
        raise hosts.NotDone(f"the gate of {name} stays closed: {error.what}", error.cure) from error
    said = answer.out.decode("utf-8", "replace") + answer.err
    return Gate(answer.code, Masker(secrets_in(environ)).text(said)[-4000:])


def _report(config: Config, name: str, closed: str, environ: Mapping[str, str]) -> HostReport:
    from coordinator.adapters.executors.ssh import Unreachable

    lines: list[HostLine] = []
    try:
        for line in _lines(config, name, environ):
            lines.append(line)   # noqa: PERF402 - those before an error are kept
    except Unreachable as error:
        lines.append(wording.unreachable(error.what, error.cure))
        return HostReport(name, tuple(lines), reachable=False, closed=closed)
    return HostReport(name, tuple(lines), reachable=True, closed=closed)


def _lines(config: Config, name: str, environ: Mapping[str, str]) -> Iterator[HostLine]:
    """Raises Unreachable."""
    from coordinator.adapters.executors.host_facts import NoPython, ask
    from coordinator.app.engines import floors_of

    host = config.hosts[name]
    ssh = hosts.reach(host, environ)
    try:
        facts = ask(ssh, host.workdir, host.python, host.path, TIMEOUT)
    except NoPython as error:
        yield wording.reached(host.address)
        yield wording.no_python(name, error.words)
        return
    yield wording.reached(host.address)
    judged = list(wording.judge(name, facts, floors_of(config), command_on(name)))
    yield from judged
    if not any(line.level == "fail" for line in judged if line.about in ("python", "workdir", "git")):
        yield from _agents(config, name, ssh, environ)


def _agents(config: Config, name: str, ssh: Ssh, environ: Mapping[str, str]) -> Iterator[HostLine]:
    """Programs and credentials of the providers that may run there; only that of the usual one must be there."""
    from coordinator.adapters.executors.remote.link import Link
    from coordinator.adapters.executors.remote.probe import FarProbe
    from coordinator.adapters.providers import provider
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.app import provider_settings
    from coordinator.app.credentials import without_tokens
    from coordinator.ports import Away, LaunchFailed, Settings

    host, ours = config.hosts[name], without_tokens(environ)
    far = FarProbe(Link(name, ssh, host.workdir, host.python, host.path), ours)
    settings, usual = provider_settings(config), config.workers.provider
    for one in dict.fromkeys((usual, *config.fallback.get(usual, ()), *config.providers)):
        bad = "fail" if one == usual else "warn"
        try:
            yield from _agent(provider(one), far, SystemProbe(ours), settings.get(one, Settings()), bad)
        except (Away, LaunchFailed) as error:
            yield HostLine(one, "fail", error.words, f"coordinator hosts check {name}")


def _agent(agent: Provider, far: Probe, near: Probe, settings: Settings, bad: str) -> Iterator[HostLine]:
    for line in agent.preflight(far, settings, live=False):
        if line.ok:
            yield HostLine(agent.name, "ok", line.words)
        elif line.reason.endswith(_AUTH) and (source := _sent_along(agent, near, settings)):
            yield HostLine(agent.name, "ok", f"{agent.name}: credentials from {source} of this machine")
        else:
            yield HostLine(agent.name, bad, line.words, line.cure)


def _sent_along(agent: Provider, near: Probe, settings: Settings) -> str:
    """Where credentials come from that are found here and given to each worker; "" for none."""
    from coordinator.ports import AuthUnresolved

    try:
        found = agent.credentials(near, settings)
    except AuthUnresolved:
        return ""
    return found.source if found.env else ""
