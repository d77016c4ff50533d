"""dispatch slurm on a real Slurm: arrays, what comes after them, and what can never come; what its words of refusal
are, and what a job is given on its node."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import a_repository, environ
from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd, missing
from tests.support.workers import until

Ran = subprocess.CompletedProcess[str]
AWAIT_GO = "while ! test -e go; do sleep 0.1; done"
TOKENS = {"GITHUB_TOKEN": "ghp_" + "a" * 36, "GH_TOKEN": "gho_" + "b" * 36, "MINE": "x", "SBATCH_WAIT": "1"}


@dataclass
class Desk:
    """A person in a repository whose machine has Slurm's commands; the folder that jobs work in."""

    slurm: Cluster
    root: Path
    work: Path
    here: bool = True

    def ask(self, *argv: str) -> Ran:
        env = environ(self.root.parent, **(self.slurm.env if self.here else {}), **TOKENS)
        return subprocess.run([sys.executable, "-m", "coordinator", *argv], cwd=self.root, env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)  # fmt: skip

    def dispatch(self, *words: str) -> str:
        """The id of a new job."""
        ran = self.ask("dispatch", "slurm", "--workdir", str(self.work), *words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def members(self, *jobs: str) -> dict[str, dict[str, Any]]:
        ran = self.ask("batch", "status", "--slurm", "--jobs", ",".join(jobs), "--json")
        assert ran.returncode == 0, ran.stderr
        return {one["id"]: one for one in json.loads(ran.stdout)["members"]}

    def ended(self, *jobs: str) -> None:
        for job in jobs:
            until(lambda job=job: self.slurm.accounted(job, "End")[:1] not in ([], ["Unknown"]), f"the end of {job}")


@pytest.fixture
def desk(slurm: Cluster, tmp_path: Path) -> Desk:
    work = tmp_path / "100% of it's runs"
    work.mkdir()
    return Desk(slurm, a_repository(tmp_path / "widgets"), work)


@pytest.mark.timeout(240)
def test_what_comes_after_an_array_runs_when_all_of_it_has_ended_well(desk: Desk) -> None:
    line = f"{AWAIT_GO}; echo $SLURM_ARRAY_TASK_ID > part-$SLURM_ARRAY_TASK_ID"
    array = desk.dispatch("--array", "0-2", "--name", "sweep", line)
    after = desk.dispatch("--after", array, "--name", "report", "--", "sh", "-c", "cat part-*")
    until(lambda: desk.slurm.shown(after).get("Reason") == "Dependency", "its wait for the array")
    until(lambda: [one["stand"] for one in desk.members(array).values()] == ["running"] * 3, "the start of the array")
    assert desk.members(after)[after]["stand"] == "waiting"
    (desk.work / "go").touch()
    desk.ended(after)
    assert (desk.work / f"slurm-{after}.out").read_text("utf-8") == "0\n1\n2\n"
    assert {path.name for path in desk.work.glob("slurm-*")} == {
        f"slurm-{after}.out", *(f"slurm-{array}_{index}.out" for index in range(3))}
    desk.ended(*(f"{array}_{index}" for index in range(3)))
    assert {one["stand"] for one in desk.members(array, after).values()} == {"good"}


@pytest.mark.timeout(240)
def test_what_comes_after_one_that_failed_is_seen_to_run_never(desk: Desk) -> None:
    bad = desk.dispatch("--array", "0-2", f"{AWAIT_GO}; exit $SLURM_ARRAY_TASK_ID")
    after, one = desk.dispatch("--after", bad, "--", "touch", "ran"), desk.dispatch("--after", f"{bad}_0", "true")
    (desk.work / "go").touch()
    until(lambda: desk.slurm.shown(after).get("Reason") == "DependencyNeverSatisfied", "why it does not run")
    found = desk.members(after)[after]
    assert (found["stand"], found["reason"]) == ("bad", "slurm_never_runs")
    assert not (desk.work / "ran").exists()
    desk.ended(one)   # the task that it came after ended well


def test_a_job_has_the_node_s_environment_and_no_token_of_ours(desk: Desk) -> None:
    job = desk.dispatch("--", "env", "-0")
    desk.ended(job)
    given = dict(pair.split("=", 1) for pair in (desk.work / f"slurm-{job}.out").read_text("utf-8").split("\0") if pair)
    assert given["HOME"] == str(desk.root.parent)
    assert given["PATH"].startswith(str(desk.slurm.bin))
    assert given["SLURM_JOB_NAME"] == "dispatch"
    assert set(TOKENS) & set(given) == set()
    assert not any(name.startswith(("COORDINATOR", "PYTHON")) for name in given)


@pytest.mark.parametrize(("options", "setting", "cure"), [
    (("--array", "0-9999999"), "", "Mend --array: the cluster limits how high its numbers may be."),
    ((), '[slurm]\npartition = "nowhere"\n', "Mend slurm.partition in coordinator.toml."),
])
def test_what_slurm_refuses_is_told_in_its_words_with_what_to_mend(
        desk: Desk, options: tuple[str, ...], setting: str, cure: str) -> None:
    (desk.root / "coordinator.toml").write_text(setting, "utf-8")
    ran = desk.ask("dispatch", "slurm", *options, "--", "true")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Slurm refused the job: " in ran.stderr
    assert cure in ran.stderr


def test_a_job_that_slurm_does_not_know_is_nothing_to_wait_for(desk: Desk) -> None:
    array = desk.dispatch("--array", "0-2", "true")
    for unknown in ("4000000", "4000000_1", f"{array}_3"):
        ran = desk.ask("dispatch", "slurm", "--after", array, "--after", unknown, "--", "true")
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"Slurm does not know {unknown} any more, and would not wait" in ran.stderr
    desk.ended(*(f"{array}_{index}" for index in range(3)))
    after = desk.dispatch("--after", array, "--after", f"{array}_2", "true")   # it has ended well, and is still known
    desk.ended(after)


def test_a_controller_that_is_away_gets_no_job(desk: Desk) -> None:
    desk.slurm.stop_controller()
    ran = desk.ask("dispatch", "slurm", "--", "true")
    assert ran.returncode == 26
    assert "Nothing was submitted." in ran.stderr
    desk.slurm.start_controller()
    assert not [line for line in desk.slurm.commands() if line.startswith("sbatch")]


def test_a_login_host_submits_from_its_own_home(desk: Desk, tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    desk.here = False
    with Sshd(tmp_path / "login", "login", environ=desk.slurm.env) as login:
        words = ", ".join(json.dumps(word) for word in login.command)
        (desk.root / "coordinator.toml").write_text(
            f'[hosts.hpc]\naddress = "{login.alias}"\nssh = [{words}]\n[slurm]\nlogin = "hpc"\n')
        ran = desk.ask("dispatch", "slurm", "--json", "pwd; env | grep -c TOKEN")
        assert ran.returncode == 0, ran.stderr
        made = json.loads(ran.stdout)
        assert (made["folder"], made["output"]) == (str(login.home), f"{login.home}/slurm-{made['id']}.out")
        desk.ended(made["id"])
        assert Path(made["output"]).read_text("utf-8") == f"{login.home}\n0\n"
