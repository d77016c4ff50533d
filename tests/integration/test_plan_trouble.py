"""Plan files in surroundings that nobody wished for: repositories of other hosts, other coordinators, names that
cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.app.plans import sites
from coordinator.config import load
from tests.support.plan_yard import PlanYard, make_yard, task
from tests.support.program import a_repository


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
    site = sites(load(tmp_path / "c.toml", {}), "ghp_" + "a" * 36, tmp_path / "web")(str(tmp_path / "api"))
    assert (site.github is not None, given[-1] is not None) == (ours, ours)
    assert given[0] is None


def _funnel(root: Path, secret: object, identity: object) -> object:
    from coordinator.adapters.git.funnel import Funnel

    return Funnel(root, secret=secret, identity=identity)  # type: ignore[arg-type]
