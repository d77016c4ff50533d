"""What a plan's tasks carry: asked before they come in, told where they go out."""

from __future__ import annotations

from coordinator.domain.cargo import Cargo
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


def test_protected_files_of_a_later_delivery_are_told_on_the_pull_request_that_stands(monkeypatch):
    way = Underway(a_plan({"T1": []}))
    assert way.run()
    github = way.outside.github
    [number] = github.pulls
    github.person_opens(number)   # a pull request is an issue too
    monkeypatch.setattr(way.outside.repo, "cargo",
                        lambda head, _: Cargo(head, files=("CLAUDE.md",) if "t2" in head else ()))
    way.under = a_plan({"T1": [], "T2": ["T1"]})
    way.come_up(again=False)
    way.engine.world.options = Options(protection=Protection(("CLAUDE.md",)))
    assert way.run()
    assert ("rpi:protected" in github.issues[number].labels, github.pulls[number].draft) == (True, True)
    assert ["`CLAUDE.md`" in comment.body for comment in github.comments(number)] == [True]
