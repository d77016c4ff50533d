"""One seed told again by one command."""

from __future__ import annotations

import pytest

from tests import simulate
from tests.support import histories


def test_a_seed_is_told_step_by_step(capsys):
    assert simulate.main(["5"]) == 0
    told = capsys.readouterr().out
    assert "says: gh-1: adopted" in told
    assert "dies " in told
    assert told.endswith("1 histories, 0 broken\n")


def test_a_broken_seed_is_named_and_ends_with_1(capsys, monkeypatch):
    monkeypatch.setattr(histories.History, "_at_rest", lambda self, made: self._must(self.seed != 6, "planted"))
    assert simulate.main(["5-7"]) == 1
    told = capsys.readouterr().out
    assert "seed 6: planted" in told
    assert told.endswith("3 histories, 1 broken: 6\n")


@pytest.mark.parametrize("words", [["x"], ["5-y"], ["-3"]])
def test_what_is_no_seed_is_refused_with_the_usage(words, capsys):
    assert simulate.main(words) == 64
    assert capsys.readouterr().err.startswith("usage: python -m tests.simulate SEED")
