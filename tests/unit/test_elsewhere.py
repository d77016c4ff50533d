"""What is missing on this machine says nothing of tasks that run on another."""

from __future__ import annotations

import pytest

from coordinator.cli.board import board_of
from coordinator.cli.views.status import status
from coordinator.domain.request import Event
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.planning.actions import Begin
from coordinator.planning.plan import plan
from coordinator.planning.policy import HostRules, Policy
from coordinator.planning.snapshot import Gate
from coordinator.ports import Readiness
from coordinator.wording.why import why
from tests.factories import NOW, a_snapshot, a_task, an_issue
from tests.support.fakes import an_outside

HOSTS = {"epyc12": HostRules(2, frozenset({"big"}))}


@pytest.mark.parametrize(("executor", "labels", "begins"), [
    ("local", (), False), ("ssh", (), True), ("local", ("big",), True),
])
def test_a_provider_that_is_missing_here_holds_only_what_would_run_here(
    executor: str, labels: tuple[str, ...], begins: bool
) -> None:
    policy = Policy(provider="command", executor=executor, hosts=HOSTS)
    s = a_snapshot(a_task(1), policy=policy, issues={1: an_issue(1, "rpi-auto", *labels)},
                   unready={"command": Gate("command_binary_missing", "it is not here")})
    made = plan(s)
    assert [type(action) for action in made.actions if isinstance(action, Begin)] == [Begin] * begins
    assert begins or made.waits["gh-1"].code == "command_binary_missing"


def test_it_is_not_even_asked_about() -> None:
    outside = an_outside()
    outside.provider.readiness = Readiness(False, "it is not here", "command_binary_missing")
    outside.store.add(a_task(1), Event("gh-1", NOW, "adopted"))
    assert "command" in observe(outside.world(), Memory()).unready
    away = Policy(provider="command", executor="ssh", hosts=HOSTS)
    assert observe(outside.world(policy=away), Memory()).unready == {}


def test_status_shows_every_host_where_it_stands_and_its_trouble_with_its_cure() -> None:
    hosts = [
        {"name": "epyc12", "used": 1, "slots": 4, "away_since": None, "words": "", "shut": ""},
        {"name": "epyc6", "used": 0, "slots": 2, "away_since": "2026-01-02T03:04:00+00:00", "words": "no route",
         "shut": "its gate was not passed"},
        {"name": "mac", "used": 2, "slots": 2, "away_since": "2026-01-02T03:04:00+00:00", "words": "timed out",
         "shut": ""},
    ]
    row = {"id": "gh-1", "state": "RUNNING", "attempts": [{"number": 1, "worker": "w-1", "host": "mac"}]}
    board = board_of({"repository": "a/b", "hosts": hosts, "tasks": [row]}, daemon=1)
    lines = [line.text for line in status(board, NOW, 200)]
    assert ("hosts epyc12 1/4 · epyc6 gate closed · mac out of reach since 03:04 UTC, "
            "2 workers there when last heard of") in lines
    assert [line for line in lines if line.startswith("! ")] == ["! mac: timed out → coordinator hosts check mac"]
    assert any("w-1@mac" in line for line in lines)


def test_why_names_the_host_of_each_attempt() -> None:
    attempt = {"number": 1, "provider": "claude", "host": "mac", "started": "2026-01-02T03:04:00+00:00"}
    row = {"id": "gh-1", "state": "RUNNING", "attempts": [attempt], "wait": None}
    assert any("on mac" in line for line in why(row, labels={}, now=NOW, local=lambda at: at).lines)
