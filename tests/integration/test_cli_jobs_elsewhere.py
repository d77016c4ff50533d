"""status where nothing is here: it says where else to look."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.app.faces import CC_GLM_JOB, COORDINATOR, DX_RUNNER, Face
from coordinator.cli.jobs.faces import run_as

HOSTS = """
[hosts.macmini]
address = "macmini"
[hosts.epyc6]
address = "epyc6"
enabled = false
[hosts.epyc12]
address = "epyc12"
default = true
"""
Ask = Callable[..., list[str]]


@pytest.fixture
def ask(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The hints of `status` under a name, with these hosts in the user's configuration."""
    for name in ("COORDINATOR_JOBS_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()

    def hints(configured: str, face: Face = CC_GLM_JOB) -> list[str]:
        file = tmp_path / ".config/coordinator/config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(configured, "utf-8")
        assert run_as(face, ["status", "--log-dir", str(tmp_path / "jobs")]) == 0
        return [line for line in capfd.readouterr().err.splitlines() if line.startswith("hint: ")]

    return hints


@pytest.mark.req("A68", "B91")
def test_an_empty_list_names_where_it_looked_and_the_enabled_hosts_with_the_command_for_each(
    ask: Ask, tmp_path: Path
) -> None:
    place, empty, elsewhere = ask(HOSTS)
    assert place == f"hint: host {os.uname().nodename}, folder {tmp_path / 'jobs'} (empty)"
    assert "no jobs in" in empty
    assert elsewhere == (
        "hint: other hosts may hold some: coordinator dispatch epyc12 -- cc-glm-job status;"
        " coordinator dispatch macmini -- cc-glm-job status")


@pytest.mark.req("A68")
def test_a_disabled_host_is_never_named(ask: Ask) -> None:
    assert not any("epyc6" in line for line in ask(HOSTS))
    assert not any("dispatch" in line for line in ask('[hosts.epyc6]\naddress = "epyc6"\nenabled = false\n'))


@pytest.mark.parametrize("face", [COORDINATOR, DX_RUNNER])
def test_the_command_is_that_of_the_name_it_was_asked_under(ask: Ask, face: Face) -> None:
    assert ask(HOSTS, face)[-1].endswith(f"coordinator dispatch macmini -- {face.name} status")


def test_without_hosts_nothing_is_said_of_them(ask: Ask) -> None:
    assert not any("dispatch" in line for line in ask(""))


def test_where_jobs_are_no_host_is_named(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "jobs/bd-1.meta").write_text("beads=bd-1\n", "utf-8")
    assert not any("dispatch" in line for line in ask(HOSTS))
