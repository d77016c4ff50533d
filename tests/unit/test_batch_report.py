"""The report of a batch: eight parts in their order, what is decided and why, and a page that is harmless offline."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from coordinator.planning.batch.members import Member
from coordinator.planning.batch.report import Inputs, assemble
from coordinator.wording.batch_page import page
from coordinator.wording.batch_report import markdown, parts
from coordinator.wording.charts import charts
from tests.support.batches import BAD, GOOD, NOON, RUNNING, STOPPED, World, a_member, members

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
HOSTILE = """</td></svg><script>alert(1)</script><img src=x onerror=alert(2)> [x](http://evil) | `x` {{ 7*7 }} "'&"""


def report(world: World, *, looks: int = 1, **more: Any) -> dict[str, Any]:
    for _ in range(looks):
        look = world.batch.look()
        world.now += timedelta(minutes=10)
    return assemble(Inputs(world.batch.scope, look.members, look.health, world.memory.journal, world.batch.bands,
                           world.now, **more))  # fmt: skip


def ended(name: str, kind: dict[str, Any], minutes: float, **changes: Any) -> Member:
    times = {"ended_at": NOON + timedelta(minutes=minutes), "duration_sec": minutes * 60}
    return a_member(name, kind, **times, **changes)


def storm() -> World:
    """Three of five fail of one cause, it is mended and started again, all but one come home."""
    before = [*(ended(f"bd-{number}", BAD, 1) for number in (1, 2, 3)), ended("bd-4", GOOD, 5),
              a_member("bd-5", RUNNING), ended("bd-6", GOOD, 5)]
    world = World(before)
    world.batch.look()
    world.now += timedelta(minutes=10)
    world.batch.note("cancel", "the table was missing; the migration makes it now", ["bd-5"])
    world.batch.note("smoke", "", ["bd-1"], {"bd-1 of 20260304120000": "20260304121000-claude-7"})
    world.batch.note("resubmit", "", ["bd-2", "bd-3"], {"bd-2 of 20260304120000": "20260304121500-claude-8",
                                                        "bd-3 of 20260304120000": "20260304121502-claude-9"})
    world.batch.note("learnt", "migrations first")
    again = {"started_at": NOON + timedelta(minutes=15)}
    world.story.append([
        *(ended(f"bd-{number}", GOOD, 20, **again) for number in (1, 2)),
        ended("bd-3", GOOD, 90, **again, provider="gemini", attempts=2),
        ended("bd-4", GOOD, 5), ended("bd-5", STOPPED, 11), ended("bd-6", GOOD, 5)])
    return world


@pytest.mark.req("D85", "D86", "D87", "D88", "D89", "D90", "D91", "D92")
def test_the_report_has_its_eight_parts_in_order_and_says_all_of_a_storm_that_was_mended() -> None:
    made = report(storm(), outputs={"bd-1": "", "bd-2": "3 commits that are pushed nowhere"},
                  logs={"bd-1": "/jobs/bd-1.log"})  # fmt: skip
    assert [part.title for part in parts(made)] == [
        "1. Scope", "2. Timeline", "3. Failures and thresholds", "4. Decision", "5. Intervention",
        "6. Completion and artefacts", "7. Learnings", "8. Evidence"]
    assert markdown(made) == (GOLDEN / "batch-report.md").read_text("utf-8")


@pytest.mark.req("D88")
@pytest.mark.parametrize(("of", "kind", "decision", "why"), [
    (members(good=9, bad=1), "prefix", "no intervention", "too few of them alike"),
    (members(good=17, bad=2, running=1), "prefix", "watch", "2 of 19 (11%) failed alike, over 10%"),
    (members(good=2, bad=3), "prefix", "watch", "nobody intervened yet: it wants somebody"),
    (members(good=2, bad=3), "label", "intervened", "the coordinator starts no more of it"),
])  # fmt: skip
def test_the_decision_stands_with_its_reasons(of: list[Member], kind: str, decision: str, why: str) -> None:
    world = World(of)
    look = world.batch.look()
    scope = type(world.batch.scope)(kind, "bd-")
    given = Inputs(scope, look.members, look.health, world.memory.journal, world.batch.bands, NOON)
    found = assemble(given)["decision"]
    assert found["decision"] == decision
    assert why in "; ".join(found["reasons"])


@pytest.mark.req("D73")
def test_a_note_is_no_intervention_and_one_failed_member_is_no_verdict_on_the_batch() -> None:
    world = World([*members(good=11), a_member("bd-99", BAD)])
    world.batch.note("fix", "looked at it")
    assert report(world)["decision"]["decision"] == "no intervention"


@pytest.mark.req("D81", "D82")
def test_it_learns_from_those_that_succeeded_and_failed_segment_by_segment() -> None:
    made = report(World([
        *(ended(f"bd-{number}", GOOD, 10) for number in range(4)), ended("bd-4", GOOD, 50),
        ended("bd-5", BAD, 1, provider="gemini"), ended("bd-6", GOOD, 8, provider="gemini", artefact="empty"),
        ended("bd-7", GOOD, 9, wave=2, attempts=3), ended("bd-8", BAD, 2, excluded=True, reason="network"),
    ]))["learnings"]  # fmt: skip
    assert (made["expected"], made["actual"]) == (8, 6)
    assert [(one["by"], one["segment"], one["good"], one["failed"]) for one in made["segments"]] == [
        ("provider", "claude", 6, 0), ("provider", "gemini", 1, 1), ("wave", "1", 6, 1), ("wave", "2", 1, 0)]
    assert made["anomalies"] == [
        "bd-4 took 3000 s, 5 times the median of 600 s", "bd-6 ended well with a result that is empty",
        "bd-7 needed 3 attempts", "1 ended for an outage or a limit, and count for neither side"]


@pytest.mark.parametrize(("of", "outputs", "word"), [
    (members(good=4), {}, "low"), (members(good=5, running=1), {}, "medium"), (members(good=5), {}, "high"),
    (members(good=5), {"bd-1": "2 changed or untracked files"}, "medium"), (members(good=5), {"bd-1": ""}, "high")])
def test_how_sure_it_is_depends_on_how_many_ended_and_what_is_open(
    of: list[Member], outputs: dict[str, str], word: str
) -> None:
    assert report(World(of), outputs=outputs)["learnings"]["confidence"] == word


@pytest.mark.req("D77")
def test_results_that_are_not_where_they_should_be_are_named() -> None:
    of = [*members(good=5), a_member("bd-9", GOOD, artefact="unreadable")]
    made = report(World(of), outputs={"bd-0": "", "bd-1": "2 commits that are pushed nowhere"})["completion"]
    assert (made["sound"], made["compared"], made["out_of_step"], made["unusable"]) == (
        False, 2, {"bd-1": "2 commits that are pushed nowhere"}, {"bd-9": "unreadable"})


def test_a_batch_that_nobody_watched_has_its_times_from_its_members() -> None:
    world = World([ended("bd-1", GOOD, 10), ended("bd-2", BAD, 20), a_member("bd-3", RUNNING, started_at=None)])
    look = world.batch.peek()
    made = assemble(Inputs(world.batch.scope, look.members, look.health, world.memory.journal, world.batch.bands, NOON))
    assert [(one["at"][11:16], one["waiting"], one["running"], one["good"], one["bad"])
            for one in made["timeline"]["curve"]] == [
        ("12:00", 1, 2, 0, 0), ("12:10", 1, 1, 1, 0), ("12:20", 1, 0, 1, 1)]
    assert "Nobody watched it" in markdown(made)


# --- the page --------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """What a browser would make of a page: its tags, what they would fetch or run, its words."""

    ALONE = ("meta", "img", "br", "hr", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.reaches: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.ALONE:
            self.open.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
                self.reaches.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_has_every_part_and_three_charts_and_closes_what_it_opens() -> None:
    seen = Reader(page(report(storm())))
    assert (seen.open, seen.tags.count("svg"), seen.tags.count("h2")) == ([], 3, 8)
    for words in ("States over time", "Failures by cause", "Durations in seconds", "process_exit, mended"):
        assert words in seen.words


def test_the_page_fetches_and_runs_nothing() -> None:
    text = page(report(storm()))
    assert Reader(text).reaches == []
    assert not {"script", "link", "iframe", "object", "image", "use", "a"} & set(Reader(text).tags)
    assert not re.findall(r"@import|url\(|http(?!://www\.w3\.org/2000/svg\"|-equiv)", text)
    assert "default-src 'none'" in text


def test_hostile_words_stay_words_on_the_page_in_its_charts_and_in_markdown() -> None:
    of = [*(ended(f"bd-{number}", BAD, 1, words=HOSTILE, title=HOSTILE, provider=HOSTILE) for number in range(3)),
          ended("bd-9", GOOD, 3)]
    world = World(of)
    world.batch.note("fix", HOSTILE)
    made = report(world, looks=2, outputs={"bd-9": HOSTILE}, logs={"bd-9": HOSTILE})
    seen, plain = Reader(page(made)), Reader(page(report(World(members(good=3)))))
    assert (seen.open, seen.reaches) == ([], [])
    assert set(seen.tags) <= {*plain.tags, "svg", "g", "rect", "text", "path", "desc", "defs", "style", "title", "ul",
                              "li", "figure", "table", "tr", "th", "td", "line", "circle", "a"} - {"a"}  # fmt: skip
    assert "{{ 7*7 }}" in seen.words
    told = markdown(made)
    assert "<script" not in told
    assert "](http" not in told
    assert all(line.count("|") == 3 for line in told.splitlines() if line.startswith("| bd-9 "))


def test_a_batch_of_hundreds_keeps_its_page_and_charts_readable() -> None:
    of = [ended(f"bd-{number:03d}", BAD if number % 3 else GOOD, 1 + number / 10, words=f"Error: {'x' * number}")
          for number in range(400)]
    made = report(World(of))
    assert len(page(made)) < 400_000
    assert charts(made)["learnings"].count("<desc") < 200
    assert "the longest 30" in charts(made)["learnings"]
