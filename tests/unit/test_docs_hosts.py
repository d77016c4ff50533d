"""The page of hosts: its example is read by the program itself, and what was promised to be said is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.app import hosts
from coordinator.config import Config, load
from tests.unit.test_docs_skills import BATCH, says

PAGE = Path(__file__).resolve().parents[2] / "docs" / "executors.md"


@pytest.fixture
def example(tmp_path: Path) -> Config:
    """The first configuration of the page, as it stands."""
    found = re.search(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    file = tmp_path / "coordinator.toml"
    file.write_text(found[1], "utf-8")
    return load(file, {})


@pytest.mark.req("B32", "B33", "B34", "B35")
def test_the_example_has_the_four_hosts_of_the_guide(example: Config, tmp_path: Path) -> None:
    closed = hosts.gates(example, {"HOME": str(tmp_path)})
    purposes = {name: host.purpose for name, host in example.hosts.items()}
    [primary] = [name for name, said in purposes.items() if "primary Linux development host" in said]
    [mac] = [name for name, said in purposes.items() if "macOS and iOS builds" in said]
    [gpu] = [name for name, said in purposes.items() if "GPU" in said]
    compute = hosts.default_of(example)
    assert "Linux compute" in purposes[compute]
    assert len({primary, mac, gpu, compute}) == 4
    assert all(example.hosts[name].enabled for name in (primary, mac, compute))
    assert [name for name, why in closed.items() if why] == [gpu]
    assert example.hosts[gpu].gate
    assert example.hosts[gpu].gate_doc in closed[gpu]
    assert f"the default host is {compute}" in closed[gpu]


@pytest.mark.req("B36", "B37")
def test_when_a_command_is_dispatched_and_when_not() -> None:
    says(PAGE, "Use it only for what is not to be had here: a tool of that host, heavy compute, or secrets that stay "
               "there.",
         "Do not dispatch when it works locally, or when nobody said that it must run on another machine.")


@pytest.mark.req("D45", "D46")
def test_a_watch_begins_with_its_posture_and_its_horizon() -> None:
    says(BATCH, "State the failure posture explicitly,", "from what share of which cause you intervene",
         "Choose a horizon, some hours or a day, and say it. Within it continue to completion or to an intervention")
