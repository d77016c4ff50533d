"""A person is called by an address: once a cause, with what they need, and its token stands nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inbox import an_inbox
from tests.support.yard import a_yard

SECRET = "T0psecret-of-an-address"
ASKS = f"write('BLOCKED.md', 'Which colour?'); say('the hook is {SECRET}'); commit(); result()"


@pytest.mark.req("A100", "X15")
def test_a_blocked_task_calls_a_person_once_and_the_address_s_token_is_masked_everywhere(tmp_path: Path) -> None:
    with an_inbox() as inbox:
        address = inbox.at(SECRET)
        with a_yard(tmp_path, more=f'[notify]\nurls = ["{address}"]\n') as yard:
            number = yard.issue(script=ASKS)
            yard.until_state(number, "BLOCKED")
            yard.until(lambda: bool(inbox.got))
            for _ in range(3):
                yard.tick()
            [(path, body)] = inbox.got
            assert path == f"/{SECRET}"
            assert body["title"] == "Coordinator acme/widgets"
            first, everything, active, patterns = body["message"].strip().splitlines()
            assert first.startswith(f"ESCALATE: gh-{number} is blocked: needs_human: ")
            assert first.endswith(f"→ coordinator why gh-{number}")
            assert everything.endswith(f": coordinator job diagnose --beads gh-{number}")
            assert (active, patterns) == ("active workers: 0 of 3", f"error patterns: 1 × needs_human (gh-{number})")
            shown = (yard.read(f"logs/gh-{number}.jsonl"), *yard.lines, *yard.comments(number))
            assert "the hook is ***" in shown[0]
            assert SECRET not in "\n".join(shown)


@pytest.mark.req("W8")
def test_an_issue_that_is_held_over_its_limit_calls_a_person_once(tmp_path: Path) -> None:
    with a_yard(tmp_path, more='[notify]\nages = { HELD = "1s" }\n') as yard:
        number = yard.issue(by="stranger", labels=())
        yard.repository.as_user("ann").add_label(number, "rpi-auto")
        yard.repository.as_user("ann").add_label(number, "rpi-pause")
        yard.until(lambda: any("ESCALATE" in line for line in yard.lines), seconds=20)
        for _ in range(3):
            yard.tick()
        [told] = [line for line in yard.lines if "ESCALATE" in line]
        assert f"gh-{number}: HELD for longer than" in told
        assert told.endswith(f"→ coordinator why gh-{number}")
