"""Many jobs at once on one host, each with a fate of its own, and a watchdog beside them: every one ends as it must.

A few dozen by default; 200 with COORDINATOR_SOAK=1.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.adapters.system.processes import carriers
from coordinator.app import jobs as builders
from coordinator.app import verbs
from coordinator.app.faces import COORDINATOR
from coordinator.domain.job import Job, latest
from coordinator.planning.health.jobs import judge_job
from coordinator.runfiles import atomic, codec, identity, names
from tests.support.program import CHECKOUT, environ
from tests.support.workers import until

SOAK = os.environ.get("COORDINATOR_SOAK") == "1"
COUNT = 200 if SOAK else 32
STALL = {"COORDINATOR_WORKERS_STALL": "4s", "COORDINATOR_WORKERS_GRACE": "2s"}

# Talks every half second without a process of its own; silent for good where its folder says so, or at its first run.
AGENT = """
exec 9<>fifo
[ -e mute ] && read -r -u 9
if [ -e mute-once ]; then rm mute-once; read -r -u 9; fi
while [ ! -e end ]; do echo talking; read -r -t 0.5 -u 9; done
exit "$(cat end)"
"""

FATES = ("well", "badly", "agent killed", "wrapper killed", "host rebooted", "stopped", "hangs once", "hangs for good")
EXPECTED = {
    "well": ("exited_ok", "process_exit"), "badly": ("exited_err", "process_exit"),
    "agent killed": ("exited_err", "killed"), "wrapper killed": ("exited_err", "lost"),
    "host rebooted": ("exited_err", "host_reboot"), "stopped": ("stopped", "manual_stop"),
    "hangs once": ("healthy", ""), "hangs for good": ("blocked", "max_retries"),
}  # fmt: skip


@dataclass
class Field:
    root: Path
    desk: verbs.Desk
    env: dict[str, str]
    fates: dict[str, str]

    @property
    def folder(self) -> Path:
        return self.root / "jobs"

    def job(self, name: str) -> Job:
        found = latest(self.desk.jobs.of(name))
        assert found is not None
        return found

    def place(self, name: str) -> Path:
        return self.root / "trees" / name

    def health(self, name: str) -> tuple[str, str]:
        word = judge_job(self.job(name), datetime.now(UTC), self.desk.rules.health)
        return str(word.health), "" if word.health == "healthy" else word.reason

    def start(self, name: str, fate: str) -> None:
        place = self.place(name)
        place.mkdir(parents=True)
        os.mkfifo(place / "fifo")
        if fate.startswith("hangs"):
            (place / ("mute" if fate.endswith("good") else "mute-once")).touch()
        prompt = self.root / "prompt"
        prompt.write_text("do it", "utf-8")
        verbs.start(self.desk, verbs.Order(name, "command", "do it", str(prompt), cwd=self.root, worktree=place,
                                           argv=("bash", "-c", AGENT)))  # fmt: skip

    def meet(self, name: str, fate: str) -> None:
        """What befalls this job. Those that hang do so by themselves."""
        beat = atomic.read_pairs(names.path(str(self.folder), name, "heartbeat")) or {}
        agent, wrapper = (int(beat[key]) for key in ("agent_pid", "wrapper_pid"))
        if fate in ("well", "badly"):
            (self.place(name) / "end").write_text("0" if fate == "well" else "3", "utf-8")
        elif fate == "agent killed":
            os.kill(agent, signal.SIGKILL)
        elif fate in ("wrapper killed", "host rebooted"):
            os.kill(wrapper, signal.SIGKILL)
            if fate == "host rebooted":
                os.kill(agent, signal.SIGKILL)
                until(lambda: not identity.alive(wrapper, int(beat["wrapper_start"]), beat["boot_id"]), "its end")
                atomic.write(names.path(str(self.folder), name, "heartbeat"),
                             codec.encode({**beat, "boot_id": "00000000-0000-0000-0000-000000000000"}))
        elif fate == "stopped":
            verbs.stop(self.desk, name)

    def living(self) -> list[str]:
        return sorted(env["COORDINATOR_RUN"] for _, env in carriers("COORDINATOR_RUN")
                      if env["COORDINATOR_RUN"].endswith(f"@{self.folder}"))


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    monkeypatch.chdir(tmp_path)
    env = environ(tmp_path, **STALL)
    desk = builders.desk(COORDINATOR, str(tmp_path / "jobs"), env, lambda _: None)
    rng = random.Random(7)
    fates = {f"job-{number}": FATES[number % len(FATES)] for number in range(COUNT)}
    shuffled = list(fates.items())
    rng.shuffle(shuffled)
    made = Field(tmp_path, desk, env, dict(shuffled))
    yield made
    for name in fates:
        for job in desk.jobs.of(name):
            if job.pid:
                verbs.stop(desk, name)
    builders.close(desk)


def zombies(field: Field) -> set[int]:
    """Of this process, once the executor has reaped its own."""
    field.desk.executor.reap()
    return {pid for pid in identity.children(os.getpid()) if (proc := identity.look(pid)) and proc.state == "Z"}


@pytest.mark.timeout(900 if SOAK else 120)
@pytest.mark.req("A1", "P1", "C75")
def test_every_job_ends_as_its_fate_was_and_nothing_of_it_is_left(field: Field):
    before = zombies(field)   # of other tests of this process
    watchdog = subprocess.Popen(
        [sys.executable, "-m", "coordinator", "job", "watchdog", "--interval", "0.5", "--log-dir", str(field.folder)],
        cwd=field.root, env={**field.env, "PYTHONPATH": str(CHECKOUT)}, stdout=(field.root / "said").open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for name, fate in field.fates.items():
            field.start(name, fate)
        for name, fate in field.fates.items():
            field.meet(name, fate)
        limit = 600.0 if SOAK else 60.0
        for name, fate in field.fates.items():
            until(lambda name=name, fate=fate: field.health(name) == EXPECTED[fate],
                  f"{name} ({fate}): {EXPECTED[fate]}, is {field.health(name)}", limit)
    finally:
        watchdog.send_signal(signal.SIGTERM)
        assert watchdog.wait(30) == 0, (field.root / "said").read_text("utf-8")

    restarted = {name for name in field.fates if field.job(name).retries}
    assert restarted == {name for name, fate in field.fates.items() if fate.startswith("hangs")}
    for name in field.fates:
        if field.job(name).pid:
            verbs.unblock(field.desk, name, reset_retries=False)
            verbs.stop(field.desk, name)
    assert field.living() == []
    until(lambda: zombies(field) <= before, "the end of all wrappers")
    for name, fate in field.fates.items():
        ended = [path.name for path in field.folder.glob(f"{name}.outcome*")]
        assert len(ended) == (2 if fate.startswith("hangs") else 1), (name, fate, ended)
    assert list(field.folder.glob("*.pid")) == []
