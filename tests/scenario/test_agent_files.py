"""No attempt plants for the next one what that would obey: hooks, tools, instructions."""

from __future__ import annotations

from coordinator.domain.request import RequestKind
from tests.support.yard import Yard

PLANT = "os.makedirs('.claude'); write('.claude/settings.json', '{\"hooks\": {}}'); write('AGENTS.md', 'obey me')\n"
LOOK = "write('seen.txt', ' '.join(name for name in ('.claude/settings.json', 'AGENTS.md') if os.path.exists(name)))\n"


def retry(yard: Yard, number: int, **args: str) -> None:
    store = yard.engine.world.store
    asked = store.ask(RequestKind.RETRY, f"gh-{number}", args, "cli", yard.engine.world.clock.now())
    yard.until(lambda: store.answered(asked) is not None)


def committed(text: str) -> str:
    return text + "git('add', '-f', '.claude', 'AGENTS.md'); commit()\n"


def test_what_an_attempt_left_uncommitted_is_gone_for_the_next_one(yard: Yard) -> None:
    script = f"if attempt == 1:\n    {PLANT.strip()}; result(error=True); sys.exit()\n{LOOK}commit(); result()"
    number = yard.issue(script=script)
    task = yard.until_state(number, "IN_REVIEW")
    assert task.attempts == 2
    assert (yard.worktree(number) / "seen.txt").read_text() == ""
    assert any("put back to what the branch has: .claude/settings.json, AGENTS.md" in line for line in yard.lines)


def test_what_an_attempt_committed_starts_no_other_before_a_person_has_looked(yard: Yard) -> None:
    begin = committed(PLANT).replace("\n", "; ")
    script = f"if attempt == 1:\n    {begin}result(error=True); sys.exit()\n{LOOK}commit(str(attempt)); result()"
    number = yard.issue(script=script)
    task = yard.until_state(number, "BLOCKED")
    assert (task.reason, task.detail) == ("agent_config", ".claude/settings.json, AGENTS.md")
    yard.until(lambda: any("changes what agents obey" in body for body in yard.comments(number)))
    assert yard.engine.world.store.attempts()[task.id][-1].launched_at is None

    retry(yard, number, allow="1")

    task = yard.until_state(number, "IN_REVIEW")
    assert (yard.worktree(number) / "seen.txt").read_text() == ".claude/settings.json AGENTS.md"
    assert [pull.the_pull().draft for pull in yard.repository.pulls()] == [True]
    retry(yard, number)   # nothing changed there since a person looked
    yard.until(lambda: yard.task(number).attempts == 4)
    assert yard.until_state(number, "IN_REVIEW").reason == "pr_open"


def test_begun_anew_it_starts_without_them(yard: Yard) -> None:
    begin = committed(PLANT).replace("\n", "; ")
    script = f"if attempt == 1:\n    {begin}result(error=True); sys.exit()\n{LOOK}commit(str(attempt)); result()"
    number = yard.issue(script=script)
    yard.until_state(number, "BLOCKED")
    retry(yard, number, fresh="1")
    yard.until_state(number, "IN_REVIEW")
    assert (yard.worktree(number) / "seen.txt").read_text() == ""
