"""How a person is told: one line in the log, the same with what is active and failing to command and addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.task import TaskState
from coordinator.engine.contacts import Contacts
from coordinator.engine.effects import perform
from coordinator.engine.world import Options, World
from coordinator.planning.actions import Notify, Picture
from coordinator.planning.plan import plan
from tests.factories import a_snapshot, a_task
from tests.support.fakes import an_outside

FAILING = (("max_retries", tuple(f"gh-{n}" for n in range(1, 8))), ("merge_conflict", ("gh-9",)))
NOTICE = Notify("blocked:gh-1:x", "gh-1 is blocked: max_retries", "coordinator why gh-1",
                picture=Picture(active=2, slots=3, waiting=4, failing=FAILING))
LINE = "ESCALATE: gh-1 is blocked: max_retries → coordinator why gh-1"
BUNDLE = ("active workers: 2 of 3, waiting: 4\n"
          "error patterns: 7 × max_retries (gh-1, gh-2, gh-3, gh-4, gh-5 and 2 more); 1 × merge_conflict (gh-9)\n")


@dataclass
class Commands:
    ran: list[tuple[tuple[str, ...], str, Mapping[str, str]]] = field(default_factory=list)
    code: int = 0

    def run(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None,
            cwd: Path | None = None, stdin: str = "") -> tuple[int, str, str]:
        self.ran.append((tuple(argv), stdin, env or {}))
        return self.code, "", "no such luck\n" if self.code else ""


@dataclass
class Addresses:
    trouble: str = ""
    sent: list[tuple[tuple[str, ...], str, str]] = field(default_factory=list)

    def wrong(self, urls: Sequence[str]) -> str:
        return ""

    def send(self, urls: Sequence[str], title: str, text: str) -> str:
        self.sent.append((tuple(urls), title, text))
        return self.trouble


def a_world(said: list[str], commands: Commands, addresses: Addresses, contacts: Contacts, **changes: Any) -> World:
    return an_outside().world(probe=commands, notifier=addresses, say=said.append, options=Options(contacts=contacts),
                              environ={"PATH": "/bin", "SECRET": "s"}, **changes)


@pytest.mark.req("A100", "X15")
def test_every_way_gets_the_cause_its_cure_what_is_active_and_what_fails_alike() -> None:
    said: list[str] = []
    commands, addresses = Commands(), Addresses()
    world = a_world(said, commands, addresses, Contacts("mail -s 'a b' me", ("ntfy://topic",)))
    perform(NOTICE, world)
    assert said == [LINE]
    [(argv, stdin, env)] = commands.ran
    assert (argv, stdin) == (("mail", "-s", "a b", "me"), f"{LINE}\n{BUNDLE}")
    assert env == {"PATH": "/bin", "COORDINATOR_CAUSE": "blocked:gh-1:x", "COORDINATOR_REPOSITORY": "acme/widget"}
    assert addresses.sent == [(("ntfy://topic",), "Coordinator acme/widget", f"{LINE}\n{BUNDLE}")]


def test_ways_that_fail_are_said_once_each_and_the_cause_counts_as_told() -> None:
    said: list[str] = []
    commands, addresses = Commands(code=3), Addresses("notify.urls, entry 1 of 1 (ntfy://…) did not answer")
    world = a_world(said, commands, addresses, Contacts("beep", ("ntfy://topic",)))
    fact = perform(replace(NOTICE, along=("blocked:gh-2:x",)), world)
    assert said == [LINE, "notify.command ended with 3: no such luck",
                    "notify.urls, entry 1 of 1 (ntfy://…) did not answer"]
    assert getattr(fact, "keys", None) == ("blocked:gh-1:x", "blocked:gh-2:x")


def test_what_is_known_of_the_cause_itself_stands_first() -> None:
    said: list[str] = []
    addresses = Addresses()
    world = a_world(said, Commands(), addresses, Contacts(urls=("ntfy://topic",)))
    perform(replace(NOTICE, picture=replace(NOTICE.picture, evidence=("3 × merge_conflict: gh-1",))), world)
    assert addresses.sent[0][2] == f"{LINE}\n3 × merge_conflict: gh-1\n{BUNDLE}"


def test_nobody_configured_is_one_line_in_the_log() -> None:
    said: list[str] = []
    commands, addresses = Commands(), Addresses()
    perform(NOTICE, a_world(said, commands, addresses, Contacts()))
    assert (said, commands.ran, addresses.sent) == ([LINE], [], [])


def test_what_an_agent_said_is_masked_before_it_is_told() -> None:
    said: list[str] = []
    addresses = Addresses()
    world = a_world(said, Commands(), addresses, Contacts(urls=("ntfy://topic",)),
                    mask=lambda words: words.replace("hunter22", "***"))
    snapshot = a_snapshot(a_task(1, TaskState.BLOCKED, reason="process_exit", detail="password hunter22 refused"))
    [notice] = [one for one in plan(snapshot).actions if isinstance(one, Notify)]
    perform(notice, world)
    assert "hunter22" not in said[0]
    assert "password *** refused" in addresses.sent[0][2]


def test_contacts_never_show_their_addresses() -> None:
    assert "topic" not in repr(Options(contacts=Contacts("c", ("ntfy://topic",))))
