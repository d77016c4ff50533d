"""kill -9 at the writes of what a person started by hand: a job from its start by the watchdog's restart to its stop,
and a plan up to its pull request. The command is typed again; nothing runs twice and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.bypass import bypasses
from tests.support.crash import a_field
from tests.support.points import SOAK, Field, a_field_of, told
from tests.support.typed_lives import JobLife, PlanLife


@pytest.fixture(scope="module", params=["job", "plan"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "job":
        with a_field_of(JobLife(), folder) as made:
            yield made
    else:
        with a_field(folder) as github, a_field_of(PlanLife(github), folder) as made:
            yield made


@pytest.mark.req("N7")
def test_every_write_of_the_recorded_life_is_made_in_a_crossing(place: Field) -> None:
    assert bypasses(place.outside, place.life.name) == []
    assert {one.event for one in place.within} >= {"open", "os.rename", "subprocess.Popen"}


@pytest.mark.req("N7")
@pytest.mark.timeout(14400 if SOAK else 900)
def test_what_was_typed_survives_a_death_at_each_of_its_writes(
    place: Field, capsys: pytest.CaptureFixture[str]
) -> None:
    points = place.points() if place.life.name == "job" else place.some(every=5)
    with capsys.disabled():
        print(told(place, points))
    assert len(points) >= 10
    assert place.die_at(points) == []
