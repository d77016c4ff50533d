"""`start` as a person types it: the worker outlives whoever started it, and a start that fails never looks well."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.byhand import CC_GLM_JOB, COORDINATOR, DX_RUNNER, SLEEPER, Hand, entry, hand, in_a_terminal
from tests.support.gitworld import commit, git
from tests.support.workers import alive, command_line, until

__all__ = ["hand"]
WAITER = """\
import os, time
print('hello', flush=True)
while not os.path.exists('go'): time.sleep(0.02)
print('still here')
"""
"""Runs until its test touches `go`."""
SOMEBODY = 65534
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24   # linux/capability.h, linux/prctl.h


@pytest.mark.req("A5", "A6", "A108", "A117", "A118", "C50", "C62", "B88")
def test_start_returns_at_once_and_the_worker_runs_on_under_its_wrapper_to_a_recorded_end(hand: Hand) -> None:
    ran = hand.start(WAITER, "--repo", "widgets", "--model", "m-1")
    pid = int(hand.file("pid").read_text())
    assert f"started bd-1 (command, pid {pid})" in ran.stdout
    assert len(hand.pids()) == 2
    assert pid in hand.pids()
    (hand.root / "go").touch()
    outcome = hand.outcome()
    assert (outcome["state"], outcome["exit_code"], outcome["reason_code"]) == ("success", "0", "process_exit")
    assert outcome["run_instance"] == f"{outcome['run_id']}-command-{pid}" == hand.pairs("meta")["run_instance"]
    assert (hand.jobs.stat().st_mode & 0o777, hand.file("log").read_text()) == (0o700, "hello\nstill here\n")


@pytest.mark.req("A57", "A58", "A61", "A64", "C52")
def test_pid_log_and_outcome_are_plain_files_of_the_jobs_name(hand: Hand) -> None:
    hand.start(WAITER)
    hand.said()
    lines = subprocess.run(["sh", "-c", 'cat "$1".pid; tail -n 1 "$1".log', "sh", str(hand.jobs / "bd-1")], text=True,
                           capture_output=True, check=True).stdout.split()  # fmt: skip
    assert (lines[0], lines[1]) == (hand.pairs("meta")["pid"], "hello")
    (hand.root / "go").touch()
    hand.outcome()
    assert hand.file("log").read_text() == "hello\nstill here\n"
    assert {"beads=bd-1", "provider=command", "state=success", "exit_code=0"} <= set(
        hand.file("outcome").read_text().splitlines())


@pytest.mark.req("C83", "C85")
def test_a_limit_in_minutes_from_the_environment_ends_a_run_with_124(hand: Hand) -> None:
    allowed = {"DX_RUNNER_EXTRA_ALLOWED_PREFIXES": str(hand.root)}
    hand.start(SLEEPER, name=DX_RUNNER, DX_RUNNER_MAX_RUNTIME_MINUTES="0.02", **allowed)
    outcome = hand.outcome()
    assert (outcome["exit_code"], outcome["state"], outcome["reason_code"]) == ("124", "failed", "max_runtime_exceeded")
    until(lambda: not hand.pids(), "the end of its wrapper")
    wrong = hand.run("start", "--beads", "bd-2", "--provider", "command", "--prompt-file", str(hand.prompt()),
                     DX_RUNNER_MAX_RUNTIME_MINUTES="soon")  # fmt: skip
    assert (wrong.returncode, "DX_RUNNER_MAX_RUNTIME_MINUTES='soon'" in wrong.stderr) == (64, True)


@pytest.mark.req("C46", "C86", "C101")
def test_a_busy_worker_that_changes_nothing_is_a_no_op_past_the_limit_of_the_environment(hand: Hand) -> None:
    settings = hand.folder(".config/coordinator") / "config.toml"
    settings.write_text('[workers]\ngrace = "0s"\nstall = "20s"\n')
    tree = hand.folder("tree")
    hand.start("while True: pass", "--worktree", str(tree))

    def check(**more: str) -> int:
        return hand.run("check", "--beads", "bd-1", **more).returncode

    until(lambda: check(DX_RUNNER_NO_MUTATION_TIMEOUT_MINUTES="0.02") == 23, "the verdict", 20)
    assert check() == 0


@pytest.mark.req("A119", "A120", "A60", "A64", "C63", "C64", "C65", "C70")
def test_meta_holds_what_was_asked_for_as_plain_lines(hand: Hand) -> None:
    tree = hand.folder("tree")
    hand.start("pass", "--repo", "widgets", "--worktree", str(tree), "--model", "m-1")
    meta = hand.pairs("meta")
    wanted = {"beads": "bd-1", "repo": "widgets", "worktree": str(tree), "cwd": str(tree), "provider": "command",
              "retries": "0", "use_pty": "false", "model": "m-1"}  # fmt: skip
    assert {key: meta[key] for key in wanted} == wanted
    assert meta["host"] == os.uname().nodename
    assert meta["launch_state"] == "started"
    assert meta["prompt_file"] == str(hand.root / "task.prompt")
    assert f"beads={meta['beads']}" in hand.file("meta").read_text().splitlines()
    assert hand.outcome()["worktree"] == str(tree)


def typed(hand: Hand, code: str, *options: str, name: str = COORDINATOR) -> list[str]:
    """The argv of a start, for those who start it otherwise than by `Hand.run`."""
    line = ("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(hand.prompt()), *options)
    return [*entry(name), *hand.line(line), "--", sys.executable, "-c", code]


@pytest.mark.req("P29")
def test_a_shell_that_captures_what_start_prints_does_not_wait_for_the_worker(hand: Hand) -> None:
    line = typed(hand, SLEEPER, "--json", name=DX_RUNNER)
    script = f"out=$({shlex.join(line)}) && printf '%s' \"$out\""
    ran = subprocess.run(["sh", "-c", script], cwd=hand.root, capture_output=True, text=True, timeout=20, check=False,
                         env=hand.environ(DX_RUNNER_EXTRA_ALLOWED_PREFIXES=str(hand.root)))  # fmt: skip
    told = json.loads(ran.stdout)
    assert told["beads"] == "bd-1"
    assert alive(told["pid"])


@pytest.mark.req("P32")
def test_the_worker_outlives_the_shell_and_the_terminal_it_was_started_from(hand: Hand) -> None:
    line = shlex.join(typed(hand, WAITER))
    said = in_a_terminal(["sh", "-c", f"{line}; kill -HUP 0"], hand.environ(), hand.root)
    assert "started bd-1" in said
    assert len(hand.pids()) == 2
    (hand.root / "go").touch()
    outcome = hand.outcome()
    assert (outcome["state"], hand.said()) == ("success", "hello\nstill here\n")


@pytest.mark.req("P32")
def test_ctrl_c_in_the_callers_group_reaches_no_worker(hand: Hand) -> None:
    line = shlex.join(typed(hand, WAITER))
    shell = subprocess.Popen(["sh", "-c", f"{line}; kill -INT 0; kill -TERM 0"], cwd=hand.root, env=hand.environ(),
                             start_new_session=True, stdout=subprocess.DEVNULL)  # fmt: skip
    shell.wait(20)
    (hand.root / "go").touch()
    assert hand.outcome()["state"] == "success"


@pytest.mark.req("P23", "A8")
def test_the_worker_stands_in_its_worktree_and_without_one_where_its_caller_stood(hand: Hand) -> None:
    tree, here = hand.folder("agents/bd-1/widgets"), hand.folder("here")
    hand.start("import os; print(os.getcwd())", "--worktree", str(tree))
    hand.start("import os; print(os.getcwd())", job="bd-2", cwd=here)
    assert hand.said() == f"{tree}\n"
    assert hand.said("bd-2") == f"{here}\n"


def test_a_program_that_writes_its_output_to_a_file_is_given_the_log(hand: Hand) -> None:
    code = "import sys; open(sys.argv[1], 'a').write('written\\n'); print('said')"
    ran = hand.run("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(hand.prompt()), "--",
                   sys.executable, "-c", code, "{output_file}")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    hand.outcome()
    assert sorted(hand.said().splitlines()) == ["said", "written"]


@pytest.mark.req("P16")
def test_a_prompt_beyond_the_limit_of_arguments_arrives_whole_and_shows_in_no_process_list(hand: Hand) -> None:
    prompt = hand.prompt("sleep secretly\n" + "x" * 200_000)
    ran = hand.run("start", "--beads", "bd-1", "--provider", "claude", "--prompt-file", str(prompt), **hand.claude())
    assert ran.returncode == 0, ran.stderr
    seen = until(lambda: (hand.root / "seen.json").exists() and (hand.root / "seen.json").read_text(), "the agent")
    assert json.loads(seen)["bytes"] == len(prompt.read_bytes())
    shown = b"".join(command_line(pid) for pid in hand.pids())
    assert b"claude" in shown
    assert b"secretly" not in shown


@pytest.mark.req("A121", "C4")
def test_under_the_name_cc_glm_job_the_provider_is_glm_with_its_own_address_and_no_key_on_disk(hand: Hand) -> None:
    key = "glm-key-of-the-tests"
    ran = hand.run("start", "--beads", "bd-1", "--prompt-file", str(hand.prompt()), name=CC_GLM_JOB,
                   CC_GLM_AUTH_TOKEN=key, **hand.claude())  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert hand.outcome()["state"] == "success"
    assert "z.ai" in json.loads((hand.root / "seen.json").read_text())["url"]
    assert hand.pairs("contract")["auth_source"] == "CC_GLM_AUTH_TOKEN"
    kept = [path for path in hand.jobs.iterdir() if path.is_file() and key.encode() in path.read_bytes()]
    assert kept == []


# --- the same id again ----------------------------------------------------------------------------------


@pytest.mark.req("P12")
def test_two_starts_at_once_give_one_job(hand: Hand) -> None:
    line = typed(hand, SLEEPER)
    both = [subprocess.Popen(line, cwd=hand.root, env=hand.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for _ in range(2)]  # fmt: skip
    said = [child.communicate(timeout=40) for child in both]
    codes = sorted(child.returncode for child in both)
    assert codes == [0, 1], said
    assert "already running" in "".join(err for _, err in said)
    assert len(hand.pids()) == 2   # the wrapper and its agent
    assert not hand.file("log.1").exists()


def test_a_live_job_is_refused_with_its_pid_and_is_not_touched(hand: Hand) -> None:
    hand.start()
    before = (hand.pids(), hand.file("meta").read_bytes())
    ran = hand.run("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(hand.prompt()))
    assert ran.returncode == 1
    assert f"already running (pid {hand.pairs('meta')['pid']})" in ran.stderr
    assert "stop --beads bd-1" in ran.stderr
    assert (hand.pids(), hand.file("meta").read_bytes()) == before
    assert not hand.file("outcome").exists()


@pytest.mark.req("C68", "C69", "C70", "P40")
def test_another_provider_for_the_same_id_is_an_instance_of_its_own_and_the_latest_is_meant(hand: Hand) -> None:
    first, second = hand.folder("first"), hand.folder("second")
    jobs = str(hand.folder("nested"))
    shared = {"COORDINATOR_JOBS_DIR": jobs, **hand.claude()}
    started = hand.run("start", "--beads", "bd-1", "--provider", "command", "--worktree", str(first), "--prompt-file",
                       str(hand.prompt()), "--", sys.executable, "-c", SLEEPER, log_dir=False, **shared)  # fmt: skip
    assert started.returncode == 0, started.stderr
    switched = hand.run("start", "--beads", "bd-1", "--provider", "claude", "--worktree", str(second), "--prompt-file",
                        str(hand.prompt("sleep\n")), log_dir=False, **shared)  # fmt: skip
    assert switched.returncode == 0, switched.stderr
    stopped = hand.run("stop", "--beads", "bd-1", log_dir=False, **shared)
    assert "stopped bd-1" in stopped.stdout
    meta = (Path(jobs) / "claude" / "bd-1.meta").read_text()
    assert "provider_switch_from=command" in meta.splitlines()
    assert (Path(jobs) / "claude" / "bd-1.outcome").exists()
    assert not (Path(jobs) / "command" / "bd-1.outcome").exists()


def test_two_providers_never_work_in_one_folder(hand: Hand) -> None:
    hand.folder("jobs")
    shared = {"COORDINATOR_JOBS_DIR": str(hand.jobs), **hand.claude()}
    hand.run("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(hand.prompt()), "--",
             sys.executable, "-c", SLEEPER, log_dir=False, **shared)  # fmt: skip
    ran = hand.run("start", "--beads", "bd-1", "--provider", "claude", "--prompt-file", str(hand.prompt()),
                   log_dir=False, **shared)  # fmt: skip
    assert (ran.returncode, "already running" in ran.stderr) == (1, True)


def test_in_a_flat_folder_another_provider_takes_over_an_ended_job_whatever_its_fence(hand: Hand) -> None:
    hand.start("pass")
    hand.outcome()
    assert hand.run("restart", "--beads", "bd-1").returncode == 0
    hand.outcome()
    ran = hand.run("start", "--beads", "bd-1", "--provider", "claude", "--prompt-file", str(hand.prompt()),
                   **hand.claude())  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert hand.outcome()["provider"] == "claude"
    assert hand.pairs("meta")["provider_switch_from"] == "command"


@pytest.mark.req("P14")
def test_an_override_outlives_the_next_start(hand: Hand) -> None:
    hand.start("pass")
    hand.outcome()
    assert hand.run("set-override", "--beads", "bd-1", "--no-auto-restart", "true").returncode == 0
    hand.start("pass")
    assert hand.pairs("meta")["no_auto_restart"] == "true"


def test_what_an_earlier_run_left_in_the_worktree_ends_no_fresh_one(hand: Hand) -> None:
    tree = hand.folder("tree")
    for name in ("STOP", "BLOCKED.md"):
        (tree / name).write_text("old\n")
    ran = hand.start("print('done')", "--worktree", str(tree))
    assert "removed" in ran.stderr
    assert (hand.outcome()["state"], hand.said()) == ("success", "done\n")


def test_a_file_of_the_callers_own_that_bears_such_a_name_stays(hand: Hand) -> None:
    own = hand.root / "BLOCKED.md"
    own.write_text("notes on blocking\n")
    hand.start("print('done')")
    assert (hand.outcome()["state"], own.read_text()) == ("success", "notes on blocking\n")


def test_a_worktree_that_is_a_file_is_said_so(hand: Hand) -> None:
    file = str(hand.prompt())
    ran = hand.run("start", "--beads", "bd-1", "--provider", "command", "--worktree", file, "--prompt-file", file, "--",
                   "true")  # fmt: skip
    assert (ran.returncode, "task.prompt is no folder" in ran.stderr) == (1, True)


# --- a start that fails -----------------------------------------------------------------------------


@pytest.mark.req("P28", "C98", "C100", "C95")
@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--provider", "nonsuch"], 20, ""),
        (["--provider", "claude"], 21, "claude_binary_missing"),
        (["--provider", "command", "--", "no-such-program"], 21, "command_binary_missing"),
        (["--provider", "command", "--worktree", "/usr", "--", "true"], 22, "start_refused"),
        (["--provider", "command", "--worktree", "/tmp/agents/bd-1/none", "--", "true"], 1, "worktree_error"),
    ],
)
def test_each_refused_start_has_its_exit_code_and_leaves_a_failed_outcome_never_a_success(
    hand: Hand, options: list[str], code: int, reason: str
) -> None:
    given, _, program = (" ".join(options)).partition(" -- ")
    ran = hand.run("start", "--beads", "bd-1", "--prompt-file", str(hand.prompt()), *given.split(),
                   *(["--", program] if program else []), name=DX_RUNNER, PATH="/usr/bin:/bin")  # fmt: skip
    assert ran.returncode == code, ran.stderr
    assert f"(exit {code})" in ran.stderr
    assert "Traceback" not in ran.stderr
    outcome = hand.pairs("outcome")
    assert (outcome.get("state", ""), outcome.get("reason_code", "")) == (("failed", reason) if reason else ("", ""))
    assert outcome.get("exit_code", "1") != "0"
    assert hand.pids() == []


def test_without_a_key_a_glm_job_is_refused_with_10_and_nothing_of_a_stranger_is_used(hand: Hand) -> None:
    ran = hand.run("start", "--beads", "bd-1", "--prompt-file", str(hand.prompt()), name=CC_GLM_JOB, **hand.claude())
    assert ran.returncode == 10
    assert "AUTH TOKEN RESOLUTION FAILED" in ran.stderr
    assert (hand.pairs("outcome")["state"], hand.pairs("outcome")["exit_code"]) == ("failed", "10")
    assert not (hand.root / "seen.json").exists()


def test_questions_are_asked_in_the_order_provider_running_preflight_gate(hand: Hand) -> None:
    """Each order below would fail for every later reason too."""
    def code(job: str, provider: str, program: str) -> int:
        ran = hand.run("start", "--beads", job, "--provider", provider, "--worktree", "/usr", "--prompt-file",
                       str(hand.prompt()), *(["--", program] if program else []), name=DX_RUNNER)  # fmt: skip
        return ran.returncode

    hand.start()
    found = [code("bd-1", "nonsuch", ""), code("bd-1", "command", "no-such"), code("bd-2", "command", "no-such"),
             code("bd-3", "command", "true")]  # fmt: skip
    assert found == [20, 1, 21, 22]


@pytest.mark.req("P37")
def test_the_gate_compares_real_paths_part_by_part(hand: Hand) -> None:
    allowed, evil = hand.folder("agents"), hand.folder("agents-evil")
    (allowed / "link").symlink_to(evil)
    hand.folder("agents/tree")

    def code(place: str) -> int:
        ran = hand.run("start", "--beads", "bd-1", "--provider", "command", "--worktree", place, "--prompt-file",
                       str(hand.prompt()), "--", "true", name=DX_RUNNER,
                       DX_RUNNER_EXTRA_ALLOWED_PREFIXES=str(allowed))  # fmt: skip
        return ran.returncode

    found = [code(f"{place}") for place in (evil, allowed / "link", f"{allowed}/../agents-evil", f"{allowed}/tree")]
    assert found == [22, 22, 22, 0]


# --- hostile and careless input ---------------------------------------------------------------------


@pytest.mark.req("P15")
@pytest.mark.parametrize("job", ["../../x", "a/b", "..", ".hidden", "a\nb", "x" * 300, "", "-x", "ü"])
def test_an_id_that_is_no_plain_name_is_refused_before_anything_is_written(hand: Hand, job: str) -> None:
    prompt = hand.prompt()
    before = sorted(hand.root.rglob("*"))
    ran = hand.run("start", f"--beads={job}", "--provider", "command", "--prompt-file", str(prompt), "--", "true")
    assert ran.returncode == 64
    assert "\n" not in ran.stderr.partition("error: ")[2].partition("  ")[0].strip()
    assert sorted(hand.root.rglob("*")) == before


@pytest.mark.req("P15")
@pytest.mark.parametrize("option", ["--repo", "--worktree", "--model"])
def test_a_control_character_cannot_smuggle_a_line_into_meta(hand: Hand, option: str) -> None:
    ran = hand.run("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(hand.prompt()), option,
                   "x\nblocked=true", "--", "true")  # fmt: skip
    assert (ran.returncode, "control character" in ran.stderr) == (64, True)
    assert not hand.jobs.exists()


@pytest.mark.req("A69", "A87")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("missing", None, "prompt file not found"), ("empty", b" \n", "is empty"), ("binary", b"\x00\xff", "no text"),
     ("latin", b"caf\xe9", "no text"), ("folder", "", "is a folder")],
)  # fmt: skip
def test_a_prompt_file_that_cannot_be_meant_is_named_and_nothing_starts(
    hand: Hand, name: str, content: bytes | str | None, words: str
) -> None:
    path = hand.root / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    ran = hand.run("start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(path), "--", "true")
    assert ran.returncode == 1, ran.stderr
    assert words in ran.stderr
    assert str(path) in ran.stderr
    assert not hand.jobs.exists()


def without_roots_rights() -> None:
    """Before exec: what file modes forbid is forbidden to root too (the two capabilities leave the bounding set)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            assert libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


def refused(hand: Hand, log_dir: str | Path, prompt: Path) -> str:
    """What such a person is told; fails unless the start was refused and is no bug of ours."""
    line = ["start", "--beads", "bd-1", "--log-dir", str(log_dir), "--provider", "command"]
    line += ["--prompt-file", str(prompt)]
    ran = subprocess.run([*entry(COORDINATOR), *line, "--", "true"], cwd=hand.root, env=hand.environ(), text=True,
                         capture_output=True, timeout=40, check=False, preexec_fn=without_roots_rights)  # fmt: skip
    assert (ran.returncode, "bug" in ran.stderr) == (1, False), ran.stderr
    return ran.stderr


@pytest.mark.req("P26")
def test_what_may_not_be_read_or_written_and_what_is_somebody_elses_is_named(hand: Hand) -> None:
    prompt, secret, closed = hand.prompt(), hand.prompt(name="secret"), hand.folder("closed")
    theirs, link = hand.folder("theirs"), hand.root / "link"
    link.symlink_to(hand.folder("elsewhere"))
    secret.chmod(0)
    closed.chmod(0o500)
    if os.geteuid() == 0:
        os.chown(theirs, SOMEBODY, SOMEBODY)
    else:
        theirs = Path("/usr")
    assert f"cannot be read: {secret}" in refused(hand, hand.jobs, secret)
    assert str(closed) in refused(hand, closed / "jobs", prompt)
    assert "belongs to user id" in refused(hand, theirs, prompt)
    assert "is a link" in refused(hand, link, prompt)
    assert list((hand.root / "elsewhere").iterdir()) == []


def test_a_disk_without_room_is_said_and_nothing_runs(hand: Hand) -> None:
    """A limit on file sizes stands for it, so that no file system has to be mounted: the wrapper does not fit."""
    line = typed(hand, "pass")
    ran = subprocess.run(["sh", "-c", f"ulimit -f 8; exec {shlex.join(line)}"], cwd=hand.root, env=hand.environ(),
                         capture_output=True, text=True, timeout=40, check=False)  # fmt: skip
    assert ran.returncode == 1
    assert "File too large" in ran.stderr
    assert "bug" not in ran.stderr
    assert hand.pids() == []
    assert hand.pairs("outcome")["state"] == "failed"


# --- a worktree that is not there -------------------------------------------------------------------


def a_repository(hand: Hand) -> Path:
    root = hand.folder("widgets")
    git(root, "init", "-q", "-b", "main")
    commit(root, "README.md", "widgets\n")
    return root


@pytest.mark.req("A8", "A10")
def test_a_missing_worktree_of_a_known_repository_is_made_and_the_agent_works_in_it(hand: Hand) -> None:
    root, tree = a_repository(hand), hand.root / "agents" / "bd-1" / "widgets"
    ran = hand.start("print(open('README.md').read())", "--repo", str(root), "--worktree", str(tree))
    assert f"made the worktree {tree}" in ran.stderr
    assert hand.said() == "widgets\n\n"
    assert git(tree, "rev-parse", "--abbrev-ref", "HEAD") == "rpi/bd-1"


@pytest.mark.req("A119")
def test_a_repository_is_known_by_its_bare_name_where_it_lies_in_the_home(hand: Hand) -> None:
    a_repository(hand)
    tree = hand.root / "agents" / "a..b"
    ran = hand.start("pass", "--repo", "widgets", "--worktree", str(tree), job="a..b")
    assert "made the worktree" in ran.stderr
    assert git(tree, "rev-parse", "--abbrev-ref", "HEAD") == "rpi/a--b"
