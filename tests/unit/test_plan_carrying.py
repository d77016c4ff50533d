"""What a plan's tasks carry: asked before they come in, told where they go out."""

from __future__ import annotations

from dataclasses import replace

from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.task import TaskState
from coordinator.engine.world import Options
from coordinator.planning.protection import Protection
from coordinator.ports import GitUnreachable
from tests.support.plan_world import Underway, a_plan


def test_a_merge_waits_for_a_remote_that_cannot_be_asked(monkeypatch):
    way, asked = Underway(a_plan({"T1": []})), []

    def cargo(head: str, search: object) -> Cargo:
        asked.append(head)
        if len(asked) < 3:
            raise GitUnreachable("no answer")
        return Cargo(head)

    monkeypatch.setattr(way.outside.repo, "cargo", cargo)
    assert way.run()
    assert (way.task("T1").state, len(way.started)) == (TaskState.DONE, 1)
    assert len(asked) >= 3


def carries(monkeypatch, way, task):
    """The branch has ci.yml otherwise than the base from this task on."""

    def cargo(head: str, search: Search) -> Cargo:
        has = [task in " ".join(next(commits[: commits.index(one) + 1] for commits in way.outside.repo.local.values()
                                     if one in commits)) for one in (head, *search.allowed)]
        return Cargo(head, files=("ci.yml",) if has[0] and not (not search.scan and any(has[1:])) else ())

    monkeypatch.setattr(way.outside.repo, "cargo", cargo)


def grown(way, depends):
    way.under = a_plan(depends)
    way.come_up(again=False)
    way.engine.world.options = Options(protection=Protection(("ci.yml",)))
    assert way.run()


def test_protected_files_of_a_later_delivery_are_told_once_on_the_pull_request_that_stands(monkeypatch):
    way = Underway(a_plan({"T1": []}))
    assert way.run()
    github = way.outside.github
    [number] = github.pulls
    github.person_opens(number)   # a pull request is an issue too
    carries(monkeypatch, way, "t2")
    grown(way, {"T1": [], "T2": ["T1"]})
    assert ("rpi:protected" in github.issues[number].labels, github.pulls[number].draft) == (True, True)
    assert ["`ci.yml`" in comment.body for comment in github.comments(number)] == [True]
    github.pulls[number] = replace(github.pulls[number], draft=False)   # a person has looked
    grown(way, {"T1": [], "T2": ["T1"], "T3": ["T2"]})
    assert "plan-auth-t3" in " ".join(way.outside.repo.remote["feature-auth"])
    assert (github.pulls[number].draft, len(github.comments(number))) == (False, 1)
