"""Jobs as people and scripts read them: columns, cells, JSON keys, the next step, hints. Pure, on invented times."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.views import job_facts
from coordinator.cli.views.jobs import Seen, health_table, listed, status_table
from coordinator.domain.job import Job
from coordinator.domain.reasons import PROVIDER_NAMES, REASONS
from coordinator.domain.worker import Beat, Exited, Health, Missing, Running, Unknown, Witness, WorkerView
from coordinator.planning.health import Settings
from coordinator.planning.health.jobs import judge_job
from coordinator.wording.job_hints import away_hint, place_hint, siblings_hint, silent_hint
from coordinator.wording.jobs import NEXT_ACTIONS, next_action, report_markdown

NOW = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
OLD, DX = "cc-glm-job", "dx-runner"
STATUS = ["bead", "pid", "state", "elapsed", "bytes", "last_update", "retry", "outcome"]
HEALTH = ["bead", "pid", "health", "last_update", "retry", "outcome"]
META = {"beads": "bd-1", "provider": "claude", "token": "t", "run_id": "20260304135440", "retries": "1",
        "started_at": "2026-03-04T13:54:40Z", "host": "here", "cwd": "/w", "worktree": "/w",
        "run_instance": "20260304135440-claude-77"}  # fmt: skip
SUCCESS = {"state": "success", "exit_code": "0", "reason_code": "process_exit", "duration_sec": "180",
           "completed_at": "2026-03-04T13:57:40Z", "token": "t"}  # fmt: skip


def at(seconds: float) -> float:
    """So many seconds before NOW."""
    return NOW.timestamp() - seconds


def running(seconds: float = 320, *, sign: float = 10) -> Running:
    seen = Witness(3.0, at(sign))
    return Running(77, at(seconds), Beat(at(0), at(seconds), Witness(12.5, at(sign)), seen, seen, seen))


def job(view: WorkerView, name: str = "bd-1", *, outcome: dict[str, str] | None = None, log: int = 4096,
        provider: str = "claude", **meta: str) -> Job:
    return Job(name, provider, "/jobs", view, {**META, "beads": name, **meta}, outcome or {}, log, at(10))


def ended(name: str = "bd-1", **pairs: str) -> Job:
    return job(Exited(0, None, "process_exit"), name, outcome={**SUCCESS, **pairs})


def seen(one: Job | None, name: str = "bd-1") -> Seen:
    return Seen(one.id if one is not None else name, one, judge_job(one, NOW, Settings()), NOW)


def cells(lines: list[Any]) -> list[dict[str, str]]:
    """Each row by the names of its columns, cut where the head says that they begin."""
    head = lines[0].text
    names = head.split()
    starts = [head.index(name) for name in names]
    return [{name: line.text[start:end].strip() for name, start, end in zip(names, starts, [*starts[1:], None],
                                                                            strict=True)} for line in lines[1:]]


# --- tables ---------------------------------------------------------------------------------------------


@pytest.mark.req("A21", "A25", "B98", "A20")
def test_columns_stand_in_the_order_that_people_know() -> None:
    rows = [seen(job(running()))]
    assert status_table(rows, OLD)[0].text.split() == STATUS
    assert health_table(rows, OLD)[0].text.split() == HEALTH
    assert status_table(rows, OLD, overrides=True)[0].text.split() == [*STATUS[:-1], "override", "outcome"]
    assert health_table(rows, OLD, overrides=True)[0].text.split() == [*HEALTH[:-1], "override", "outcome"]
    for spelling in ("", DX):
        assert status_table(rows, spelling)[0].text.split() == [STATUS[0], "provider", *STATUS[1:]]


@pytest.mark.req("A23", "A24")
def test_a_running_job_s_row() -> None:
    assert cells(status_table([seen(job(running()))], OLD)) == [{
        "bead": "bd-1", "pid": "77", "state": "running", "elapsed": "5m20s", "bytes": "4096", "last_update": "10s ago",
        "retry": "1", "outcome": "-"}]  # fmt: skip


@pytest.mark.req("A24", "A27", "P20")
def test_an_ended_job_s_row_has_no_pid_and_its_clock_stands_still() -> None:
    [row] = cells(status_table([seen(ended())], OLD))
    assert (row["pid"], row["state"], row["elapsed"], row["outcome"]) == ("-", "exited", "3m00s", "success:0 (180s)")
    later = replace(seen(ended()), now=NOW + timedelta(hours=3))
    assert cells(status_table([later], OLD))[0]["elapsed"] == "3m00s"


@pytest.mark.req("A27", "A22", "C49")
def test_a_blocked_job_has_no_pid_though_it_lives() -> None:
    rows = [seen(job(running(), blocked="true", blocked_reason="max_retries"))]
    assert (cells(status_table(rows, OLD))[0]["pid"], cells(status_table(rows, OLD))[0]["state"]) == ("-", "exited")
    assert cells(health_table(rows, OLD))[0]["health"] == "blocked"
    assert cells(status_table(rows, DX))[0]["state"] == "blocked"


@pytest.mark.req("B99")
@pytest.mark.parametrize(("meta", "word"), [
    ({}, ""), ({"no_auto_restart": "false"}, ""), ({"no_auto_restart": "true"}, "no-restart"),
    ({"blocked": "true", "no_auto_restart": "true"}, "blocked"),
])
def test_the_override_column_says_who_leaves_the_job_alone(meta: dict[str, str], word: str) -> None:
    [row] = cells(health_table([seen(job(running(), **meta))], OLD, overrides=True))
    assert row["override"] == word


@pytest.mark.req("A26", "C43", "C47", "C48")
@pytest.mark.parametrize(("one", "ours", "old", "dx"), [
    (job(running(60, sign=60), log=0), "starting", "running", "launching"),
    (job(running()), "healthy", "running", "healthy"),
    (job(running(7200, sign=1500)), "stalled", "stalled", "stalled"),
    (ended(), "exited_ok", "exited", "exited_ok"),
    (ended(state="failed", exit_code="1"), "exited_err", "exited", "exited_err"),
    (ended(state="killed", reason_code="manual_stop"), "stopped", "exited", "exited_err"),
    (None, "missing", "missing", "missing"),
])
def test_each_name_has_its_word_for_a_state(one: Job | None, ours: str, old: str, dx: str) -> None:
    states = [cells(status_table([seen(one)], spelling))[0]["state"] for spelling in ("", OLD, DX)]
    assert states == [ours, old, dx]


def test_what_is_not_known_is_a_dash() -> None:
    [row] = cells(status_table([seen(None)], ""))
    assert {row[name] for name in ("provider", "pid", "elapsed", "bytes", "last_update", "retry", "outcome")} == {"-"}


@pytest.mark.req("C68", "P40")
def test_two_providers_of_one_id_are_two_rows() -> None:
    rows = [seen(job(running())), seen(job(running(), provider="gemini"))]
    assert [row["provider"] for row in cells(status_table(rows, ""))] == ["claude", "gemini"]


@pytest.mark.parametrize("width", [40, 72, 100])
def test_on_a_terminal_no_line_is_wider_than_it_and_the_state_stays_readable(width: int) -> None:
    rows = [seen(job(running(), "x" * 64)), seen(ended("bd-2", state="killed", exit_code="137"))]
    lines = status_table(rows, OLD, overrides=True, width=width)
    assert max(len(line.text) for line in lines) <= width
    assert "running" in lines[1].text
    assert status_table(rows, OLD)[1].text.startswith("x" * 64)   # elsewhere nothing is cut


@pytest.mark.req("P18", "B90")
def test_foreign_words_cannot_move_the_cursor_or_break_a_row() -> None:
    evil = "\x1b[2J\x1b]0;title\x07fail\ned"
    one = job(Exited(1, None, "x"), outcome={**SUCCESS, "state": evil, "exit_code": "\x1b[31m1"}, provider=evil)
    [_, row] = status_table([seen(one)], "")
    assert "\x1b" not in row.text
    assert "\n" not in row.text
    assert "\x07" not in row.text


# --- which jobs -----------------------------------------------------------------------------------------


def old(name: str, hours: float, **meta: str) -> Seen:
    stamp = (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return seen(job(Exited(0, None, "process_exit"), name, outcome={**SUCCESS, "completed_at": stamp}, **meta))


@pytest.mark.req("P46", "C6", "A80")
def test_listed_are_those_that_run_ended_within_a_day_or_want_a_person() -> None:
    rows = [old("day", 23), old("week", 170), old("hurt", 170, blocked="true"), seen(job(running(), "live")),
            seen(job(Unknown("host b", NOW - timedelta(days=3)), "away"))]
    assert [one.id for one in listed(rows)] == ["away", "live", "day", "hurt"]
    assert len(listed(rows, everything=True)) == 5


@pytest.mark.req("C6", "C32")
def test_recent_are_those_that_ended_last_newest_first() -> None:
    rows = [old("a", 30), old("b", 2), old("c", 50), seen(job(running(), "live"))]
    assert [one.id for one in listed(rows, recent=2)] == ["b", "a"]


# --- JSON -----------------------------------------------------------------------------------------------

PLACE = {"host", "cwd", "worktree", "run_instance"}


@pytest.mark.req("C5", "C31", "C63", "C64", "C65")
def test_status_gives_both_keys_and_every_field_of_a_row() -> None:
    given = job_facts.listing([seen(job(running())), seen(ended("bd-2"))], DX, NOW)
    assert given["generated_at"] == "2026-03-04T14:00:00Z"
    live, over = given["jobs"]
    assert live == {
        "beads": "bd-1", "provider": "claude", "pid": 77, "state": "healthy", "reason_code": live["reason_code"],
        "elapsed": 320, "log_bytes": 4096, "mutation_count": 3, "retry_count": 1, "outcome": None, "host": "here",
        "cwd": "/w", "worktree": "/w", "run_instance": "20260304135440-claude-77"}  # fmt: skip
    assert (over["pid"], over["state"], over["reason_code"]) == (None, "exited_ok", "process_exit")
    assert (over["elapsed"], over["outcome"]) == (180, "success:0 (180s)")
    assert job_facts.listing([], DX, NOW)["jobs"] == []


@pytest.mark.req("C7", "P30")
def test_check_has_the_same_keys_for_an_id_that_nobody_knows() -> None:
    known, unknown = (job_facts.check(one, DX) for one in (seen(ended()), seen(None, "bd-zz")))
    assert set(known) == set(unknown) >= {"beads", "provider", "state", "reason_code", "exit_code", *PLACE}
    assert (known["state"], known["exit_code"]) == ("exited_ok", 0)
    assert (unknown["beads"], unknown["state"], unknown["reason_code"]) == ("bd-zz", "missing", "no_meta")


@pytest.mark.req("C33")
@pytest.mark.parametrize(("reason", "spelling", "told"), [
    ("max_runtime", "", "max_runtime"), ("max_runtime", DX, "max_runtime_exceeded"),
    ("max_runtime_exceeded", "", "max_runtime"), ("extended_stall", DX, "extended_stall"), ("lost", DX, "lost"),
])
def test_reason_codes_are_printed_as_the_name_asked_for_spells_them(reason: str, spelling: str, told: str) -> None:
    one = seen(ended(state="failed", reason_code=reason))
    assert job_facts.check(one, spelling)["reason_code"] == told
    assert job_facts.report(one, spelling)["outcome_reason_code"] == told


@pytest.mark.req("C66", "C70")
def test_a_report_holds_all_that_is_known() -> None:
    one = seen(ended(selected_model="glm-5", mutations="4", cpu_sec="12.5", fallback_reason="none"))
    one = replace(one, job=replace(one.job, meta={**META, "provider_switch_from": "gemini"}))  # type: ignore[type-var]
    given = job_facts.report(one, "")
    wanted = {
        "started_at": "2026-03-04T13:54:40Z", "duration_sec": 180, "retries": 1, "exit_code": 0,
        "outcome_state": "success", "outcome_reason_code": "process_exit", "selected_model": "glm-5",
        "fallback_reason": "none", "next_action": "review_output", "mutations": 4, "log_bytes": 4096,
        "cpu_time_sec": 12.5, "pid_age_sec": None, "provider_switch_from": "gemini"}  # fmt: skip
    assert {key: given[key] for key in wanted} == wanted
    live = job_facts.report(seen(job(running())), "")
    assert (live["pid_age_sec"], live["cpu_time_sec"]) == (320, 12.5)
    assert (live["outcome_state"], live["exit_code"]) == (None, None)


@pytest.mark.req("P43", "C67")
def test_hostile_values_stay_inside_their_place_in_both_forms() -> None:
    evil = 'a"b\\\n| x |\n# head <script> `tick` @you [l](http://e)'
    given = job_facts.report(seen(job(running(), worktree=evil, host="<!-- x -->")), "")
    assert json.loads(json.dumps(given))["worktree"] == evil
    page = report_markdown(given)
    assert len([line for line in page.splitlines() if line.startswith("#")]) == 1
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {3}
    [row] = [line for line in rows if line.startswith("| worktree")]
    assert row.count("`") == 2


@pytest.mark.req("C67")
def test_the_page_says_what_the_reason_means_and_what_to_do() -> None:
    page = report_markdown(job_facts.report(seen(ended(state="failed", reason_code="oom_killed")), ""))
    assert page.startswith("# bd-1: exited_err\n")
    assert REASONS["oom_killed"].meaning in page
    assert page.endswith("Next: `split_task`")


# --- what to do next ------------------------------------------------------------------------------------


@pytest.mark.req("B23", "C44", "C45", "C49", "A45", "A46", "A73")
@pytest.mark.parametrize(("health", "reason", "facts", "word"), [
    (Health.HEALTHY, "cpu_progress", {}, "none"),
    (Health.STARTING, "no_output_within_grace", {}, "wait"),
    (Health.STALLED, "stale_log_and_no_cpu_progress", {}, "restart"),
    (Health.STALLED, "stale_log_and_no_cpu_progress", {"retries": 1}, "check_logs"),
    (Health.STALLED, "stale_log_and_no_cpu_progress", {"silent": True}, "restart_with_pty"),
    (Health.EXITED_OK, "process_exit", {}, "review_output"),
    (Health.EXITED_ERR, "process_exit", {}, "check_logs"),
    (Health.BLOCKED, "max_retries", {}, "unblock_and_restart"),
    (Health.MISSING, "no_meta", {}, "check_name"),
    (Health.UNKNOWN, "unknown", {"away": True}, "ask_host"),
    (Health.EXITED_ERR, "gemini_capacity_exhausted", {}, "retry_backoff_or_switch_to_opencode_or_cc_glm"),
    (Health.EXITED_ERR, "opencode_rate_limited", {}, "retry_backoff_or_switch_to_gemini_or_cc_glm"),
    (Health.EXITED_ERR, "opencode_model_unavailable", {}, "use_cc_glm_or_gemini"),
    (Health.EXITED_ERR, "claude_auth_blocked", {}, "renew_credentials"),
])
def test_a_state_and_its_reason_say_the_next_step(
    health: Health, reason: str, facts: dict[str, Any], word: str
) -> None:
    assert next_action(health, reason, **facts) == word


def test_every_reason_there_is_has_a_word_of_the_closed_list() -> None:
    said = {next_action(health, reason, silent=silent, away=away) for health in Health for reason in REASONS
            for silent in (False, True) for away in (False, True)}
    assert said <= NEXT_ACTIONS
    assert {next_action(Health.EXITED_ERR, f"{name}_binary_missing") for name in PROVIDER_NAMES} == {"install_provider"}


@pytest.mark.parametrize("given", [NEXT_ACTIONS, job_facts.report(seen(None), ""), job_facts.check(seen(None), ""),
                                   job_facts.listing([seen(None)], "", NOW)["jobs"][0]])  # fmt: skip
def test_the_page_for_scripts_names_every_key_and_every_next_step(given: Collection[str]) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "job-runner.md").read_text()
    told = set(re.findall(r"`([a-z_]+)`", page.partition("## For scripts")[2].partition("\n## ")[0]))
    assert set(given) <= told


# --- hints ----------------------------------------------------------------------------------------------


@pytest.mark.req("A67")
def test_the_place_is_named_with_host_folder_and_count() -> None:
    assert place_hint("box", "/tmp/cc-glm-jobs", 1) == "host box, folder /tmp/cc-glm-jobs, 1 job"


@pytest.mark.req("B92")
def test_other_folders_are_listed_with_the_option_that_reaches_them() -> None:
    told = siblings_hint([("/tmp/cc-glm-jobs-a", 2), ("/tmp/cc-glm-jobs-b", 1)])
    assert told == ("there are other job folders: /tmp/cc-glm-jobs-a (2), /tmp/cc-glm-jobs-b (1); "
                    "name one with --log-dir")


def test_other_hosts_are_named_and_how_to_ask_them() -> None:
    assert "b (2), c (1)" in away_hint({"c": 1, "b": 2}, "a", 3)
    assert away_hint({"b": 2}, "a", 0).startswith("no job here is of a;")


@pytest.mark.req("A66", "A73")
@pytest.mark.parametrize(("one", "silent"), [
    (job(running(400, sign=10), log=0), True), (job(running(400), log=1), False),
    (job(running(100, sign=100), log=0), False), (job(Missing(started=True), log=0), False),
])
def test_a_live_job_with_an_empty_log_past_its_start_is_pointed_out(one: Job, silent: bool) -> None:
    assert seen(one).silent is silent


@pytest.mark.req("A66")
def test_the_hint_holds_the_cure_to_paste() -> None:
    assert silent_hint("bd-1", "cc-glm-job", "6m40s").endswith("cc-glm-job restart --beads bd-1 --pty")
