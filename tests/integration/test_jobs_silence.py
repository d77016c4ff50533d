"""Silence and its causes, with real processes and a real watchdog beside them: no healthy job is touched, each dead one
is found in time.

All stand in one field together and are looked at when the watchdog has had time enough for several stalls.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coordinator.adapters.system.processes import carriers
from coordinator.app import jobs as builders
from coordinator.app import verbs
from coordinator.app.faces import COORDINATOR
from coordinator.domain.job import Job, latest
from coordinator.domain.worker import Running
from coordinator.runfiles import atomic, codec, identity, names
from tests.support.program import CHECKOUT, environ
from tests.support.workers import until

STALL = 4.0
INTERVAL = 0.5
BOUND = STALL + 12.0
"""Seconds within which a stall is met: the limit, a heartbeat, an interval, and the ends of those before it in line."""
TIMES = {"COORDINATOR_WORKERS_STALL": f"{STALL:g}s", "COORDINATOR_WORKERS_GRACE": "1s",
         "COORDINATOR_WORKERS_STOP_GRACE": "500ms"}  # fmt: skip
WATCHED = 4 * STALL
PAUSE = 0.1

WAITS = "exec 9<>fifo; read -r -u 9"
WORKS = "while :; do for i in {1..40000}; do :; done; read -r -t 0.3 -u 9; done"
TALKS = "while :; do echo talking; read -r -t 0.5 -u 9; done"
HEALTHY = {
    "busy loop without output": "while :; do :; done",
    "silent test run of a child": "(while :; do :; done) & wait",
    "silent bursts of work": f"exec 9<>fifo; {WORKS}",
    "chatty and idle": f"exec 9<>fifo; {TALKS}",
    "writes files and says nothing": "exec 9<>fifo; n=0; while :; do n=$((n+1)); > note$n; read -r -t 0.7 -u 9; done",
    "its log is deleted under it": f"exec 9<>fifo; echo hello; {WORKS}",
    "short waits, then a word": "exec 9<>fifo; while :; do read -r -t 1.5 -u 9; echo answer; done",
}
DEAD = {
    "blocked on stdin": WAITS,
    "waits for a network that is dead": f"exec 8<>/dev/tcp/127.0.0.1/PORT; read -r -u 8; {WAITS}",
    "its child is a zombie": f"exec 9<>fifo; {shlex.quote(sys.executable)} -c 'import subprocess, sys, time; "
                             "subprocess.Popen([\"true\"]); time.sleep(900)'",
    "said something, then nothing": f"echo hello; {WAITS}",
}
ENDED = {
    "a success without a word": ("exit 0", "success"),
    "ended, and a pipe is open": ("sleep 600 & disown; exit 0", "success"),
    "a failure without a word": ("exit 3", "failed"),
}
ONCE = dict.fromkeys(("stopped by SIGSTOP", "stopped with its wrapper"), f"exec 9<>fifo; {TALKS}")
LOST = {"orphan of a dead wrapper": "lost", "the host was restarted": "host_reboot"}


@dataclass
class Field:
    """`began` is when a job's last sign of life may have been, by the monotonic clock; `met` when it was restarted.
    `late` is what looking at them took beside its pauses: next to nothing, unless the machine has too much to do."""

    root: Path
    desk: verbs.Desk
    names: dict[str, str]
    began: dict[str, float] = field(default_factory=dict)
    met: dict[str, float] = field(default_factory=dict)
    orphans: list[int] = field(default_factory=list)
    said: str = ""
    late: float = 0.0

    def job(self, what: str) -> Job:
        found = latest(self.desk.jobs.of(self.names[what]))
        assert found is not None
        return found

    def pairs(self, what: str, kind: str) -> dict[str, str]:
        return atomic.read_pairs(names.path(str(self.root / "jobs"), self.names[what], kind)) or {}

    def outcomes(self, what: str) -> list[str]:
        found = sorted((self.root / "jobs").glob(f"{self.names[what]}.outcome*"))
        return [(atomic.read_pairs(str(path)) or {}).get("reason_code", "") for path in found]

    def lines(self, what: str) -> list[str]:
        """What the watchdog said of it, without the time."""
        return [line.partition(" ")[2] for line in self.said.splitlines() if f"{self.names[what]} " in line
                or f"{self.names[what]}:" in line]  # fmt: skip

    def start(self, what: str, code: str) -> None:
        place = self.root / "trees" / self.names[what]
        place.mkdir(parents=True)
        os.mkfifo(place / "fifo")
        prompt = self.root / "prompt"
        prompt.write_text("do it", "utf-8")
        verbs.start(self.desk, verbs.Order(self.names[what], "command", "do it", str(prompt), cwd=self.root,
                                           worktree=place, argv=("bash", "-c", code)))  # fmt: skip
        self.began[what] = time.monotonic()

    def token(self, what: str) -> str:
        return self.job(what).token


def befall(field: Field) -> None:
    """What is done to those that do not come to it by themselves."""
    (field.root / "jobs" / f"{field.names['its log is deleted under it']}.log").unlink()
    for what in LOST:
        beat = field.pairs(what, "heartbeat")
        wrapper = int(beat["wrapper_pid"])
        os.kill(wrapper, signal.SIGKILL)
        until(lambda pid=wrapper: (proc := identity.look(pid)) is not None and proc.state == "Z",
              "the wrapper's end: a zombie, as its parent does not reap")
    field.orphans.append(int(field.pairs("orphan of a dead wrapper", "heartbeat")["agent_pid"]))
    beat = field.pairs("the host was restarted", "heartbeat")
    os.kill(int(beat["agent_pid"]), signal.SIGKILL)
    atomic.write(names.path(str(field.root / "jobs"), field.names["the host was restarted"], "heartbeat"),
                 codec.encode({**beat, "boot_id": "00000000-0000-0000-0000-000000000000"}))
    for what in ONCE:
        for proc in identity.with_token(field.token(what)):
            if proc.pid != field.job(what).pid or "wrapper" in what:
                identity.send(proc.pid, proc.start, signal.SIGSTOP)
        field.began[what] = time.monotonic()


def watch(field: Field, watchdog: subprocess.Popen[bytes]) -> None:
    """Until each dead one was met and the healthy ones have been silent for several limits."""
    end = time.monotonic() + WATCHED
    waiting, looked = [*DEAD, *ONCE], time.monotonic()
    while waiting or time.monotonic() < end:
        assert watchdog.poll() is None
        for what in list(waiting):
            if field.job(what).retries:
                field.met[what] = time.monotonic()
                waiting.remove(what)
        if time.monotonic() > end + 60:
            break
        time.sleep(PAUSE)
        now = time.monotonic()
        field.late, looked = field.late + now - looked - PAUSE, now
    until(lambda: all(field.job(what).blocked for what in DEAD), "the second stalls", 60)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    root = tmp_path_factory.mktemp("silence")
    env = environ(root, **TIMES)
    known = [*HEALTHY, *DEAD, *ENDED, *ONCE, *LOST]
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        desk = builders.desk(COORDINATOR, str(root / "jobs"), env, lambda _: None)
        made = Field(root, desk, {what: f"job-{number}" for number, what in enumerate(known)})
        port = str(server.getsockname()[1])
        said = root / "said"
        codes = {**HEALTHY, **DEAD, **{what: code for what, (code, _) in ENDED.items()}, **ONCE,
                 **dict.fromkeys(LOST, f"exec 9<>fifo; {TALKS}")}  # fmt: skip
        watchdog = None
        try:
            for what, code in codes.items():
                made.start(what, code.replace("PORT", port))
            watchdog = subprocess.Popen(
                [sys.executable, "-m", "coordinator", "job", "watchdog", "--interval", str(INTERVAL), "--log-dir",
                 str(root / "jobs")], cwd=root, env={**env, "PYTHONPATH": str(CHECKOUT)}, stdout=said.open("wb"),
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            befall(made)
            watch(made, watchdog)
            watchdog.terminate()
            watchdog.wait(30)
            made.said = said.read_text("utf-8")
            yield made
        finally:
            if watchdog is not None:
                watchdog.kill()
                watchdog.wait()
            for what in made.began:
                for proc in identity.with_token(made.token(what)):
                    identity.send(proc.pid, proc.start, signal.SIGKILL)
            builders.close(desk)


@pytest.mark.timeout(180)
@pytest.mark.req("N14", "W7", "P8")
@pytest.mark.parametrize("what", HEALTHY)
def test_no_healthy_job_is_touched(seen: Field, what: str) -> None:
    job = seen.job(what)
    assert isinstance(job.view, Running)
    assert (job.retries, job.blocked, seen.outcomes(what)) == (0, False, [])
    assert seen.lines(what) == []


@pytest.mark.timeout(180)
@pytest.mark.req("N14", "A37", "A44", "A49", "A92")
@pytest.mark.parametrize("what", DEAD)
def test_each_stall_is_met_in_time_by_one_restart_and_then_by_a_block(seen: Field, what: str) -> None:
    assert seen.met[what] - seen.began[what] < BOUND + 3 * seen.late
    job = seen.job(what)
    assert (job.retries, job.blocked_reason, seen.outcomes(what)) == (1, "max_retries", ["stalled"])
    assert isinstance(job.view, Running), "a block ends nothing"
    restarted, blocked = seen.lines(what)
    assert restarted.startswith(f"{job.id} (command): restarted (restart 1 of 1): no sign of progress")
    assert blocked.startswith(f"ESCALATE {job.id}: blocked (max_retries) after 1 restart: no sign of progress")
    assert blocked.endswith(f"→ coordinator job diagnose --beads {job.id} --log-dir {seen.root / 'jobs'}")


@pytest.mark.timeout(180)
@pytest.mark.req("N14", "W7", "P5")
@pytest.mark.parametrize("what", ONCE)
def test_a_tree_that_was_stopped_is_found_ended_whole_and_works_again(seen: Field, what: str) -> None:
    assert seen.met[what] - seen.began[what] < BOUND + 3 * seen.late
    job = seen.job(what)
    assert (job.retries, job.blocked, seen.outcomes(what)) == (1, False, ["stalled"])
    tokens = {env["COORDINATOR_TOKEN"] for _, env in carriers("COORDINATOR_RUN")
              if env["COORDINATOR_RUN"] == f"command/{job.id}@{seen.root / 'jobs'}"}  # fmt: skip
    assert tokens == {job.token}, "nothing of the first run lives beside the second"


@pytest.mark.timeout(180)
@pytest.mark.req("P3", "P1", "N14")
@pytest.mark.parametrize("what", ENDED)
def test_what_ended_is_not_begun_again_however_silent_it_was(seen: Field, what: str) -> None:
    job = seen.job(what)
    assert (job.retries, job.blocked, job.outcome["state"]) == (0, False, ENDED[what][1])
    assert len(seen.outcomes(what)) == 1
    assert seen.lines(what) == []


@pytest.mark.timeout(180)
@pytest.mark.req("N14", "P7")
@pytest.mark.parametrize("what", LOST)
def test_a_run_that_lost_its_wrapper_is_recorded_and_nothing_of_it_lives(seen: Field, what: str) -> None:
    job = seen.job(what)
    assert (job.outcome["state"], job.outcome["reason_code"], job.outcome["exit_code"]) == ("failed", LOST[what], "-")
    assert (job.retries, job.blocked, len(seen.outcomes(what))) == (0, False, 1)
    assert list(identity.with_token(job.token)) == []
    assert [line.split(", ")[-1] for line in seen.lines(what)] == [f"recorded as {LOST[what]}"]
