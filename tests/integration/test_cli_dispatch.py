"""dispatch: one command on another host, over hosts that are folders of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.host_yard import Yard, mode, runs
from tests.support.workers import until

ONE = '[hosts.epyc12]\naddress = "epyc12"\n'
TAILED = '[hosts.epyc12]\naddress = "epyc12"\nssh = ["tailscale", "ssh"]\n'
KEY = "sk-ant-0123456789abcdefghijklmnop"


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path, "ssh", "tailscale")
    made.tell(ONE)
    made.ssh.host("epyc12")
    return made


@pytest.mark.req("B31", "X14")
def test_dx_dispatch_runs_a_line_on_the_host_by_tailscale_s_ssh(yard: Yard) -> None:
    yard.tell(TAILED)
    ran = yard.ask("epyc12", "echo $HOME | tr a-z A-Z; echo no >&2; exit 7", name="dx-dispatch")
    home = yard.ssh.folder / "epyc12" / "home"
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, f"{home}\n".upper(), "no\n")
    [words] = yard.ssh.asked()
    assert words[:2] == ["ssh", "epyc12"]
    assert "BatchMode=yes" in words


def test_a_single_word_is_a_line_for_the_shell_there_and_several_are_kept_apart(yard: Yard) -> None:
    assert yard.ask("dispatch", "epyc12", "--", "echo a   b; echo $((1+1))").stdout == "a b\n2\n"
    words = ("a   b", "$HOME", "it's", "")
    assert yard.ask("dispatch", "epyc12", "--", "printf", "<%s>", *words).stdout == "<a   b><$HOME><it's><>"
    assert yard.ask("dispatch", "epyc12", "printf", "%s", "--list").stdout == "--list"
    assert yard.ask("dispatch", "epyc12", "--", "printf", "%s|", "--", "-x").stdout == "--|-x|"


def test_what_we_are_given_goes_to_the_command(yard: Yard) -> None:
    assert yard.ask("dispatch", "epyc12", "wc -c", stdin="12345").stdout.strip() == "5"


def test_an_exit_code_of_255_is_the_command_s_own_when_it_ran(yard: Yard) -> None:
    assert yard.ask("dispatch", "epyc12", "exit 255").returncode == 255


@pytest.mark.parametrize(("says", "why", "cure"), [
    ("@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
     "its host key is another than before", "ssh-keygen -R epyc12"),
    ("Host key verification failed.\n", "its host key is not known here", "compare the key: ssh epyc12"),
    ("epyc12: Permission denied (publickey).\n", "it refuses our key", "ssh-add -l"),
    ("ssh: connect to host epyc12 port 22: Connection timed out\n", "it does not answer", "VPN"),
    ("kex_exchange_identification: Connection closed by remote host\n", "is no ssh server", "ssh epyc12 true"),
])  # fmt: skip
def test_ssh_s_own_failure_is_26_with_the_likely_cure(yard: Yard, says: str, why: str, cure: str) -> None:
    yard.ssh.down("epyc12", says)
    ran = yard.ask("dispatch", "epyc12", "--", "true")
    assert ran.returncode == 26
    assert why in ran.stderr
    assert cure in ran.stderr
    assert says.splitlines()[-1] in ran.stderr
    assert ran.stdout == ""


def test_a_user_who_may_run_nothing_there_is_told_so(yard: Yard) -> None:
    yard.ssh.down("epyc12", "This account is currently not available.\n", code=1)
    ran = yard.ask("dispatch", "epyc12", "--", "true")
    assert ran.returncode == 26
    assert "no command can be run there (This account is currently not available.)" in ran.stderr


def test_where_nobody_knows_whether_it_began_it_is_said(yard: Yard) -> None:
    yard.ssh.down("epyc12", "Timeout, server epyc12 not responding.\n")
    ran = yard.ask("dispatch", "epyc12", "--", "true")
    assert ran.returncode == 26
    assert "whether the command began is not known (Timeout, server epyc12 not responding.)" in ran.stderr
    assert json.loads(yard.ask("dispatch", "--list", "--json").stdout)[-1]["how"] == "lost"


def test_without_the_program_it_says_so(yard: Yard) -> None:
    yard.tell('[hosts.epyc12]\naddress = "epyc12"\nssh = ["mosh-ssh"]\n')
    ran = yard.ask("dispatch", "epyc12", "--", "true")
    assert ran.returncode == 26
    assert "mosh-ssh is not installed here, or not on PATH" in ran.stderr


def test_a_command_that_is_cut_off_is_26_and_may_run_on(yard: Yard) -> None:
    ran = yard.ask("dispatch", "epyc12", "--", "sh", "-c", "echo half; echo why >&2; kill -KILL 0")
    assert ran.returncode == 26
    assert ran.stdout == "half\n"
    assert "why\n" in ran.stderr
    assert "the connection was lost while the command ran" in ran.stderr
    assert json.loads(yard.ask("dispatch", "--list", "--json").stdout)[-1]["how"] == "lost"


def test_no_token_goes_along_and_the_command_has_the_host_s_own_environment(yard: Yard) -> None:
    ran = yard.ask("dispatch", "epyc12", "env", GITHUB_TOKEN="ghp_" + "a" * 36, GH_TOKEN="gho_" + "b" * 36, MINE="x")
    assert "TOKEN" not in ran.stdout
    assert "MINE" not in ran.stdout
    assert {"GITHUB_TOKEN", "GH_TOKEN"} & set(yard.ssh.environ()) == set()
    assert "PATH" in yard.ssh.environ()


def test_folders_of_the_host_s_configuration_stand_before_its_path(yard: Yard) -> None:
    home = yard.ssh.folder / "epyc12" / "home"
    yard.tell(ONE + 'path = ["~/my tools", "/opt/x"]\n')
    ran = yard.ask("dispatch", "epyc12", "echo $PATH")
    assert ran.stdout.startswith(f"{home}/my tools:/opt/x:")


# --- the record -------------------------------------------------------------------------------------------


def test_every_outcome_is_recorded_without_secrets(yard: Yard) -> None:
    yard.ask("dispatch", "epyc12", f"echo {KEY} $PLAIN; exit 3", PLAIN_TOKEN="planted-secret-value")
    yard.ask("dispatch", "epyc12", "--", "echo", "planted-secret-value", PLAIN_TOKEN="planted-secret-value")
    yard.ssh.down("epyc12", "ssh: connect to host epyc12 port 22: Connection refused\n")
    yard.ask("dispatch", "epyc12", "--", "true")
    found = json.loads(yard.ask("dispatch", "--list", "--json").stdout)
    assert [(one["host"], one["command"], one["how"], one["exit_code"]) for one in found] == [
        ("epyc12", "echo *** $PLAIN; exit 3", "ended", 3), ("epyc12", "echo ***", "ended", 0),
        ("epyc12", "true", "unreachable", None),
    ]  # fmt: skip
    assert all(one["seconds"] >= 0 and one["at"].endswith("+00:00") for one in found)
    note = yard.state / "dispatches.jsonl"
    assert mode(note) == 0o600
    assert KEY not in note.read_text("utf-8")
    head, *rows = yard.ask("dispatch", "--list").stdout.splitlines()
    assert head.split() == ["AT", "HOST", "ENDED", "EXIT", "TOOK", "COMMAND"]
    assert [row.split()[1:4] for row in rows] == [
        ["epyc12", "ended", "3"], ["epyc12", "ended", "0"], ["epyc12", "unreachable", "-"]]


def test_the_oldest_outcomes_are_forgotten(yard: Yard) -> None:
    yard.ask("dispatch", "epyc12", "--", "true")
    note = yard.state / "dispatches.jsonl"
    line = note.read_text("utf-8")
    note.write_text(line * 600 + "torn {\n", "utf-8")
    assert yard.ask("dispatch", "epyc12", "--", "no-such-program").returncode == 127
    kept = note.read_text("utf-8").splitlines()
    assert len(kept) == 500
    assert json.loads(kept[-1])["command"] == "no-such-program"
    assert len(json.loads(yard.ask("dispatch", "--list", "--json").stdout)) == 499


def test_a_command_runs_where_no_record_can_be_kept(yard: Yard) -> None:
    yard.state.parent.mkdir(parents=True)
    yard.state.write_text("in the way", "utf-8")
    ran = yard.ask("dispatch", "epyc12", "echo done")
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert "the outcome could not be recorded" in ran.stderr


def test_nothing_is_recorded_before_anything_was_dispatched(yard: Yard) -> None:
    assert yard.ask("dispatch", "--list").stdout == "nothing was dispatched yet\n"
    assert yard.ask("dispatch", "--list", "--json").stdout == "[]\n"


@pytest.mark.parametrize(("words", "said"), [
    ((), "a host and a command are missing"), (("epyc12",), "a command is missing"),
    (("epyc12", "--"), "a command is missing"), (("epyc12", "--", "  "), "a command is missing"),
    (("--json", "epyc12", "true"), "--json goes with --list"),
])  # fmt: skip
def test_what_is_missing_is_a_wrong_usage(yard: Yard, words: tuple[str, ...], said: str) -> None:
    ran = yard.ask("dispatch", *words)
    assert ran.returncode == 64
    assert said in ran.stderr


# --- Ctrl-C -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_ends_us_ends_the_command_there(yard: Yard, number: int, code: int) -> None:
    with yard.started("dispatch", "epyc12", "sleep 600 & echo $$ $!; wait") as running:
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        assert all(map(runs, pids))
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == code
    assert said.endswith("the command on epyc12 was ended\n")
    assert not any(map(runs, pids))
    assert json.loads(yard.ask("dispatch", "--list", "--json").stdout)[-1]["how"] == "interrupted"


def test_a_command_deaf_to_it_is_ended_all_the_same(yard: Yard) -> None:
    with yard.started("dispatch", "epyc12", "trap '' TERM INT; echo $$; sleep 600; sleep 600") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    assert until(lambda: not runs(pid), "the end of the command")


def test_a_command_that_was_not_heard_of_yet_is_ended_too(yard: Yard) -> None:
    yard.ssh.late("epyc12")
    with yard.started("dispatch", "epyc12", "echo $$; exec sleep 600") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    until(lambda: not runs(pid), "the end of the command")


def test_output_comes_while_the_command_runs(yard: Yard) -> None:
    fifo = yard.ssh.folder / "epyc12" / "home" / "go"
    os.mkfifo(fifo)
    with yard.started("dispatch", "epyc12", "echo one; echo two >&2; read x < go; echo $x") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "one\n"
        assert running.stderr.readline() == "two\n"
        fifo.write_text("three\n", "utf-8")
        assert running.stdout.read() == "three\n"
    assert running.returncode == 0


def test_what_the_command_leaves_running_does_not_hold_us(yard: Yard) -> None:
    line = "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $!"
    ran = yard.ask("dispatch", "epyc12", line)
    assert ran.returncode == 0
    subprocess.run(["kill", "-KILL", ran.stdout.strip()], check=False)
