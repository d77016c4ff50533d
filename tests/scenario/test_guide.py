"""The old operator's guide named what was missing and in which order it hurt: here it is, in that order."""

from __future__ import annotations

import json

import pytest

from coordinator.runfiles import identity
from tests.support.yard import Yard


def noting(order: list[str], name: str, work):
    """`work`, noted by name each time it is called."""
    def noted(*args, **kwargs):
        order.append(name)
        return work(*args, **kwargs)
    return noted


@pytest.mark.req("E57")
def test_a_tick_reaps_first_then_looks_then_makes_worktrees_then_counts(yard: Yard):
    world, order = yard.engine.world, []
    world.executor.reap = noting(order, "zombies", world.executor.reap)
    world.executor.look = noting(order, "status", world.executor.look)
    world.repo.ensure_worktree = noting(order, "worktrees", world.repo.ensure_worktree)
    put = world.files.put
    world.files.put = lambda path, text: (order.append("metrics") if path.name == "metrics.json" else None,
                                          put(path, text))
    number = yard.issue(script="commit()\nwhile True: time.sleep(0.1)")
    yard.tick()
    first = list(dict.fromkeys(order))
    assert first == ["zombies", "status", "worktrees", "metrics"]
    yard.until((yard.worktree(number) / f"gh-{number}.txt").exists)
    (yard.worktree(number) / "STOP").touch()
    yard.until_state(number, "CANCELLED")


@pytest.mark.req("E56", "E9")
def test_the_six_things_the_guide_still_wanted_are_there(yard: Yard):
    done = yard.issue("Make it turn")
    yard.until_state(done, "IN_REVIEW")
    stopped = yard.issue("Never mind", script="commit()\nwhile True: time.sleep(0.1)")
    yard.until((yard.worktree(stopped) / f"gh-{stopped}.txt").exists)
    yard.tick()
    assert f"] gh-{stopped}: Never mind" in yard.read("tasks.md").partition("## Active")[2].partition("## ")[0]

    (yard.worktree(stopped) / "STOP").write_text("not now")
    yard.until_state(stopped, "CANCELLED")                                   # STOP
    [pull] = yard.repository.pulls()
    assert yard.task(done).pr_number == pull.number                          # status tracking with PR detection
    metrics = json.loads(yard.read("adws/metrics.json"))
    assert (metrics["workers_launched"], metrics["prs_created"]) == (2, 1)   # metrics
    assert any("✅ Completed!" in body for body in yard.comments(done))       # issue comments
    assert any("not now" in body for body in yard.comments(stopped))
    yard.ann.merge(pull.number)
    yard.until(lambda: not yard.worktree(done).exists())                     # worktree cleanup
    for attempts in yard.engine.world.store.attempts().values():             # reaping
        assert all(identity.with_token(attempt.token) == [] for attempt in attempts)
    assert yard.worktree(stopped).exists()
