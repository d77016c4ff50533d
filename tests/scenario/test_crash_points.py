"""kill -9 at every external write of a whole life of an issue: a fresh coordinator finds what was done, and does
nothing twice.

The list of writes is that of a recorded life, the points are its writes: before, within and after. By default it dies
at the first write of each name, twice; COORDINATOR_SOAK=1 dies everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.crash import a_field
from tests.support.description import check_all
from tests.support.issue_lives import IssueLife
from tests.support.points import SOAK, Field, a_field_of, told

KINDS = ("github", "git", "store", "file", "process")


@pytest.fixture(scope="module")
def field_of_plots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("crash")
    with a_field(folder) as github, a_field_of(IssueLife(github), folder) as made:
        check_all(github.requests)
        github.forget_requests()
        yield made


def test_the_recorded_life_crosses_the_seam_for_every_kind_of_write(
    field_of_plots: Field, capsys: pytest.CaptureFixture[str]
):
    writes = field_of_plots.writes
    with capsys.disabled():
        print(told(field_of_plots, field_of_plots.points()))
        for one in writes if SOAK else ():
            print(f"  {one}")
    assert {write.kind for write in writes} == set(KINDS)
    wanted = ("POST pulls", "POST issues/1/comments", "POST issues/1/labels", "push", "worktree", "migrate",
              "start command gh-1", "jobs/command/gh-1.spec", "tasks.md", "metrics.json", "board.json")
    assert [what for what in wanted if what not in {write.what for write in writes}] == []
    assert {write.kind for write in field_of_plots.middles} == set(KINDS)


@pytest.mark.timeout(14400 if SOAK else 900)
@pytest.mark.req("W11", "W12", "W23", "F9", "N7", "N11")
@pytest.mark.parametrize("kind", KINDS)
def test_death_at_a_write_loses_nothing_and_doubles_nothing(field_of_plots: Field, kind: str):
    points = [point for point in field_of_plots.points() if point.write.kind == kind]
    assert points
    assert field_of_plots.die_at(points) == []
