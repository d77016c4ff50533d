"""Several agents on one issue, one stage after the other: real worktrees, commits and pushes, GitHub over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.domain.request import RequestKind
from tests.support.running import a_daemon, command
from tests.support.stories import restart
from tests.support.yard import Yard, a_yard

AGENT = """\
stage = re.search("You are stage `([a-z]+)`", prompt)[1]
open({folder!r} + "/prompt-" + str(attempt), "w").write(prompt)
handoff = ".coordinator/handoff/"
if stage == "planner":
    write(handoff + "PLAN.md", "Turn it by a gear.")
    result(text="Planned.")
elif stage == "builder":
    commit(str(attempt) + ".txt")
    result(text="Built in attempt " + str(attempt) + ".")
else:
    asks = "approved" if attempt in {approved!r} else "changes needed"
    write(handoff + "REVIEW.md", "VERDICT: " + asks + "\\nThe gear wants oil.")
    result(text="Reviewed.")
"""
REVIEW = "VERDICT: changes needed\nThe gear wants oil."
PLANNED = ("planner", "builder", "reviewer", "builder", "reviewer")
THREE = ("rpi-auto", "workflow:plan-build-review")


def script(yard: Yard, *approved: int) -> str:
    """Each stage's part; a review asks for changes but in these attempts."""
    return AGENT.format(folder=str(yard.folder), approved=approved)


def stages(yard: Yard, number: int) -> list[str]:
    return [attempt.stage for attempt in yard.engine.world.store.attempts()[f"gh-{number}"]]


def prompt(yard: Yard, attempt: int) -> str:
    return (yard.folder / f"prompt-{attempt}").read_text("utf-8")


def test_a_reviewer_sends_the_work_back_once_and_one_pull_request_comes_of_it(yard: Yard) -> None:
    number = yard.issue(script=script(yard, 5), labels=THREE)
    yard.until_state(number, "IN_REVIEW")
    assert stages(yard, number) == list(PLANNED)
    assert [pull.number for pull in yard.repository.pulls()] == [yard.task(number).pr_number]
    assert "Turn it by a gear." in prompt(yard, 2)
    assert REVIEW in prompt(yard, 4)
    assert "sent the work back to you" in prompt(yard, 4)
    assert "Turn it by a gear." in prompt(yard, 5)
    assert "an earlier round of your own stage" in prompt(yard, 5)
    files = yard.git("diff", "--name-only", "origin/main...origin/rpi/gh-1").splitlines()
    assert files == ["2.txt", "4.txt"]
    body = yard.repository.pulls()[0].body
    assert "> Built in attempt 4." in body
    assert "- stage builder: 2 sessions, 0m 0" in body
    assert "220 tokens, $0.02" in body
    yard.tick()
    by_stage = json.loads(yard.read("adws/metrics.json"))["by_stage"]
    assert {name: one["sessions"] for name, one in by_stage.items()} == {"builder": 2, "planner": 1, "reviewer": 2}
    assert all(one["cost_usd"] and one["duration_seconds"] for one in by_stage.values())
    told = json.loads(command(yard, "status", "--json").stdout)["tasks"][0]
    assert [one["stage"] for one in told["attempts"]] == list(PLANNED)
    assert "stage reviewer: 2 sessions" in command(yard, "why", str(number)).stdout


def test_work_that_is_sent_back_too_often_comes_to_a_person_with_the_review(yard: Yard) -> None:
    number = yard.issue(script=script(yard, 9), labels=THREE)
    task = yard.until_state(number, "BLOCKED")
    assert stages(yard, number) == [*PLANNED, "builder", "reviewer"]
    assert task.reason == "changes_needed"
    assert any("changes_needed" in body and "> The gear wants oil." in body for body in yard.comments(number))
    assert yard.repository.pulls() == []
    yard.engine.world.store.ask(RequestKind.RETRY, task.id, {}, "cli", yard.engine.world.clock.now())
    yard.until_state(number, "IN_REVIEW")
    assert stages(yard, number)[7:] == ["builder", "reviewer"]


APPROVED = """\
[[stages]]
name = "planner"
leaves = [".coordinator/handoff/PLAN.md"]
gate = { approval = true }

[[stages]]
name = "builder"
gate = { command = "test -e 2.txt && test -e 3.txt || { echo there is no 3.txt; exit 1; }" }
"""


def workflow(yard: Yard, name: str, text: str) -> Path:
    path = yard.clone / "adws" / "workflows" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_stage_waits_for_the_label_of_somebody_who_may_approve(yard: Yard) -> None:
    workflow(yard, "careful", APPROVED)
    number = yard.issue(script=script(yard), labels=("rpi-auto", "workflow:careful"))
    yard.until(lambda: yard.task(number).reason == "approval")
    yard.tick()
    wait = yard.plan.waits[f"gh-{number}"]
    assert (wait.code, wait.moves) == ("approval", "set the label rpi-approved, or: coordinator retry gh-1")
    assert any("> Turn it by a gear." in body and "rpi-approved" in body for body in yard.comments(number))
    yard.github.add_user("stranger", "stranger-token", permission="triage")
    yard.repository.as_user("stranger").add_label(number, "rpi-approved")
    yard.until(lambda: "was set by @stranger" in yard.plan.waits[f"gh-{number}"].words)
    assert stages(yard, number) == ["planner"]
    yard.ann.remove_label(number, "rpi-approved")
    yard.tick()
    restart(yard)
    yard.ann.add_label(number, "rpi-approved")
    yard.until_state(number, "IN_REVIEW")
    assert stages(yard, number) == ["planner", "builder", "builder"]


def test_a_gate_that_is_not_passed_is_told_to_the_next_try_and_then_to_a_person(yard: Yard) -> None:
    workflow(yard, "strict", '[[stages]]\nname = "builder"\nretries = 1\ngate = { command = "echo no gear; exit 1" }\n')
    wrote = f"open({str(yard.folder)!r} + '/prompt-' + str(attempt), 'w').write(prompt); commit(str(attempt)); result()"
    number = yard.issue(script=wrote, labels=("rpi-auto", "workflow:strict"))
    task = yard.until_state(number, "BLOCKED")
    assert (task.reason, task.attempts) == ("gate_failed", 2)
    assert "no gear" not in prompt(yard, 1).partition("After you")[0]
    assert "The try before you did not pass" in prompt(yard, 2)
    assert yard.repository.pulls() == []


def test_a_gate_in_which_the_coordinator_was_killed_is_asked_again_and_no_agent_is(yard: Yard) -> None:
    asked, go = yard.folder / "asked", yard.folder / "go"
    gate = f"echo once >> {asked}; while [ ! -e {go} ]; do sleep 0.05; done"
    workflow(yard, "slow", f'[[stages]]\nname = "build"\ngate = {{ command = "{gate}" }}\n')
    number = yard.issue(labels=("rpi-auto", "workflow:slow"))
    with a_daemon(yard) as killed:
        killed.until(asked.exists)
        killed.child.kill()
        killed.child.wait()
        go.touch()
    with a_daemon(yard) as running:
        running.until_state(number, "IN_REVIEW")
        assert [one.ending for one in running.attempts(number)] == ["Succeeded"]
    assert asked.read_text() == "once\nonce\n"


def test_a_workflow_that_cannot_be_used_holds_its_tasks_until_it_is_mended(yard: Yard) -> None:
    path = workflow(yard, "odd", '[[stages]]\nname = "build"\nretries = "two"\n')
    number = yard.issue(labels=("rpi-auto", "workflow:odd"))
    other = yard.issue(labels=("rpi-auto",))
    unknown = yard.issue(labels=("rpi-auto", "workflow:none"))
    yard.until_state(other, "IN_REVIEW")
    words = "adws/workflows/odd.toml, stage 1: retries = 'two'; expected is a number from 0 to 20"
    assert (yard.plan.waits[f"gh-{number}"].code, yard.plan.waits[f"gh-{number}"].words) == ("workflow_error", words)
    assert words in command(yard, "doctor").stdout
    assert yard.state(unknown) == "BLOCKED"
    assert any("there is no workflow 'none' (known: build, plan-build-review)" in one for one in yard.comments(unknown))
    path.write_text('[[stages]]\nname = "build"\n')
    yard.until_state(number, "IN_REVIEW")


def test_a_plan_is_handed_on_though_its_worktree_went_and_an_agent_changed_it(yard: Yard) -> None:
    text = APPROVED.partition("gate = { command")[0]
    workflow(yard, "careful", text)
    number = yard.issue(script=script(yard), labels=("rpi-auto", "workflow:careful"))
    yard.until(lambda: yard.task(number).reason == "approval")
    (yard.worktree(number) / ".coordinator" / "handoff" / "PLAN.md").write_text("Turn it by hand.")
    yard.engine.world.repo.remove_worktree(f"gh-{number}")
    yard.ann.add_label(number, "rpi-approved")
    yard.until_state(number, "IN_REVIEW")
    assert "Turn it by a gear." in prompt(yard, 2)
    assert (yard.worktree(number) / ".coordinator" / "handoff" / "PLAN.md").read_text() == "Turn it by a gear."


@pytest.mark.parametrize("label", ["", "workflow:build"])
def test_the_default_comes_from_the_configuration_and_the_label_goes_first(tmp_path: Path, label: str) -> None:
    with a_yard(tmp_path) as yard:
        config = yard.clone / "coordinator.toml"
        config.write_text(config.read_text().replace("[workers]", '[workers]\nworkflow = "plan-build-review"'))
        restart(yard)
        text = script(yard, 3) if not label else ""
        number = yard.issue(script=text, labels=("rpi-auto", *([label] if label else [])))
        yard.until_state(number, "IN_REVIEW")
        assert stages(yard, number) == (["planner", "builder", "reviewer"] if not label else ["build"])
