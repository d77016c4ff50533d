"""Tasks of a plan: what starts when, what its gate lets in, what is delivered, and what a person's edit changes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.domain.checkout import Survey
from coordinator.domain.outcome import Ending
from coordinator.domain.planfile import Delivery
from coordinator.domain.room import Floor, Floors, Room
from coordinator.domain.task import TaskState
from coordinator.engine.plans import OtherPlan, take
from coordinator.engine.world import Options
from coordinator.planning.plans.commits import Strictness, faults, trailers, within
from coordinator.planning.waits import known_code
from coordinator.ports import GitError, Refused
from tests.support.fakes import Script
from tests.support.plan_world import FILE, SHOP, Underway, a_plan, changed

S = TaskState
CHAIN = {"T1": [], "T2": ["T1"], "T3": ["T2"]}
PLANS = 120 if os.environ.get("COORDINATOR_SOAK") else 12
"""Random plans, of one to two hundred tasks each."""
DIAMOND = {"T1": [], "T2": ["T1"], "T3": ["T1"], "T4": ["T2", "T3"]}


def waits(way: Underway) -> dict[str, str]:
    made = way.engine.preview()[1]
    return {task_id.rpartition("-")[2].upper(): wait.code for task_id, wait in made.waits.items()}


# --- the whole life -------------------------------------------------------------------------------------


@pytest.mark.req("B27", "B28", "B39", "B40", "B41", "B42")
def test_what_depends_on_nothing_starts_at_once_and_what_depends_starts_on_what_was_merged():
    way = Underway(a_plan(DIAMOND))
    assert way.run()
    assert [job for job, _ in way.started] == ["plan-auth-t1", "plan-auth-t2", "plan-auth-t3", "plan-auth-t4"]
    merged = dict(way.started)
    assert merged["plan-auth-t1"] == frozenset({""})
    assert "plan-auth-t1" in merged["plan-auth-t2"] & merged["plan-auth-t3"]
    assert {"plan-auth-t2", "plan-auth-t3"} <= merged["plan-auth-t4"]
    assert set(way.states().values()) == {S.DONE}
    [pull] = way.outside.github.pulls.values()
    assert (pull.title, pull.head_ref) == ("auth: Better auth", "feature-auth")
    assert way.outside.repo.remote.keys() == {"main", "feature-auth"}


@pytest.mark.req("B42")
def test_all_that_is_ready_runs_side_by_side_within_the_slots():
    way = Underway(a_plan({f"T{n}": [] for n in range(1, 8)}), slots=5)
    assert way.run()
    assert way.most == 5


@pytest.mark.req("B40")
def test_with_strict_waves_a_wave_waits_for_the_whole_one_before():
    depends = {"T1": [], "T2": [], "T3": ["T1"]}
    slow = dict.fromkeys(("plan-auth-t2", "plan-auth-t3"), Script(seconds=60))
    for strict, code in ((True, "strict_waves"), (False, "running")):
        way = Underway(a_plan(depends, strict=strict), scripts=lambda job, n: slow.get(job, Script(seconds=1)))
        for _ in range(3):
            way.tick()
            way.outside.clock.pass_by(2)
        assert (way.task("T1").state, waits(way)["T3"]) == (S.DONE, code)
        assert way.run()


def test_only_the_waves_that_were_asked_for_are_run_and_nothing_is_delivered_before_the_last():
    way = Underway(a_plan(CHAIN, wave=2))
    assert not way.run()
    assert way.states() == {"T1": S.DONE, "T2": S.DONE, "T3": S.QUEUED}
    assert (waits(way)["T3"], dict(way.outside.github.pulls)) == ("later_wave", {})
    way.under = replace(way.under, wave=0)
    way.come_up(again=False)
    assert way.run()


@pytest.mark.req("W22")
def test_two_tasks_that_would_change_the_same_files_run_one_after_the_other():
    under = changed(a_plan({"T1": [], "T2": [], "T3": []}), "T2", location=("src/",))
    way = Underway(under)
    way.tick()
    way.tick()
    assert waits(way) == {"T1": "running", "T2": "overlap", "T3": "running"}
    assert way.run()
    assert dict(way.started)["plan-auth-t2"] >= {"plan-auth-t1", "plan-auth-t3"}


def test_files_that_a_running_task_really_changed_count_too():
    way = Underway(a_plan({"T1": [], "T2": ["T1"], "T3": ["T1"]}), slots=1)
    while way.task("T2").state is not S.RUNNING:
        way.tick()
        way.outside.clock.pass_by(2)
    way.engine.memory.touched["plan-auth-t2"] = frozenset({"src/T3.py"})
    way.engine.world.policy = replace(way.engine.world.policy, max_workers=3)
    assert waits(way)["T3"] == "overlap"


def test_each_wait_of_a_plan_is_one_of_the_closed_list():
    way = Underway(a_plan(DIAMOND, strict=True, wave=2))
    seen: set[str] = set()
    way.run(look=lambda: seen.update(waits(way).values()))
    assert {"depends", "later_wave"} <= seen
    assert all(known_code(code) for code in seen)


# --- the gate -------------------------------------------------------------------------------------------


def test_a_task_whose_validation_fails_is_tried_again_and_told_of_it_then_given_to_a_person():
    under = changed(changed(a_plan(CHAIN), "T1", validation="`make test`"), "T2", validation="`make test`")
    way = Underway(under)
    way.outside.repo.invalid["plan-auth-t1"] = 1
    way.outside.repo.invalid["plan-auth-t2"] = 9
    assert not way.run()
    assert way.states() == {"T1": S.DONE, "T2": S.BLOCKED, "T3": S.QUEUED}
    assert [one.reason for one in way.outside.store.attempts()["plan-auth-t1"]] == ["validation_failed", "process_exit"]
    assert way.task("T2").reason == "max_retries"
    assert "1 failed" in way.task("T2").detail
    assert (way.now.results["T1"].validation, "T2" in way.now.results) == ("`make test` passed in 0 s", False)
    assert dict(way.outside.github.pulls) == {}


@pytest.mark.parametrize(("refuse", "reason"), [("outside", "outside_location"), ("trailers", "trailers_missing"),
                                                ("pushed", "pushed_by_agent")])
def test_what_the_settings_refuse_does_not_come_in_and_what_they_only_warn_of_is_noted(refuse, reason):
    under = changed(a_plan(CHAIN), "T1", location=("docs/",), beads="bd-7")
    for strict, state in ((Strictness(), S.DONE), (Strictness(**{refuse: "refuse"}), S.BLOCKED)):
        way = Underway(under)
        way.engine.world.options = Options(strictness=strict)
        way.outside.repo.remote["rpi/plan-auth-t1"] = ["pushed-by-agent"]
        way.run()
        assert way.task("T1").state is state
        assert state is S.DONE or way.task("T1").reason == reason
        noted = way.now.results["T1"].notes if state is S.DONE else ()
        assert state is S.BLOCKED or [words.split()[0] for words in noted] == ["touches", "plan-aut", "its"]


@pytest.mark.req("N13")
def test_a_full_disk_where_its_worktrees_stand_holds_what_was_not_begun(tmp_path):
    way = Underway(a_plan(CHAIN))
    way.engine.world.options = Options(agents=tmp_path)
    way.engine.world.policy = replace(way.engine.world.policy, floors=Floors(disk=Floor(percent=5)))
    rooms = {tmp_path: Room(disk=1, disk_all=100)}
    way.outside.files.room = lambda path: rooms.get(path, Room(disk=90, disk_all=100))
    way.tick()
    assert (waits(way)["T1"], way.started) == ("disk", [])
    rooms.clear()
    assert way.run()


def test_a_conflict_is_a_persons_affair_and_says_how_it_is_solved():
    way = Underway(a_plan(DIAMOND))
    way.outside.repo.conflicts.add("plan-auth-t2")
    assert not way.run()
    task = way.task("T2")
    assert (task.state, task.reason, way.task("T3").state) == (S.BLOCKED, "merge_conflict", S.DONE)
    assert "git merge feature-auth" in task.detail
    wait = way.engine.preview()[1].waits["plan-auth-t4"]
    assert (wait.code, wait.moves) == ("depends", "coordinator retry plan-auth-t2")
    way.outside.repo.conflicts.clear()
    way.come_up(again=True)
    assert way.run()


ONE = changed(a_plan(CHAIN), "T1", location=("src/", "docs/*.md", "./Makefile")).plan.tasks[0]
GOOD = (("a" * 40, "Do it\n\nFeature-Key: bd-1\nAgent: claude"),)


@pytest.mark.req("B102")
@pytest.mark.parametrize(("files", "lines", "messages", "pushed", "words"), [
    (("src/a.py", "docs/x.md", "Makefile"), 190, GOOD, "", []),
    (("src/a.py", "docs/x.txt", "other"), 3, GOOD, "", ["touches docs/x.txt, other: not among its locations"]),
    (("src/a.py",), 191, GOOD, "", ["changes 191 lines, more than 190: a smaller task is easier to review"]),
    (("src/a.py",), 3, (("b" * 40, "Do it"),), "", ["bbbbbbbb lacks Feature-Key and Agent"]),
    (("src/a.py",), 3, (("b" * 40, "x\n\nAgent: y\nfeature-key: bd-2"),), "",
     ["bbbbbbbb names 'bd-2' as Feature-Key, not 'bd-1'"]),
    (("src/a.py",), 3, GOOD, "c" * 40,
     ["its branch stands on the remote at cccccccc, and nobody but the agent can have pushed it"]),
])
def test_commits_are_looked_at_for_their_files_trailers_size_and_who_pushed_them(files, lines, messages, pushed, words):
    assert [one.words for one in faults(ONE, "bd-1", files, lines, messages, pushed, Strictness())] == words


def test_a_trailer_is_a_line_of_the_last_paragraph():
    assert trailers("s\n\nFeature-Key: bd-1.2\nAgent:  claude \n") == {"feature-key": "bd-1.2", "agent": "claude"}
    assert trailers("Feature-Key: bd-1\n\nlater words") == {}


@pytest.mark.parametrize(("file", "locations", "inside"), [
    ("src/a.py", ("src",), True), ("srcs/a.py", ("src",), False), ("src/a.py", ("./src/",), True),
    ("a", (".",), True), ("src/deep/a.py", ("src/**/*.py",), True), ("a.py", ("a.py",), True),
    ("A.py", ("a.py",), False),
])
def test_a_file_is_within_a_location_by_name_folder_or_pattern(file, locations, inside):
    assert within(file, locations) is inside


# --- delivery -------------------------------------------------------------------------------------------


def test_a_push_that_is_refused_waits_for_a_person_and_goes_out_when_the_plan_is_resumed():
    way = Underway(a_plan(CHAIN))
    way.outside.repo.refuse_push = "protected branch"
    assert not way.run()
    assert way.now.deliveries[SHOP].words == "the push of feature-auth was refused: protected branch"
    way.outside.repo.refuse_push = ""
    way.come_up(again=True)
    assert way.run()
    assert len(way.outside.github.pulls) == 1


def test_a_pull_request_that_is_refused_is_said_and_its_push_is_not_forgotten(monkeypatch):
    way = Underway(a_plan(CHAIN))

    def no(**_: object) -> None:
        raise Refused("no commits between main and feature-auth")

    monkeypatch.setattr(way.outside.github, "open_pull", no)
    assert not way.run()
    delivery = way.now.deliveries[SHOP]
    assert delivery.words == "the pull request was refused: no commits between main and feature-auth"
    assert delivery.pushed_sha == way.outside.repo.local["feature-auth"][-1]


@pytest.mark.parametrize("taken", ["merge", "survey"])
def test_a_merge_that_git_refuses_is_given_to_a_person_and_not_to_another_session(monkeypatch, taken):
    way = Underway(a_plan({"T1": []}))
    monkeypatch.setattr(way.outside.repo, taken, _refusing)
    assert not way.run()
    task = way.task("T1")
    assert (task.state, task.reason, task.detail) == (S.BLOCKED, "worktree_error", "no such thing")
    assert len(way.started) == 1


@pytest.mark.parametrize("taken", ["push", "log"])
def test_a_delivery_that_git_refuses_waits_for_a_person(monkeypatch, taken):
    way = Underway(a_plan({"T1": []}))
    monkeypatch.setattr(way.outside.repo, taken, _refusing)
    assert not way.run()
    assert way.now.deliveries[SHOP].words == "git refused to deliver it: no such thing"


def _refusing(*_: object, **__: object) -> None:
    raise GitError("no such thing")


def test_a_repository_that_no_task_changes_any_more_has_nothing_to_be_delivered():
    way = Underway(a_plan({"T1": [], "T2": ["T1"]}, wave=1))
    other = Delivery("site", "/w/site", "feature-auth", "main")
    way.under = changed(replace(way.under, deliveries={**way.under.deliveries, "site": other}), "T2", repo="site")
    way.come_up(again=False)
    assert not way.run()
    way.under = a_plan({"T1": [], "T2": ["T1"]})
    way.come_up(again=False)
    assert way.run()
    assert set(way.now.deliveries) == {SHOP}


def test_a_plans_branch_that_was_deleted_before_it_was_out_is_made_again_from_what_was_merged_last(monkeypatch):
    way = Underway(a_plan(CHAIN))
    asked, feature = [], way.outside.repo.feature
    monkeypatch.setattr(way.outside.repo, "feature",
                        lambda branch, base, last="": asked.append(last) or feature(branch, base, last))
    assert way.run()
    results = way.now.results
    assert asked == ["", *(results[name].sha for name in ("T1", "T2", "T3"))]   # the last at its delivery
    asked.clear()
    way.under = a_plan({**CHAIN, "T4": ["T3"]})
    way.come_up(again=False)
    assert way.run()
    assert asked == [""]


def test_two_tasks_of_two_plans_that_would_be_one_are_told_apart():
    way = Underway(a_plan({"b-T1": []}))
    other = a_plan({"T1": []}, path="/w/auth-b-plan.md")
    with pytest.raises(OtherPlan, match=r"plan-auth-b-t1, which T1 would be, is a task of the plan auth already"):
        take(way.engine.world, replace(other, plan=replace(other.plan, id="auth-b")))


def test_what_is_odd_about_commits_is_told_without_secrets():
    way = Underway(a_plan({"T1": []}))
    way.engine.world.mask = lambda text: text.replace("sk-very-secret", "***")
    message = "m\n\nFeature-Key: sk-very-secret\nAgent: a"
    way.outside.repo.survey = lambda *_: Survey(("x",), 1, (("abc", message),))
    assert way.run()
    [note, *_] = [one for one in way.now.results["T1"].notes if "Feature-Key" in one]
    assert "sk-very" not in note


def test_a_plan_that_grew_after_its_delivery_goes_out_again_in_the_same_pull_request():
    way = Underway(a_plan({"T1": []}))
    assert way.run()
    way.under = a_plan({"T1": [], "T2": ["T1"]})
    way.come_up(again=False)
    assert way.run()
    assert len(way.outside.github.pulls) == 1
    assert way.outside.repo.remote["feature-auth"] == way.outside.repo.local["feature-auth"]


# --- people ---------------------------------------------------------------------------------------------


@pytest.mark.req("B44", "B30")
def test_the_file_tells_how_far_each_task_is_and_keeps_what_a_person_writes_meanwhile():
    way = Underway(a_plan(CHAIN))
    way.tick()
    way.tick()
    assert [one.status for one in way.file().tasks] == ["In Progress", "Not Started", "Not Started"]
    text = way.outside.files.texts[FILE]
    way.outside.files.texts[FILE] = text.replace("All of it.", "All of it, and soon.\n\nBy Ann.")
    assert way.run()
    plan = way.file()
    assert [(one.status, one.files_edited) for one in plan.tasks] == [
        ("Completed", (f"plan-auth-t{n}.py",)) for n in (1, 2, 3)]
    assert "1 commit merged as merge-of-pla" in plan.tasks[0].log
    assert "All of it, and soon.\n\nBy Ann." in way.outside.files.texts[FILE]


def test_a_file_that_went_away_is_said_once_and_stops_nothing():
    way = Underway(a_plan(CHAIN))
    way.outside.files.remove(FILE)
    assert way.run()
    assert sum("is gone" in line for line in way.outside.lines) == 1


def test_a_plan_edited_meanwhile_changes_what_has_not_begun_and_nothing_else():
    way = Underway(a_plan({"T1": [], "T2": ["T1"], "T3": ["T2"]}), slots=1,
                   scripts=lambda job, n: Script(seconds=30))
    way.tick()
    way.tick()
    assert way.task("T1").state is S.RUNNING
    edited = changed(changed(a_plan({"T1": [], "T2": ["T1"], "T4": ["T2"]}), "T1", description="other"),
                     "T2", description="do it otherwise")
    way.under = edited
    way.come_up(again=False)
    assert way.run()
    assert (way.task("T1").pin.body, way.task("T2").pin.body) == ("do T1", "do it otherwise")
    assert (way.task("T3").state, way.task("T3").reason) == (S.CANCELLED, "manual_stop")
    assert way.task("T4").state is S.DONE


def test_a_blocked_task_that_a_person_takes_out_of_the_file_holds_the_plan_up_no_longer():
    way = Underway(a_plan({"T1": [], "T2": []}), scripts=lambda job, n: Script(
        seconds=1, ending=Ending.FAILED if job.endswith("t2") else Ending.SUCCEEDED))
    assert not way.run()
    assert way.task("T2").state is S.BLOCKED
    way.under = a_plan({"T1": []})
    way.come_up(again=False)
    assert way.run()
    assert len(way.outside.github.pulls) == 1
    assert way.task("T2").state is S.BLOCKED


def test_a_task_that_comes_back_into_the_file_is_worked_on():
    way = Underway(a_plan({"T1": [], "T2": ["T1"]}, wave=1))
    assert not way.run()
    way.under = a_plan({"T1": []})
    way.come_up(again=False)
    assert (way.task("T2").state, way.task("T2").detail) == (S.CANCELLED, "it is no longer in the plan file")
    way.under = changed(a_plan({"T1": [], "T2": ["T1"]}), "T2", description="do it otherwise")
    way.come_up(again=False)
    assert way.run()
    assert (way.task("T2").state, way.task("T2").pin.body) == (S.DONE, "do it otherwise")


def test_two_files_that_would_be_one_plan_are_told_apart():
    way = Underway(a_plan(CHAIN))
    with pytest.raises(OtherPlan, match=r"under way from /w/auth-plan\.md"):
        take(way.engine.world, replace(way.under, path="/other/auth-plan.md"))


def test_a_plan_given_by_request_is_taken_up_by_the_coordinator_that_runs(monkeypatch):
    from coordinator.domain.request import RequestKind
    from coordinator.engine.plans import encode

    way = Underway(a_plan({}))
    store = way.outside.store
    good = store.ask(RequestKind.PLAN, "", {"plan": encode(a_plan(CHAIN))}, "cli", way.outside.clock.now())
    bad = store.ask(RequestKind.PLAN, "", {"plan": "{"}, "cli", way.outside.clock.now())
    way.under = a_plan(CHAIN)
    way.tick()
    assert store.answered(good) == "plan auth: 3 tasks are taken up"
    assert (store.answered(bad) or "").startswith("the plan is not taken up: ")
    assert way.run()


def test_a_plan_that_is_resumed_by_request_tries_again_what_a_person_must_look_at():
    from coordinator.domain.request import RequestKind
    from coordinator.engine.plans import encode

    way = Underway(a_plan({"T1": []}))
    way.outside.repo.conflicts.add("plan-auth-t1")
    assert not way.run()
    way.outside.repo.conflicts.clear()
    ask = way.outside.store.ask
    ask(RequestKind.PLAN, "", {"plan": encode(way.under), "again": ""}, "cli", way.outside.clock.now())
    assert not way.run()
    ask(RequestKind.PLAN, "", {"plan": encode(way.under), "again": "1"}, "cli", way.outside.clock.now())
    assert way.run()


def test_the_counters_know_tasks_that_came_in_and_the_one_pull_request():
    way = Underway(a_plan(CHAIN))
    assert way.run()
    counted = json.loads(next(text for path, text in way.outside.files.texts.items() if path.name == "metrics.json"))
    names = ("workers_launched", "workers_completed", "workers_failed", "prs_created")
    assert [counted[key] for key in names] == [3, 3, 0, 1]


def test_the_board_tells_of_plans():
    way = Underway(a_plan(CHAIN))
    assert way.run()
    board = next(text for path, text in way.outside.files.texts.items() if path.name == "board.json")
    [row] = json.loads(board)["plans"]
    assert [(one["id"], one["task"], one["wave"]) for one in row["tasks"]] == [
        (f"T{n}", f"plan-auth-t{n}", n) for n in (1, 2, 3)]
    assert row["deliveries"][0]["pr_number"] == next(iter(way.outside.github.pulls))


# --- any plan, any death --------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn, most: int) -> dict[str, list[str]]:
    """Tasks of which each depends on some of those before it."""
    size = draw(st.sampled_from([1, 2, 3, 7, 20, most]))
    random = Random(draw(st.integers(0, 2**32)))
    width = random.choice((1, 3, 8))
    names = [f"T{number}" for number in range(1, size + 1)]
    return {name: sorted(random.sample(names[max(0, at - 20):at], min(at, random.randrange(width))))
            for at, name in enumerate(names)}


@settings(max_examples=PLANS, deadline=None, suppress_health_check=list(HealthCheck))
@given(depends=plans(200), seed=st.integers(0, 2**32), slots=st.sampled_from([1, 3, 50]))
def test_no_task_starts_before_what_it_depends_on_is_merged_and_all_that_can_is_started(depends, seed, slots):
    deaths = Random(seed)
    calm = len(depends) > 20
    slots = max(slots, 50) if calm else slots
    way = Underway(a_plan(depends), slots=slots, deaths=None if calm else deaths)

    def look() -> None:
        way.file()
        states = way.states()
        ready = [name for name, others in depends.items()
                 if states[name] is S.QUEUED and all(states[other] is S.DONE for other in others)]
        busy = sum(state in (S.PREPARING, S.RUNNING) for state in states.values())
        assert calm is False or not ready or busy >= slots

    assert way.run(look=look if not calm else lambda: None)
    look()
    assert way.most <= slots
    merged_of = {f"plan-auth-{name.lower()}": {f"plan-auth-{one.lower()}" for one in others}
                 for name, others in depends.items()}
    for job, merged in way.started:
        assert merged_of[job] <= merged
    feature = way.outside.repo.local["feature-auth"]
    assert sorted(sha for sha in feature if sha.startswith("merge-of-")) == sorted(
        {sha for sha in feature if sha.startswith("merge-of-")})
    assert {sha.rpartition("-c")[0].removeprefix("merge-of-") for sha in feature if sha != "m0"} == set(merged_of)
    assert len(way.outside.github.pulls) == 1
    assert [one.status for one in way.file().tasks] == ["Completed"] * len(depends)
    assert sorted(job for job, _ in way.started) == sorted(merged_of)


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_with_failures_and_deaths_ends_as_it_ends_without_deaths(seed):
    depends = {"T1": [], "T2": ["T1"], "T3": ["T1"], "T4": ["T2"], "T5": ["T3"], "T6": []}

    def scripts(job: str, attempt: int) -> Script:
        if job == "plan-auth-t2":
            return Script(seconds=1, ending=Ending.FAILED)
        return Script(seconds=1, ending=Ending.FAILED) if job == "plan-auth-t3" and attempt == 1 else Script(seconds=1)

    way = Underway(a_plan(depends), deaths=Random(seed), scripts=scripts)
    assert not way.run()
    assert way.states() == {"T1": S.DONE, "T2": S.BLOCKED, "T3": S.DONE, "T4": S.QUEUED, "T5": S.DONE, "T6": S.DONE}
    assert dict(way.outside.github.pulls) == {}
    assert [one.status for one in way.file().tasks] == [
        "Completed", "Blocked", "Completed", "Not Started", "Completed", "Completed"]
