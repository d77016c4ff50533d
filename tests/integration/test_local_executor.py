"""The local executor with real wrappers and real agents: started once, found again, told apart, never guessed."""

from __future__ import annotations

import hashlib
import io
import marshal
import os
import py_compile
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from coordinator.adapters.executors import bundle
from coordinator.adapters.executors.views import view_of
from coordinator.adapters.system import seam
from coordinator.adapters.system.processes import Children
from coordinator.domain.worker import Exited, Missing, Running, Unknown, WorkerView
from coordinator.ports import LaunchFailed, StopOrder
from coordinator.runfiles import atomic, codec, identity, names, orders
from tests.support.workers import Bench, alive, bench, ended, pids_in, until, view


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_a_worker_that_ends_leaves_its_exit_code_output_and_figures(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "echo out; echo bad >&2; exit 7")
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.signal, end.reason, end.survivors) == (7, None, "process_exit", ())
    assert place.file(spec, "log").read_bytes() == b"out\n"
    assert place.file(spec, "err").read_bytes() == b"bad\n"
    assert executor.log_tail(spec.handle) == b"out\nbad\n"
    outcome = place.pairs(spec, "outcome")
    assert (outcome["state"], outcome["exit_code"], outcome["beads"]) == ("failed", "7", "gh-450")
    until(lambda: not place.file(spec, "pid").exists(), "the wrapper's last step")
    for kind in ("log", "err", "outcome", "heartbeat", "prompt", "spec", "meta", "lock"):
        assert place.file(spec, kind).stat().st_mode & 0o777 == 0o600, kind


@pytest.mark.req("P55")
def test_the_prompt_s_content_reaches_the_agent_whole_and_no_log_is_ever_truncated(place: Bench) -> None:
    executor = place.executor()
    prompt = ("tree 🌳 \0 \r\n é" * 90_000)[:1_000_000]
    code = "import sys, hashlib; b = sys.stdin.buffer.read(); print(len(b), hashlib.sha256(b).hexdigest())"
    first = place.python(code, prompt=prompt, stdin="prompt")
    executor.submit(first)
    assert ended(executor, first).code == 0

    raw = prompt.encode()
    assert place.out(first).split() == [str(len(raw)), hashlib.sha256(raw).hexdigest()]
    said = place.out(first)
    for number in (2, 3):
        spec = place.spec("sh", "-c", f"echo run {number}; echo err {number} >&2")
        executor.submit(spec)
        ended(executor, spec)
    assert place.file(first, "log.1").read_text() == said
    assert place.file(first, "log.2").read_text() == "run 2\n"
    assert place.file(first, "err.2").read_text() == "err 2\n"
    assert place.file(first, "log").read_text() == "run 3\n"
    assert place.pairs(first, "outcome.1")["token"] == first.handle.token
    assert ended(executor, first).code == 0, "its outcome is found after it stepped aside"


def test_a_run_that_is_submitted_twice_starts_once(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", f"echo started >> {place.root}/count; sleep 30")
    pid = executor.submit(spec)
    assert executor.submit(spec) == pid
    assert place.executor().submit(spec) == pid
    until((place.root / "count").exists, "the start")
    assert (place.root / "count").read_text() == "started\n"
    executor.stop(spec.handle, StopOrder("shutdown", "", hard=True))
    ended(executor, spec)
    assert executor.submit(spec) == pid, "not after its end either"
    assert (place.root / "count").read_text() == "started\n"


@pytest.mark.req("E10", "E16", "E27")
def test_ps_shows_the_provider_s_name_before_the_task_and_its_pid_is_the_wrapper_s(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "30", job="gh-471")
    pid = executor.submit(spec)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    assert words.index("claude") < words.index("gh-471")
    assert re.search("claude.*gh-471", " ".join(words)), "pkill -f finds it as the guide says"
    assert int(place.file(spec, "pid").read_text()) == pid
    os.kill(pid, 0)
    seen = view(executor, spec)
    assert isinstance(seen, Running)
    assert seen.pid == pid
    assert abs(seen.started_at - time.time()) < 30


@pytest.mark.req("E16", "P63")
def test_stopping_gh_450_leaves_gh_4501_and_a_shell_that_names_it_alone(place: Bench) -> None:
    executor = place.executor()
    mine, other = place.spec("sleep", "60", job="gh-450"), place.spec("sleep", "60", job="gh-4501")
    executor.submit(mine)
    executor.submit(other)
    shell = os.posix_spawnp("python3", ["python3", "-c", "import time; time.sleep(60)", "claude", "gh-450"],
                            dict(os.environ))
    try:
        executor.stop(mine.handle, StopOrder("label_removed", "the label was removed"))
        assert ended(executor, mine).reason == "label_removed"
        assert isinstance(view(executor, other), Running)
        assert alive(shell)
    finally:
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)


def test_a_stop_order_gives_its_reason_and_repeating_it_does_no_harm(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done")
    executor.submit(spec)
    for _ in range(3):
        executor.stop(spec.handle, StopOrder("paused", "by = a person\nwho\\said"))
    end = ended(executor, spec)
    assert (end.reason, end.words) == ("paused", "by = a person\nwho\\said")
    assert place.out(spec) == "bye\n"
    executor.stop(spec.handle, StopOrder("paused", "again"))
    assert view(executor, spec) == end


def test_a_hard_stop_does_not_wait_for_politeness(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "trap '' TERM INT; while :; do sleep 0.05; done", grace=timedelta(seconds=30))
    executor.submit(spec)
    executor.stop(spec.handle, StopOrder("stalled", "no sign of life", hard=True))
    end = ended(executor, spec, seconds=5)
    assert (end.reason, end.signal) == ("stalled", signal.SIGKILL)


@pytest.mark.req("N3", "W1")
def test_a_dead_wrapper_is_missing_and_a_sweep_ends_the_agent_it_left(place: Bench) -> None:
    executor = place.executor()
    spec = place.python("import os, subprocess, time\n"
                        "p = subprocess.Popen(['setsid', 'sleep', '60'])\n"
                        "print(os.getpid(), p.pid, flush=True); time.sleep(60)")
    wrapper = executor.submit(spec)
    pids = until(lambda: pids_in(place.out(spec)), "the agent's pids")
    os.kill(wrapper, signal.SIGKILL)
    until(executor.reap, "the wrapper's end")
    assert view(executor, spec) == Missing(started=True)
    assert executor.live() == (spec.handle,), "what it left is named"
    assert executor.sweep(spec.handle) == ()
    assert not [pid for pid in pids if alive(pid)]
    assert executor.live() == ()
    assert view(executor, spec) == Missing(started=True)


@pytest.mark.req("N3")
def test_one_that_becomes_another_program_all_the_time_is_found_at_every_look(place: Bench) -> None:
    """Between two programs a process shows no environment: a look just then must not take it for a stranger."""
    again = place.root / "again"
    again.write_text('#!/bin/sh\nexec "$0"\n', "utf-8")
    again.chmod(0o755)
    token = f"again-{place.mark}"
    child = subprocess.Popen([again], env={**os.environ, names.TOKEN_VARIABLE: token})
    try:
        found = [[one.pid for one in identity.with_token(token)] for _ in range(200)]
    finally:
        child.kill()
        child.wait()
    assert found == [[child.pid]] * 200


def test_a_cgroup_lets_a_sweep_find_even_an_orphan_that_shed_its_token(place: Bench) -> None:
    executor = place.executor(cgroup=True)
    spec = place.python("import subprocess, time\n"
                        "p = subprocess.Popen(['sleep', '60'], env={}, start_new_session=True)\n"
                        "print(p.pid, flush=True); time.sleep(60)")
    wrapper = executor.submit(spec)
    group = place.pairs(spec, "heartbeat")["cgroup"]
    if not group:
        executor.stop(spec.handle, StopOrder("shutdown", "", hard=True))
        ended(executor, spec)
        pytest.skip("no writable cgroup v2 here: the walk over the tree is what there is")
    pids = until(lambda: pids_in(place.out(spec)), "the orphan's pid")
    for pid in (wrapper, int(place.pairs(spec, "heartbeat")["agent_pid"])):
        os.kill(pid, signal.SIGKILL)
    until(executor.reap, "the wrapper's end")
    assert executor.sweep(spec.handle) == ()
    until(lambda: not alive(pids[0]), "the orphan's end")
    assert not Path(group).exists()


def test_a_wrapper_that_hears_no_order_is_overruled_and_a_sweep_ends_its_agent(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "sleep 300")
    wrapper = executor.submit(spec)
    agent = int(place.pairs(spec, "heartbeat")["agent_pid"])
    real = identity.send

    def deaf(pid: int, start: int, number: int) -> object:
        return None if number == signal.SIGCONT else real(pid, start, number)

    monkeypatch.setattr(identity, "send", deaf)
    monkeypatch.setattr(orders, "UNHEARD", 0.5)
    os.kill(wrapper, signal.SIGSTOP)
    order = StopOrder("stalled", "no sign of life")
    executor.stop(spec.handle, order)
    assert isinstance(view(executor, spec), Running)

    def gone() -> bool:
        executor.stop(spec.handle, order)
        return view(executor, spec) == Missing(started=True)

    until(gone, "its end")
    assert executor.sweep(spec.handle) == ()
    assert not alive(agent)


def test_a_sweep_does_nothing_while_the_wrapper_lives(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "30")
    executor.submit(spec)
    assert executor.sweep(spec.handle) == ()
    assert isinstance(view(executor, spec), Running)


@pytest.mark.req("N3")
def test_a_recycled_pid_in_the_run_files_is_never_signalled(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("true")
    executor.submit(spec)
    ended(executor, spec)
    bystander = os.posix_spawnp("sleep", ["sleep", "60"], dict(os.environ))
    try:
        proc = identity.look(bystander)
        assert proc is not None
        beat = dict(place.pairs(spec, "heartbeat"))
        beat.update(wrapper_pid=str(bystander), agent_pid=str(bystander),
                    wrapper_start=str(proc.start - 1), agent_start=str(proc.start - 1))
        atomic.write(str(place.file(spec, "heartbeat")), codec.encode(beat))
        place.file(spec, "outcome").unlink()
        assert view(executor, spec) == Missing(started=True)
        executor.stop(spec.handle, StopOrder("paused", "", hard=True))
        assert executor.sweep(spec.handle) == ()
        assert not identity.send(bystander, proc.start - 1, signal.SIGKILL)
        assert alive(bystander)
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)


def test_a_run_of_an_earlier_boot_ended_with_the_host(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    beat = {**place.pairs(spec, "heartbeat"), "boot_id": "another"}
    executor.stop(spec.handle, StopOrder("shutdown", "", hard=True))
    ended(executor, spec)
    atomic.write(str(place.file(spec, "heartbeat")), codec.encode(beat))
    place.file(spec, "outcome").unlink()
    seen = view(executor, spec)
    assert isinstance(seen, Exited)
    assert (seen.code, seen.signal, seen.reason) == (None, None, "host_reboot")


def test_what_cannot_be_read_is_unknown_and_what_never_was_is_missing(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("true")
    assert view(executor, spec) == Missing(started=False)
    executor.submit(spec)
    ended(executor, spec)
    place.file(spec, "heartbeat").unlink()
    place.file(spec, "heartbeat").symlink_to("/etc/hostname")
    first = view(executor, spec)
    assert isinstance(first, Unknown)
    assert view(executor, spec) == first, "the first moment it could not be asked stays"


@pytest.mark.req("X5")
def test_a_run_that_begins_and_ends_while_it_is_looked_at_was_not_missing(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, other = place.executor(), place.executor()
    spec = place.spec("sh", "-c", "exit 7")
    begun: list[int] = []

    def meanwhile(beat: Mapping[str, str], outcome: Callable[[], Mapping[str, str]]) -> WorkerView:
        found = view_of(beat, outcome)
        if not begun:
            begun.append(other.submit(spec))
            until(lambda: place.pairs(spec, "outcome"), "its end")
        return found

    monkeypatch.setattr("coordinator.adapters.executors.local.view_of", meanwhile)
    found = view(executor, spec)
    assert isinstance(found, Exited)
    assert found.code == 7


def test_workers_go_on_through_an_upgrade_and_are_found_again_with_their_outcome(place: Bench) -> None:
    old = place.executor()
    spec = place.spec("sh", "-c", f"while [ ! -e {place.root}/go ]; do sleep 0.05; done; exit 5")
    pid = old.submit(spec)
    bundles = list(place.jobs.glob("wrapper-*.pyz"))
    assert len(bundles) == 1
    bundles[0].write_bytes(b"not a zip any more")
    old.close()
    new = place.executor()
    seen = view(new, spec)
    assert isinstance(seen, Running)
    assert seen.pid == pid
    woken = len(place.woken)
    (place.root / "go").touch()
    assert ended(new, spec).code == 5
    until(lambda: len(place.woken) > woken, "the wake for a worker that is not our child")
    fresh = place.spec("true", job="gh-7")
    new.submit(fresh)
    assert ended(new, fresh).code == 0, "the broken bundle is put right before the next start"


def test_a_wrapper_travels_with_the_compiled_form_of_its_own_sources_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.build())) as archive:
        held = set(archive.namelist())
        compiled = [name for name in held if name.endswith(".pyc")]
        for name in compiled:
            code = marshal.loads(archive.read(name)[16:])
            assert code == compile(archive.read(name[:-1]), code.co_filename, "exec", dont_inherit=True), name
    assert {f"coordinator/{name}.py" for name in ("worker/main", "runfiles/atomic", "runfiles/verdict/rules")} <= held
    source = tmp_path / "changing.py"
    source.write_text("value = 1\n")
    py_compile.compile(str(source))
    assert marshal.loads(bundle._compiled(source)[16:]).co_consts[0] == 1
    source.write_text("value = 2  # where Python may not write, its old work stays\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert bundle._compiled(source) == b""


@pytest.mark.alone
def test_the_end_of_a_worker_wakes_at_once(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", f"while [ ! -e {place.root}/go ]; do sleep 0.01; done")
    executor.submit(spec)
    assert place.woken == []
    began = time.monotonic()
    (place.root / "go").touch()
    until(lambda: place.woken == ["exit"], "the wake")
    assert time.monotonic() - began < 1.0, "exit to wake takes less than a second"
    assert isinstance(view(executor, spec), Exited)


@pytest.mark.req("E35", "P51")
def test_reaping_collects_known_children_only_and_survives_a_stolen_one(place: Bench) -> None:
    executor = place.executor()
    stranger = os.posix_spawnp("sh", ["sh", "-c", "exit 9"], dict(os.environ))
    spec, stolen = place.spec("true"), place.spec("true", job="gh-8")
    pid, lost = executor.submit(spec), executor.submit(stolen)
    os.waitpid(lost, 0)
    reaped: dict[int, int] = {}
    until(lambda: reaped.update(executor.reap()) or pid in reaped, "the wrapper's exit code")
    assert reaped[pid] == 0
    assert executor.reap() == ()
    assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == 9, "another's exit code was left to it"


def test_a_worker_started_while_others_are_reaped_is_not_lost_and_breaks_nothing() -> None:
    children = Children()

    class Starting:
        """Asks for its end as a Popen does; meanwhile another thread has started one more."""

        pid, returncode = 7, 0

        def poll(self) -> int:
            children.add(f"another-{self.pid}", cast("subprocess.Popen[bytes]", Late()))
            return 0

    class Late:
        pid = 8

        def poll(self) -> None:
            return None

    children.add("first", cast("subprocess.Popen[bytes]", Starting()))
    assert children.reap() == ((7, 0),)
    assert children.living("another-7") == 8


def test_a_process_that_cannot_be_looked_at_is_unknown_and_no_dead_one(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "30")
    pid = executor.submit(spec)
    honest = os.open

    def full(name: str, *how: int) -> int:
        if name == f"/proc/{pid}/stat":
            raise OSError(24, "Too many open files", name)
        return honest(name, *how)

    monkeypatch.setattr(os, "open", full)
    assert isinstance(view(executor, spec), Unknown)
    monkeypatch.undo()
    assert isinstance(view(executor, spec), Running)


def test_meta_keeps_what_people_wrote_and_tells_who_runs(place: Bench) -> None:
    executor = place.executor()
    first = place.spec("true", meta={"model": "m-1"}, contract={"model": "m-1", "provider": "claude"})
    executor.submit(first)
    ended(executor, first)
    with place.file(first, "meta").open("a") as stream:
        stream.write("# by hand\nmine=a note\n")
    second = place.spec("true", meta={"model": "m-2", "retries": "0"})
    pid = executor.submit(second)
    meta = place.pairs(first, "meta")
    assert (meta["mine"], meta["model"], meta["retries"], meta["pid"]) == ("a note", "m-2", "0", str(pid))
    assert "# by hand" in place.file(first, "meta").read_text()
    assert meta["run_instance"] == f"20260102030405-claude-{pid}"
    assert place.pairs(first, "contract") == {"model": "m-1", "provider": "claude"}


def test_a_start_that_cannot_be_says_why_and_starts_nothing(place: Bench) -> None:
    executor = place.executor()
    running = place.spec("sleep", "30")
    executor.submit(running)
    with pytest.raises(LaunchFailed, match="earlier worker"):
        executor.submit(place.spec("true"))
    with pytest.raises(LaunchFailed, match=r"job id '\.\./up'"):
        executor.submit(replace(running, handle=replace(running.handle, job="../up")))
    broken = place.executor(python="/no/such/python")
    with pytest.raises(LaunchFailed, match=r"/no/such/python"):
        broken.submit(place.spec("true", job="gh-9"))


def test_an_older_fence_is_refused(place: Bench) -> None:
    executor = place.executor()
    newer = place.spec("true", fence=9)
    executor.submit(newer)
    ended(executor, newer)
    with pytest.raises(LaunchFailed, match="fence 9 came"):
        executor.submit(place.spec("true", fence=8))


def test_a_worker_stops_by_itself_when_a_higher_fence_stands(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60")
    wrapper = executor.submit(spec)
    atomic.write(str(place.file(spec, "fence")), b"99\n")
    until(lambda: not alive(wrapper), "the wrapper's end")
    assert not place.file(spec, "outcome").exists(), "it no longer speaks for the job"
    assert executor.live() == ()


def test_every_write_of_the_executor_is_a_crossing(place: Bench) -> None:
    executor = place.executor()
    seen: list[str] = []
    undo = seam.watch(lambda when, kind, what: seen.append(f"{kind} {what}") if when == "before" else None)
    try:
        spec = place.spec("sleep", "30")
        executor.submit(spec)
        executor.stop(spec.handle, StopOrder("paused", "", hard=True))
        ended(executor, spec)
    finally:
        undo()
    written = {line.rpartition(".")[2] for line in seen if line.startswith("file") and "gh-450." in line}
    assert written == {"prompt", "fence", "meta", "spec", "stop"}
    assert [line for line in seen if line.startswith("process")] == ["process start claude gh-450",
                                                                     "process stop claude gh-450"]


def test_the_agent_s_environment_is_what_was_given_and_the_run_s_marks(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("env", env={"PATH": os.environ["PATH"], "KEY": "a secret"})
    executor.submit(spec)
    ended(executor, spec)
    names = {line.partition("=")[0] for line in place.out(spec).splitlines()}
    assert names == {"PATH", "KEY", "COORDINATOR_TOKEN", "COORDINATOR_RUN"}
    for kind in ("spec", "meta", "heartbeat", "outcome"):
        assert "a secret" not in place.file(spec, kind).read_text()
