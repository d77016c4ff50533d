"""kill -9 at the writes that work over ssh or on Slurm adds to a life: the worktree sent, the run asked for, its output
mirrored, its work taken in. A fresh coordinator finds what was done there and here, and does nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.bypass import bypasses
from tests.support.crash import a_field
from tests.support.issue_lives import SlurmLife, SshLife
from tests.support.points import SOAK, Field, a_field_of, told


@pytest.fixture(scope="module", params=[SshLife, SlurmLife], ids=["ssh", "slurm"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with a_field(folder) as github, a_field_of(request.param(github), folder) as made:
        yield made


@pytest.mark.req("N7")
def test_every_write_of_the_recorded_life_is_made_in_a_crossing(place: Field) -> None:
    assert bypasses(place.outside, place.life.name) == []
    assert {one.event for one in place.within} >= {"open", "os.rename", "subprocess.Popen"}


@pytest.mark.req("N7")
@pytest.mark.timeout(14400 if SOAK else 900)
def test_a_life_elsewhere_survives_a_death_at_each_of_its_writes(
    place: Field, capsys: pytest.CaptureFixture[str]
) -> None:
    points = place.some(every=3)
    with capsys.disabled():
        print(told(place, points))
    assert len(points) >= 10
    assert "process" in {point.write.kind for point in points}
    assert place.die_at(points) == []
