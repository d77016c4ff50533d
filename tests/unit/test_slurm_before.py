"""What is asked before a command is given to Slurm: where it begins, and whether what it waits for is known."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator.adapters.executors.slurm.before import NoFolder, folder_there, unknown_of
from coordinator.adapters.executors.slurm.queue import Run
from coordinator.adapters.executors.slurm.reading import FIELD, RECORD
from coordinator.adapters.system.run import Ran
from coordinator.ports import Away


def shell(home: str, program: str = "/bin/sh") -> Run:
    """Where commands are run by a shell of this kind, in no folder that matters."""

    def run(argv: Sequence[str], stdin: str, timeout: float) -> Ran:
        words = [program, *argv[1:]]
        done = subprocess.run(words, env={"HOME": home, "PATH": "/usr/bin:/bin", "CDPATH": "/usr"}, cwd="/", text=True,
                              input=stdin, capture_output=True, timeout=timeout, check=False)  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def says(answer: Ran) -> Run:
    return lambda _argv, _stdin, _timeout: answer


@pytest.mark.parametrize("program", [one for one in ("sh", "bash", "dash", "zsh") if shutil.which(one)])
def test_a_folder_is_told_in_full_and_the_home_is_meant_by_nothing_and_a_tilde(tmp_path: Path, program: str) -> None:
    odd = "it's 100% $HOME `id` *"
    (tmp_path / odd).mkdir()
    (tmp_path / "~").mkdir()
    run, home = shell(str(tmp_path), program), str(tmp_path)
    assert [folder_there(run, wanted) for wanted in ("", "~", f"~/{odd}", f"{home}/{odd}", f"{home}/~")] == [
        home, home, f"{home}/{odd}", f"{home}/{odd}", f"{home}/~"]


@pytest.mark.parametrize("wanted", ["/nowhere/at all", "~/nothing", "~/file"])
def test_what_cannot_be_entered_is_no_folder(tmp_path: Path, wanted: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoFolder, match=r"can.t cd|[Nn]o such|[Nn]ot a dir"):
        folder_there(shell(str(tmp_path)), wanted)


def test_who_has_no_home_must_name_a_folder() -> None:
    with pytest.raises(NoFolder, match="it has no home"):
        folder_there(shell(""), "")


def test_a_greeting_is_no_folder() -> None:
    assert folder_there(says(Ran(0, "Welcome\nto the cluster\n/home/u\n", "")), "") == "/home/u"


def test_jobs_that_the_controller_does_not_know_are_told_from_those_it_does() -> None:
    shown = [("7", "7"), ("9", "8_0"), ("10", "8_1"), ("11", "11+0")]
    there = says(Ran(0, "".join(FIELD.join(one) + RECORD + "\n" for one in shown), ""))
    assert unknown_of(there, ("7", "8", "8_1", "8_2", "12", "11+0", "11", "1")) == ("8_2", "12", "1")


def test_no_job_is_asked_for_when_none_is_waited_for() -> None:
    assert unknown_of(says(Ran(1, "", "must not be asked")), ()) == ()


def test_a_controller_that_cannot_be_asked_knows_neither() -> None:
    assert unknown_of(says(Ran(1, "", "slurm_load_jobs error: Invalid job id specified")), ("7",)) == ("7",)
    with pytest.raises(Away, match="Unable to contact"):
        unknown_of(says(Ran(1, "", "slurm_load_jobs error: Unable to contact slurm controller")), ("7",))
