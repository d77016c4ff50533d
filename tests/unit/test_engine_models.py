"""The model that a provider chooses goes into a task's run and its records; one that is not there starts nothing."""

from __future__ import annotations

import pytest

from coordinator.engine.tick import AtOnce, Engine
from coordinator.ports import Choice, LaunchSpec, NoModel
from tests.support.fakes import Outside, Script, an_outside


def begun(outside: Outside) -> list[LaunchSpec]:
    """What the workers of one labelled issue were started with."""
    specs: list[LaunchSpec] = []

    def script(spec: LaunchSpec) -> Script:
        specs.append(spec)
        return Script()

    outside.executor.scripts = script
    outside.github.person_opens(1, "rpi-auto")
    engine = Engine(outside.world(), AtOnce(), lambda _: None)
    for _ in range(2):
        engine.tick()
        outside.clock.pass_by(1)
    return specs


@pytest.mark.req("C61")
def test_a_model_that_stands_in_is_recorded_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = an_outside()
    monkeypatch.setattr(outside.provider, "choose", lambda *_: Choice("b", "opencode_model_unavailable"))
    asked = []
    plain = outside.provider.command
    monkeypatch.setattr(outside.provider, "command", lambda spec: asked.append(spec.settings.model) or plain(spec))
    [spec] = begun(outside)
    assert (asked, spec.meta["fallback_reason"]) == (["b"], "opencode_model_unavailable")


@pytest.mark.req("C34")
def test_without_a_model_nothing_starts_and_that_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> Choice:
        raise NoModel("opencode_model_unavailable", "none is there", "opencode auth login", 25)

    outside = an_outside()
    monkeypatch.setattr(outside.provider, "choose", none)
    assert begun(outside) == []
    [task] = outside.store.tasks()
    assert (task.reason, task.detail) == ("opencode_model_unavailable", "none is there")
