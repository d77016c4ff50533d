"""A plan over HTTP: its tasks come together in a real repository, one push, one pull request, and nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.gitworld import git as bare_git
from tests.support.plan_yard import until
from tests.support.running import a_daemon, command, environ
from tests.support.yard import Yard

SCRIPT = """\
  ```script
  key = re.search(r"Feature-Key: (\\S+)", prompt)[1]
  os.makedirs("src", exist_ok=True)
  {line}
  result()
  ```"""
COMMIT = 'commit("src/{name}.py", message="Add {name}\\n\\nFeature-Key: " + key + "\\nAgent: yard")'


def a_task(name: str, on: str = "", line: str = "", **more: str) -> str:
    does = line or COMMIT.format(name=name.lower())
    fields = [f"### {name}: Part {name}", f"- **depends_on**: [{on}]", "- **repo**: acme/widgets",
              f"- **location**: src/{name.lower()}.py", "- **description**: make it", SCRIPT.format(line=does),
              *(f"- **{key}**: {value}" for key, value in more.items()),
              *(["- **validation**: `test -d src`"] if "validation" not in more else []),
              "- **status**: Not Started", "- **log**:", "- **files edited**:", ""]
    return "\n".join(fields)


def a_plan(yard: Yard, *tasks: str, name: str = "auth-plan.md") -> str:
    text = "\n".join(["# Plan: Better auth", "", "## Overview", "Users can log in.", "", "## Tasks", "", *tasks])
    (yard.clone / name).write_text(text)
    config = yard.clone / "coordinator.toml"   # the usual place is one for all tests of this machine
    if "[plans]" not in config.read_text("utf-8"):
        config.write_text(f'{config.read_text("utf-8")}\n[plans]\nworktrees = "{yard.folder / "agents"}"\n', "utf-8")
    return name


@pytest.mark.req("B26", "B27", "B28", "B40", "B42", "B44")
def test_a_plan_is_run_to_its_pull_request_and_found_finished_when_it_is_run_again(yard: Yard) -> None:
    plan = a_plan(yard, a_task("T1"), a_task("T2"), a_task("T3", on="T1, T2"))
    yard.close()
    first = command(yard, "plan", "run", plan)
    assert first.returncode == 0, first.stderr
    [pull] = yard.repository.pulls()
    assert (pull.title, pull.the_pull().head_ref, pull.the_pull().base_ref) == (
        "auth: Better auth", "feature-auth", "main")
    assert set(yard.repository.branches()) == {"main", "feature-auth"}
    body = pull.body or ""
    assert "Users can log in." in body
    assert body.count("validation: `test -d src` passed") == 3
    assert "lacks" not in body
    assert (yard.clone / plan).read_text().count("**status**: Completed") == 3
    second = command(yard, "plan", "run", plan)
    assert second.returncode == 0, second.stderr
    assert len(yard.repository.pulls()) == 1
    shown = json.loads(command(yard, "plan", "status", plan, "--json").stdout)
    assert [one["pr_number"] for one in shown["deliveries"]] == [pull.number]
    yard.start()


def test_a_plan_is_handed_to_the_coordinator_that_holds_the_repository_beside_its_issues(yard: Yard) -> None:
    plan = a_plan(yard, a_task("T1"), a_task("T2", on="T1"))
    number = yard.issue()
    yard.close()
    with a_daemon(yard) as running:
        running.until(lambda: running.board().get("pid"))
        handed = command(yard, "plan", "run", plan)
        assert handed.returncode == 0, handed.stderr
        assert "plan auth: 2 tasks are taken up" in handed.stdout
        resumed = command(yard, "plan", "resume", plan, "--max-workers", "2")
        assert (resumed.returncode, "works by its own settings" in resumed.stdout) == (0, True), resumed.stderr
        running.until(lambda: yard.repository.pulls("feature-auth"))
        running.until_state(number, "IN_REVIEW")
        until(lambda: "2 of 2 merged" in command(yard, "plan", "status", plan).stdout)
        assert running.end() == 0
    heads = sorted(pull.the_pull().head_ref for pull in yard.repository.pulls())
    assert heads == ["feature-auth", f"rpi/gh-{number}"]
    yard.start()


def test_without_a_token_the_branch_is_made_and_the_rest_waits_for_one(yard: Yard) -> None:
    plan = a_plan(yard, a_task("T1"))
    yard.close()
    env = {key: value for key, value in environ(yard).items() if key != "GITHUB_TOKEN"}
    ran = subprocess.run([sys.executable, "-m", "coordinator", "plan", "run", plan, "--dry-run"], cwd=yard.clone,
                         env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, "T1 Part T1" in ran.stdout) == (0, True), ran.stderr
    assert "feature-auth" not in bare_git(yard.clone, "branch", "--list")
    yard.start()
