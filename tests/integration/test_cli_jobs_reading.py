"""status, health, check, report: asked as people and scripts ask, over run files on a disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.app.faces import CC_GLM_JOB, COORDINATOR, DX_RUNNER, Face, where
from coordinator.cli.jobs.faces import run_as
from coordinator.runfiles import identity
from tests.support.program import environ
from tests.support.shelf_bench import TOKEN, Bench, a_dead_pid, bench, sleeper

__all__ = ["bench", "sleeper"]

HERE = os.uname().nodename
SECRET = "sk-ant-0123456789abcdefghijklmnop"
Ask = Callable[..., tuple[int, str, str]]


def old_name(bench: Bench) -> Face:
    """cc-glm-job, its folder moved to where the test may write."""
    return Face("cc-glm-job", str(bench.folder), flat=True, provider="cc-glm", spelling="cc-glm-job")


@pytest.fixture
def ask(bench: Bench, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs one command under cc-glm-job, or another face: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("COORDINATOR_JOBS_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: str, face: Face | None = None) -> tuple[int, str, str]:
        command = list(argv) if face is None else [argv[0], "--log-dir", str(bench.folder), *argv[1:]]
        code = run_as(face or old_name(bench), command)
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def over(bench: Bench, job: str, state: str = "success", code: str = "0", reason: str = "process_exit",
         ago: float = 60, **more: str) -> None:
    """A run of ours that ended so many seconds ago."""
    bench.ours(job, a_dead_pid(), started_at=stamp(ago + 180), **more)
    bench.put(f"{job}.outcome", {"token": TOKEN, "state": state, "exit_code": code, "reason_code": reason,
                                 "duration_sec": "180", "completed_at": stamp(ago)})  # fmt: skip


def stamp(ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


def since(bench: Bench, job: str, minutes: float) -> None:
    """The run of this job began so many minutes ago and showed no sign since."""
    at = f"{time.time() - minutes * 60:.3f}"
    beat = bench.pairs(f"{job}.heartbeat")
    moved = dict.fromkeys(("since", "started_at", "cpu_moved_at", "log_moved_at", "last_event_at", "tree_moved_at"), at)
    bench.put(f"{job}.heartbeat", {**beat, **moved, "at": f"{time.time():.3f}"})
    log = bench.folder / f"{job}.log"
    if log.exists():
        os.utime(log, (float(at), float(at)))


# --- tables ---------------------------------------------------------------------------------------------


@pytest.mark.req("A18", "A109", "A111", "A80", "A67")
def test_status_and_health_list_all_jobs_and_say_where_they_looked(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("bd-1", sleeper)
    over(bench, "bd-2")
    bench.ours("bd-3", sleeper, blocked="true", blocked_reason="max_retries")
    code, out, err = ask("status")
    assert [row[:3] for row in rows(out)] == [["bd-1", str(sleeper), "running"], ["bd-3", "-", "exited"],
                                              ["bd-2", "-", "exited"]]  # fmt: skip
    assert (code, f"host {HERE}, folder {bench.folder}, 3 jobs" in err) == (0, True)
    code, out, _ = ask("health")
    assert [row[:3] for row in rows(out)] == [["bd-1", str(sleeper), "starting"], ["bd-3", "-", "blocked"],
                                              ["bd-2", "-", "exited_ok"]]  # fmt: skip


@pytest.mark.req("A19", "A20", "A131", "A132", "B98", "A96", "A97")
def test_both_tables_take_no_ansi_and_show_overrides(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("bd-1", sleeper, no_auto_restart="true")
    for command in ("status", "health"):
        assert "override" not in ask(command)[1]
        _, out, _ = ask(command, "--no-ansi", "--show-overrides")
        assert out.splitlines()[0].split()[-2:] == ["override", "outcome"]
        assert "no-restart" in out
        assert "\x1b" not in out


@pytest.mark.req("P22")
@pytest.mark.parametrize("argv", [("status", "--beads"), ("check",), ("status", "--recent", "0"), ("health", "--what"),
                                  ("check", "--beads", "bd-1", "--stall-minutes", "0"), ("tail", "--beads", "../x"),
                                  ("report", "--beads", "bd-1", "--format", "xml"), ("status", "a\nb")])
def test_wrong_usage_says_what_is_wrong_and_ends_with_64(ask: Ask, argv: tuple[str, ...]) -> None:
    code, out, err = ask(*argv)
    assert (code, out) == (64, "")
    assert err.startswith("error: ")
    assert "(exit 64)" in err


@pytest.mark.req("B16", "A117", "A103")
@pytest.mark.parametrize("command", ["start", "status", "check", "health", "tail", "restart", "stop", "watchdog",
                                     "set-override", "report", "finalize", "prune"])  # fmt: skip
def test_every_command_takes_beads_and_its_other_name(ask: Ask, command: str) -> None:
    for option in ("--beads", "--job"):
        code, _, err = ask(command, option)
        assert (code, f"Option '{option}' requires an argument" in err) == (64, True)
    if command not in ("status", "health", "watchdog", "prune"):
        assert "Missing option '--beads'" in ask(command)[2]


def test_a_place_that_cannot_be_looked_into_is_no_empty_folder(bench: Bench, ask: Ask) -> None:
    path = bench.put("a-file", "x")
    for command in ("status", "health"):
        code, out, err = ask(command, "--log-dir", str(path))
        assert (code, out, f"{path} is no folder" in err) == (1, "", True)
    assert ask("status", "--log-dir", str(bench.folder / "none"))[0] == 0


@pytest.mark.req("P46", "C6", "C32", "C5")
def test_ended_jobs_are_listed_for_a_day_and_recent_and_all_give_more(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("live", sleeper)
    over(bench, "new", ago=3600)
    over(bench, "old", ago=90_000)

    def listed(*options: str) -> list[str]:
        code, out, _ = ask("status", "--json", *options, face=DX_RUNNER)
        assert code == 0
        return [one["beads"] for one in json.loads(out)["jobs"]]

    assert listed() == ["live", "new"]
    assert listed("--all") == ["live", "new", "old"]
    assert listed("--recent", "10") == ["new", "old"]
    assert listed("--recent", "1") == ["new"]


@pytest.mark.req("B17", "C69", "P46")
def test_named_jobs_are_shown_however_old_and_an_unknown_one_is_missing(bench: Bench, ask: Ask) -> None:
    over(bench, "old", ago=900_000)
    code, out, _ = ask("health", "--beads", "old")
    assert (code, rows(out)[0][:3]) == (0, ["old", "-", "exited_ok"])
    code, out, _ = ask("status", "old", "none")
    assert (code, [row[2] for row in rows(out)]) == (1, ["exited", "missing"])


@pytest.mark.req("C68", "P40", "C69")
def test_two_providers_under_one_id_are_two_rows_and_one_latest(tmp_path: Path) -> None:
    for provider, run in (("claude", "20260304130002"), ("gemini", "20260304130001")):
        folder = tmp_path / "nested" / provider
        folder.mkdir(parents=True)
        (folder / "bd-1.meta").write_text(f"token={provider}\nrun_id={run}\nprovider={provider}\n")
        state = "success" if provider == "claude" else "failed"
        (folder / "bd-1.outcome").write_text(f"token={provider}\nstate={state}\nexit_code=0\n")
    def run(*argv: str) -> Any:
        env = environ(tmp_path, COORDINATOR_JOBS_DIR=str(tmp_path / "nested"))
        child = subprocess.run([sys.executable, "-m", "coordinator", "job", *argv], env=env, capture_output=True,
                               text=True, check=False)  # fmt: skip
        return json.loads(child.stdout)

    assert [one["provider"] for one in run("status", "--json")["jobs"]] == ["claude", "gemini"]
    (tmp_path / "nested" / "gemini" / "bd-1.meta").touch()
    for command in ("check", "report"):
        found = run(command, "--beads", "bd-1", *(["--json"] if command == "check" else []))
        assert (found["provider"], found["state"]) == ("claude", "exited_ok")


# --- check ----------------------------------------------------------------------------------------------


@pytest.mark.req("A28", "A29", "A30", "A110", "A86", "A88", "A123")
def test_check_judges_by_the_stall_limit_it_is_given(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("bd-1", sleeper)
    bench.put("bd-1.log", "x")
    assert ask("check", "--beads", "bd-1")[0] == 0   # starting
    for minutes, options, code in ((10, (), 0), (19, (), 0), (21, (), 2), (10, ("--stall-minutes", "9.5"), 2),
                                   (21, ("--stall-minutes", "30"), 0)):  # fmt: skip
        since(bench, "bd-1", minutes)
        assert ask("check", "--beads", "bd-1", *options)[0] == code


@pytest.mark.req("A31", "A87", "A89", "C95", "C97", "C101")
@pytest.mark.parametrize(("state", "reason", "meta", "code"), [
    ("success", "process_exit", {}, 0), ("failed", "process_exit", {}, 3), ("killed", "manual_stop", {}, 0),
    ("killed", "stalled", {"blocked": "true"}, 3), ("killed", "no_mutation", {}, 23),
])
def test_check_s_exit_code_tells_how_a_job_ended(
    bench: Bench, ask: Ask, state: str, reason: str, meta: dict[str, str], code: int
) -> None:
    over(bench, "bd-1", state, "1", reason, **meta)
    assert ask("check", "--job", "bd-1")[0] == code


@pytest.mark.req("P30", "C7", "C33")
def test_an_unknown_id_is_missing_in_words_and_in_json(ask: Ask) -> None:
    code, out, _ = ask("check", "--beads", "bd-9", "--json", face=DX_RUNNER)
    assert (code, json.loads(out)["state"], json.loads(out)["beads"]) == (1, "missing", "bd-9")
    code, out, _ = ask("report", "--beads", "bd-9", "--format", "json", face=DX_RUNNER)
    assert (code, json.loads(out)["state"]) == (1, "missing")
    code, out, _ = ask("check", "--beads", "bd-9")
    assert (code, "missing" in out) == (1, True)
    code, _, err = ask("tail", "--beads", "bd-9")
    assert (code, "missing" in err) == (1, True)


@pytest.mark.req("P9", "P10")
def test_looking_twice_says_the_same_and_a_cpu_time_of_before_counts_for_nothing(
    bench: Bench, sleeper: int, ask: Ask
) -> None:
    bench.ours("bd-1", sleeper, last_cpu_time="500", last_progress_at=stamp(7200))
    since(bench, "bd-1", 15)
    bench.put("bd-1.log", "x")
    before = {path.name: path.read_bytes() for path in bench.folder.iterdir()}
    codes = [ask(*argv)[0] for argv in (("check", "--beads", "bd-1"), ("health",), ("check", "--beads", "bd-1"))]
    assert codes == [0, 0, 0]
    assert {path.name: path.read_bytes() for path in bench.folder.iterdir()} == before


@pytest.mark.req("P11")
def test_cpu_time_of_days_keeps_its_days(bench: Bench, sleeper: int, ask: Ask) -> None:
    day_and_more = 93_784
    fields = [b"S", b"1", *[b"0"] * 9, b"%d" % (day_and_more * identity.TICKS), *[b"0"] * 10]
    assert identity.Proc(7, fields).cpu == day_and_more
    bench.ours("bd-1", sleeper)
    bench.put("bd-1.heartbeat", {**bench.pairs("bd-1.heartbeat"), "cpu_sec": str(day_and_more)})
    assert json.loads(ask("report", "--beads", "bd-1")[1])["cpu_time_sec"] == day_and_more


@pytest.mark.req("C33")
def test_the_guide_s_waiting_loop_ends_for_every_end_and_for_an_unknown_id(bench: Bench, ask: Ask) -> None:
    over(bench, "good")
    over(bench, "bad", "failed", "1")
    over(bench, "halted", "killed", "143", "manual_stop")
    bench.ours("gone", a_dead_pid())
    states = {}
    for job in ("good", "bad", "halted", "gone", "unknown"):
        _, out, _ = ask("check", "--beads", job, "--json", face=DX_RUNNER)
        states[job] = json.loads(out)["state"]
    assert states == {"good": "exited_ok", "bad": "exited_err", "halted": "exited_err", "gone": "exited_err",
                      "unknown": "missing"}  # fmt: skip


@pytest.mark.req("B24")
def test_check_and_tail_are_enough_to_tell_what_a_job_does(bench: Bench, sleeper: int, ask: Ask) -> None:
    """Progress, and whether the log grew between two looks."""
    bench.ours("bd-1", sleeper)
    since(bench, "bd-1", 25)
    quiet = bench.pairs("bd-1.heartbeat")
    busy = {**quiet, "cpu_moved_at": f"{time.time():.3f}", "cpu_share": "0.9"}

    def look(beat: dict[str, str], printed: str, **outcome: str) -> tuple[int, bool]:
        before = ask("tail", "--beads", "bd-1")[1]
        bench.put("bd-1.heartbeat", beat)
        log = bench.put("bd-1.log", (bench.folder / "bd-1.log").read_text() + printed)
        if not printed:
            os.utime(log, (time.time() - 1500, time.time() - 1500))
        if outcome:
            bench.put("bd-1.outcome", {"token": TOKEN, **outcome})
        return ask("check", "--beads", "bd-1")[0], ask("tail", "--beads", "bd-1")[1] != before

    bench.put("bd-1.log", "begun\n")
    assert look(busy, "more\n") == (0, True)       # works, and says so
    assert look(busy, "") == (0, False)            # works in silence
    assert look(quiet, "") == (2, False)           # hangs
    assert look(quiet, "oh\n", state="failed", exit_code="1") == (3, True)
    assert look(quiet, "", state="success", exit_code="0") == (0, False)


# --- report ---------------------------------------------------------------------------------------------


@pytest.mark.req("C66", "C67", "P43")
def test_a_report_is_json_or_a_page_whatever_its_values_hold(bench: Bench, ask: Ask) -> None:
    over(bench, "bd-1", worktree='/w "quoted" | `x`\\', provider_switch_from="gemini")
    code, out, _ = ask("report", "--beads", "bd-1", "--format", "json", face=COORDINATOR)
    found = json.loads(out)
    assert (code, found["worktree"], found["provider_switch_from"]) == (0, '/w "quoted" | `x`\\', "gemini")
    assert (found["next_action"], found["duration_sec"], found["exit_code"]) == ("review_output", 180, 0)
    code, page, _ = ask("report", "--beads", "bd-1", "--format", "markdown", face=COORDINATOR)
    assert (code, page.splitlines()[0]) == (0, "# bd-1: exited_ok")


# --- what is said beside --------------------------------------------------------------------------------


@pytest.mark.req("C31", "C5")
def test_json_is_alone_on_stdout_and_holds_no_secret(
    bench: Bench, sleeper: int, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "plain-but-secret-value")
    bench.ours("bd-1", sleeper, worktree=f'/w/"{SECRET}"', host="other")
    bench.ours("bd-2", sleeper, cwd="/plain-but-secret-value/x")
    for argv in (("status", "--json"), ("check", "--beads", "bd-1", "--json"), ("report", "--beads", "bd-2")):
        code, out, _ = ask(*argv)
        assert (code, isinstance(json.loads(out), dict)) == (0, True)
        assert SECRET not in out
        assert "plain-but-secret-value" not in out
    assert {"beads", "state", "reason_code"} <= set(json.loads(ask("status", "--json")[1])["jobs"][0])


@pytest.mark.req("A66", "A73")
def test_an_empty_log_of_a_living_job_is_pointed_out_with_its_cure(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("bd-1", sleeper)
    bench.put("bd-1.log", "")
    assert "--pty" not in ask("status")[2]
    since(bench, "bd-1", 6)
    for argv in (("status",), ("health",), ("check", "--beads", "bd-1")):
        assert "cc-glm-job restart --beads bd-1 --pty" in ask(*argv)[2]
    bench.put("bd-1.log", "x")
    assert "--pty" not in ask("status")[2]


@pytest.mark.req("B92")
def test_sibling_folders_are_warned_of_once_an_hour(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("bd-1", sleeper)
    beside = bench.folder.with_name("jobs-agent2")
    beside.mkdir()
    bench.folder.with_name("jobs-empty").mkdir()
    (beside / "bd-7.meta").write_text("a=b\n")
    first, second = ask("health")[2], ask("status")[2]
    assert f"{beside} (1)" in first
    assert "--log-dir" in first
    assert "jobs-empty" not in first
    assert str(beside) not in second
    [mark] = [path for path in bench.folder.iterdir() if path.name.startswith(".")]
    os.utime(mark, (time.time() - 3700,) * 2)
    assert f"{beside} (1)" in ask("status", "--json")[2]


@pytest.mark.req("B92")
def test_an_empty_folder_names_the_others_each_time(bench: Bench, ask: Ask) -> None:
    beside = bench.folder.with_name("jobs-agent2")
    beside.mkdir()
    (beside / "bd-7.pid").write_text("1\n")
    for _ in range(2):
        code, _, err = ask("status")
        assert code == 0
        assert f"no jobs in {bench.folder}" in err
        assert f"{beside} (1)" in err


def test_jobs_of_other_hosts_are_named_with_the_host_to_ask(bench: Bench, ask: Ask) -> None:
    bench.ours("bd-1", host="build-7", boot="0" * 36)
    code, out, err = ask("health")
    assert (code, rows(out)[0][2]) == (0, "unknown")
    assert "build-7 (1)" in err
    assert "no job here is of" in err
    assert ask("check", "--beads", "bd-1")[0] == 26
    assert json.loads(ask("report", "--beads", "bd-1")[1])["next_action"] == "ask_host"


def test_a_bad_file_is_named_and_the_table_stands(bench: Bench, sleeper: int, ask: Ask) -> None:
    bench.ours("bd-1", sleeper)
    bench.put("bd-2.meta", b"\x00\x01")
    bench.put("bd-3.pid", "not a number")
    code, out, err = ask("health")
    assert (code, [row[2] for row in rows(out)]) == (0, ["starting", "missing", "missing"])
    assert "bd-2: meta: no key=value text" in err
    assert "bd-3: pid: no process id" in err


@pytest.mark.req("A121")
def test_each_name_looks_in_its_own_folder_unless_told_otherwise() -> None:
    assert re.fullmatch(r"/tmp/cc-glm-jobs(-\d+)?", str(where(CC_GLM_JOB, "", {}).folder))
    assert re.fullmatch(r"/tmp/dx-runner(-\d+)?", str(where(DX_RUNNER, "", {}).folder))
    assert where(CC_GLM_JOB, "/x", {"COORDINATOR_JOBS_DIR": "/y"}).folder == Path("/x")
    assert where(CC_GLM_JOB, "", {"COORDINATOR_JOBS_DIR": "/y"}).folder == Path("/y")


# --- the terminal ---------------------------------------------------------------------------------------


_LOADED = """\
import sys
begun = []
sys.addaudithook(lambda event, _: begun.append(event) if event in ("subprocess.Popen", "os.fork", "os.exec") else None)
from coordinator.app.faces import CC_GLM_JOB
from coordinator.cli.jobs.faces import run_as
assert run_as(CC_GLM_JOB, sys.argv[1:]) == 0
heavy = {"psutil", "git", "github", "sqlalchemy", "rich", "coordinator.ports", "coordinator.config.loading"}
print([*begun, *sorted(heavy & set(sys.modules))])
"""


@pytest.mark.req("P25")
def test_reading_starts_no_process_and_loads_nothing_that_acts(bench: Bench, sleeper: int, tmp_path: Path) -> None:
    bench.ours("bd-1", sleeper)
    for argv in (["status"], ["health"], ["check", "--beads", "bd-1"]):
        line = [argv[0], "--log-dir", str(bench.folder), *argv[1:]]
        ran = subprocess.run([sys.executable, "-c", _LOADED, *line], text=True, cwd=tmp_path, env=environ(tmp_path),
                             capture_output=True, check=True)  # fmt: skip
        assert ran.stdout.splitlines()[-1] == "[]"


def test_the_usual_limits_are_those_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any configuration its loader is passed over: what it would have said must be what is used."""
    from coordinator.app import jobs

    monkeypatch.chdir(tmp_path)
    for env in ({}, {"DX_RUNNER_NO_MUTATION_TIMEOUT_MINUTES": "7"}):
        assert jobs.reading_settings(env) == jobs.health_settings(jobs.configuration(env), env)
    given = {"COORDINATOR_WORKERS_STALL": "3m"}
    assert jobs.reading_settings(given).stall.total_seconds() == 180
