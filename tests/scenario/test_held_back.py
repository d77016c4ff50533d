"""What commits carry decides whether they go out: secrets, protected files, and a person's word for this once."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.domain.request import RequestKind
from coordinator.rehearsal.hub.world import Issue
from tests.scenario.test_plans import a_plan, a_task
from tests.support.running import command
from tests.support.yard import Yard, a_yard

SECRET = "ghp_" + "a1B2" * 9
LEAK = "key = 'ghp_' + 'a1B2' * 9\ncommit('settings.py', f'one = 1\\nkey = {{key!r}}\\n'); "
LEAKS = LEAK.replace("{{", "{").replace("}}", "}")
WORKFLOW = "os.makedirs('.github/workflows'); commit('.github/workflows/ci.yml', 'on: push\\n'); "


def allow(yard: Yard, number: int) -> str:
    store = yard.engine.world.store
    asked = store.ask(RequestKind.RETRY, f"gh-{number}", {"allow": "1"}, "cli", yard.engine.world.clock.now())
    yard.until(lambda: store.answered(asked) is not None)
    return str(store.answered(asked))


def shown_anywhere(yard: Yard) -> list[str]:
    """Where the secret can be read outside the worktree and the raw output, which nobody is shown."""
    texts = {"comments": "\n".join(body for one in yard.repository.issues() for body in yard.comments(one.number)),
             "log": "\n".join(yard.lines)}
    texts |= {str(path): path.read_text("utf-8", "replace")
              for path in (*yard.clone.glob("logs/*"), yard.clone / ".coordinator/board.json", yard.clone / "tasks.md")}
    texts["events"] = "\n".join(event.detail for event in yard.engine.world.store.events())
    return [name for name, text in texts.items() if SECRET in text]


def again(yard: Yard, number: int, attempt: int) -> None:
    """Another session, to its end."""
    yard.engine.world.store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", yard.engine.world.clock.now())
    yard.until(lambda: yard.task(number).attempts == attempt)
    yard.until_state(number, "IN_REVIEW")


def only_pull(yard: Yard) -> Issue:
    [pull] = yard.repository.pulls()
    return pull


def test_a_secret_stays_here_is_told_by_its_place_and_goes_out_once_a_person_says_so(yard: Yard) -> None:
    number = yard.issue(script=LEAKS + "say(key); result(text=f'I used {key}.')")
    task = yard.until_state(number, "BLOCKED")
    assert (task.reason, task.pushed_sha) == ("secret_found", "")
    assert task.detail.startswith("settings.py line 2 (commit ")
    assert yard.repository.branch(task.branch) is None
    yard.until(lambda: any("settings.py line 2" in body for body in yard.comments(number)))
    assert any("coordinator retry ID --allow" in body for body in yard.comments(number))
    assert shown_anywhere(yard) == []

    assert allow(yard, number) == f"gh-{number} is published as it is"

    task = yard.until_state(number, "IN_REVIEW")
    assert (task.attempts, only_pull(yard).the_pull().head_sha) == (1, task.pushed_sha)
    [event] = [one for one in yard.engine.world.store.events(task.id) if "let secret_found pass" in one.detail]
    assert event.detail == f"a person let secret_found pass at {task.pushed_sha[:12]} (cli)"
    assert shown_anywhere(yard) == []
    assert f"`secret_found at {task.pushed_sha}`" in (only_pull(yard).body or "")
    assert "there is nothing to allow" in allow(yard, number)


def test_what_a_person_let_pass_says_nothing_of_what_comes_after(yard: Yard) -> None:
    again = f"attempt == 1 or commit('more.py', 'ghp_' + 'c3D4' * 9)\nattempt > 1 or exec({LEAKS!r})\nresult()"
    number = yard.issue(script=again)
    yard.until_state(number, "BLOCKED")
    allow(yard, number)
    first = yard.until_state(number, "IN_REVIEW").pushed_sha
    yard.engine.world.store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", yard.engine.world.clock.now())
    yard.until(lambda: yard.task(number).attempts == 2)
    task = yard.until_state(number, "BLOCKED")
    assert (task.reason, task.detail.split(" (")[0]) == ("secret_found", "more.py line 1")
    assert yard.repository.branch(task.branch) == first


def test_unfinished_work_with_a_secret_is_kept_here_and_the_issue_says_so(yard: Yard) -> None:
    number = yard.issue(script=LEAKS + "open('ready', 'w').close(); time.sleep(600)")
    yard.until((yard.worktree(number) / "ready").exists)
    (yard.worktree(number) / "STOP").touch()
    task = yard.until_state(number, "CANCELLED")
    yard.until(lambda: yard.task(number).withheld != "")
    assert yard.task(number).withheld.startswith("secret_found: settings.py line 2")
    yard.until(lambda: any("stays on the host" in body for body in yard.comments(number)))
    assert yard.repository.branch(task.branch) is None

    assert allow(yard, number) == f"gh-{number}: its branch is pushed as it is"

    yard.until(lambda: yard.repository.branch(task.branch) is not None)
    assert yard.state(number) == "CANCELLED"
    assert shown_anywhere(yard) == []


def test_protected_files_make_the_pull_request_a_draft_that_names_them(yard: Yard) -> None:
    number = yard.issue(script=WORKFLOW + "result()")
    task = yard.until_state(number, "IN_REVIEW")
    pull = only_pull(yard)
    assert pull.the_pull().draft
    assert "rpi:protected" in pull.labels
    assert "it changes protected files: `.github/workflows/ci.yml`" in (pull.body or "")
    assert task.pr_draft


def test_what_only_looks_like_a_secret_goes_out_and_its_pull_request_says_where(yard: Yard) -> None:
    number = yard.issue(script="commit('app.py', 'value = \\'kJ8vXqZ2mN5bW7rT9yU3pL6sD4fG1hAe\\'\\n'); result()")
    yard.until_state(number, "IN_REVIEW")
    pull = only_pull(yard)
    assert not pull.the_pull().draft
    assert "**May be a secret**, look before merging: `app.py line 1: Base64 High Entropy String`." in (pull.body or "")


def test_a_pull_request_that_is_open_already_becomes_a_draft_and_gets_the_label_and_one_comment(yard: Yard) -> None:
    number = yard.issue(script=f"attempt == 1 and commit()\nif attempt > 1:\n    {WORKFLOW}\nresult()")
    yard.until_state(number, "IN_REVIEW")
    again(yard, number, 2)
    pull = only_pull(yard)
    assert ("rpi:protected" in pull.labels, pull.the_pull().draft) == (True, True)
    assert sum("protected files" in body for body in yard.comments(pull.number)) == 1


def test_a_pull_request_that_a_person_called_ready_stays_so_until_protected_files_change_anew(yard: Yard) -> None:
    others = "attempt == 2 and commit('src/more.py')\nattempt == 3 and commit('CLAUDE.md')\nresult()"
    number = yard.issue(script=f"if attempt == 1:\n    {WORKFLOW}\n{others}")
    yard.until_state(number, "IN_REVIEW")
    pull = only_pull(yard)
    was, pull.the_pull().draft = pull.the_pull().draft, False
    again(yard, number, 2)
    stayed = pull.the_pull().draft
    told = [body for body in yard.comments(pull.number) if "protected files" in body]
    again(yard, number, 3)
    assert (was, stayed, told, pull.the_pull().draft) == (True, False, [], True)
    [said] = [body for body in yard.comments(pull.number) if "protected files" in body]
    assert "it changes protected files: `CLAUDE.md`." in said


def test_protected_files_may_be_kept_here_until_a_person_has_looked(tmp_path: Path) -> None:
    with a_yard(tmp_path, more='[protect]\nmode = "block"\npaths = ["src/**"]\n') as yard:
        number = yard.issue(script="commit('src/Widget.py'); result()")
        task = yard.until_state(number, "BLOCKED")
        assert (task.reason, task.detail) == ("protected_path", "src/Widget.py")
        assert yard.repository.branch(task.branch) is None
        allow(yard, number)
        yard.until_state(number, "IN_REVIEW")
        assert ("rpi:protected" in only_pull(yard).labels, only_pull(yard).the_pull().draft) == (True, True)


@pytest.mark.parametrize(("does", "reason"), [
    ("commit('src/t1.py', 'ghp_' + 'a1B2' * 9, {message})", "secret_found"),
    ("os.makedirs('.github/workflows'); commit('.github/workflows/ci.yml', 'on: push\\n', {message})",
     "protected_path"),
])
def test_a_task_of_a_plan_with_what_may_not_go_out_does_not_come_in_until_a_person_says_so(
    tmp_path: Path, does: str, reason: str
) -> None:
    line = does.format(message="'Add\\n\\nFeature-Key: ' + key + '\\nAgent: yard'")
    more = f'[plans]\nworktrees = "{tmp_path / "agents"}"\n[protect]\nmode = "block"\n'
    with a_yard(tmp_path, more=more) as yard:
        plan = a_plan(yard, a_task("T1", line=line))
        yard.close()
        assert command(yard, "plan", "run", plan).returncode
        assert yard.repository.branches().keys() == {"main"}
        shown = command(yard, "plan", "status", plan).stdout
        assert reason in shown
        assert SECRET not in shown

        assert "published as it is" in command(yard, "retry", "plan-auth-t1", "--allow").stdout

        done = command(yard, "plan", "resume", plan)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "feature-auth" in yard.repository.branches()
        yard.start()
