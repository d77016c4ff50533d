"""How a batch is judged: tables of cases, and what holds for every batch."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.planning.batch.cohort import (
    Bands,
    BatchWord,
    Health,
    as_data,
    cause_of,
    judge,
)
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.signature import LONGEST, last_error, signature

GOOD, BAD, WAITING, RUNNING, STOPPED = Stand.GOOD, Stand.BAD, Stand.WAITING, Stand.RUNNING, Stand.STOPPED
HEALTHY, DEGRADED, SYSTEMIC = BatchWord.HEALTHY, BatchWord.DEGRADED, BatchWord.SYSTEMIC


def good(number: int, **more) -> list[Member]:
    return [Member(f"g{n}", GOOD, "DONE", **more) for n in range(number)]


def bad(number: int, reason: str = "hook_failed", words: str = "make: *** [all] Error 2", name: str = "", **more):
    return [Member(f"b{name or reason}{n}", BAD, "FAILED", reason=reason, words=words, **more) for n in range(number)]


def waiting(number: int, **more) -> list[Member]:
    return [Member(f"w{n}", WAITING, "QUEUED", **more) for n in range(number)]


def outage(number: int) -> list[Member]:
    return bad(number, "overloaded", "529 overloaded", excluded=True)


def alike(failed: int, ended: int) -> Health:
    """So many of the ended failed of one thing that is neither a crash nor a setting."""
    return judge([*bad(failed, "push_refused", "remote rejected the push"), *good(ended - failed)])


@pytest.mark.req("D29", "D30", "D31", "D41", "D62", "D67", "D68")
@pytest.mark.parametrize(("failed", "ended", "word"), [
    (0, 0, HEALTHY), (0, 9, HEALTHY), (1, 1, HEALTHY), (1, 9, HEALTHY),
    (2, 20, HEALTHY), (10, 100, HEALTHY),              # ten of a hundred are within the band, not over it
    (2, 19, DEGRADED), (11, 100, DEGRADED), (2, 2, DEGRADED), (2, 5, DEGRADED), (14, 100, DEGRADED),
    (3, 4, DEGRADED), (4, 4, DEGRADED),                # too few ended to be sure
    (3, 5, SYSTEMIC), (3, 20, SYSTEMIC), (15, 100, SYSTEMIC), (12, 20, SYSTEMIC),
    (3, 21, DEGRADED), (149, 1000, DEGRADED), (150, 1000, SYSTEMIC),
])
def test_the_bands_and_their_minimum_samples(failed, ended, word):
    health = alike(failed, ended)
    assert (health.word, health.decision) == (
        word, {HEALTHY: "no intervention", DEGRADED: "watch", SYSTEMIC: "intervened"}[word])


@pytest.mark.req("D20", "D40", "D66", "D73")
@pytest.mark.parametrize("reason", ["oom_killed", "max_runtime"])
def test_a_few_that_ran_out_of_memory_or_time_are_no_reason_to_stop_the_rest(reason):
    assert judge([*bad(2, reason, "Killed"), *good(10), *waiting(8)]).word is not SYSTEMIC
    assert judge([*bad(1, reason, "Killed"), *good(3), *waiting(16)]).word is HEALTHY
    assert judge(bad(4, reason, "Killed")).hard_stop == ""


@pytest.mark.req("D32", "D73")
def test_failures_of_many_causes_are_not_one_failure():
    several = [one for n, why in enumerate(("push_refused", "merge_conflict", "no_change", "secret_found"))
               for one in bad(2, why, "", name=str(n))]
    health = judge([*several, *good(12)])
    assert (health.counts.bad, health.counts.ended, len(health.causes)) == (8, 20, 4)
    assert health.word is HEALTHY
    assert "too few of them alike" in health.why


def test_the_root_cause_is_told_apart_by_the_last_line_where_the_code_says_too_little():
    npm = bad(2, "process_exit", "npm ERR! missing script: build", name="npm")
    python = bad(2, "process_exit", "ModuleNotFoundError: No module named 'yaml'", name="py")
    memory = [*bad(1, "oom_killed", "used 2 GB", name="m1"), *bad(1, "oom_killed", "out at step 17", name="m2")]
    causes = judge([*npm, *python, *memory]).causes
    assert [(cause.code, cause.ids) for cause in causes] == [
        ("oom_killed", ("bm10", "bm20")), ("process_exit", ("bpy0", "bpy1")), ("process_exit", ("bnpm0", "bnpm1"))]


@pytest.mark.req("D19", "D65", "D71")
def test_queueing_outages_limits_and_a_persons_stop_count_for_neither_side():
    patient = judge([*waiting(40), *outage(9), *(replace(one, stand=STOPPED) for one in bad(9, name="s"))])
    assert (patient.word, patient.counts.ended, patient.counts.excluded, patient.counts.stopped) == (HEALTHY, 0, 9, 9)
    failing = [*bad(3, "push_refused"), *good(2)]
    assert judge(failing).word is SYSTEMIC
    assert judge([*failing, *outage(50), *waiting(50)]).word is SYSTEMIC
    assert judge([*bad(2, "push_refused"), *good(2), *outage(50)]).word is not SYSTEMIC


@pytest.mark.req("D37", "D38", "D39", "D70")
@pytest.mark.parametrize(("members", "says"), [
    (bad(3, "config_error", "no such model"), "wrong settings: 3 of the 3 that ended"),
    ([*bad(2, "config_error", "a"), *bad(1, "template_error", "b"), *good(1)], "wrong settings: 3 of the 4"),
    (good(3, artefact="empty"), "results that cannot be used: 3 of 3"),
    ([*good(3, artefact="unreadable"), *bad(2, "oom_killed", artefact="missing")],
     "results that cannot be used: 3 of 3"),
    ([*bad(3, "no_change"), *bad(1, "oom_killed")], "results that cannot be used: 3 of 3"),
    (bad(3, "process_exit", "ImportError: cannot import name 'x' from 'y'"), "the same crash each time: all 3"),
])
def test_a_hard_stop_needs_no_five_that_ended(members, says):
    health = judge(members)
    assert (health.word, says in health.hard_stop) == (SYSTEMIC, True)
    assert health.evidence[1] == f"hard stop: {health.hard_stop}"


@pytest.mark.req("D71", "D73", "D21")
@pytest.mark.parametrize("members", [
    bad(2, "config_error", "no such model"),                                # two are no pattern
    [*bad(3, "config_error", "no such model"), *good(20, artefact="ok")],    # wrong for few: within the bands
    good(2, artefact="empty"),
    bad(4, "oom_killed", artefact="missing"),                               # it failed: of course nothing is there
    [*bad(3, "process_exit", "ImportError: no x"), *good(1)],                # one came through: not each time
    bad(4, "process_exit", ""),                                             # nobody knows of what
])
def test_no_hard_stop_on_uncertainty(members):
    health = judge(members)
    assert (health.hard_stop, health.word is SYSTEMIC) == ("", False)


@pytest.mark.req("D63")
def test_results_that_look_wrong_count_as_failures_of_one_cause():
    health = judge([*good(2, artefact="empty"), *(replace(one, id=f"ok{one.id}") for one in good(10, artefact="ok"))])
    assert (health.word, health.counts.good, health.counts.bad) == (DEGRADED, 10, 2)
    assert health.cause is not None
    assert health.cause.words == "invalid_output: the result is empty"


FOUR = ("push_refused", "merge_conflict", "no_change", "secret_found", "stalled", "max_turns", "oom_killed")


@pytest.mark.req("D34", "D35", "D36", "D64", "D69", "D4")
def test_what_can_still_come_decides_where_the_failures_have_many_causes():
    failed = [one for n, why in enumerate(FOUR) for one in bad(1, why, "", name=str(n), provider="gemini")]
    doomed = judge([*failed, *waiting(20, provider="gemini")])
    assert (doomed.word, doomed.projection.collapsed, doomed.projection.fatal) == (SYSTEMIC, True, ("gemini",))
    assert "0 of 27 are there" in doomed.why
    worth = judge([*failed, *waiting(20, provider="claude")])
    assert (worth.word, worth.projection.collapsed, worth.projection.expected) == (HEALTHY, False, 20)
    half = judge([*failed, *waiting(11, provider="gemini"), *(replace(w, id=f"c{w.id}") for w in waiting(12))])
    assert (half.word, half.projection.collapsed) == (HEALTHY, False)


@pytest.mark.req("D36", "D71")
def test_a_provider_of_which_little_is_known_is_given_its_chance():
    few = [one for n, why in enumerate(FOUR[:4]) for one in bad(1, why, "", name=str(n), provider="gemini")]
    health = judge([*few, *waiting(20, provider="gemini")])
    assert (health.word, health.projection.fatal, round(health.projection.coverage, 2)) == (HEALTHY, (), 0.83)


def test_of_a_batch_that_is_over_nothing_is_expected_and_nothing_collapses():
    failed = [one for n, why in enumerate(FOUR) for one in bad(1, why, "", name=str(n))]
    assert judge(failed).projection.collapsed is False


@pytest.mark.req("D33")
def test_a_site_sets_its_own_bands():
    members = [*bad(2, "push_refused"), *good(8)]
    assert judge(members).word is DEGRADED
    assert judge(members, Bands(watch=0.3, systemic=0.5)).word is HEALTHY
    assert judge(members, Bands(systemic=0.2, min_same=2)).word is SYSTEMIC
    assert judge(bad(4, "push_refused"), Bands(min_ended=4)).word is SYSTEMIC


@pytest.mark.req("D72")
def test_the_evidence_names_the_cause_its_share_and_who_failed_of_it():
    words = "error: remote rejected /srv/a/1 at 2026-03-02T12:00:00Z"
    health = judge([*bad(9, "push_refused", words), *bad(1, "no_change", ""), *good(10), *waiting(5)])
    assert health.why == f"9 of 20 (45%) failed alike, 15% or more: push_refused: {words}"
    assert health.evidence[1] == (
        f"9 of 20 (45%): push_refused: {words} (bpush_refused0, bpush_refused1, bpush_refused2, bpush_refused3, "
        "bpush_refused4, bpush_refused5, bpush_refused6, bpush_refused7 and 1 more)")
    assert health.evidence[0].startswith("25 in all: 10 good, 10 failed, 0 running, 5 waiting, 0 stopped; 0 ended for")
    data = as_data(health)
    assert (data["word"], data["decision"], data["counts"]["ended"]) == ("systemic", "intervened", 20)
    assert [cause["code"] for cause in data["causes"]] == ["push_refused", "no_change"]


# --- for every batch ---

_members = st.builds(
    Member,
    id=st.just(""),
    stand=st.sampled_from(Stand),
    state=st.just("X"),
    reason=st.sampled_from(["", "process_exit", "config_error", "oom_killed", "push_refused", "overloaded"]),
    words=st.sampled_from(["", "Error: a 1", "Error: a 2", "Error: b"]),
    excluded=st.booleans(),
    provider=st.sampled_from(["claude", "codex"]),
    artefact=st.sampled_from(["", "", "ok", "empty"]),
)
batches = st.lists(_members, max_size=30).map(
    lambda found: [replace(one, id=f"t{n}", excluded=one.excluded and one.stand is BAD) for n, one in enumerate(found)])
RANK = {HEALTHY: 0, DEGRADED: 1, SYSTEMIC: 2}


@given(batches)
def test_every_member_is_counted_once_and_every_failure_has_one_cause(members):
    health = judge(members)
    assert health.counts.total == len(members)
    assert sum(len(cause.ids) for cause in health.causes) == health.counts.bad
    assert sum(cause.share for cause in health.causes) <= 1.0 + 1e-9
    assert 0.0 <= health.projection.coverage <= 1.0


@given(batches, st.randoms())
def test_the_order_of_the_members_changes_nothing(members, chance):
    shuffled = list(members)
    chance.shuffle(shuffled)
    assert judge(shuffled) == judge(members)


@given(batches, st.integers(0, 20))
def test_what_is_excluded_stopped_or_running_never_changes_the_arithmetic(members, number):
    more = [*outage(number), *(replace(one, stand=STOPPED) for one in bad(number, name="s"))]
    assert judge([*members, *more]).word is judge(members).word


@given(batches)
def test_one_more_failure_of_the_largest_cause_never_makes_it_look_better(members):
    members = [*members, *bad(1, "push_refused", provider="claude")]
    before = judge(members)
    like = next(one for one in members if one.id == before.causes[0].ids[0])
    after = judge([*members, replace(like, id="more", excluded=False)])
    assert RANK[after.word] >= RANK[before.word]


@given(batches)
def test_one_more_success_never_makes_it_look_worse_once_enough_ended(members):
    enough = [*members, *good(Bands().min_ended, provider="claude"), *good(Bands().min_ended, provider="codex")]
    enough = [replace(one, id=f"e{n}") for n, one in enumerate(enough)]
    more = Member("more", GOOD, "DONE", artefact="ok", provider="claude")
    assert RANK[judge([*enough, more]).word] <= RANK[judge(enough).word]


@given(batches)
def test_systemic_rests_on_three_that_failed_alike_or_on_what_cannot_come_any_more(members):
    health = judge(members)
    if health.word is SYSTEMIC and not health.projection.collapsed and not health.hard_stop:
        assert len(health.causes[0].ids) >= 3
        assert health.causes[0].share >= 0.15
        assert health.counts.ended >= 5


# --- signatures ---

@pytest.mark.parametrize(("one", "other"), [
    ("FileNotFoundError: /home/ann/x/a.txt", "FileNotFoundError: /srv/bob/y.z/b.json"),
    ("error at line 14 col 3", "error at line 9 col 120"),
    ("fatal: bad object 3f2a91cc00", "fatal: bad object deadbeef0123456789abcdef0123456789abcdef"),
    ("request 0a1b2c3d-1111-2222-3333-444455556666 failed", "request ffffffff-9999-2222-3333-000000000000 failed"),
    ("2026-03-02T12:00:00.123Z error: no route", "2025-01-09 01:02:03,9 error: no route"),
    ("cannot connect to https://a.test/x?y=1", "cannot connect to http://127.0.0.1:81/"),
    ("connect failed: 10.0.0.1:4000", "connect failed: 192.168.7.44:99"),
    ("No module named 'yaml'", "No module named 'requests'"),
    ('key "a b" cannot be read', 'key "zz" cannot be read'),
    ("mail to ann@example.test failed", "mail to bob.b@x.example failed"),
    ("\x1b[31merror\x1b[0m: no", "error: no"),
    ("error:   tests/unit/a.py  is broken", "error: src/b.py is broken"),
    ("0x7ffe12 segmentation failed", "0xDEAD01 segmentation failed"),
])
def test_what_differs_from_task_to_task_is_taken_out(one, other):
    assert signature(one) == signature(other)


def test_what_was_wrong_stays_in():
    assert signature("ModuleNotFoundError: No module named 'yaml'") == "ModuleNotFoundError: No module named <name>"
    assert signature("npm ERR! missing script: build") != signature("npm ERR! network timeout")
    assert signature("can't open it: permission denied") == "can't open it: permission denied"


def test_the_telling_line_is_found_before_the_words_that_only_point_elsewhere():
    text = "start\nError: cannot find module x\n    at load (a.js:1)\nnpm ERR! A complete log of this run is in /x\n\n"
    assert last_error(text) == "Error: cannot find module x"
    assert last_error("one\ntwo\n \n") == "two"
    assert last_error("\x1b[31mone\x1b[0m\r\x1b[2Jfatal: \x1b[1mtwo\x07\x1b]0;title\x07") == "fatal: two]0;title"
    assert last_error("") == ""


def test_lines_that_were_run_together_are_cut_where_the_last_error_begins():
    trace = 'Traceback (most recent call last): File "/x/a.py", line 3, in <module> ' + "import y " * 20
    assert last_error(f"{trace}ModuleNotFoundError: No module named 'y'") == "ModuleNotFoundError: No module named 'y'"
    assert last_error("a" * 200) == "a" * 200


@pytest.mark.parametrize("hostile", [
    "'" * 300_000, "a/" * 200_000, "1." * 200_000, '"' + "x" * 300_000, "error " + "0x" * 200_000, "a@" * 200_000,
    "a.a-" * 100_000, "\x1b[" + "0" * 300_000, "\n" * 300_000, "f" * 300_000, "- " * 200_000, "://" * 100_000,
])
def test_a_hostile_line_costs_no_time_and_gives_no_long_signature(hostile):
    began = time.process_time()
    assert len(signature(hostile)) <= LONGEST
    assert time.process_time() - began < 0.5


@given(st.text(max_size=400))
def test_a_signature_is_one_line_without_digits(text):
    mark = signature(text)
    assert "\n" not in mark
    assert not any(letter in "0123456789" for letter in mark)


def test_an_unnamed_end_is_a_crash():
    assert cause_of(Member("a", BAD, "FAILED", words="Error 1")) == ("process_exit", "Error <n>")
