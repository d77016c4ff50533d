"""`batch --slurm` through the real program, on a Slurm that stands as each test puts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.fake_slurm import FakeSlurm
from tests.support.program import a_repository, environ

Ran = subprocess.CompletedProcess[str]


@dataclass
class Desk:
    """Somebody in the repository `widgets`, with Slurm on PATH."""

    root: Path
    slurm: FakeSlurm
    more: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        return {**environ(self.root.parent), "PATH": f"{self.slurm.bin}:{os.environ['PATH']}", **self.more}

    def run(self, verb: str, *options: str, cwd: Path | None = None) -> Ran:
        return subprocess.run([sys.executable, "-m", "coordinator", "batch", verb, "--slurm", *options], text=True,
                              cwd=cwd or self.root, env=self.env(), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=100, check=False)  # fmt: skip

    def json(self, *options: str) -> dict[str, object]:
        ran = self.run("status", *options, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def journal(self) -> dict[str, object]:
        [path] = (self.root.parent / ".local/state/coordinator/batches").glob("slurm-*.json")
        return json.loads(path.read_text())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(a_repository(tmp_path / "widgets"), FakeSlurm(tmp_path / "slurm"))


def counted(states: object) -> dict[str, int]:
    assert isinstance(states, dict)
    return {word: number for word, number in states.items() if number}


def lines_of(ran: Ran, begins: Sequence[str]) -> list[str]:
    return [line for line in ran.stdout.splitlines() if line.startswith(tuple(begins))]


@pytest.mark.req("D23", "D24", "D25", "D26", "D27", "D42", "D44")
def test_what_is_watched_is_shown_before_anything_else_and_written_down(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    subprocess.run(["git", "-C", str(desk.root), "symbolic-ref", "HEAD", "refs/heads/main"], check=True)
    ran = desk.run("watch", "--prefix", "sweep-", "--once")
    assert ran.returncode == 0, ran.stderr
    shown = dict(line.split(": ", 1) for line in ran.stdout.splitlines()[:8])
    assert shown["project"] == "widgets (the name of the repository)"
    assert (shown["root"], shown["run from"], shown["branch"]) == (str(desk.root), str(desk.root), "main")
    assert shown["cluster"] == "this machine (squeue is on PATH here)"
    assert shown["user"].startswith("root (")
    assert shown["jobs named"] == "sweep- (--prefix)"
    assert shown["tools"] == "squeue sacct scontrol scancel sbatch"
    facts = desk.journal()["facts"]
    assert facts == {
        "project_name": "widgets", "project_root": str(desk.root), "branch": "main", "cwd": str(desk.root),
        "cluster_host": "this machine", "cluster_user": "root", "job_prefix": "sweep-", "job_ids": "", "via": "",
        "tools": "squeue sacct scontrol scancel sbatch", "missing": "",
    }  # fmt: skip


@pytest.mark.req("D58", "D59")
def test_one_squeue_and_one_sacct_tell_of_every_state_however_many_jobs_there_are(desk: Desk) -> None:
    for state in ("RUNNING", "PENDING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"):
        for number in range(10):
            desk.slurm.add(f"sweep-{state}-{number}", state)
    desk.slurm.add("other-1", "RUNNING")
    desk.slurm.add("sweep-of-another", "RUNNING", user="mallory")
    data = desk.json("--prefix", "sweep-")
    assert data["states"] == {"RUNNING": 10, "PENDING": 10, "COMPLETED": 10, "FAILED": 10, "CANCELLED": 10,
                              "TIMEOUT": 10, "OOM": 10}
    calls = [call[0] for call in desk.slurm.calls()]
    assert sorted(calls) == ["sacct", "squeue"]
    assert all("--user=root" in call for call in desk.slurm.calls())


def test_jobs_that_slurm_forgot_are_counted_as_they_ended(desk: Desk) -> None:
    desk.slurm.without_accounting()
    first, second = desk.slurm.add("sweep-1", "COMPLETED"), desk.slurm.add("sweep-2", "RUNNING")
    assert "there is no accounting" in desk.run("watch", "--prefix", "sweep-", "--once").stderr
    desk.slurm.forget(first)
    assert counted(desk.json("--prefix", "sweep-")["states"]) == {"COMPLETED": 1, "RUNNING": 1}
    desk.slurm.forget(second)
    desk.run("watch", "--prefix", "sweep-", "--once")
    assert counted(desk.json("--prefix", "sweep-")["states"]) == {"COMPLETED": 1, "FORGOTTEN": 1}


# --- acting ------------------------------------------------------------------------------------------------


@pytest.mark.req("D28")
def test_only_jobs_of_the_batch_and_its_user_are_cancelled_and_only_when_told_so(desk: Desk) -> None:
    slurm = desk.slurm
    mine = [slurm.add(f"sweep-{number}", state) for number, state in enumerate(("RUNNING", "PENDING", "COMPLETED"))]
    never = slurm.add("sweep-9", "PENDING", reason="PartitionTimeLimit")
    others = [slurm.add("train-1", "RUNNING"), slurm.add("sweep-7", "RUNNING", user="mallory")]
    listed = desk.run("cancel", "--prefix", "sweep-", "--fix", "wrong path")
    assert "3 in all; nothing was done" in listed.stdout
    assert slurm.calls("scancel") == []
    refused = desk.run("cancel", "--prefix", "sweep-", "--yes")
    assert (refused.returncode, slurm.calls("scancel")) == (64, [])
    done = desk.run("cancel", "--prefix", "sweep-", "--fix", "wrong path", "--yes")
    assert done.returncode == 0, done.stderr
    states = {name: job["state"] for name, job in slurm.jobs().items()}
    assert [states[name] for name in (*mine, never)] == ["CANCELLED", "CANCELLED", "COMPLETED", "CANCELLED"]
    assert [states[name] for name in others] == ["RUNNING", "RUNNING"]
    [call] = slurm.calls("scancel")
    assert call == ["scancel", "--user=root", mine[0], mine[1], never]
    acts = desk.journal()["acts"]
    assert [(one["what"], one["words"], one["ids"]) for one in acts] == [("cancel", "wrong path",
                                                                         [mine[0], mine[1], never])]  # fmt: skip


@pytest.mark.req("D28")
def test_of_a_user_alone_nothing_is_ended_removed_or_submitted(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    desk.slurm.add("sweep-2", "FAILED")
    seen = desk.run("status", "--user", "root")
    assert seen.returncode == 0, seen.stderr
    for verb, more in (("cancel", ("--fix", "x")), ("clean", ("--partial", "{id}/*")), ("resubmit", ())):
        ran = desk.run(verb, "--user", "root", "--yes", *more)
        assert (ran.returncode, "--prefix P or --jobs IDS" in ran.stderr) == (64, True), verb
    assert desk.slurm.calls("scancel") == desk.slurm.calls("sbatch") == []


def test_a_job_that_left_the_batch_between_the_list_and_the_act_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    """The second of the two looks shows another user's job under the same id, as after a reset of the controller."""
    one, two = (desk.slurm.add(f"sweep-{number}", "RUNNING") for number in (1, 2))
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f"""#!/bin/sh
"$@"; code=$?
case "$*" in *squeue*) python3 -c "
import json; path = '{desk.slurm.state}'; data = json.load(open(path))
for job in data['jobs']:
    if job['id'] == '{one}': job['user'] = 'mallory'
json.dump(data, open(path, 'w'))" ;; esac
exit $code
""")
    wrapper.chmod(0o755)
    ran = desk.run("cancel", "--prefix", "sweep-", "--fix", "x", "--yes", "--via", str(wrapper))
    assert f"{one}: is not of the batch any more" in ran.stdout
    assert {name: job["state"] for name, job in desk.slurm.jobs().items()} == {one: "RUNNING", two: "CANCELLED"}


def test_what_failed_jobs_left_is_removed_and_nothing_that_others_share_or_that_lies_outside(desk: Desk) -> None:
    slurm, work = desk.slurm, desk.slurm.work
    bad, good = slurm.add("lr-1", "FAILED"), slurm.add("lr-10", "COMPLETED")
    star = slurm.add("lr-*", "FAILED")
    for name in ("lr-1", "lr-10"):
        (work / "out" / name).mkdir(parents=True)
        (work / "out" / name / "part.tmp").write_text("half")
    (work / f"part-{bad}.tmp").write_text("half")
    (work.parent / "precious").mkdir()
    (work.parent / "precious" / "part.tmp").write_text("whole")
    (work / "out" / "link").symlink_to(work.parent / "precious")
    slurm.add("link", "FAILED")
    patterns = ("--partial", "out/{name}/*.tmp", "--partial", "out/{name}*", "--partial", "part-{id}.tmp")
    listed = desk.run("clean", "--prefix", "l", *patterns)
    assert listed.returncode == 0, listed.stderr
    assert f"would be removed: {work}/out/lr-1/part.tmp" in listed.stdout
    assert (work / "out/lr-1/part.tmp").exists()
    done = desk.run("clean", "--prefix", "l", *patterns, "--yes")
    assert not (work / "out/lr-1/part.tmp").exists()
    assert not (work / f"part-{bad}.tmp").exists()
    assert (work / "out/lr-10/part.tmp").read_text() == "half", f"{good} did not fail, {star} names it"
    assert (work.parent / "precious" / "part.tmp").read_text() == "whole"
    assert "it is also of" in done.stdout
    for wrong in ("*.tmp", "/etc/{name}", "../{name}"):
        ran = desk.run("clean", "--prefix", "l", "--partial", wrong, "--yes")
        assert (ran.returncode, wrong in ran.stderr) == (64, True)


def test_failed_jobs_are_submitted_again_as_they_were_with_old_and_new_ids_written_down(desk: Desk) -> None:
    slurm = desk.slurm
    first = slurm.add("sweep-1", "FAILED", line="sbatch -J sweep-1 --mem=1G job.sh --lr 1")
    slurm.add("sweep-2", "COMPLETED")
    task = slurm.add("sweep-arr", "TIMEOUT", job_id="300_4", line="sbatch -J sweep-arr --array=1-9 -d afterok:100 a.sh")
    wrapped = slurm.add("sweep-3", "FAILED", line='sbatch -J sweep-3 --wrap echo "a b"')
    slurm.born(state="COMPLETED")
    listed = desk.run("resubmit", "--prefix", "sweep-")
    assert f"{first}: sbatch --parsable -J sweep-1 --mem=1G job.sh --lr 1" in listed.stdout
    assert "--submit CMD" in listed.stdout
    assert slurm.calls("sbatch") == []
    done = desk.run("resubmit", "--prefix", "sweep-", "--no-smoke", "--fix", "more time", "--yes")
    assert (done.returncode, f"not done: {wrapped}: " in done.stdout) == (1, True)
    acts = [one for one in desk.journal()["acts"] if one["what"] == "resubmit"]
    made = acts[0]["made"]
    assert set(made) == {first, task}
    assert [call[1:] for call in slurm.calls("sbatch")] == [
        ["--parsable", "-J", "sweep-1", "--mem=1G", "job.sh", "--lr", "1"],
        ["--parsable", "--array=4", f"--dependency=afterok:{made[first]}", "-J", "sweep-arr", "a.sh"],
    ]
    states = counted(desk.json("--prefix", "sweep-")["states"])
    assert states == {"COMPLETED": 3, "FAILED": 1}, "the new ones count in the place of the old ones"
    own = desk.run("resubmit", "--prefix", "sweep-", "--submit", "sbatch -J {name} again.sh {id}", "--yes")
    assert own.returncode == 0, own.stderr
    assert slurm.calls("sbatch")[-1][1:] == ["-J", "sweep-3", "again.sh", wrapped]


def test_when_the_first_one_fails_again_no_other_is_submitted(desk: Desk) -> None:
    for number in range(3):
        desk.slurm.add(f"sweep-{number}", "FAILED")
    desk.slurm.born(state="FAILED")
    ran = desk.run("resubmit", "--prefix", "sweep-", "--fix", "x", "--yes")
    assert (ran.returncode, "the other 2 were not submitted" in ran.stderr) == (3, True)
    assert len(desk.slurm.calls("sbatch")) == 1
