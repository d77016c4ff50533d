"""The answers in tests/recordings/github are those that GitHub gave: word for word in the package they came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.real_parts import MODULES, missing

SCENARIOS = MODULES / "@octokit" / "fixtures" / "scenarios" / "api.github.com"
COPIES = sorted((Path(__file__).parents[1] / "recordings" / "github").glob("*.json"))

pytestmark = pytest.mark.skipif(bool(missing(SCENARIOS)), reason=missing(SCENARIOS))


def told(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text("utf-8")))


def essence(answer: dict[str, Any]) -> tuple[str, str, int]:
    return answer["method"].upper(), answer["path"], answer["status"]


@pytest.mark.parametrize("copy", COPIES, ids=[path.stem for path in COPIES])
def test_a_copied_answer_is_the_recorded_one(copy: Path) -> None:
    source = told(SCENARIOS / copy.stem / "normalized-fixture.json")
    copied = told(copy)
    assert [essence(one) for one in copied] == [essence(one) for one in source]
    for ours, theirs in zip(copied, source, strict=True):
        assert ours["body"] == theirs["response"]
        assert ours["headers"].items() <= theirs["headers"].items()


def test_there_are_copies_of_paging_errors_and_a_renamed_repository() -> None:
    assert [path.stem for path in COPIES] == ["errors", "paginate-issues", "rename-repository"]
