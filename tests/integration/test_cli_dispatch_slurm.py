"""dispatch slurm: one command as a batch job, over a Slurm that stands as each test puts it."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_slurm import AWAY, PROGRAMS, FakeSlurm
from tests.support.host_yard import Ran, Yard
from tests.support.workers import until

KEY = "sk-ant-0123456789abcdefghijklmnop"
LOGIN = '[hosts.head]\naddress = "head"\n{host}[slurm]\nlogin = "head"\npartition = "cpu"\n'


class Desk(Yard):
    """A person whose machine has Slurm's commands."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "ssh")
        self.slurm = FakeSlurm(folder / "slurm")
        self.tell("")

    def env(self, **more: str) -> dict[str, str]:
        return super().env(**{"PATH": f"{self.slurm.bin}:{self.ssh.path()}", **more})

    def dispatch(self, *words: str, **more: str) -> Ran:
        return self.ask("dispatch", "slurm", *words, **more)

    def head(self, host: str = "") -> Path:
        """Slurm is on a login host alone from now on; the home there."""
        self.tell(LOGIN.format(host=host))
        return self.ssh.host("head", {name: (self.slurm.bin / name).read_text("utf-8") for name in PROGRAMS})

    def job(self) -> dict[str, Any]:
        """The newest."""
        return list(self.slurm.jobs().values())[-1]

    def options(self) -> list[str]:
        return self.slurm.calls("sbatch")[-1]

    def recorded(self) -> list[dict[str, Any]]:
        return json.loads(self.ask("dispatch", "--list", "--json").stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def line_of(job: dict[str, Any]) -> list[str]:
    """The words that the job's script becomes."""
    return shlex.split(job["script"].splitlines()[-1])


# --- submitting -------------------------------------------------------------------------------------------


def test_a_command_is_submitted_and_its_id_alone_stands_on_stdout(desk: Desk) -> None:
    ran = desk.dispatch("--", "make", "-C", "my widgets", "bench")
    assert (ran.returncode, ran.stdout) == (0, "100\n")
    assert ran.stderr.splitlines() == [f"submitted as dispatch; its output: {desk.home}/slurm-100.out",
                                       "watch it: coordinator batch watch --slurm --jobs 100"]
    job = desk.job()
    assert (job["name"], job["workdir"], job["state"]) == ("dispatch", str(desk.home), "PENDING")
    assert line_of(job) == ["exec", "/bin/sh", "-c", "--", "make -C 'my widgets' bench"]


def test_the_way_that_is_named_to_watch_it_finds_it(desk: Desk) -> None:
    ran = desk.dispatch("--array", "0-2", "true")
    words = ran.stderr.splitlines()[-1].removeprefix("watch it: coordinator ").split()
    seen = desk.ask(*words, "--once", "--project", "widgets")
    assert seen.returncode == 0, seen.stderr
    assert "  3 in all: 3 waiting" in seen.stdout.splitlines()


def test_jobs_before_it_and_an_array_go_along_and_json_tells_of_them(desk: Desk) -> None:
    before, task = desk.slurm.add("first"), desk.slurm.add("array", job_id="90_3")
    ran = desk.ask("slurm", "--after", before, "--after", task, "--after", "90", "--after", before, "--array=0-7%2",
                   "--name", "sweep.1", "--json", "train --seed $SLURM_ARRAY_TASK_ID", name="dx-dispatch")
    assert json.loads(ran.stdout) == {
        "id": "102", "name": "sweep.1", "array": "0-7%2", "after": [before, "90_3", "90"], "folder": str(desk.home),
        "output": f"{desk.home}/slurm-102_*.out",
    }  # fmt: skip
    assert ran.stderr == ""
    assert {"--array=0-7%2", f"--dependency=afterok:{before}:90_3:90", "--output=slurm-%A_%a.out"} <= set(
        desk.options())
    assert line_of(desk.job())[-1] == "train --seed $SLURM_ARRAY_TASK_ID"


def test_the_settings_of_slurm_are_those_of_the_job(desk: Desk) -> None:
    desk.tell('[slurm]\npartition = "cpu"\naccount = "lab"\nqos = "long"\ntime = "4:00:00"\nmem = "8G"\ncpus = 4\n'
              'gres = "gpu:1"\nargs = ["--nice=10"]\npath = ["~/my bin"]\n')
    assert desk.dispatch("true").returncode == 0
    assert {"--partition=cpu", "--account=lab", "--qos=long", "--time=4:00:00", "--mem=8G", "--cpus-per-task=4",
            "--gres=gpu:1", "--nice=10", "--no-requeue"} <= set(desk.options())
    assert 'PATH="$HOME"/\'my bin\':' in desk.job()["script"]


def test_options_behind_the_word_slurm_are_ours_up_to_the_command(desk: Desk) -> None:
    for words in (("dispatch", "--name", "x", "slurm", "--array", "0", "--", "--odd", "--name", "y"),
                  ("dispatch", "slurm", "--name", "x", "--array", "0", "--", "--odd", "--name", "y"),
                  ("dispatch", "--", "slurm", "--name=x", "--array=0", "--", "--odd", "--name", "y")):
        assert desk.ask(*words).returncode == 0
        job = desk.job()
        assert (job["name"], job["id"].partition("_")[2], line_of(job)[-1]) == ("x", "0", "--odd --name y")
    assert desk.dispatch("printf", "%s", "--after", "x").returncode == 0
    assert line_of(desk.job())[-1] == "printf %s --after x"


def test_it_begins_in_a_folder_that_is_there(desk: Desk) -> None:
    for folder in ("runs/100% of it", "-odd"):
        (desk.home / folder).mkdir(parents=True)
    assert desk.dispatch("--workdir", "runs/100% of it", "true").returncode == 0
    assert desk.job()["workdir"] == f"{desk.home}/runs/100% of it"
    assert desk.dispatch("--workdir=-odd", "true").returncode == 0
    assert desk.job()["workdir"] == f"{desk.home}/-odd"
    assert desk.dispatch("--workdir", "~/runs", "true").returncode == 0
    assert desk.job()["workdir"] == f"{desk.home}/runs"


def test_no_token_and_no_variable_of_ours_goes_along(desk: Desk) -> None:
    ran = desk.dispatch("true", GITHUB_TOKEN="ghp_" + "a" * 36, GH_TOKEN="gho_" + "b" * 36, MINE="x", SBATCH_WAIT="1",
                        ANTHROPIC_API_KEY=KEY)
    assert ran.returncode == 0
    given = desk.slurm.environ("sbatch")
    assert given["HOME"] == str(desk.home)
    assert set(given) <= {"HOME", "PATH", "LANG", "LC_ALL", "USER", "LOGNAME", "SHELL", "TZ", "PWD", "LC_CTYPE"}
    assert {"GITHUB_TOKEN", "GH_TOKEN"} & set(desk.slurm.environ("squeue")) == set()
    assert "ghp_" not in desk.job()["script"]


# --- by way of a login host -------------------------------------------------------------------------------


def test_it_is_submitted_on_the_login_host_in_the_home_there(desk: Desk) -> None:
    home = desk.head()
    (home / "runs").mkdir()
    assert desk.dispatch("true").stdout == "100\n"
    assert desk.job()["workdir"] == str(home)
    assert desk.dispatch("--workdir", "~/runs", "true").returncode == 0
    assert desk.job()["workdir"] == f"{home}/runs"
    assert "--partition=cpu" in desk.options()
    assert [one["address"] for one in desk.recorded()] == ["head", "head"]


def test_a_folder_of_the_login_host_is_named_in_full(desk: Desk) -> None:
    desk.head()
    ran = desk.dispatch("--workdir", "runs", "true")
    assert (ran.returncode, desk.slurm.calls()) == (64, [])
    assert "Give a folder of head that begins with / or ~/." in ran.stderr
    ran = desk.dispatch("--workdir", "~/runs", "true")
    assert (ran.returncode, desk.slurm.calls()) == (64, [])
    assert "--workdir: ~/runs cannot be entered on head" in ran.stderr


def test_a_login_host_whose_gate_is_closed_takes_none(desk: Desk) -> None:
    desk.head("enabled = false\n")
    ran = desk.dispatch("true")
    assert (ran.returncode, desk.slurm.calls()) == (26, [])
    assert "coordinator hosts gate head" in ran.stderr


def test_a_login_host_that_is_out_of_reach_is_26_with_the_likely_cure(desk: Desk) -> None:
    desk.head()
    desk.ssh.down("head", "ssh: connect to host head port 22: Connection timed out\n")
    ran = desk.dispatch("true")
    assert (ran.returncode, desk.slurm.calls()) == (26, [])
    assert "VPN" in ran.stderr
    assert "Nothing was submitted." in ran.stderr
    assert [one["how"] for one in desk.recorded()] == ["unreachable"]


# --- what cannot be submitted -----------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "said"), [
    (("--",), "a command is missing"),
    (("--", " ", ""), "a command is missing"),
    (("--name", "x"), "a command is missing"),
    (("--after", "latest", "true"), "--after 'latest' is no id of a job"),
    (("--after", "1,2", "true"), "Give --after once for each job"),
    (("--after", "1:2", "true"), "is no id of a job"),
    (("--after", "7 --wrap=x", "true"), "is no id of a job"),
    (("--after", "٣", "true"), "is no id of a job"),
    (("--after", "", "true"), "--after '' is no id of a job"),
    (("--array", "x", "true"), "'x' is no index and no range"),
    (("--array", "7-0", "true"), "7-0 ends before it begins"),
    (("--array", "0-7%0", "true"), "behind % stands how many may run at once, not '0'"),
    (("--array", "0-7 --uid=0", "true"), "is no index and no range"),
    (("--name", "-J", "true"), "--name '-J' cannot be used"),
    (("--name", "a\nb", "true"), "cannot be used"),
    (("--name", "a b", "true"), "letters, digits"),
    (("--name", "x" * 65, "true"), "at most 64"),
    (("--name", "rpi-gh-1", "true"), "names of workers"),
    (("--workdir", "a\nb", "true"), "Give a folder whose name is one line."),
    (("--workdir", "nowhere", "true"), "cannot be entered here"),
    (("--what", "true"), "No such option"),
    (("--after",), "requires an argument"),
])  # fmt: skip
def test_a_value_that_cannot_be_used_is_named_before_slurm_is_asked(desk: Desk, words: tuple[str, ...],
                                                                     said: str) -> None:
    ran = desk.dispatch(*words)
    assert (ran.returncode, ran.stdout) == (64, "")
    assert said in ran.stderr
    assert desk.slurm.calls() == []
    assert desk.recorded() == []


@pytest.mark.parametrize("option", ["--after=1", "--array=1", "--name=x", "--workdir=/"])
def test_on_another_host_what_is_slurm_s_means_nothing(desk: Desk, option: str) -> None:
    desk.head()
    ran = desk.ask("dispatch", option, "head", "--", "true")
    assert ran.returncode == 64
    assert "--after, --array, --name and --workdir go with slurm" in ran.stderr
    assert desk.ask("dispatch", "head", "printf", "%s", option).stdout == option


@pytest.mark.parametrize(("said", "cure"), [
    ("invalid partition specified: cpux", "Mend slurm.partition in coordinator.toml."),
    ("Batch job submission failed: Job dependency problem", "Mend --after:"),
    ("Batch job submission failed: Invalid job array specification", "Mend --array:"),
])
def test_what_slurm_refuses_is_1_with_what_to_mend(desk: Desk, said: str, cure: str) -> None:
    desk.slurm.down("sbatch", 1, f"sbatch: error: {said}")
    ran = desk.dispatch("--after", desk.slurm.add("first"), "--array", "0-3", "true")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert said in ran.stderr
    assert cure in ran.stderr
    assert [(one["how"], one["id"]) for one in desk.recorded()] == [("refused", "")]


def test_a_job_that_slurm_forgot_is_nothing_to_wait_for(desk: Desk) -> None:
    """Slurm would take the dependency for met and start the job at once."""
    there, task = desk.slurm.add("first", "COMPLETED"), desk.slurm.add("array", job_id="90_3")
    gone = desk.slurm.add("old", "FAILED")
    desk.slurm.forget(gone)
    for after in ((gone,), (there, gone), ("7",), (task, "90_4"), (there, "7")):
        ran = desk.dispatch(*(f"--after={each}" for each in after), "true")
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"--after: Slurm does not know {after[-1]} any more, and would not wait" in ran.stderr
    assert desk.slurm.calls("sbatch") == []
    assert {one["how"] for one in desk.recorded()} == {"refused"}
    assert desk.dispatch("--after", there, "true").returncode == 0


def test_an_argument_of_the_settings_that_would_lose_the_job_is_named(desk: Desk) -> None:
    desk.tell('[slurm]\nargs = ["--wrap=true"]\n')
    ran = desk.dispatch("true")
    assert (ran.returncode, desk.slurm.calls("sbatch")) == (1, [])
    assert "slurm.args: --wrap=true: the script is ours" in ran.stderr


def test_a_controller_that_is_away_is_26_and_nothing_was_submitted(desk: Desk) -> None:
    desk.slurm.down("squeue", -1)
    ran = desk.dispatch("true")
    assert (ran.returncode, desk.slurm.calls("sbatch")) == (26, [])
    assert "Unable to contact slurm controller" in ran.stderr
    assert "Nothing was submitted." in ran.stderr
    assert [one["how"] for one in desk.recorded()] == ["unreachable"]


def test_without_slurm_s_commands_the_setting_is_named(desk: Desk) -> None:
    tools = desk.folder / "tools"
    tools.mkdir()
    (tools / "env").symlink_to("/usr/bin/env")
    ran = desk.dispatch("true", PATH=str(tools))
    assert ran.returncode == 26
    assert "squeue" in ran.stderr
    assert "Set slurm.login to a host that has Slurm's commands, or install them here." in ran.stderr


def test_an_answer_that_was_lost_is_asked_for_again_and_the_job_is_found(desk: Desk) -> None:
    desk.slurm.mute(1)
    ran = desk.dispatch("true")
    assert (ran.returncode, ran.stdout) == (0, "100\n")
    assert len(desk.slurm.calls("sbatch")) == 1
    assert [(one["how"], one["id"]) for one in desk.recorded()] == [("submitted", "100")]


def test_a_submission_that_slurm_does_not_show_is_26_and_says_how_to_look(desk: Desk) -> None:
    desk.slurm.down("sbatch", 1, AWAY)
    ran = desk.dispatch("--name", "mine", "true")
    assert ran.returncode == 26
    assert "Slurm shows no such job. Before you submit it again: squeue --me --name=mine" in ran.stderr
    assert [one["how"] for one in desk.recorded()] == ["lost"]
    desk.head()
    desk.slurm.down("sbatch", 1, AWAY)
    assert "coordinator dispatch head -- squeue --me --name=mine" in desk.dispatch("--name", "mine", "true").stderr


def test_ctrl_c_while_it_is_submitted_says_that_nobody_knows(desk: Desk) -> None:
    begun = desk.folder / "begun"
    program = desk.slurm.bin / "sbatch"
    program.write_text(f"#!/bin/sh\n: > {shlex.quote(str(begun))}\nexec sleep 600\n", "utf-8")
    with desk.started("dispatch", "slurm", "true") as running:
        until(begun.exists, "sbatch")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Whether it was submitted is not known." in said
    assert [one["how"] for one in desk.recorded()] == ["interrupted"]


# --- the record -------------------------------------------------------------------------------------------


def test_the_record_has_the_id_without_secrets_and_asks_nobody(desk: Desk) -> None:
    desk.dispatch(f"train --key {KEY}")
    desk.slurm.down("squeue", -1)
    asked = desk.slurm.calls()
    [one] = desk.recorded()
    assert (one["host"], one["command"], one["how"], one["id"], one["exit_code"]) == (
        "slurm", "train --key ***", "submitted", "100", None)
    [row] = desk.ask("dispatch", "--list").stdout.splitlines()[1:]
    assert row.split()[1:6] == ["slurm", "submitted", "as", "100", "-"]
    assert desk.slurm.calls() == asked


def test_what_was_recorded_before_jobs_had_ids_is_still_read(desk: Desk) -> None:
    desk.dispatch("true")
    note = desk.state / "dispatches.jsonl"
    old = json.loads(note.read_text("utf-8"))
    del old["id"]
    note.write_text(f"{json.dumps(old)}\n", "utf-8")
    assert [one["id"] for one in desk.recorded()] == [""]
