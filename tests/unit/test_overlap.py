"""Which files a task is expected to change, and when two tasks are in each other's way."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.planning.plans.overlap import covers, crowds, overlaps, plain, predict


@pytest.mark.parametrize(("text", "paths"), [
    ("Change src/a.py and `lib/b.rs`.", {"src/a.py", "lib/b.rs"}),
    ('See (docs/guide.md), "x/y.ts", Makefile, setup.cfg:12 and src/api/.',
     {"docs/guide.md", "x/y.ts", "Makefile", "setup.cfg", "src/api"}),
    ("In `src/models` and `app/[id]/page.tsx`, ./run.sh!", {"src/models", "app/[id]/page.tsx", "run.sh"}),
    ("`tests/test_*.py`", {"tests/test_*.py"}),
    ("src/a.py#L10-L20 and src/a.py:7", {"src/a.py"}),
    ("e.g. Node.js and/or version 1.2.3, i.e. 3/4 of https://example.com/a.py or user@host.md/x", set()),
    ("../elsewhere/a.py, -/-, `and`, `x = y/z`", set()),
    ("", set()),
])  # fmt: skip
def test_the_files_named_in_a_text_are_expected_to_change(text: str, paths: set[str]) -> None:
    assert predict(text) == paths


def test_locations_come_before_the_text_and_the_text_before_what_was() -> None:
    assert predict("src/a.py", ["./src/b/", ""], ["c.py"]) == {"src/b"}
    assert predict("src/a.py", [], ["c.py"]) == {"src/a.py"}
    assert predict("Make it better", (), ["c.py", "./d.py"]) == {"c.py", "d.py"}
    assert predict("Make it better") == frozenset()


@pytest.mark.parametrize(("one", "other", "shared"), [
    ({"a.py"}, {"a.py"}, {"a.py"}),
    ({"a.py"}, {"b.py"}, set()),
    ({"src"}, {"src/x/a.py"}, {"src/x/a.py"}),
    ({"src"}, {"srcs/a.py"}, set()),
    ({"."}, {"b.py"}, {"b.py"}),
    ({"src/*.py"}, {"src/a.py", "src/a.rs"}, {"src/a.py"}),
    ({"src/**/*.py"}, {"src/a.py"}, {"src/a.py"}),
    ({"src/**/*.py"}, {"src/x/y/a.py"}, {"src/x/y/a.py"}),
    ({"app/[id]"}, {"app/[id]/page.tsx"}, {"app/[id]/page.tsx"}),
    ({"src", "b.py"}, {"src/a.py", "b.py"}, {"src/a.py", "b.py"}),
    (set(), {"a.py"}, set()),
])  # fmt: skip
def test_what_two_tasks_share_is_named_by_the_narrower(one: set[str], other: set[str], shared: set[str]) -> None:
    assert overlaps(one, other) == overlaps(other, one) == shared


@pytest.mark.parametrize(("written", "form"), [("./a//b/", "a/b"), ("a/../b", "b"), (" . ", "."), ("", "")])
def test_a_location_has_one_form(written: str, form: str) -> None:
    assert plain(written) == form


def test_those_in_each_others_way_are_found_in_groups() -> None:
    files = {"T1": ["src/a.py", "x"], "T2": ["src"], "T3": ["src/a.py", "x"], "T4": ["y"], "T5": ["src/*.py"]}
    assert crowds(files) == {
        ("T1", "T2", "T3", "T5"): ("src/a.py",), ("T1", "T3"): ("x",), ("T2", "T5"): ("src/*.py",),
    }  # fmt: skip


PLACES = ["a", "a/b", "a/b/c", "a/d", "*.py", "x.py", "a/*.py", "a/x.py", ".", "[z]"]
FILES = st.lists(st.sampled_from(PLACES), max_size=3)


@given(st.dictionaries(st.integers(0, 6), FILES))
def test_groups_and_pairs_agree(files: dict[int, list[str]]) -> None:
    pairs = {(one, other) for one in files for other in files if one < other and overlaps(files[one], files[other])}
    found = crowds(files)
    assert {(one, other) for one, other in pairs} <= {
        (min(one, other), max(one, other)) for group in found for one in group for other in group if one != other
    }
    assert all(set(group) == {key for key in files if any(covers(has, path) for has in files[key])}
               for group, paths in found.items() for path in paths)  # fmt: skip


@pytest.mark.parametrize("nasty", ["a/" * 60_000, "`" * 100_000, "a." * 50_000, "[" * 100_000, "(a" * 50_000])
def test_no_text_takes_long(nasty: str) -> None:
    began = time.process_time()
    predict(nasty)
    assert time.process_time() - began < 2
