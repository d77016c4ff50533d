"""An issue becomes a pull request by a worker behind walls, and each way of ending keeps its work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.adapters.system import seam
from tests.support.gitworld import git
from tests.support.plan_yard import make_yard, task
from tests.support.walled import CANARY, needs_walls
from tests.support.yard import Yard, a_yard

TRIES = """
seen = []
for path in (os.path.expanduser("~/.ssh/id"), "../../.coordinator/state.db", "../../coordinator.toml", "../gh-2"):
    if os.path.exists(path): seen.append(path)
home = sorted(os.listdir(os.path.expanduser("~")))
say(json.dumps({"seen": seen, "home": home, "sandbox": os.environ["IS_SANDBOX"]}))
"""


@pytest.fixture(scope="module", autouse=True)
def walls() -> None:
    needs_walls()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with a_yard(tmp_path, settings={"sandbox": "bwrap"}) as made:
        secret = Path(made.environ["HOME"]) / ".ssh" / "id"
        secret.parent.mkdir()
        secret.write_text(CANARY)
        yield made


def test_from_issue_to_merged_pull_request_behind_walls(yard: Yard) -> None:
    number = yard.issue(script=TRIES + "commit(); result()")
    yard.until_state(number, "IN_REVIEW")
    pull = yard.repository.pulls(head=f"rpi/gh-{number}")[-1]
    said = next(json.loads(line) for line in yard.read(f"logs/gh-{number}.jsonl").splitlines() if "sandbox" in line)
    text = said["message"]["content"][0]["text"]
    assert json.loads(text) == {"seen": [], "home": [], "sandbox": "1"}
    assert yard.git("cat-file", "-p", f"origin/rpi/gh-{number}:gh-{number}.txt") == "work"
    yard.ann.merge(pull.number)
    yard.until_state(number, "DONE")
    yard.until(lambda: not yard.worktree(number).exists())
    assert not list((yard.clone / ".git" / "coordinator-walls").iterdir())


def test_a_second_attempt_goes_on_with_what_the_first_committed(yard: Yard) -> None:
    number = yard.issue(script="""
if attempt == 1:
    commit("first.txt"); write("loose.txt", "kept"); sys.exit(1)
assert os.path.exists("first.txt")
commit("second.txt"); result()""")
    yard.until_state(number, "IN_REVIEW", seconds=40)
    names = yard.git("ls-tree", "--name-only", f"origin/rpi/gh-{number}").split()
    assert {"first.txt", "second.txt"} <= set(names)


def test_stopped_work_is_committed_and_pushed(yard: Yard) -> None:
    number = yard.issue(script='commit("done.txt"); write("half.txt", "half"); print("on it", flush=True)\n'
                               'while True: time.sleep(0.1)')
    yard.until((yard.worktree(number) / "half.txt").exists)
    (yard.worktree(number) / "STOP").write_text("enough")
    yard.until_state(number, "BLOCKED", "CANCELLED")
    names = yard.git("ls-tree", "--name-only", f"rpi/gh-{number}").split()
    assert {"done.txt", "half.txt"} <= set(names)


def test_a_worker_that_breaks_its_git_loses_its_commits_and_no_one_else_s(yard: Yard) -> None:
    number = yard.issue(script="""
commit()
common = subprocess.run(["git", "rev-parse", "--git-common-dir"], capture_output=True, text=True).stdout.strip()
subprocess.run(["rm", "-rf", common + "/objects", common + "/refs", common + "/HEAD"])
result()""")
    task = yard.until_state(number, "FAILED", "BLOCKED", seconds=40)
    assert task.reason == "parcel_refused", yard.states()
    assert yard.git("fsck", "--no-dangling") == ""
    assert yard.git("rev-parse", "main") == yard.git("rev-parse", f"rpi/gh-{number}")


def test_a_plan_over_two_repositories_is_run_behind_walls(tmp_path: Path) -> None:
    """Each task sees its own worktree with what it depends on, and nothing of the other repository, of the checkouts or
    of the plan's memory."""
    yard = make_yard(tmp_path, "backend", "frontend")
    config = yard.home / "coordinator.toml"
    config.write_text(config.read_text("utf-8").replace('sandbox = "off"', 'sandbox = "bwrap"'), "utf-8")
    secret = Path(yard.environ()["HOME"]) / ".ssh" / "id"
    secret.parent.mkdir(parents=True)
    secret.write_text(CANARY)
    names = ("backend/README.md", "backend/.git/config", "frontend/.git/config", "backend.git")
    places = [*map(str, (secret, config, secret.parents[1] / ".local/state/coordinator")),
              *(str(yard.folder / name) for name in names)]
    look = (f"write('src/seen-%s', repr([p for p in {places} if os.path.exists(p)]"
            " + [os.environ['IS_SANDBOX'], sorted(os.listdir(os.path.dirname(os.path.dirname(os.getcwd()))))]))")
    plan = yard.plan(
        task("T1", "Schema", look % "T1", repo="backend"),
        task("T2", "Login", 'assert os.path.exists("src/seen-T1")', look % "T2", on="T1", repo="backend"),
        task("T3", "Form", look % "T3", repo="frontend"),
    )
    try:
        ran = yard.run("plan", "run", str(plan))
    finally:
        yard.end()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "sandbox bwrap" in ran.stdout + ran.stderr
    for repo, name in (("backend", "T1"), ("backend", "T2"), ("frontend", "T3")):
        said = git(yard.remote(repo), "show", f"feature-auth:src/seen-{name}")
        assert json.loads(said.replace("'", '"')) == ["1", [f"plan-auth-{name.lower()}"]], said
        assert not list((yard.folder / repo / ".git" / "coordinator-walls").iterdir())
    assert plan.read_text().count("- **status**: Completed") == 3


class Dies(BaseException):
    """The coordinator, at a crossing."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("what", "nth"), [("file cell of gh-1", 1), ("file bundle of gh-1", 1),
                                           ("git index-pack", 1), ("file cell of gh-1", 2)])
def test_death_at_a_write_of_the_cell_loses_and_doubles_nothing(what: str, nth: int, after: bool, yard: Yard) -> None:
    """Then a coordinator of a new process's mind goes on: one start, the work arrives, nothing is left."""
    number = yard.issue(script="commit(); result()")
    due, fatal = [nth], "after" if after else "before"

    def die(when: str, kind: str, name: str) -> None:
        if when == fatal and f"{kind} {name}" == what:
            due[0] -= 1
            if due[0] == 0:
                raise Dies

    let_go = seam.watch(die)
    try:
        with pytest.raises(Dies):
            yard.until_state(number, "IN_REVIEW")
        yard.close()
        yard.start()
        yard.until_state(number, "IN_REVIEW")
    finally:
        let_go()
    assert len(yard.engine.world.store.attempts()[f"gh-{number}"]) == 1
    assert len(yard.repository.pulls(head=f"rpi/gh-{number}")) == 1
    assert yard.git("cat-file", "-p", f"origin/rpi/gh-{number}:gh-{number}.txt") == "work"
    assert not list((yard.clone / ".git" / "coordinator-walls").iterdir())
