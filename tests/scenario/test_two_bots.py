"""The bot never answers itself: others that answer each of its words and labels come to rest with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.planning import trust
from coordinator.planning.rules.tell import LABELS_AGAIN
from tests.support.yard import BOT, Yard, a_yard, another

BLOCKS = "write('BLOCKED.md', 'Which one?'); result()"
FULL = '[labels]\nmode = "full"\n'
RUN = "commit(); result()"
QUIET = 12
"""Looks in a row in which nobody said or set anything."""


@dataclass
class Echo:
    """Somebody who answers every comment of `heard` with one of their own, and every change of labels with `deeds`."""

    yard: Yard
    login: str
    heard: str = BOT
    set_again: tuple[str, ...] = ()
    takes_off: tuple[str, ...] = ()
    said: int = 0
    turned: int = 0
    _seen: set[int] = field(default_factory=set)

    def react(self, number: int) -> bool:
        """Whether there was something to answer."""
        me, issue = self.yard.repository.as_user(self.login), self.yard.repository.issue(number)
        fresh = [one for one in issue.comments if one.author == self.heard and one.id not in self._seen]
        for one in fresh:
            self._seen.add(one.id)
            me.comment(number, f"I see: {one.body}")
            self.said += 1
        off = [name for name in self.takes_off if name in issue.labels]
        if off:   # in the second in which we set it, all would be as listed before: GitHub's times are whole seconds
            time.sleep(1.01)
        for name in off:
            me.remove_label(number, name)
        if fresh or off:
            for name in self.set_again:
                if name in self.yard.repository.issue(number).labels:
                    me.remove_label(number, name)
                me.add_label(number, name)
        self.turned += len(off)
        return bool(fresh or off)


def rest(yard: Yard, number: int, *echoes: Echo, others: tuple[Yard, ...] = ()) -> None:
    """Until nobody has anything to say for a while; fails if that never comes."""
    quiet = 0
    for _ in range(400):
        before = yard.comments(number), set(yard.repository.issue(number).labels)
        for one in (yard, *others):
            one.tick()
        moved = [echo.react(number) for echo in echoes]
        busy = yard.state(number) in ("", "QUEUED", "PREPARING", "RUNNING", "PUBLISHING", "BACKOFF")
        after = yard.comments(number), set(yard.repository.issue(number).labels)
        quiet = 0 if any(moved) or busy or before != after else quiet + 1
        if quiet == QUIET:
            return
        yard.wakes.wait(0.2)
    raise AssertionError("they never come to rest:\n" + "\n".join(yard.lines[-30:]))


def ours(yard: Yard, number: int, login: str = BOT) -> list[str]:
    return [one.body for one in yard.repository.issue(number).comments if one.author == login]


def writes(yard: Yard) -> int:
    return sum(one.method != "GET" and not one.path.endswith("-pack") and "graphql" not in one.path
               for one in yard.github.requests)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Yard]:
    with a_yard(tmp_path, more=FULL) as made:
        made.github.add_user("helper[bot]", "helper-token", permission="write")
        made.github.add_user("machine", "machine-token", permission="write")
        yield made


@pytest.mark.req("W20")
@pytest.mark.parametrize("script", [BLOCKS, RUN])
def test_a_bot_that_answers_every_word_and_sets_every_label_brings_no_work_and_no_further_word(full: Yard, script: str):
    alone = full.issue(script=script)
    rest(full, alone)
    wanted = [body.replace(f"gh-{alone}", "gh-N") for body in ours(full, alone)]

    number = full.issue(script=script)
    echo = Echo(full, "helper[bot]", set_again=("rpi-auto", "rpi-retry"))
    rest(full, number, echo)

    assert len(full.engine.world.store.attempts()[f"gh-{number}"]) == 1
    assert len(ours(full, number)) == len(wanted) == echo.said
    assert full.state(number) == full.state(alone)
    before = writes(full)
    for _ in range(5):
        full.tick()
    assert writes(full) == before


@pytest.mark.req("W20")
def test_a_bot_that_takes_our_labels_off_each_time_has_it_its_way(full: Yard):
    number = full.issue(script=BLOCKS)
    echo = Echo(full, "helper[bot]", takes_off=("rpi:blocked",), set_again=("rpi-retry",))
    rest(full, number, echo)
    assert 1 <= echo.turned <= LABELS_AGAIN + 1
    assert any("whoever changes them again has it their way" in line for line in full.lines)
    assert "rpi:blocked" not in full.repository.issue(number).labels
    assert len(full.engine.world.store.attempts()[f"gh-{number}"]) == 1


@pytest.mark.req("W20")
def test_an_account_that_may_start_work_and_does_so_at_each_word_of_ours_ends_at_the_cap(
    full: Yard, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trust, "LONGEST_PAUSE", timedelta(milliseconds=100))   # before it is asked who set what
    config = full.clone / "coordinator.toml"
    config.write_text(config.read_text() + "\n[caps]\nsessions_per_task = 2\n")
    full.close()
    full.start()
    number = full.issue(script=BLOCKS)
    echo = Echo(full, "machine", set_again=("rpi-auto",), takes_off=("rpi:blocked",))
    rest(full, number, echo)
    assert len(full.engine.world.store.attempts()[f"gh-{number}"]) == 2
    assert full.state(number) == "BLOCKED"
    assert len(ours(full, number)) <= 1 + 2 + 1, "one that lives, one an attempt, one for the cap"


@pytest.mark.req("W20", "W2")
def test_a_second_coordinator_with_an_account_of_its_own_says_nothing_while_the_first_holds_the_repository(full: Yard):
    full.github.add_user("bot-two", "two-token", permission="write")
    full.tick()
    with another(full, token="two-token", more=FULL) as other:
        number = full.issue(script=RUN)
        rest(full, number, others=(other,))
        assert ours(full, number, "bot-two") == []
        assert len(ours(full, number)) == 2
        assert len(full.repository.pulls()) == 1


@pytest.mark.req("W20")
def test_even_two_that_nobody_keeps_apart_come_to_rest_after_one_exchange(full: Yard):
    full.github.add_user("bot-two", "two-token", permission="write")
    full.environ["COORDINATOR_REPOSITORY_CLAIM"] = "false"
    full.close()
    full.start()
    with another(full, token="two-token", more=FULL) as other:
        number = full.issue(script=RUN)
        rest(full, number, others=(other,))
        assert len(ours(full, number)) <= 3
        assert len(ours(full, number, "bot-two")) <= 3
        assert len([one for one in full.repository.pulls() if one.state == "open"]) == 1
