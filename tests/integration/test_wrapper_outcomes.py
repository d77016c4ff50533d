"""What the outcome of a run says, for agents whose exit code decides: real wrappers, real processes."""

from __future__ import annotations

import os
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors import bundle
from coordinator.adapters.executors.views import beat_of, exited_of
from coordinator.domain.worker import Exited, Missing
from coordinator.ports import StopOrder
from coordinator.runfiles import atomic, cgroup, codec, identity
from coordinator.worker import ending
from coordinator.worker.agent import Agent
from tests.support.workers import Bench, bench, ended, until, view


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def _wakes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt")).split()[1])


@pytest.mark.req("P1", "P2", "P3", "C54", "C55", "C56", "B87", "B88")
@pytest.mark.parametrize(("script", "code", "state"), [
    ("echo a line; exit 0", "0", "success"),
    ("exit 0", "0", "success"),
    ("echo 'not completed: 3 tests fail'; exit 1", "1", "failed"),
    ("echo 'Task completed successfully'; exit 3", "3", "failed"),
    ("echo 'error: everything failed'; exit 0", "0", "success"),
], ids=["a-line", "silent", "words-of-completion", "words-of-success", "words-of-failure"])
@pytest.mark.parametrize("speaks", ["text", "either"])
def test_a_job_that_ends_by_itself_leaves_an_outcome_by_its_exit_code_not_its_words(
    place: Bench, script: str, code: str, state: str, speaks: str
) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", script, speaks=speaks)
    executor.submit(spec)
    end = ended(executor, spec)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["exit_code"], outcome["state"], outcome["reason_code"]) == (code, state, "process_exit")
    assert (outcome["judged_by"], outcome["ended_by"], outcome["beads"]) == ("exit", "process_exit", "gh-450")
    assert (end.code, end.reason) == (int(code), "process_exit")


@pytest.mark.req("C53", "C57", "C58", "C59", "C62", "C63", "C64", "C65")
def test_an_outcome_names_its_run_its_times_and_its_place(place: Bench) -> None:
    executor = place.executor()
    tree = place.root / "elsewhere"
    spec = place.spec("sleep", "1.2", meta={"worktree": str(tree), "retries": "1", "model": "m-1"})
    began = datetime.now(UTC).replace(microsecond=0)
    wrapper = executor.submit(spec)
    end = ended(executor, spec)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["run_id"], outcome["run_instance"]) == ("20260102030405", f"20260102030405-claude-{wrapper}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", outcome["completed_at"])
    assert began <= datetime.fromisoformat(outcome["completed_at"]) <= datetime.now(UTC)
    assert outcome["duration_sec"] == "1"
    assert 1.2 <= float(outcome["duration_exact"]) < 2.0
    assert end.duration_sec == float(outcome["duration_exact"])
    assert (outcome["host"], outcome["cwd"], outcome["worktree"]) == (os.uname().nodename, str(spec.cwd), str(tree))
    assert (outcome["retries"], outcome["selected_model"]) == ("1", "m-1")


@pytest.mark.req("P20")
def test_each_run_s_duration_is_its_own_and_not_that_of_all_tries(place: Bench) -> None:
    executor = place.executor()
    first = place.spec("sleep", "1.1")
    executor.submit(first)
    ended(executor, first)
    second = place.spec("true", run_id="20260102030407")
    executor.submit(second)
    ended(executor, second)
    old, new = place.pairs(first, "outcome.1"), place.pairs(second, "outcome")
    assert (old["duration_sec"], new["duration_sec"]) == ("1", "0")
    assert old["run_id"] != new["run_id"]


def test_the_last_look_counts_output_lines_and_changes(place: Bench) -> None:
    executor = place.executor(beat=30)
    spec = place.spec("sh", "-c", "echo one; echo two; echo three >&2; touch made", speaks="text")
    executor.submit(spec)
    ended(executor, spec)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["log_bytes"], outcome["events"], outcome["mutations"]) == ("14", "3", "1")


def test_a_run_without_output_or_change_says_zero_of_both(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("true")
    executor.submit(spec)
    ended(executor, spec)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["log_bytes"], outcome["events"], outcome["mutations"]) == ("0", "0", "0")


def test_plain_text_keeps_the_order_of_stdout_and_stderr(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "echo 1; echo 2 >&2; echo 3; echo 4 >&2", speaks="text")
    executor.submit(spec)
    ended(executor, spec)
    assert place.out(spec) == "1\n2\n3\n4\n"
    assert place.file(spec, "err").read_bytes() == b""


def test_a_folder_that_is_no_worktree_is_no_witness_yet_stop_in_it_stops(place: Bench) -> None:
    executor = place.executor(beat=0.1)
    spec = place.spec("sh", "-c", "touch made; exec sleep 60", watch_tree=False)
    executor.submit(spec)
    until((spec.cwd / "made").exists, "a change")
    first = float(place.pairs(spec, "heartbeat")["up"])
    until(lambda: float(place.pairs(spec, "heartbeat")["up"]) > first + 0.3, "later beats")
    beat = beat_of(place.pairs(spec, "heartbeat"))
    assert beat is not None
    assert beat.tree is None
    (spec.cwd / "STOP").touch()
    assert ended(executor, spec).reason == "manual_stop"
    assert place.pairs(spec, "outcome")["mutations"] == ""


def test_run_files_in_the_agent_s_own_folder_are_no_change_of_its_work(place: Bench) -> None:
    executor = place.executor(beat=0.1)
    spec = place.spec("sleep", "60", cwd=place.root)
    executor.submit(spec)
    first = float(place.pairs(spec, "heartbeat")["up"])
    until(lambda: float(place.pairs(spec, "heartbeat")["up"]) > first + 1.0, "ten beats")
    assert place.pairs(spec, "heartbeat")["tree"] == "0"


@pytest.mark.req("P21")
def test_a_stopped_agent_that_said_zero_is_recorded_as_stopped_with_zero(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    executor.submit(spec)
    until(lambda: "ready" in place.out(spec), "the trap")
    executor.stop(spec.handle, StopOrder("manual_stop", "enough"))
    ended(executor, spec)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["exit_code"], outcome["state"], outcome["reason_code"]) == ("0", "killed", "manual_stop")
    executor.stop(spec.handle, StopOrder("forced_finalization", "", hard=True, exit_code=1))
    assert place.pairs(spec, "outcome") == outcome, "what ended before keeps its outcome"


def test_a_forced_end_is_recorded_with_the_exit_code_it_was_given(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    executor.stop(spec.handle, StopOrder("forced_finalization", "ended by finalize", hard=True, exit_code=7))
    end = ended(executor, spec)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["exit_code"], outcome["signal"], outcome["state"]) == ("7", "", "killed")
    assert (end.code, end.reason, outcome["judged_by"]) == (7, "forced_finalization", "wrapper")


@pytest.mark.parametrize(("reason", "spelled"), [
    ("stalled", "extended_stall"), ("no_mutation", "no_mutation_timeout"), ("manual_stop", "manual_stop"),
])
def test_the_name_dx_runner_spells_its_own_reasons_and_we_read_ours(
    place: Bench, reason: str, spelled: str
) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60", spelling="dx-runner")
    executor.submit(spec)
    executor.stop(spec.handle, StopOrder(reason, "", hard=True))
    assert ended(executor, spec).reason == reason
    assert place.pairs(spec, "outcome")["reason_code"] == spelled


def test_a_time_limit_under_the_name_dx_runner_is_max_runtime_exceeded(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60", spelling="dx-runner", timeout=timedelta(milliseconds=300))
    executor.submit(spec)
    assert ended(executor, spec).reason == "max_runtime"
    outcome = place.pairs(spec, "outcome")
    assert (outcome["reason_code"], outcome["exit_code"], outcome["state"]) == ("max_runtime_exceeded", "124", "failed")


@pytest.mark.req("P16")
def test_a_prompt_larger_than_an_argument_may_be_reaches_the_agent_and_no_command_line(place: Bench) -> None:
    executor = place.executor()
    prompt = "a secret plan " * 40_000
    spec = place.spec("sh", "-c", "wc -c; sleep 60", prompt=prompt, stdin="prompt", speaks="text")
    wrapper = executor.submit(spec)
    until(lambda: place.out(spec).strip(), "the agent's answer")
    assert int(place.out(spec)) == len(prompt) > 131_072
    agent = place.pairs(spec, "heartbeat")["agent_pid"]
    for pid in (wrapper, agent):
        assert b"secret plan" not in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.req("P8")
def test_cpu_time_is_that_of_the_whole_tree(place: Bench) -> None:
    executor = place.executor(beat=0.1)
    burn = "import os\nwhile os.times().user < 0.5: pass"
    burns = shlex.join([sys.executable, "-c", burn])
    script = f"setsid {burns}; {burns}; sleep 60"
    spec = place.spec("sh", "-c", script)
    executor.submit(spec)
    until(lambda: float(place.pairs(spec, "heartbeat")["cpu_sec"]) >= 1.0, "the CPU time of both")
    agent = int(place.pairs(spec, "heartbeat")["agent_pid"])
    own = Path(f"/proc/{agent}/stat").read_text().rpartition(")")[2].split()
    assert (int(own[11]) + int(own[12])) / os.sysconf("SC_CLK_TCK") < 0.5, "the shell itself did nothing"


@pytest.mark.req("P29", "P32")
def test_a_worker_holds_nothing_of_its_starter_and_outlives_signals_to_its_group(place: Bench) -> None:
    folder = place.jobs / "claude"
    token = place.spec("true").handle.token   # registered here, so that whatever is left of it is ended
    script = f"while [ ! -e {place.root}/go ]; do sleep 0.05; done; exit 3"
    code = (
        "import time\nfrom pathlib import Path\nfrom tests.support.workers import Bench\n"
        f"place = Bench(Path({str(place.root)!r}))\n"
        f"place.executor().submit(place.spec('sh', '-c', {script!r}, token={token!r}))\n"
        "print('started', flush=True); time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"
    os.killpg(starter.pid, signal.SIGINT)
    os.killpg(starter.pid, signal.SIGTERM)
    starter.wait()
    assert select.select([starter.stdout], [], [], 5)[0], "$(...) around the start would wait for the worker"
    assert starter.stdout.read() == b""
    assert not (folder / "gh-450.outcome").exists()
    (place.root / "go").touch()
    until((folder / "gh-450.outcome").exists, "the outcome")
    pairs = atomic.read_pairs(str(folder / "gh-450.outcome")) or {}
    assert (pairs["exit_code"], pairs["state"], pairs["reason_code"]) == ("3", "failed", "process_exit")


@pytest.mark.req("P44")
def test_an_outcome_is_read_whole_or_not_at_all(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("true")
    target = place.file(spec, "outcome")
    executor.submit(spec)
    seen: set[frozenset[str]] = set()
    end = time.monotonic() + 5
    while len(seen) < 1 and time.monotonic() < end:
        if target.exists():
            seen.add(frozenset(codec.decode(target.read_bytes())))
    assert [keys >= {"exit_code", "state", "token", "completed_at"} for keys in seen] == [True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tiny disk")
def test_a_full_disk_is_said_and_taken_for_the_cause_of_a_failure(place: Bench) -> None:
    place.jobs.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m none {place.jobs}") != 0:
        pytest.skip("no right to mount here")
    try:
        executor = place.executor()
        spec = place.spec("sh", "-c", "head -c 1000000 /dev/zero || exit 1", speaks="text")
        executor.submit(spec)
        ended(executor, spec)
        outcome = place.pairs(spec, "outcome")
        assert (outcome["state"], outcome["reason_code"], outcome["exit_code"]) == ("failed", "disk_full", "1")
        assert str(place.jobs) in outcome["words"]
    finally:
        os.system(f"umount -l {place.jobs}")


def test_an_outcome_for_which_there_is_little_room_is_kept_in_short(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", f"while [ ! -e {place.root}/go ]; do sleep 0.05; done; exit 3")
    wrapper = executor.submit(spec)
    resource.prlimit(wrapper, resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
    (place.root / "go").touch()
    end = ended(executor, spec, 5)
    outcome = place.pairs(spec, "outcome")
    assert (end.code, outcome["state"], outcome["reason_code"]) == (3, "failed", "process_exit")
    assert "kept in short" in outcome["words"]
    assert place.file(spec, "outcome").stat().st_size <= 512


def test_a_kill_for_want_of_memory_is_told_from_one_by_hand(tmp_path: Path) -> None:
    group = cgroup.Group(str(tmp_path))
    events = tmp_path / "memory.events"
    events.write_text("low 0\nhigh 3\noom 1\noom_kill 2\noom_group_kill 0\n")
    memory = cgroup.Memory()
    memory.look(group)
    assert not memory.ran_out()
    events.write_text("low 0\nhigh 3\noom 2\noom_kill 3\noom_group_kill 0\n")
    assert memory.ran_out()
    agent = Agent()
    agent.pid, agent.status = 1, int(signal.SIGKILL)
    assert ending.reason_of(agent, None, starved=True)[0] == "oom_killed"
    assert ending.reason_of(agent, None, starved=False)[0] == "killed"
    agent.status = 1 << 8
    assert ending.reason_of(agent, None, starved=True)[0] == "process_exit", "it lived on and failed by itself"


def _limited_group() -> Path | None:
    for controller, limit in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        group = Path(cgroup.own_folder(controller) or "/nowhere") / f"coordinator-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(150 << 20))
        except OSError:
            group.rmdir()
            continue
        return group
    return None


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A cgroup of 150 MB, in whichever tree limits memory here."""
    group = _limited_group()
    if group is None:
        pytest.skip("no right to limit memory here")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "an empty group")
    group.rmdir()


def test_an_agent_that_the_kernel_kills_for_want_of_memory_is_said_to_be_so(place: Bench, small_memory: Path) -> None:
    token = place.spec("true").handle.token   # registered here, so that whatever is left of it is ended
    code = (
        "import os\nfrom pathlib import Path\nfrom tests.support.workers import Bench\n"
        f"open({str(small_memory / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        f"place = Bench(Path({str(place.root)!r}))\n"
        f"place.executor(beat=30).submit(place.python('x = bytearray(400 << 20)', token={token!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
    outcome = place.jobs / "claude" / "gh-450.outcome"
    until(outcome.exists, "the outcome")
    pairs = atomic.read_pairs(str(outcome)) or {}
    assert (pairs["reason_code"], pairs["state"], pairs["signal"]) == ("oom_killed", "failed", "9")


def test_a_wrapper_that_was_started_deaf_to_its_children_s_end_learns_of_it(place: Bench) -> None:
    folder = place.jobs / "claude"
    folder.mkdir(parents=True)
    token = f"deaf-{place.mark}"
    pairs = {"token": token, "fence": "1", "run_id": "1", "cwd": str(place.root), "argv.0": "sh", "argv.1": "-c",
             "argv.2": "exit 4", "cgroup": "0"}
    atomic.write(str(folder / "gh-1.spec"), codec.encode(pairs))
    code = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    argv = [sys.executable, "-c", code, sys.executable, "-I", "-S", str(bundle.place(place.jobs)), "claude", "gh-1",
            "--dir", str(folder), "--token", token]
    assert subprocess.run(argv, env={"PATH": os.environ["PATH"]}, timeout=20, check=False).returncode == 0
    assert (atomic.read_pairs(str(folder / "gh-1.outcome")) or {})["exit_code"] == "4"


@pytest.mark.alone
def test_the_outcome_of_a_run_comes_at_once_after_its_end(place: Bench) -> None:
    executor = place.executor(beat=30)
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    agent = int(place.pairs(spec, "heartbeat")["agent_pid"])
    began = time.monotonic()
    os.kill(agent, signal.SIGKILL)
    until(place.file(spec, "outcome").exists, "the outcome")
    assert time.monotonic() - began < 1.0, "0.1 s is the aim (bench); far from the next look of a polling runner"


@pytest.mark.alone
def test_a_stop_file_is_noticed_long_before_the_next_heartbeat(place: Bench) -> None:
    executor = place.executor(beat=30, soft=0)
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    began = time.monotonic()
    (spec.cwd / "STOP").touch()
    assert ended(executor, spec).reason == "manual_stop"
    assert time.monotonic() - began < 2.0


@pytest.mark.alone
def test_a_stop_file_is_noticed_though_the_agent_makes_files_all_the_time(place: Bench) -> None:
    executor = place.executor(beat=30, soft=0)
    spec = place.spec("sh", "-c", "i=0; while :; do i=$((i+1)); : > f$((i % 50)); rm -f f$(((i + 25) % 50)); done")
    wrapper = executor.submit(spec)
    until((spec.cwd / "f7").exists, "its work")
    before = _wakes(wrapper)
    time.sleep(1.0)
    assert _wakes(wrapper) - before <= 20, "it is not woken for each of them"
    began = time.monotonic()
    (spec.cwd / "STOP").touch()
    assert ended(executor, spec).reason == "manual_stop"
    assert time.monotonic() - began < 2.0


def test_an_outcome_of_an_older_hand_is_read_by_its_reason_code() -> None:
    assert exited_of({"exit_code": "0", "reason_code": "manual_stop", "duration_sec": "180"}) == Exited(
        0, None, "manual_stop", duration_sec=180.0)


def test_a_heartbeat_that_a_power_cut_emptied_is_that_of_a_run_which_was_started(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", f"echo started >> {place.root}/count")
    executor.submit(spec)
    ended(executor, spec)
    place.file(spec, "outcome").unlink()
    place.file(spec, "heartbeat").write_bytes(b"")
    again = place.executor()
    assert view(again, spec) == Missing(started=True)
    again.submit(spec)
    assert (place.root / "count").read_text() == "started\n"


@pytest.mark.req("P45")
def test_a_wrapper_beside_an_idle_agent_sleeps_and_starts_nothing(place: Bench) -> None:
    executor = place.executor(beat=30)
    spec = place.spec("sleep", "60")
    wrapper = executor.submit(spec)
    agent = int(place.pairs(spec, "heartbeat")["agent_pid"])
    time.sleep(0.5)   # the start settles
    before = _wakes(wrapper)
    time.sleep(2.5)   # a runner that polls every second or oftener shows
    assert _wakes(wrapper) - before <= 1
    assert identity.children(wrapper) == [agent]
