"""Jobs by hand that fail alike call a person: once a turn, by the operator's ways, with the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from coordinator.engine.batches.batch import Batch, Look
from coordinator.engine.batches.calling import call
from coordinator.engine.batches.watching import Watch, watch
from coordinator.engine.contacts import Contacts, Ways
from coordinator.planning.batch.members import Member
from coordinator.planning.batch.scope import Scope
from tests.support.batches import World, members

CONTACTS = Contacts("beep", ("ntfy://topic",))
WELL, STORM, MENDED = members(good=3, running=6), members(good=3, bad=4, running=2), members(good=30, bad=1, running=2)


@dataclass
class Heard:
    commands: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: str, **_: Any) -> tuple[int, str, str]:
        self.commands.append((stdin, env))
        return 0, "", ""

    def wrong(self, urls: Sequence[str]) -> str:
        return ""

    def send(self, urls: Sequence[str], title: str, text: str) -> str:
        self.messages.append((title, text))
        return "notify.urls, entry 1 of 1 (ntfy://…) did not answer"


def watched(*story: list[Member], scope: Scope | None = None) -> tuple[Heard, list[str]]:
    """Watched to the last of these looks, each of which came at its time."""
    heard, said, world = Heard(), list[str](), World(*story)
    batch: Batch = replace(world.batch, scope=scope) if scope is not None else world.batch
    ways: Any = Ways(heard, heard, {})  # type: ignore[arg-type]

    def tell(look: Look) -> None:
        said.extend(call(batch, look, CONTACTS, ways))

    order = Watch(tell, tell, timedelta(hours=8), to_the_end=True, every=timedelta(minutes=1))
    for _ in story:
        watch(batch, order, world.pause, once=True)
        world.pause(timedelta(minutes=1))
    return heard, said


@pytest.mark.req("A93", "A100")
def test_jobs_that_fail_alike_call_a_person_once_with_the_evidence_and_what_is_active() -> None:
    heard, said = watched(WELL, STORM, STORM, STORM)
    [(text, env)] = heard.commands
    assert heard.messages == [("Coordinator", text)]
    assert said == ["notify.urls, entry 1 of 1 (ntfy://…) did not answer"]
    lines = text.splitlines()
    assert lines[0].startswith("ESCALATE: batch prefix:bd-: several of its jobs fail alike: 4 of 7 (57%)")
    assert lines[0].endswith("→ coordinator batch status --prefix bd-")
    assert "ValueError: no such table" in text
    assert lines[-2:] == ["active jobs: 2", "error patterns: 4 × process_exit (bd-3, bd-4, bd-5, bd-6)"]
    assert env["COORDINATOR_CAUSE"] == "batch:prefix:bd-:process_exit"


@pytest.mark.req("A93")
def test_a_storm_after_the_batch_was_well_again_calls_anew_and_a_well_one_calls_nobody() -> None:
    assert watched(WELL, MENDED, MENDED)[0].commands == []
    assert len(watched(STORM, MENDED, STORM)[0].commands) == 2


def test_a_batch_that_has_a_coordinator_leaves_calling_to_it() -> None:
    assert watched(WELL, STORM, scope=Scope("label", "sweep-3", "/repo"))[0].commands == []
