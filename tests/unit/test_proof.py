"""The table that `make proof` prints, from what tests counted."""

from __future__ import annotations

import json

from tests import proof
from tests.support import figures


def test_the_table_sums_what_all_processes_of_a_run_counted():
    counted = [
        {"kind": "histories", "seeds": 500, "deaths": 2000, "troubles": {"request lost": 7}},
        {"kind": "histories", "seeds": 500, "deaths": 2100, "troubles": {"request lost": 3, "limited": 1}},
        {"kind": "planted", "fault": "fence ignored", "seeds": 20},
        {"kind": "planted", "fault": "intent after effect", "seeds": 1},
        {"kind": "points", "life": "issue", "when": "before", "points": 30},
        {"kind": "points", "life": "issue", "when": "within", "points": 40},
        {"kind": "points", "life": "job", "when": "within", "points": 5},
        {"kind": "count", "of": "races", "times": 30},
        {"kind": "count", "of": "canaries", "times": 1},
        {"kind": "count", "of": "races", "times": 10},
    ]
    told = [line.split() for line in proof.summary(counted)]
    assert told == [
        ["random", "histories", "1000"], ["deaths", "in", "them", "4100"],
        ["limited", "1"], ["request", "lost", "10"],
        ["planted", "faults,", "found", "by", "the", "seed"], ["intent", "after", "effect", "1"],
        ["fence", "ignored", "20"],
        ["crash", "points", "before", "within", "after", "all"], ["issue", "30", "40", "0", "70"],
        ["job", "0", "5", "0", "5"], ["all", "30", "45", "0", "75"],
        ["canaries", "1"], ["races", "40"],
    ]


def test_of_what_was_not_run_there_is_no_line():
    assert list(proof.summary([])) == []


def test_a_count_is_kept_only_where_a_file_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv(figures.WHERE, raising=False)
    figures.note("points", life="issue")
    monkeypatch.setenv(figures.WHERE, str(tmp_path / "figures"))
    figures.note("points", life="job")
    figures.count("races")
    assert [json.loads(line) for line in (tmp_path / "figures").read_text().splitlines()] == [
        {"kind": "points", "life": "job"}, {"kind": "count", "of": "races", "times": 1}]


def test_every_file_of_the_proof_is_there():
    assert [name for name in proof.TESTS if not (proof.ROOT / name).exists()] == []
