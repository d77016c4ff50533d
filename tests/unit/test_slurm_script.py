"""What sbatch is handed: a script and options in which every value stays one word, whatever it holds."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.adapters.executors.slurm.script import (
    Order,
    Wishes,
    argv,
    commanded,
    is_job_id,
    no_array,
    script,
    unusable,
)

GOLDEN = Path(__file__).parents[1] / "golden"
PLAIN = Order(
    name="rpi-gh-471", token="0a1b2c", folder="/srv/.coordinator", output="/srv/.coordinator/gh-471.slurm",
    wrapper=("python3", "/srv/.coordinator/wrapper-1f2e.pyz", "/srv/.coordinator/jobs/claude", "gh-471"),
)
FULL = replace(
    PLAIN, name="rpi-it's", output="/srv/100% of it/x.slurm",
    wrapper=("~/venv 3/bin/python", "/srv/$HOME/w.pyz", "/srv/it's/jobs", "a;b", "`id`", "two\nlines", ""),
    wishes=Wishes("gpu", "lab", "long", "1-12:00:00", "16G", 8, "gpu:a100:1", ("--constraint=avx|sse", "--nice=10"),
                  ("~/bin", "/opt/my tools/bin"), warning=120),
    depends=("17", "18"), array="0-7%2",
)
BY_HAND = replace(
    PLAIN, name="sweep", folder="/srv/runs", output="", wishes=Wishes(path=("~/bin",)), depends=("17", "18_3"),
    array="0-7%2", wrapper=commanded("cd $HOME && ./train --seed=$SLURM_ARRAY_TASK_ID --as 'it is' | tail -3"),
)
AROUND = {"HOME": "/home/u", "PATH": "/bin:/opt/slurm/bin", "GITHUB_TOKEN": "ghp_1", "SLURM_JOB_ID": "7",
          "SBATCH_WAIT": "1", "SLURM_CONF": "/etc/slurm/slurm.conf"}
ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(("name", "order"), [("plain", PLAIN), ("full", FULL), ("by-hand", BY_HAND)])
def test_script_and_command_are_as_they_were_reviewed(name: str, order: Order) -> None:
    written = "".join(f"{word}\n" for word in map(shlex.quote, argv(order, AROUND))) + "\n" + script(order)
    assert written == (GOLDEN / f"slurm-{name}.txt").read_text()


@settings(max_examples=12)
@example(words=["a'b", "$(id)", "`id`", "\\", "x\ny", "*", "", "-n"], folder="~/a b", program="~")
@given(words=st.lists(ANY, max_size=4), folder=ANY, program=ANY)
def test_the_script_becomes_the_wrapper_with_its_very_words(words: list[str], folder: str, program: str) -> None:
    """Run by a real shell. The program writes down what it got; it is reached by way of `path`, so that works too."""
    shown = ("import json, os, sys; print(json.dumps([sys.argv[1:], os.getpid(), os.environ['PATH'], "
             "os.environ['HOME']]))")
    made = script(replace(PLAIN, wrapper=("python3", "-c", shown, program, *words), wishes=Wishes(path=(folder,))))
    shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={"PATH": "/usr/bin:/bin"})
    got, pid, path, home = json.loads(shell.communicate(made, timeout=60)[0])
    assert got == [program, *words]
    assert pid == shell.pid   # it became the wrapper: Slurm's signals reach that
    assert path == (str(Path(home) / folder[2:]) if folder.startswith("~/") else folder) + ":/usr/bin:/bin"
    assert home == str(Path.home())


@settings(max_examples=12)
@example(words=["a'b", "$(id)", "`id`", "\\", "x\ny", "*", "", "-n", "~/x"], before="#SBATCH --wrap=x\n:")
@example(words=[], before="-e")
@given(words=st.lists(ANY, max_size=4), before=st.sampled_from(["", ":", "-c 2>&-", "+x 2>&-", "f() { :; }"]))
def test_a_line_of_a_shell_is_run_as_it_stands(words: list[str], before: str) -> None:
    """By a real shell; what stands before it may fail, and is no option of the shell."""
    shown = "import json, sys; print(json.dumps(sys.argv[1:]))"
    line = f"{before}\n{shlex.join(['python3', '-c', shown, *words])}"
    made = script(replace(PLAIN, wrapper=commanded(line)))
    shell = subprocess.run(["sh"], input=made, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"},
                           timeout=60, check=False)
    assert json.loads(shell.stdout) == words


def test_output_without_a_name_has_that_of_the_job_and_of_each_of_an_array() -> None:
    alone = replace(BY_HAND, array="")
    assert {"--output=slurm-%j.out", "--error=slurm-%j.out"} <= set(argv(alone, AROUND))
    assert {"--output=slurm-%A_%a.out", "--error=slurm-%A_%a.out"} <= set(argv(BY_HAND, AROUND))


@pytest.mark.parametrize("text", ["1", "4711", "4711_0", "4711_3", "12+1", "4294967295"])
def test_ids_of_jobs_arrays_and_parts_are_known(text: str) -> None:
    assert is_job_id(text)


@pytest.mark.parametrize("text", ["", "0", "01", "-1", "1 ", "1\n", "1,2", "1:2", "1_", "1_[0-3]", "last", "1;c",
                                  "1?afterany:2", "\u0663", "9" * 20])
def test_whatever_else_is_given_is_no_id(text: str) -> None:
    assert not is_job_id(text)


@pytest.mark.parametrize("text", ["0", "0-7", "0-7%2", "1,3,5", "0-15:4", "0,6,16-32%10", "5-5"])
def test_indices_as_sbatch_takes_them_are_an_array(text: str) -> None:
    assert no_array(text) == ""


@pytest.mark.parametrize(("text", "why"), [
    ("", "'' is no index and no range such as 0-7 or 0-7:2"), ("1,", "'' is no index"), ("a", "'a' is no index"),
    ("-1", "'-1' is no index"), ("1-", "'1-' is no index"), ("0-7:0", "'0-7:0' is no index"), ("0-7 ", "is no index"),
    ("1:2", "'1:2' is no index"), ("7-0", "7-0 ends before it begins"), ("0-7%", "behind % stands how many"),
    ("0-7%2%2", "behind % stands how many may run at once, not '2%2'"), ("%2", "'' is no index"),
    ("9" * 30, "is no index"), ("\u0663", "is no index"), ("0-7\n", "is no index"),
])  # fmt: skip
def test_whatever_sbatch_would_not_take_is_no_array(text: str, why: str) -> None:
    assert why in no_array(text)


@given(text=st.text(st.sampled_from("0129-:,% \n=aA_"), max_size=12))
def test_an_array_that_is_taken_is_numbers_and_signs_alone(text: str) -> None:
    if not no_array(text):
        assert set(text) <= set("0123456789-:,%")
        assert all(part[:1].isdigit() and part[-1:].isdigit() for part in text.replace("%", ",").split(","))


@given(text=ANY)
def test_no_value_becomes_an_option_of_its_own(text: str) -> None:
    hostile = text + "\n#SBATCH --job-name=evil\n"
    order = replace(PLAIN, wrapper=("run", hostile), wishes=Wishes(path=(hostile,)), name=hostile, token=hostile,
                    folder=hostile)
    lines = script(order).split("\n")
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    assert first == 1   # sbatch reads options up to the first command only
    words = argv(order, AROUND)
    options = words[words.index("sbatch") + 1:]
    assert all(word.startswith("--") for word in options)
    assert [word for word in options if word.startswith("--job-name")] == [f"--job-name={hostile}"]


def test_a_home_of_the_node_is_meant_by_a_tilde_and_nothing_else_is_expanded() -> None:
    assert 'export PATH="$HOME"/bin:"${PATH:-' in script(replace(PLAIN, wishes=Wishes(path=("~/bin",))))
    assert "exec '~x/python'" in script(replace(PLAIN, wrapper=("~x/python",)))


def test_nothing_goes_along_but_what_every_program_needs() -> None:
    assert argv(PLAIN, AROUND)[:6] == ["env", "-i", "HOME=/home/u", "PATH=/bin:/opt/slurm/bin",
                                       "SLURM_CONF=/etc/slurm/slurm.conf", "sbatch"]
    assert argv(PLAIN, {})[:3] == ["env", "-i", "sbatch"]


@pytest.mark.parametrize("word", ["--parsable", "--no-requeue", "--job-name=rpi-gh-471", "--comment=0a1b2c"])
def test_options_of_the_settings_cannot_take_ours_back(word: str) -> None:
    """sbatch obeys the last of several."""
    made = argv(replace(PLAIN, wishes=Wishes(args=("--job-name=x", "--comment=y", "--export=NONE"))), AROUND)
    assert made.index(word) > made.index("--export=NONE")


@pytest.mark.parametrize(("args", "words"), [
    (("--nice=1", "--wrap=rm -rf ~"), "--wrap=rm -rf ~: the script is ours"),
    (("--wai",), "--wai: sbatch would not return before the job has ended"),
    (("--test-only",), "--test-only: nothing would be submitted"),
    (("--cluster=other",), "--cluster=other: jobs of another cluster could not be watched"),
    (("--wait-all-nodes=1", "--constraint=a100", "--exclusive", "--nodes=2", "--mail-type=END"), ""),
])
def test_arguments_that_would_lose_the_job_are_named(args: tuple[str, ...], words: str) -> None:
    assert unusable(args).startswith(words)
    assert bool(unusable(args)) == bool(words)


def test_a_path_is_no_pattern() -> None:
    assert "--output=/srv/100%% of it/x.slurm" in argv(FULL, AROUND)
    dropped = replace(PLAIN, output="/srv/back\\slash")   # the backslash, by sbatch
    assert "--error=/dev/null" in argv(dropped, AROUND)


def test_a_warning_is_never_further_ahead_than_slurm_can_count() -> None:
    assert "--signal=B:USR1@65535" in argv(replace(PLAIN, wishes=Wishes(warning=10**6)), AROUND)
    assert not any(word.startswith("--signal") for word in argv(PLAIN, AROUND))
