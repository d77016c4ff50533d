"""What cannot be run in a plan, and what an experienced planner would do otherwise."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from coordinator.domain.finding import Finding
from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.planning.plans.advice import agents, plan_needed
from coordinator.planning.plans.checking import command_of, findings

RUN = "`make test`"


def task(task_id: str, *location: str, after: tuple[str, ...] = (), **fields: str) -> PlanTask:
    """A task of which nothing is doubtful but what a test says; it stands on line 10 times its number."""
    given = {"name": "Work", "repo": "web", "description": "Do it.", "validation": RUN} | fields
    return PlanTask(task_id, line=int(task_id.strip("T") or 0) * 10, depends_on=after, location=location, **given)


def check(*tasks: PlanTask, repos: dict[str, object | None] | None = None) -> tuple[Finding, ...]:
    roots = {one.repo: one.repo for one in tasks}
    return findings(PlanFile("auth", "Auth", tasks), {**roots, **(repos or {})})


def errors(*tasks: PlanTask, repos: dict[str, object | None] | None = None) -> list[tuple[int, str]]:
    return [(one.line, one.words) for one in check(*tasks, repos=repos) if one.level == "error"]


def warned(words: str, *tasks: PlanTask) -> list[tuple[int, str]]:
    """Line and cure of the warnings with these words."""
    return [(one.line, one.cure) for one in check(*tasks) if one.level == "warning" and words in one.words]


SIX = (task("T1", "a.py", "b.py"), task("T2", "c.py", "d.py", after=("T1",)), task("T3", "e.py", "f.py"))


def test_nothing_is_said_about_a_plan_that_an_experienced_planner_would_write() -> None:
    assert check(*SIX) == ()


def test_a_circle_is_told_once_link_by_link() -> None:
    tasks = (task("T1", "a", after=("T2",)), task("T2", "b", after=("T10",)), task("T10", "c", after=("T1", "T2")),
             task("T4", "d", after=("T4",)), task("T5", "e", after=("T1",)))  # fmt: skip
    found = [one for one in check(*tasks) if one.level == "error"]
    assert [(one.line, one.words) for one in found] == [
        (10, "tasks wait for each other in a circle: T1 waits for T2 waits for T10 waits for T1"),
        (40, "T4 depends on itself"),
    ]
    assert found[0].cure == "take T2 out of the depends_on of T1, or another link of the circle"
    assert found[1].cure.startswith("take T4 out of the depends_on of T4")


@pytest.mark.parametrize("path", ["/etc/passwd", "../web/a.py", "src/../../a.py", "~/a", "C:\\a", "\\\\host\\a",
                                  "https://x/y", ".git/config", ".."])  # fmt: skip
def test_a_location_outside_its_repository_is_refused(path: str) -> None:
    ((line, words),) = errors(task("T2", "src/a.py", path))
    assert (line, words) == (20, f"the location {path!r} of T2 is outside its repository")


@pytest.mark.parametrize("path", ["src/a.py", "..a/b", "src/../a.py", ".github/x.yml", "a:b", "."])
def test_a_location_inside_is_not(path: str) -> None:
    assert errors(task("T1", path)) == []


def test_a_repository_that_is_not_there_is_named_with_the_first_task_that_names_it() -> None:
    tasks = (task("T1", "a"), task("T2", "b", repo="acme/api"), task("T3", "c", repo="acme/api"))
    assert errors(*tasks, repos={"acme/api": None}) == [(20, "there is no checkout of the repository 'acme/api'")]
    assert errors(*tasks) == []


def test_one_repository_under_two_names_is_pointed_out() -> None:
    tasks = (task("T1", "a"), task("T2", "b", repo="acme/web"))
    assert [one.line for one in check(*tasks, repos={"acme/web": "web"}) if "are one repository" in one.words] == [20]


@pytest.mark.parametrize(("validation", "command"), [
    ("`make test`", "make test"),
    ("``echo x``", "echo x"),
    ("```sh\nmake\nmake test\n```", "make\nmake test"),
    ("~~~\n$ make\n  $ make test\n~~~", "make\nmake test"),
    ("$ make test", "make test"),
    ("  `make test`\n", "make test"),
    ("make test", ""),
    ("`make` passes", ""),
    ("`make` and `make test`", ""),
    ("Look at the page.", ""),
    ("```sh\nmake\n```\nand look", ""),
    ("", ""),
])  # fmt: skip
def test_a_validation_is_a_command_when_nothing_else_is_said(validation: str, command: str) -> None:
    assert command_of(validation) == command


def test_a_validation_that_nobody_can_run_is_pointed_out() -> None:
    ((line, cure),) = warned("validation of T2 is no command", *SIX[:1], task("T2", "c.py", validation="All good"))
    assert line == 20
    assert "backticks" in cure


@pytest.mark.req("B5")
@pytest.mark.parametrize(("kind", "fields", "path"), [
    ("security-sensitive", {"name": "Hash the passwords"}, "a.py"),
    ("security-sensitive", {"description": "Check the permission first."}, "a.py"),
    ("security-sensitive", {}, "src/auth/login.py"),
    ("security-sensitive", {}, "certs/host.pem"),
    ("architectural", {"description": "Redesign how plugins load."}, "a.py"),
    ("architectural", {}, "docs/decisions/0007-x.md"),
    ("of high blast radius", {"description": "Rename it throughout the codebase."}, "a.py"),
    ("of high blast radius", {}, "db/migrations/0003.sql"),
    ("of high blast radius", {}, ".github/workflows/ci.yml"),
    ("of high blast radius", {}, "."),
    ("of high blast radius", {}, "**/*"),
    ("a typo in a single file", {"description": "Mend the typo in the title."}, "README.md"),
])  # fmt: skip
def test_a_task_that_should_not_be_left_to_an_agent_is_pointed_out(
    kind: str, fields: dict[str, str], path: str
) -> None:
    ((line, cure),) = warned(f"T1 looks {kind} (", task("T1", path, **fields))
    assert line == 10
    assert cure


@pytest.mark.parametrize(("fields", "paths"), [
    ({"name": "Name the author", "description": "Inject by dependency injection; show the tokens counted."}, ("a.py",)),
    ({"description": "Mend the typo."}, ("a.md", "b.md")),
    ({"description": "Add a spelling checker. " + "It has many parts. " * 30}, ("a.py",)),
    ({}, ("src/author.py", "src/*", "deployed.py/x")),
])  # fmt: skip
def test_an_ordinary_task_is_not(fields: dict[str, str], paths: tuple[str, ...]) -> None:
    assert warned("looks", task("T1", *paths, **fields)) == []


@pytest.mark.req("B6")
def test_a_plan_file_is_for_six_files_several_repositories_or_a_risk() -> None:
    small = (task("T1", "a.py", "b.py", "c.py"), task("T2", "d.py", "e.py", after=("T1",)))
    ((line, cure),) = warned("need no plan file", *small)
    assert line == 0
    assert "six files or more, several repositories, or a risk" in cure
    assert warned("need no plan file", *small, task("T3", "f.py", after=("T2",))) == []
    assert warned("need no plan file", small[0], replace(small[1], repo="api")) == []
    assert warned("need no plan file", small[0], task("T2", "d.py", after=("T1",), name="Rotate the secrets")) == []
    assert [plan_needed(files, 1, risky=False) for files in (1, 5, 6)] == [False, False, True]


@pytest.mark.req("B12", "B13", "B14")
def test_more_agents_at_once_than_the_size_asks_for_are_pointed_out() -> None:
    def wave(agents_: int, files: int, repos: int = 1) -> list[tuple[int, str]]:
        """The warnings for one wave of so many tasks that share so many files."""
        shares: list[list[str]] = [[] for _ in range(agents_)]
        for number in range(max(files, agents_)):
            shares[number % agents_].append(f"f{number % files}.py")
        tasks = [task(f"T{at + 1}", *share, repo=f"r{at % repos}") for at, share in enumerate(shares)]
        return warned("would do", *tasks)

    assert agents(1, 1) == agents(2, 1) == 1
    assert agents(3, 1) == agents(5, 1) == 2
    assert agents(6, 1) == agents(2, 2) == 3
    assert wave(1, 2) == []
    assert [line for line, _ in wave(2, 2)] == [20]
    assert wave(2, 5) == []
    assert [line for line, _ in wave(3, 5)] == [30]
    assert wave(3, 6) == wave(3, 3, repos=2) == []
    ((line, cure),) = wave(4, 40)
    assert line == 40
    assert "--max-workers 3" in cure


@pytest.mark.req("B15")
def test_one_agent_for_each_file_is_pointed_out() -> None:
    each = [task(f"T{number}", f"f{number}.py") for number in range(1, 4)]
    ((line, cure),) = warned("T1, T2, T3 of wave 1 change one file of web each", *each)
    assert line == 10
    assert "never one for each file" in cure
    in_turn = [each[0], replace(each[1], depends_on=("T1",)), replace(each[2], depends_on=("T2",))]
    assert warned("one file of web each", *in_turn) == []
    assert warned("one file of", each[0], replace(each[1], repo="api")) == []
    assert warned("one file of web each", *each[:2], task("T3", "f3.py", "f4.py")) == []


def test_tasks_of_one_wave_in_the_same_files_are_pointed_out() -> None:
    tasks = (task("T1", "src/a.py"), task("T2", "src/", "b.py"), task("T3", "./src/a.py", repo="api"),
             task("T4", "src/a.py", after=("T1",)))  # fmt: skip
    ((line, cure),) = warned("T1, T2 of wave 1 overlap in src/a.py", *tasks)
    assert line == 20
    assert "let T2 depend on T1" in cure


def test_a_thousand_tasks_are_checked_in_a_breath() -> None:
    tasks = [task(f"T{at}", f"src/*{at}.py", f"src/{at}.py", "README.md") for at in range(1000)]
    began = time.process_time()
    found = check(*tasks)
    assert time.process_time() - began < 10
    crowd = "T0, T1, T2, T3, T4, T5, T6, T7 and 992 more of wave 1 overlap in README.md"
    assert any(crowd in one.words for one in found)
