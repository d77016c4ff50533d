"""What the commands say of walls, and that an order for them which cannot be kept starts nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.program import a_repository, program
from tests.support.walled import needs_walls


@pytest.fixture
def without(tmp_path: Path) -> str:
    """A PATH without bubblewrap."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh", "true"):
        (folder / name).symlink_to(shutil.which(name) or pytest.fail(f"there is no {name}"))
    return str(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = a_repository(tmp_path / "widgets")
    (made / "coordinator.toml").write_text('[workers]\nprovider = "command"\n'
                                           '[providers.command]\nargv = ["true"]\n[repository]\n'
                                           'name = "acme/widgets"\napi_url = "http://127.0.0.1:9"\n')
    return made


@pytest.mark.parametrize("order", [{"COORDINATOR_WORKERS_SANDBOX": "bwrap"}, {"COORDINATOR_WORKERS_NETWORK": "off"},
                                   {"COORDINATOR_WORKERS_NETWORK": "http://proxy.lan:3128"}])
def test_an_order_that_cannot_be_kept_starts_nothing_and_is_said(
    order: dict[str, str], root: Path, without: str
) -> None:
    for command in (("run", "--once"), ("doctor",)):
        ran = program(root, *command, PATH=without, GITHUB_TOKEN="t", **order)
        said = ran.stdout + ran.stderr
        assert ran.returncode != 0
        assert "cannot be kept: bubblewrap is not installed" in said
    assert "apt install bubblewrap" in program(root, "run", "--once", PATH=without, GITHUB_TOKEN="t", **order).stderr
    assert not (root / ".coordinator" / "state.db").exists()


def test_a_job_by_hand_has_no_walls_and_is_refused_where_they_are_ordered(root: Path, tmp_path: Path) -> None:
    (tmp_path / "prompt").write_text("Do it.")
    words = ("job", "start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(tmp_path / "prompt"))
    ran = program(root, *words, COORDINATOR_WORKERS_SANDBOX="bwrap")
    assert ran.returncode == 21
    assert "starts no agent without walls" in ran.stderr
    assert program(root, *words).returncode == 0


def test_doctor_and_the_start_say_whether_there_are_walls(root: Path, without: str) -> None:
    off = program(root, "doctor", PATH=without, GITHUB_TOKEN="t").stdout
    assert "sandbox off: agents run with your rights on this host (bubblewrap is not installed)" in off
    assert "apt install bubblewrap" in off
    start = program(root, "run", "--once", PATH=without, GITHUB_TOKEN="t")
    assert "sandbox off: agents run with your rights" in start.stderr
    needs_walls()
    assert "sandbox bwrap" in program(root, "run", "--once", GITHUB_TOKEN="t").stderr
    assert "sandbox bwrap: tried just now" in program(root, "doctor", GITHUB_TOKEN="t").stdout
