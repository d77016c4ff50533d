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

from tests.support.fake_slurm import AWAY, ME, FakeSlurm
from tests.support.program import a_repository, environ

Ran = subprocess.CompletedProcess[str]
WAITS = ("Priority", "Resources", "BeginTime", "JobHeldUser", "JobHeldAdmin", "Dependency", "Licenses",
         "ReqNodeNotAvail", "QOSMaxJobsPerUserLimit", "AssocGrpCPUMinutesLimit", "JobArrayTaskLimit", "PartitionDown",
         "(Nodes required for job are DOWN, DRAINED or reserved)", "SomethingNewerThanThis")  # fmt: skip
NEVER = ("PartitionTimeLimit", "DependencyNeverSatisfied", "PartitionNodeLimit", "BadConstraints", "InvalidQOS",
         "InvalidAccount")  # fmt: skip


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
    assert shown["user"].startswith(f"{ME} (")
    assert shown["jobs named"] == "sweep- (--prefix)"
    assert shown["tools"] == "squeue sacct scontrol scancel sbatch"
    desk.more = {"COORDINATOR_SLURM_USER": "mara"}
    assert "user: mara (slurm.user)" in desk.run("status", "--prefix", "sweep-").stdout
    facts = desk.journal()["facts"]
    assert facts == {
        "project_name": "widgets", "project_root": str(desk.root), "branch": "main", "cwd": str(desk.root),
        "cluster_host": "this machine", "cluster_user": ME, "job_prefix": "sweep-", "job_ids": "", "via": "",
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
    assert all(f"--user={ME}" in call for call in desk.slurm.calls())


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
    assert call == ["scancel", f"--user={ME}", mine[0], mine[1], never]
    acts = desk.journal()["acts"]
    assert [(one["what"], one["words"], one["ids"]) for one in acts] == [("cancel", "wrong path",
                                                                         [mine[0], mine[1], never])]  # fmt: skip


@pytest.mark.req("D28")
def test_of_a_user_alone_nothing_is_ended_removed_or_submitted(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    desk.slurm.add("sweep-2", "FAILED")
    seen = desk.run("status", "--user", ME)
    assert seen.returncode == 0, seen.stderr
    for verb, more in (("cancel", ("--fix", "x")), ("clean", ("--partial", "{id}/*")), ("resubmit", ())):
        ran = desk.run(verb, "--user", ME, "--yes", *more)
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


# --- what is looked at besides states -----------------------------------------------------------------------


@pytest.mark.req("D60")
def test_a_kind_of_trouble_in_logs_is_told_once_and_only_logs_that_changed_are_read(desk: Desk) -> None:
    slurm = desk.slurm
    running = [slurm.add(f"sweep-{number}", "RUNNING") for number in range(3)]
    well = slurm.add("sweep-8", "COMPLETED")
    slurm.log(well, "ValueError: of one that ended well\n")
    for name in running:
        slurm.log(name, "epoch 1, 0 failed, val_error=0.3\n")
    first = desk.run("watch", "--prefix", "sweep-", "--once")
    assert "says:" not in first.stdout
    for name in running[:2]:
        slurm.log(name, f"RuntimeError: CUDA out of memory at step {name}\n")
    second = desk.run("watch", "--prefix", "sweep-", "--once")
    assert lines_of(second, running) == [f"{running[0]} says: RuntimeError: CUDA out of memory at step {running[0]}"]
    slurm.log(running[2], "RuntimeError: CUDA out of memory at step 9\n")
    third = desk.run("watch", "--prefix", "sweep-", "--once")
    assert ("says:" in third.stdout, "no material change" in third.stdout) == (False, True)
    slurm.set(running[2], "FAILED")
    slurm.log(running[2], "x" * 100_000 + "\nOSError: [Errno 28] No space left on device\n")
    fourth = desk.run("watch", "--prefix", "sweep-", "--once")
    [line] = [line for line in fourth.stdout.splitlines() if f" {running[2]} sweep-2 RUNNING -> FAILED" in line]
    assert line.endswith("(process_exit): OSError: [Errno 28] No space left on device")


@pytest.mark.req("D61")
def test_results_that_are_missing_empty_unreadable_or_no_numbers_are_told(desk: Desk) -> None:
    slurm, work = desk.slurm, desk.slurm.work
    contents = {"good": '{"loss": 0.5}', "nan": '{"loss": NaN}', "empty": "", "half": '{"loss": 0.'}
    ids = {name: slurm.add(f"sweep-{name}", "COMPLETED") for name in (*contents, "none")}
    for name, text in contents.items():
        (work / "out" / f"sweep-{name}").mkdir(parents=True)
        (work / "out" / f"sweep-{name}" / "metrics.json").write_text(text)
    ids["runs"] = slurm.add("sweep-runs", "RUNNING")
    (work / "out" / "sweep-runs").mkdir()
    (work / "out" / "sweep-runs" / "metrics.json").write_text('{"loss": NaN}')
    pattern = "out/{name}/metrics.json"
    data = desk.json("--prefix", "sweep-", "--expect", pattern)
    members = data["members"]
    assert isinstance(members, list)
    found = {one["id"]: one["artefact"] for one in members}
    assert {name: found[ids[name]] for name in ids} == {
        "good": "ok", "nan": f"not a number ({pattern})", "empty": f"empty ({pattern})",
        "half": f"unreadable ({pattern})", "none": f"missing ({pattern})", "runs": "",
    }  # fmt: skip
    assert (data["word"], data["hard_stop"]) == ("systemic", "results that cannot be used: 4 of 5")
    ran = desk.run("watch", "--prefix", "sweep-", "--expect", pattern, "--once")
    assert f"{ids['runs']} says: metrics.json holds what is not a number" in ran.stdout
    wrong = desk.run("status", "--prefix", "sweep-", "--expect", "out/{nam}/x")
    assert (wrong.returncode, "{nam} is none of {id}" in wrong.stderr) == (64, True)


@pytest.mark.req("D80")
@pytest.mark.parametrize("rsync", [True, False])
def test_outputs_are_here_as_soon_as_jobs_end_and_only_what_is_new_travels(desk: Desk, rsync: bool) -> None:
    slurm, work = desk.slurm, desk.slurm.work
    if not rsync:
        broken = slurm.bin / "rsync"
        broken.write_text("#!/bin/sh\nexit 127\n")
        broken.chmod(0o755)
    over, runs = slurm.add("sweep-1", "COMPLETED"), slurm.add("sweep-2", "RUNNING")
    for name in ("sweep-1", "sweep-2"):
        (work / "out" / name / "deep er").mkdir(parents=True)
        (work / "out" / name / "deep er" / "a 'b'.bin").write_bytes(bytes(range(256)) * 10)
        (work / "out" / name / "log.txt").write_text(name)
    line = ("--prefix", "sweep-", "--once", "--sync", "out/{name}:results/{name}")
    first = desk.run("watch", *line)
    here = desk.root / "results"
    assert (here / "sweep-1" / "deep er" / "a 'b'.bin").read_bytes() == bytes(range(256)) * 10
    assert not (here / "sweep-2").exists(), f"{runs} runs still"
    assert f"for {over}: 2 files, 2567 bytes" in first.stdout
    assert "brought" not in desk.run("watch", *line).stdout
    slurm.set(runs, "FAILED")
    assert f"for {runs}: 2 files" in desk.run("watch", *line).stdout
    assert (here / "sweep-2" / "log.txt").read_text() == "sweep-2"
    assert desk.journal()["synced"] == [over, runs]


# --- trouble on the way --------------------------------------------------------------------------------------


@pytest.mark.req("D9")
def test_a_controller_that_is_away_for_a_moment_is_asked_again_and_that_is_kept(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    desk.slurm.down("squeue", 2)
    ran = desk.run("watch", "--prefix", "sweep-", "--once")
    assert (ran.returncode, len(desk.slurm.calls("squeue"))) == (0, 3)
    assert ran.stderr.count("Unable to contact slurm controller") == 2
    report = json.loads(desk.run("report", "--prefix", "sweep-", "--format", "json").stdout)
    assert [line for line in report["learnings"]["anomalies"] if "overcome" in line] == [
        f"the cluster: overcome: could not be asked 2 times in 6 s: squeue: {AWAY}"]
    assert report["intervention"]["acts"] == []
    assert report["scope"]["facts"]["cluster_user"] == ME


@pytest.mark.req("D9")
def test_one_that_stays_away_blocks_the_command_and_ends_nothing(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    desk.run("watch", "--prefix", "sweep-", "--once")
    desk.slurm.down("squeue", -1)
    ran = desk.run("status", "--prefix", "sweep-", "--patience", "3s")
    assert (ran.returncode, "blocked: the cluster could not be asked 3 times in 3 s" in ran.stderr) == (26, True)
    journal = desk.journal()
    assert [one["what"] for one in journal["acts"]] == ["trouble"]
    assert journal["sights"]["100"]["state"] == "RUNNING"


def test_books_that_do_not_answer_leave_the_queue(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    desk.slurm.down("sacct", -1, "sacct: error: Problem talking to the database: Connection refused")
    ran = desk.run("status", "--prefix", "sweep-")
    assert (ran.returncode, "sacct does not answer" in ran.stderr) == (0, True)
    assert "1 RUNNING" in ran.stdout


@pytest.mark.req("D43")
def test_the_projects_own_wrapper_goes_first_and_without_one_the_programs_themselves(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    scripts = desk.root / "scripts"
    scripts.mkdir()
    wrapper = scripts / "cluster.sh"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {scripts}/calls\nPATH={desk.slurm.bin}:$PATH exec "$@"\n')
    wrapper.chmod(0o755)
    (desk.root / "coordinator.toml").write_text('[batch]\nvia = ["scripts/cluster.sh"]\n')
    (desk.root / "sub").mkdir()
    ran = desk.run("status", "--prefix", "sweep-", cwd=desk.root / "sub")
    assert ran.returncode == 0, ran.stderr
    assert f"by way of: {wrapper}" not in ran.stdout
    assert "by way of: scripts/cluster.sh (batch.via)" in ran.stdout
    calls = (scripts / "calls").read_text()
    assert (f"squeue --user={ME}" in calls, "sacct" in calls) == (True, True)
    wrapper.unlink()
    again = desk.run("status", "--prefix", "sweep-")
    assert again.returncode == 0, again.stderr
    assert "1 RUNNING" in again.stdout


@pytest.mark.req("D26", "D44")
def test_without_a_word_on_which_jobs_nothing_is_asked_and_it_is_said_what_to_give(desk: Desk, tmp_path: Path) -> None:
    desk.slurm.add("widgets-1", "RUNNING")
    ran = desk.run("watch", "--once")
    assert (ran.returncode, "Give --prefix widgets-" in ran.stderr) == (64, True)
    outside = tmp_path / "plain"
    outside.mkdir()
    ran = desk.run("status", "--prefix", "w", cwd=outside)
    assert (ran.returncode, "Give --project plain" in ran.stderr) == (64, True)
    for wrong in (("--jobs", "12;rm"), ("--jobs", "1", "--prefix", "w"), ("--prefix", "w", "--user", "a b")):
        assert desk.run("status", *wrong).returncode == 64
    bare = subprocess.run([sys.executable, "-m", "coordinator", "batch", "status", "--jobs", "1"], cwd=desk.root,
                          env=desk.env(), text=True, capture_output=True, check=False)  # fmt: skip
    assert (bare.returncode, "--jobs means nothing without --slurm" in bare.stderr) == (64, True)
    assert desk.slurm.calls() == []


def test_of_a_name_or_id_that_slurm_does_not_know_it_is_said(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    for which in (("--prefix", "swep-"), ("--jobs", "999")):
        ran = desk.run("status", *which)
        assert (ran.returncode, "is known to Slurm" in ran.stderr) == (1, True)



def test_whatever_the_queue_says_waiting_is_well_and_never_running_is_not(desk: Desk) -> None:
    for reason in WAITS:
        desk.slurm.add("sweep-waits", reason=reason, restarts=1)
    data = desk.json("--prefix", "sweep-")
    assert (data["word"], data["mode"], data["causes"]) == ("healthy", "waiting", [])
    never = [desk.slurm.add("sweep-never", reason=reason) for reason in NEVER]
    ran = desk.run("watch", "--prefix", "sweep-", "--once")
    assert ran.returncode == 3
    assert all(f"{one} sweep-never PENDING (slurm_never_runs): it can never run: {reason}" in ran.stdout
               for one, reason in zip(never, NEVER, strict=True))  # fmt: skip
    assert f"clean --yes --partial PATTERN --slurm --prefix sweep- --user {ME} --host here" in ran.stdout


def test_no_github_token_reaches_what_is_submitted_again_and_no_host_is_an_option(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "FAILED")
    seen = desk.slurm.folder / "seen"
    desk.more = {"GITHUB_TOKEN": "ghp_" + "x" * 36, "GH_TOKEN": "y" * 40}
    ran = desk.run("resubmit", "--prefix", "sweep-", "--submit", f"sh -c 'env > {seen}; echo 7'", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "TOKEN" not in seen.read_text()
    refused = desk.run("status", "--prefix", "sweep-", "--host=-oProxyCommand=touch")
    assert (refused.returncode, "neither a name of [hosts] nor an address" in refused.stderr) == (64, True)
