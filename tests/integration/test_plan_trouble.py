"""Plan files in surroundings that nobody wished for: repositories of other hosts, other coordinators, names that
cannot be."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator import app
from coordinator.adapters.git.hooks import run_hook
from coordinator.app.plans import open_plan, sites, undertaking
from coordinator.cli.trouble import Trouble
from coordinator.config import load
from coordinator.engine.plans import keep
from tests.support.gitworld import commit, git
from tests.support.plan_yard import PlanYard, make_yard, task, until
from tests.support.program import a_repository

NAMED = {f"GIT_{role}_{what}": "ann@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def yard(tmp_path: Path) -> PlanYard:
    return make_yard(tmp_path, "shop")


@pytest.mark.parametrize("name", ["~nobody-of-this-name", "x" * 300])
def test_a_repository_that_cannot_be_is_an_error_of_the_plan(yard: PlanYard, name: str) -> None:
    ran = yard.run("plan", "check", str(yard.plan(task("T1", "one", repo=name))))
    assert (ran.returncode, "there is no checkout of the repository" in ran.stdout) == (27, True), ran.stderr


@pytest.mark.parametrize(("address", "ours"), [
    ("https://github.com/acme/api.git", True), ("git@github.com:acme/api.git", True),
    ("ssh://git@ssh.github.com:443/acme/api.git", True), ("https://gitlab.com/acme/api.git", False),
    ("https://gitlab.com/acme/group/api.git", False), ("git@gitlab.com:acme/api.git", False),
])
def test_the_token_of_github_is_for_repositories_on_github_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, ours: bool
) -> None:
    a_repository(tmp_path / "api", address)
    (tmp_path / "c.toml").write_text(f'[plans]\nworktrees = "{tmp_path / "agents"}"\n')
    given = []
    monkeypatch.setattr("coordinator.adapters.git.repository.Funnel",
                        lambda root, *, secret, identity: given.append(secret) or _funnel(root, secret, identity))
    site = sites(load(tmp_path / "c.toml", {}), lambda: "ghp_" + "a" * 36, tmp_path / "web")(str(tmp_path / "api"))
    assert (site.github is not None, given[-1] is not None) == (ours, ours)
    assert given[0] is None


def _funnel(root: Path, secret: object, identity: object) -> object:
    from coordinator.adapters.git.funnel import Funnel

    return Funnel(root, secret=secret, identity=identity)  # type: ignore[arg-type]


def test_a_plan_that_was_begun_by_hand_goes_on_there_though_its_repository_is_held_meanwhile(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", 'write("src/a")'), task("T2", "two", 'write("src/b")', on="T1"))
    assert yard.run("plan", "run", str(plan), "--wave", "1").returncode == 0
    with app.hold(app.Place(yard.home)):
        ran = yard.run("plan", "run", str(plan))
    assert (ran.returncode, "T1" in ran.stdout, "2 of 2 merged" in ran.stdout) == (0, True, True), ran.stderr
    assert yard.run("plan", "run", str(plan)).returncode == 0
    assert git(yard.remote("shop"), "rev-list", "--merges", "--count", "feature-auth") == "2"


def test_a_damaged_memory_of_a_plan_is_said_with_a_cure_that_cures(yard: PlanYard) -> None:
    """No command makes it anew: that would do merged tasks again, and only a person may want that."""
    plan = yard.plan(task("T1", "one", 'write("src/a", str(time.time()))'))
    assert yard.run("plan", "run", str(plan)).returncode == 0
    [store] = yard.folder.rglob("plans/*/.coordinator/state.db")
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.write_bytes(b"\x7fELF" + store.read_bytes()[4:])
    broken = store.read_bytes()

    for typed in (("plan", "resume", str(plan)), ("stop", "plan-auth-t1")):
        ran = yard.run(*typed)
        assert ran.returncode == 1
        assert "which no command makes anew" in ran.stderr
        assert "`coordinator run`" not in ran.stderr
    assert (store.read_bytes(), list(store.parent.glob("*corrupt*"))) == (broken, [])
    cure = next(line.strip() for line in ran.stderr.splitlines() if line.strip().startswith("mv "))
    aside = yard.folder / "aside"
    aside.mkdir()
    subprocess.run(["sh", "-c", f"{cure.partition(' /tmp && ')[0]} {aside}"], check=True)
    ran = yard.run("plan", "resume", str(plan))
    assert (ran.returncode, "1 of 1 merged" in ran.stdout) == (0, True), ran.stderr
    assert git(yard.remote("shop"), "rev-list", "--merges", "--count", "feature-auth") == "2"


@pytest.mark.parametrize(("moved", "words"), [
    (True, "which is not there any more"), (False, "Give one of the two files another name.")])
def test_a_plan_of_the_same_name_from_another_file_is_refused(yard: PlanYard, moved: bool, words: str) -> None:
    plan = yard.plan(task("T1", "one", 'write("src/a")'))
    assert yard.run("plan", "run", str(plan)).returncode == 0
    second = yard.home / "docs" / plan.name
    second.parent.mkdir()
    second.write_bytes(plan.read_bytes())
    if moved:
        plan.unlink()
    ran = yard.run("plan", "run", str(second))
    assert (ran.returncode, words in ran.stderr, f"from {plan}" in ran.stderr) == (1, True, True), ran.stderr
    if moved:
        second.rename(plan)
        assert yard.run("plan", "run", str(plan)).returncode == 0


def test_a_plan_that_a_repositorys_coordinator_has_is_not_begun_beside_it(yard: PlanYard) -> None:
    plan = yard.plan(task("T1", "one", 'write("src/a")'))
    made = open_plan(plan, yard.home)
    under = undertaking(made, load(yard.home / "coordinator.toml", {}), app.now())
    store = app.open_store(app.Place(yard.home))
    keep(store, under)
    store.close()
    ran = yard.run("plan", "run", str(plan))
    cure = f"cd {yard.home} && coordinator run"
    assert (ran.returncode, "took this plan up" in ran.stderr, cure in ran.stderr) == (1, True, True), ran.stderr
    assert not yard.agents.exists()


@pytest.mark.parametrize(("path", "words"), [("", "ended meanwhile"), ("/elsewhere/auth-plan.md", "refused it")])
def test_a_plan_that_is_not_taken_or_whose_taker_is_gone_is_not_called_worked_on(
    yard: PlanYard, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    from coordinator.cli.plans.running import _hand_over

    for key, value in yard.environ().items():
        monkeypatch.setenv(key, value)
    place = app.Place(yard.home)
    under = undertaking(open_plan(yard.plan(task("T1", "one")), yard.home), load(place.config, {}), app.now())
    store = app.open_store(place)
    if path:
        keep(store, replace(under, path=path))
    store.close()
    with pytest.raises(Trouble, match=words):
        _hand_over(place, under, again=False, own=False)


@pytest.mark.parametrize(("name", "lives"), [("validation", False), ("gate", False), ("after_create", True)])
def test_what_a_validation_leaves_running_ends_with_it(tmp_path: Path, name: str, lives: bool) -> None:
    ok, said = run_hook(tmp_path, tmp_path, "sleep 60 & echo $!", name, 20, {"PATH": os.environ["PATH"]})
    assert ok
    other = int(said)
    try:
        alive = Path(f"/proc/{other}/stat")
        if not lives:
            until(lambda: not alive.exists() or alive.read_text().rpartition(")")[2].split()[0] == "Z")
        assert lives is (alive.exists() and alive.read_text().rpartition(")")[2].split()[0] != "Z")
    finally:
        if lives:
            os.kill(other, signal.SIGKILL)


def test_a_refused_delivery_is_told_whole_with_a_cure_that_helps(yard: PlanYard) -> None:
    other = yard.folder / "other"
    git(yard.folder, "clone", "-q", str(yard.remote("shop")), str(other))
    git(other, "checkout", "-q", "-b", "feature-auth")
    commit(other, "theirs.txt", "x\n")
    push = f'subprocess.run(["git", "-C", "{other}", "push", "-q", "origin", "feature-auth"], check=True)'
    plan = yard.plan(task("T1", "one", 'write("src/a")', push), name="auth-plan.md")
    assert yard.run("plan", "run", str(plan)).returncode == 1
    said = " ".join(yard.run("plan", "status", str(plan), COLUMNS="60").stdout.split())
    assert f"→ coordinator plan resume {plan}" in said
    cure = re.search(r"in (\S+) (git switch .* git switch -) →", said)
    assert cure is not None
    subprocess.run(["sh", "-c", cure[2]], cwd=cure[1], env=yard.environ(**NAMED), check=True)
    assert yard.run("plan", "resume", str(plan)).returncode == 0
    assert "theirs.txt" in git(yard.remote("shop"), "ls-tree", "--name-only", "feature-auth")


@pytest.mark.parametrize(("name", "text", "words"), [
    ("key.txt", "ghp_" + "a1B2" * 9, "secret_found: key.txt line 1"),
    (".github/workflows/ci.yml", "on: push",
     "protected_path: .github/workflows/ci.yml. Look at it, and push feature-auth yourself"),
])
def test_what_others_put_on_a_plans_branch_between_two_merges_is_looked_at_before_it_goes_out(
    yard: PlanYard, name: str, text: str, words: str
) -> None:
    with (yard.home / "coordinator.toml").open("a") as config:
        config.write('\n[protect]\nmode = "block"\npaths = [".github/**"]\n')
    go, other = yard.folder / "go", yard.folder / "other"
    plan = yard.plan(task("T1", "one", 'write("src/a")', location="src/a"),
                     task("T2", "two", f'wait("{go}")', 'write("src/b")', location="src/b"))
    with yard.running("plan", "run", str(plan)) as child:
        until(lambda: "Merge T1" in git(yard.home, "log", "--format=%s", "feature-auth", ok=False))
        git(yard.folder, "clone", "-q", "-b", "feature-auth", str(yard.home), str(other))
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        commit(other, name, f"{text}\n")
        git(other, "push", "-q", "origin", "feature-auth")
        go.touch()
        said, _ = child.communicate(timeout=60)
    assert git(yard.home, "log", "--first-parent", "--format=%s", "feature-auth").splitlines()[:3] == [
        "Merge T2 (two) into feature-auth", "work", "Merge T1 (one) into feature-auth"]
    shown = " ".join(yard.run("plan", "status", str(plan)).stdout.split())
    assert words in shown
    assert yard.branches("shop") == ["main"], said
    git(yard.home, "push", "-q", "origin", "feature-auth")   # a person takes it on themselves
    ran = yard.run("plan", "resume", str(plan))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_plan_file_that_became_a_link_is_written_where_it_lies(yard: PlanYard) -> None:
    real, go = yard.folder / "real.md", yard.folder / "go"
    plan = yard.plan(task("T1", "one", 'write("src/a")', f'wait("{go}")'))
    with yard.running("plan", "run", str(plan)) as child:
        until(lambda: list(yard.agents.glob("*/shop/src/a")))
        plan.rename(real)
        plan.symlink_to(real)
        go.touch()
        assert child.wait(60) == 0
    assert plan.is_symlink()
    assert "- **status**: Completed" in real.read_text()
