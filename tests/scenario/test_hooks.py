"""A worktree that could not be made buildable stays so for the next attempt too: no agent starts in a half-made one."""

from __future__ import annotations

import pytest

from coordinator.domain.request import RequestKind
from tests.support.running import a_daemon
from tests.support.yard import BOT_TOKEN, Yard, a_yard


def attempts(yard: Yard, number: int):
    return yard.engine.world.store.attempts()[f"gh-{number}"]


@pytest.mark.req("X1")
def test_after_create_runs_again_for_the_next_attempt_until_it_has_passed(tmp_path):
    with a_yard(tmp_path, more='[worktree]\nafter_create = "exit 3"\n') as yard:
        number = yard.issue()

        yard.until_state(number, "BLOCKED")

        assert [one.reason for one in attempts(yard, number)] == ["hook_failed", "hook_failed"]
        assert all(one.launched_at is None for one in attempts(yard, number))


@pytest.mark.req("X1")
def test_after_create_that_passes_at_the_second_try_runs_no_third_time(tmp_path):
    count = tmp_path / "count"
    hook = f"echo x >> '{count}'; test $(wc -l < '{count}') -ge 2"
    with a_yard(tmp_path, more=f'[worktree]\nafter_create = "{hook}"\n') as yard:
        number = yard.issue(script="commit(f'work-{attempt}.txt')\nresult()")

        yard.until_state(number, "IN_REVIEW")
        store = yard.engine.world.store
        store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", yard.engine.world.clock.now())
        yard.until(lambda: len(attempts(yard, number)) == 3)
        yard.until_state(number, "IN_REVIEW")

        assert [one.reason for one in attempts(yard, number)] == ["hook_failed", "process_exit", "process_exit"]
        assert count.read_text().count("x") == 2


@pytest.mark.req("W19")
def test_no_command_that_runs_what_an_agent_wrote_has_a_secret_or_a_way_to_one(tmp_path):
    """An agent's commits stand where hooks and gates run: what they start is its own."""
    seen = tmp_path / "seen"
    seen.mkdir()
    doors = "{ env; ls -l /proc/self/fd; tr '\\\\0' '\\\\n' < /proc/$PPID/environ; } >> "
    hooks = "\n".join(f'{name} = "{doors}{seen}/{name} 2>&1; true"'
                      for name in ("after_create", "before_run", "after_run", "before_remove"))
    secrets = {"GH_TOKEN": "second-of-the-yard", "ANTHROPIC_API_KEY": "model-key-of-the-yard",
               "COORDINATOR_NOTIFY_URLS": "json://127.0.0.1:9/address-of-the-yard", "AWS_SECRET": "cloud-of-the-yard"}
    with a_yard(tmp_path / "yard", more=f"[worktree]\n{hooks}\n") as yard:
        flows = yard.clone / "adws" / "workflows"
        flows.mkdir(parents=True)
        gate = f'gate = {{ command = "{doors}{seen}/gate 2>&1" }}'
        (flows / "gated.toml").write_text(f'[[stages]]\nname = "build"\n{gate}\n')
        yard.environ.update(secrets)
        number = yard.issue(labels=("rpi-auto", "workflow:gated"))
        with a_daemon(yard) as daemon:   # a process of its own: what it was started with is as people start it
            daemon.until_state(number, "IN_REVIEW")
            [pull] = yard.repository.pulls()
            yard.ann.merge(pull.number)
            daemon.until((seen / "before_remove").exists)
            daemon.end()
    found = {path.name: path.read_text() for path in seen.iterdir()}
    assert set(found) == {"after_create", "before_run", "after_run", "before_remove", "gate"}
    for text in found.values():
        assert "PATH=" in text
        assert not [one for one in (BOT_TOKEN, *secrets.values()) if one in text]
        assert "memfd:coordinator-token" not in text
