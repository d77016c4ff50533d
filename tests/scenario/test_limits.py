"""A provider at its limit: everything waits for it or goes to another, nobody is told twice, nothing is used up."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.yard import Yard, a_yard

LIMITED = """\
if os.path.exists({flag!r}):
    print(json.dumps({{"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429,
                       "result": "usage limit reached|" + open({flag!r}).read()}}), flush=True)
    sys.exit(1)
while not os.path.exists({go!r}):
    time.sleep(0.02)
commit(); result()
"""

# Two languages at once: the checkout's folder may hold blanks, and a first line cannot quote them.
CODEX = '''\
#!/bin/sh
""":"
exec '{python}' "$0" "$@"
Codex as far as the coordinator sees it: a version, an answer, and work in a worktree.
"""
import json, os, subprocess, sys
if "--version" in sys.argv:
    sys.exit(print("codex-cli 0.169.0"))
if os.path.exists({dumb!r}):
    sys.exit(print("Do you trust the files in this folder? [y/N]"))
prompt = sys.stdin.read()
def say(**what): print(json.dumps(what), flush=True)
say(type="thread.started", thread_id="t1")
if "Answer with the word ok" not in prompt:
    open({prompt!r}, "w").write(prompt)
    open("codex.txt", "w").write("work")
    subprocess.run(["git", "add", "codex.txt"], check=True)
    subprocess.run(["git", "commit", "-qm", "Do the work"], check=True)
say(type="item.completed", item={{"id": "m", "type": "agent_message", "text": "ok"}})
say(type="turn.completed", usage={{"input_tokens": 100, "cached_input_tokens": 0, "output_tokens": 10}})
'''


def hurried(yard: Yard, **policy: object) -> None:
    """Parks of a second, where people have five minutes."""
    world = yard.engine.world
    world.policy = replace(world.policy, **{"park": timedelta(seconds=1), **policy})  # type: ignore[arg-type]


def escalated(yard: Yard, words: str) -> list[str]:
    return [line for line in yard.lines if line.startswith("ESCALATE") and words in line]


def waits(yard: Yard) -> dict[str, str]:
    return {task: wait.code for task, wait in yard.plan.waits.items()}


@pytest.mark.req("W4", "A95")
def test_a_limit_with_a_reset_parks_every_issue_uses_nothing_up_and_ends_by_itself(yard: Yard):
    flag, go = yard.folder / "limit", yard.folder / "go"
    flag.write_text(str(int(time.time()) + 4))
    hurried(yard, max_workers=1)
    numbers = [yard.issue(f"Issue {n}", LIMITED.format(flag=str(flag), go=str(go))) for n in (1, 2, 3)]

    yard.until(lambda: set(waits(yard).values()) == {"provider_parked"} and len(yard.plan.waits) == 3)
    first, *others = numbers
    assert yard.task(first).reason == "command_usage_limited"
    assert [yard.task(number).attempts for number in others] == [0, 0]
    said = {number: yard.comments(number) for number in numbers}
    assert [len(said[number]) for number in numbers] == [1, 0, 0]
    assert "usage limit" in said[first][0]

    flag.unlink()
    hurried(yard, max_workers=3, park=timedelta(hours=1))
    yard.until(lambda: "RUNNING" in {yard.state(number) for number in numbers})
    yard.tick()
    assert sorted(waits(yard).values()) == ["provider_trial", "provider_trial", "running"]
    assert {number: len(yard.comments(number)) for number in others} == dict.fromkeys(others, 0)

    go.touch()
    for number in numbers:
        assert yard.until_state(number, "IN_REVIEW").retries_used == 0
    assert len(yard.comments(first)) == 2   # the one that was edited, and the pull request's
    assert len(escalated(yard, "command is parked")) == 1
    assert yard.engine.world.store.document("parked") == "{}"


def test_resume_tries_a_parked_provider_at_once(yard: Yard):
    flag, go = yard.folder / "limit", yard.folder / "go"
    flag.write_text(str(int(time.time()) + 86400))
    go.touch()
    number = yard.issue(script=LIMITED.format(flag=str(flag), go=str(go)))
    yard.until(lambda: waits(yard) == {f"gh-{number}": "provider_parked"})

    flag.unlink()
    yard.engine.world.store.ask("resume", "", {}, "cli", yard.engine.world.clock.now())

    assert yard.until_state(number, "IN_REVIEW").attempts == 2


@pytest.fixture
def codex(tmp_path: Path) -> Path:
    """A program that answers as codex does, unless `codex.dumb` stands beside it; its last prompt is `codex.prompt`."""
    program = tmp_path / "codex"
    names = {name: str(tmp_path / f"codex.{name}") for name in ("dumb", "prompt")}
    program.write_text(CODEX.format(python=sys.executable, **names))
    program.chmod(0o755)
    return program


def laddered(folder: Path, codex: Path):
    more = f'[providers.codex]\nbinary = "{codex}"\nenvironment = ["CODEX_API_KEY"]\n[fallback]\ncommand = ["codex"]\n'
    return a_yard(folder, more=more)


def with_key(yard: Yard) -> None:
    """The coordinator again, with a key for codex in its environment."""
    yard.close()
    yard.environ["CODEX_API_KEY"] = "sk-test-of-the-yard"
    yard.start()


LEFT = "write('half.txt', 'half'); "
NO_LOGIN = LEFT + """print(json.dumps({"type": "result", "subtype": "success", "is_error": True,
    "api_error_status": 401, "result": "API Error: 401 invalid api key"}), flush=True); sys.exit(1)"""


@pytest.mark.req("C61", "C78", "N6")
def test_another_provider_takes_over_the_worktree_is_told_and_is_named(tmp_path: Path, codex: Path):
    with laddered(tmp_path / "yard", codex) as yard:
        with_key(yard)
        number = yard.issue(script=NO_LOGIN)

        task = yard.until_state(number, "IN_REVIEW")

        first, second = yard.engine.world.store.attempts()[task.id]
        assert (first.provider, first.reason, first.fallback_reason) == ("command", "command_auth_blocked", "")
        told = (second.provider, second.switch_from, second.fallback_reason)
        assert told == ("codex", "command", "command_auth_blocked")
        assert task.retries_used == 0
        assert (yard.worktree(number) / "half.txt").read_text() == "half"
        prompt = (tmp_path / "codex.prompt").read_text()
        assert "command: the provider refused the credentials" in prompt
        assert "another agent's (command): you take over its worktree as it left it" in prompt
        meta, outcome = (next((yard.clone / ".coordinator" / "jobs").rglob(f"{task.id}.{kind}")).read_text()
                         for kind in ("meta", "outcome"))
        assert "fallback_reason=command_auth_blocked\n" in meta
        assert "provider_switch_from=command\n" in meta
        assert "fallback_reason=command_auth_blocked\n" in outcome
        written = [str(one.request_body) for one in yard.github.requests if "/comments" in one.path]
        assert any("codex in place of command (command_auth_blocked)" in body for body in written)


@pytest.mark.req("N6")
def test_a_provider_that_asks_a_question_instead_of_answering_never_stands_in(tmp_path: Path, codex: Path):
    with laddered(tmp_path / "yard", codex) as yard:
        with_key(yard)
        (tmp_path / "codex.dumb").touch()
        number = yard.issue(script=NO_LOGIN)

        yard.until(lambda: "codex: gave no answer" in "\n".join(yard.lines))
        yard.until(lambda: yard.state(number) == "QUEUED" and not yard.engine.busy)

        assert yard.task(number).attempts == 1
        assert waits(yard) == {f"gh-{number}": "codex_protocol_error"}
        assert not (tmp_path / "codex.prompt").exists()

        (tmp_path / "codex.dumb").unlink()
        yard.engine.world.store.ask("resume", "", {}, "cli", yard.engine.world.clock.now())
        assert yard.until_state(number, "IN_REVIEW").attempts == 2
