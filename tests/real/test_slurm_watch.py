"""`batch --slurm` on jobs that others submitted to a real Slurm: what it says of them, and how little it asks."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import a_repository, environ
from tests.support.slurmd import CLIENTS, Cluster
from tests.support.sshd import Sshd, missing
from tests.support.workers import until

Ran = subprocess.CompletedProcess[str]
SMALL = "--mem=50"


@dataclass
class Sweep:
    """Somebody's jobs, whose names nobody else uses, and who watches them from a repository."""

    slurm: Cluster
    root: Path
    prefix: str
    host: tuple[str, ...] = ()
    slurm_here: bool = True

    @property
    def work(self) -> Path:
        return self.root.parent / "work"

    def submit(self, name: str, script: str, *options: str) -> str:
        self.work.mkdir(exist_ok=True)
        file = self.work / f"{name}.sh"
        file.write_text(f"#!/bin/sh\n{script}\n")
        done = self.slurm.run("sbatch", "--parsable", f"--job-name={self.prefix}{name}", f"--chdir={self.work}",
                              *options, str(file))  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, verb: str, *options: str) -> Ran:
        env = environ(self.root.parent, **(self.slurm.env if self.slurm_here else {}))
        argv = (sys.executable, "-m", "coordinator", "batch", verb, "--slurm", "--prefix", self.prefix, *self.host)
        return subprocess.run([*argv, *options], cwd=self.root, env=env, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=200, check=False)  # fmt: skip

    def json(self, *options: str) -> dict[str, Any]:
        ran = self.run("status", "--json", *options)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def members(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.json()["members"]}

    def journal(self) -> dict[str, Any]:
        [path] = (self.root.parent / ".local/state/coordinator/batches").glob("slurm-*.json")
        return json.loads(path.read_text())

    def asked(self) -> Counter[str]:
        """Formats hold signs at which lines are parted."""
        return Counter(words[0] for line in self.slurm.commands() if (words := line.split()) and words[0] in CLIENTS)


@pytest.fixture
def sweep(slurm: Cluster, tmp_path: Path) -> Sweep:
    return Sweep(slurm, a_repository(tmp_path / "widgets"), f"sw{uuid.uuid4().hex[:6]}-")


def ended(sweep: Sweep, *jobs: str) -> None:
    """Also in the books."""
    for job in jobs:
        until(lambda job=job: sweep.slurm.accounted(job, "End")[:1] not in ([], ["Unknown"]), f"the end of {job}")


@pytest.mark.timeout(240)
def test_every_end_is_called_by_its_name_and_a_job_that_can_never_run_counts_as_failed(sweep: Sweep) -> None:
    slurm = sweep.slurm
    well, bad = sweep.submit("well", "true", SMALL), sweep.submit("bad", "echo 'KeyError: lr' >&2; exit 3", SMALL)
    greedy = sweep.submit("oom", "exec python3 -c 'import time; b = b\"x\" * 300_000_000; time.sleep(600)'", SMALL)
    late = sweep.submit("late", "sleep 600", SMALL)
    array = sweep.submit("arr", "exit $SLURM_ARRAY_TASK_ID", "--array=0-1", SMALL)
    until(lambda: slurm.shown(late).get("JobState") == "RUNNING", "its start")
    slurm.expire(late)
    ended(sweep, well, bad, greedy, late, f"{array}_0", f"{array}_1")
    never = sweep.submit("never", "true", f"--dependency=afterok:{bad}")
    long = sweep.submit("long", "true", "--partition=short", "--time=10")
    held = sweep.submit("held", "true", "--hold")
    until(lambda: slurm.shown(never).get("Reason") == "DependencyNeverSatisfied", "why it does not run")
    until(lambda: slurm.shown(long).get("Reason") == "PartitionTimeLimit", "why it does not run")
    until(lambda: sweep.members()[greedy]["stand"] == "bad", "all of its end in the books", seconds=30)
    found = sweep.members()
    assert {name: (found[job]["stand"], found[job]["reason"]) for name, job in {
        "well": well, "bad": bad, "greedy": greedy, "late": late, "arr0": f"{array}_0", "arr1": f"{array}_1",
        "never": never, "long": long, "held": held}.items()} == {
        "well": ("good", ""), "bad": ("bad", "process_exit"), "greedy": ("bad", "slurm_oom"),
        "late": ("bad", "slurm_timeout"), "arr0": ("good", ""), "arr1": ("bad", "process_exit"),
        "never": ("bad", "slurm_never_runs"), "long": ("bad", "slurm_never_runs"), "held": ("waiting", ""),
    }  # fmt: skip
    assert found[bad]["words"] == "KeyError: lr"
    assert found[never]["words"] == "it can never run: DependencyNeverSatisfied"


@pytest.mark.req("D1", "D58")
@pytest.mark.timeout(300)
def test_five_hundred_jobs_are_watched_with_as_few_commands_as_five(sweep: Sweep, tmp_path: Path) -> None:
    few = Sweep(sweep.slurm, a_repository(tmp_path / "few" / "widgets"), f"few{uuid.uuid4().hex[:6]}-")
    few.submit("held", "true", "--hold", "--array=0-3")
    few.submit("short", "sleep 1", SMALL)
    for number in range(9):
        sweep.submit(f"held{number}", "true", "--hold", "--array=0-49")
    for number in range(50):
        sweep.submit(f"short{number}", "sleep 1", SMALL)
    spent: list[Counter[str]] = []
    for one, many in ((few, 5), (sweep, 500)):
        before = one.asked()
        ran = one.run("watch", "--interval", "3s", "--timeout", "12s", "--until", "done", "--quiet")
        assert ran.returncode == 1, ran.stderr
        looks, calls = one.journal()["looks"], one.asked() - before
        assert one.journal()["counts"]["total"] == many
        assert calls == {"squeue": looks, "sacct": looks}
        assert looks <= 6
        spent.append(calls)
    assert sum(spent[1].values()) <= sum(spent[0].values()) + 2
    until(lambda: sweep.journal()["looks"] and sweep.json()["counts"]["good"] == 50, "the short ones", seconds=60)


def test_jobs_are_cancelled_and_submitted_again_within_the_batch(sweep: Sweep) -> None:
    bystander = sweep.slurm.submit("sleep 600", "--job-name=bystander", SMALL)
    fixed = sweep.work / "fixed"
    bad = sweep.submit("bad", f"test -e {fixed}", SMALL)
    array = sweep.submit("arr", f"[ $SLURM_ARRAY_TASK_ID = 1 ] || test -e {fixed}", "--array=1-2", SMALL)
    ended(sweep, bad, f"{array}_1", f"{array}_2")
    waits = sweep.submit("waits", "true", "--hold")
    runs = sweep.submit("runs", "sleep 600", SMALL)
    until(lambda: sweep.slurm.shown(runs).get("JobState") == "RUNNING", "its start")
    done = sweep.run("cancel", "--fix", "a file was missing", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: {sweep.slurm.shown(one).get("JobState") for one in (waits, runs)} == {"CANCELLED"}, "their end")
    assert sweep.slurm.shown(bystander)["JobState"] == "RUNNING"
    fixed.touch()
    again = sweep.run("resubmit", "--only-failed", "--no-smoke", "--fix", "the file is there", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    [act] = [one for one in sweep.journal()["acts"] if one["what"] == "resubmit"]
    assert set(act["made"]) == {bad, f"{array}_2"}
    ended(sweep, *act["made"].values())
    found = {one["id"]: one["stand"] for one in sweep.members().values()}
    assert found == {**dict.fromkeys(act["made"].values(), "good"), f"{array}_1": "good", waits: "stopped",
                     runs: "stopped"}  # fmt: skip
    assert act["made"][f"{array}_2"].endswith("_2")


@pytest.mark.req("D9")
def test_a_controller_that_restarts_is_waited_for(sweep: Sweep) -> None:
    job = sweep.submit("runs", "sleep 600", SMALL)
    until(lambda: sweep.slurm.shown(job).get("JobState") == "RUNNING", "its start")
    sweep.slurm.stop_controller()
    blocked = sweep.run("status", "--patience", "2s")
    assert (blocked.returncode, "Unable to contact slurm controller" in blocked.stderr) == (26, True)
    sweep.slurm.start_controller()
    assert sweep.members()[job]["state"] == "RUNNING"


def test_without_accounting_ends_are_seen_while_the_controller_knows_them(
    slurm_without_accounting: Cluster, tmp_path: Path
) -> None:
    sweep = Sweep(slurm_without_accounting, a_repository(tmp_path / "widgets"), "plain-")
    bad, well = sweep.submit("bad", "exit 4", SMALL), sweep.submit("well", "true", SMALL)
    until(lambda: {sweep.slurm.shown(one).get("JobState") for one in (bad, well)} == {"FAILED", "COMPLETED"}, "ends")
    assert {name: one["stand"] for name, one in sweep.members().items()} == {bad: "bad", well: "good"}


@pytest.mark.req("D27", "D43", "D80")
@pytest.mark.timeout(240)
def test_through_a_login_host_logs_are_read_and_outputs_come_here(sweep: Sweep, tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    bad = sweep.submit("bad", "mkdir -p out/$SLURM_JOB_NAME; echo half > out/$SLURM_JOB_NAME/r.txt; "
                       "echo 'OSError: gone' >&2; exit 2", SMALL)  # fmt: skip
    ended(sweep, bad)
    with Sshd(tmp_path / "login", "login", environ=sweep.slurm.env) as login:
        words = ", ".join(json.dumps(word) for word in login.command)
        (sweep.root / "coordinator.toml").write_text(
            f'[hosts.hpc]\naddress = "{login.alias}"\nssh = [{words}]\n[slurm]\nlogin = "hpc"\n')
        sweep.slurm_here = False
        ran = sweep.run("watch", "--once", "--sync", "out/{name}:results/{id}")
        assert ran.returncode == 3, ran.stderr
        assert "cluster: hpc (slurm.login)" in ran.stdout
        assert "process_exit: OSError: gone" in ran.stdout
        assert (sweep.root / "results" / bad / "r.txt").read_text() == "half\n"
        assert sweep.asked() == {"squeue": 1, "sacct": 1}
        login.stop()
        away = sweep.run("status", "--patience", "2s")
    assert (away.returncode, "blocked: the cluster could not be asked" in away.stderr) == (26, True)
