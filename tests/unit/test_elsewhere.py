"""What is missing on this machine says nothing of tasks that run on another."""

from __future__ import annotations

import pytest

from coordinator.domain.request import Event
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.planning.actions import Begin
from coordinator.planning.plan import plan
from coordinator.planning.policy import HostRules, Policy
from coordinator.planning.snapshot import Gate
from coordinator.ports import Readiness
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
