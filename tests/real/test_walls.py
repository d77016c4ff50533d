"""The real agents behind real walls, a scripted model beside them: each finds its program, its settings and its git in
there, commits, and hears a polite stop."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.adapters.providers import provider
from coordinator.adapters.system import bubblewrap
from coordinator.domain.outcome import Ending
from coordinator.ports import Finished, Handle, LaunchSpec, RunSpec, Settings, StopOrder
from tests.support.agents import IDENTITY, STANDS
from tests.support.gitworld import git
from tests.support.model_server import ModelServer
from tests.support.real_parts import missing
from tests.support.walled import TASK, Field, make_field, needs_walls
from tests.support.workers import command_line, ended, until

pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("walls")]
AGENTS = tuple(STANDS)


@pytest.fixture(scope="module")
def walls() -> None:
    needs_walls()


def launched(field: Field, name: str, server: ModelServer, scenario: str) -> LaunchSpec:
    """As the coordinator would start it, its home below the field's."""
    stand, url, home = STANDS[name], server.url(scenario), field.root / "agent-home"
    if missing(stand.binary):
        pytest.skip(missing(stand.binary))
    for file, text in stand.files(url).items():
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text(text)
    home.mkdir(exist_ok=True)
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **IDENTITY, **stand.environ(url)}
    settings = Settings(**{"binary": str(stand.binary), "model": stand.model, **stand.settings})  # type: ignore[arg-type]
    session = "3c1f4b52-7d57-4b6e-9a53-0c6a3f5f2b10"
    command = provider(name).command(RunSpec(TASK, 1, "Add a greeting.", field.root / "prompt", field.tree, session,
                                             settings, environ, as_root=True, stream=True))
    made = bubblewrap.around(field.world.repository().wall_in(TASK, "t"), argv=command.argv, environ=command.env,
                             own=command.own)
    return LaunchSpec(
        Handle(name, TASK, f"walls-{name}-{id(field)}"), "w-1", 1, 1, "20260102030405", command.argv, command.env,
        field.tree, "Add a greeting.", command.stdin, timedelta(minutes=3), timedelta(seconds=5),
        stop_signal=command.stop_signal, speaks=command.speaks, walls=made)


@pytest.mark.parametrize("name", AGENTS)
def test_each_agent_commits_behind_its_walls(name: str, tmp_path: Path, scripted: ModelServer) -> None:
    field = make_field(tmp_path)
    spec = launched(field, name, scripted, "commit")
    executor = LocalExecutor(tmp_path / "jobs", lambda _: None, cgroup=False)
    try:
        executor.submit(spec)
        end = ended(executor, spec, 90)
        field.let_out()
        log, err = executor.paths(spec.handle)
        outcome = provider(name).judge(Finished(end.code, end.signal, end.reason, iter(log.read_bytes().splitlines()),
                                                err.read_bytes(), None, 0.0, streamed=True))
        assert git(field.tree, "log", "-1", "--format=%s") == "Add a greeting", executor.log_tail(spec.handle).decode()
        assert outcome.ending in (Ending.SUCCEEDED, Ending.NO_CHANGE), outcome
    finally:
        executor.close()


@pytest.mark.parametrize("name", AGENTS)
def test_a_polite_stop_reaches_each_agent_behind_its_walls(name: str, tmp_path: Path, scripted: ModelServer) -> None:
    field = make_field(tmp_path)
    spec = launched(field, name, scripted, "slow-tool")
    executor = LocalExecutor(tmp_path / "jobs", lambda _: None, cgroup=False)
    try:
        wrapper = executor.submit(spec)
        until(lambda: any(b"sleep" in command_line(pid) for pid in tree(wrapper)), "its tool", 60)
        executor.stop(spec.handle, StopOrder("manual_stop", "test"))
        end = ended(executor, spec, 30)
        assert (end.reason, end.survivors) == ("manual_stop", ())
        assert end.signal != 9, "it had to be killed"
    finally:
        executor.close()


def tree(pid: int) -> list[int]:
    from coordinator.runfiles import identity

    return [proc.pid for proc in identity.tree(pid)]
