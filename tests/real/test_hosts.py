"""Hosts over a real OpenSSH: connections, causes, one command, the check, the gate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from coordinator.adapters.executors.ssh import Ssh, Unreachable, control_folder
from tests.support.host_yard import Yard, runs
from tests.support.sshd import Sshd
from tests.support.workers import until

BYTES = bytes(range(256)) * 4096
QUICK = "    ServerAliveInterval 1\n    ServerAliveCountMax 2\n    ConnectTimeout 2\n"


@pytest.fixture
def control() -> Iterator[Path]:
    """The folder for the socket of a shared connection, whose name has to be short."""
    with TemporaryDirectory(prefix="c") as folder:
        yield Path(folder)


@pytest.fixture
def ssh(sshd: Sshd, control: Path) -> Iterator[Ssh]:
    """With one shared connection."""
    made = Ssh(sshd.alias, sshd.command, control, os.environ)
    yield made
    made.close()


@pytest.fixture
def yard(sshd: Sshd, tmp_path: Path) -> Yard:
    """A person who knows the host as epyc12, and as gpu1 behind a gate."""
    made = Yard(tmp_path)
    words = ", ".join(json.dumps(word) for word in sshd.command)
    way = f'address = "{sshd.alias}"\nssh = [{words}]\n'
    made.tell(f"[hosts.epyc12]\n{way}default = true\n[hosts.gpu1]\n{way}enabled = false\n"
              f'gate = "test -e {sshd.home}/paid"\ngate_doc = "docs/gpu.md"\n')
    (made.ssh.bin / "ssh").unlink()
    return made


def connections(sshd: Sshd) -> int:
    return sshd.log.read_text("utf-8").count("Accepted publickey")


def restarted_with(sshd: Sshd, line: str) -> None:
    with (sshd.folder / "sshd_config").open("a") as config:
        config.write(f"{line}\n")
    sshd.stop()
    sshd.start()


# --- one connection -----------------------------------------------------------------------------------------


def test_many_commands_share_one_connection_and_bytes_arrive_as_they_were(sshd: Sshd, ssh: Ssh) -> None:
    for _ in range(3):
        answer = ssh.run("cat; echo said >&2; exit 9", BYTES)
        assert (answer.code, answer.out, answer.err) == (9, BYTES, "said\n")
    assert connections(sshd) == 1


def test_the_socket_lies_in_a_folder_of_ours_and_goes_when_it_is_closed(ssh: Ssh, control: Path) -> None:
    ssh.run("true")
    [socket] = control.iterdir()
    assert socket.is_socket()
    ssh.close()
    assert list(control.iterdir()) == []
    assert ssh.run("echo again").out == b"again\n"


def test_a_user_who_shares_connections_himself_is_left_alone(
        sshd: Sshd, ssh: Ssh, control: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    with sshd.config.open("a") as config:
        config.write(f'    ControlMaster auto\n    ControlPath "{theirs}"\n    ControlPersist 20\n')
    assert not any("Control" in word for word in ssh.argv("true"))
    ssh.run("true")
    assert theirs.is_socket()
    assert list(control.iterdir()) == []
    subprocess.run([*sshd.command, "-O", "exit", sshd.alias], check=True, capture_output=True)


def test_what_the_user_set_for_a_dead_connection_holds(sshd: Sshd, tmp_path: Path) -> None:
    unset = Ssh(sshd.alias, sshd.command, None, os.environ).argv("true")
    assert [word for word in unset if "Alive" in word or "Connect" in word] == [
        "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"]
    with sshd.config.open("a") as config:
        config.write(QUICK)
    mine = Ssh(sshd.alias, sshd.command, None, os.environ).argv("true")
    assert [word for word in mine if "Alive" in word or "Connect" in word] == []


def test_nothing_of_ours_is_handed_over(sshd: Sshd) -> None:
    with sshd.config.open("a") as config:
        config.write("    ForwardAgent yes\n    ForwardX11 yes\n    SendEnv GITHUB_TOKEN GH_TOKEN\n")
        config.write("    RemoteCommand sh\n")
    restarted_with(sshd, "AcceptEnv GITHUB_TOKEN GH_TOKEN")
    ours = {**os.environ, "GITHUB_TOKEN": "ghp_" + "a" * 36, "GH_TOKEN": "x" * 30, "SSH_AUTH_SOCK": "/dev/null/agent"}
    seen = Ssh(sshd.alias, sshd.command, None, ours).run("env").out.decode()
    assert "HOME=" in seen
    assert "TOKEN" not in seen
    assert "SSH_AUTH_SOCK" not in seen
    assert "DISPLAY" not in seen


def test_a_far_profile_that_prints_does_not_get_into_the_answer(sshd: Sshd, tmp_path: Path) -> None:
    shell = tmp_path / "noisy"
    shell.write_text('#!/bin/sh\necho welcome; echo "no mail" >&2\nexec /bin/sh "$@"\n', "utf-8")
    shell.chmod(0o755)
    restarted_with(sshd, f'ForceCommand {shell} -c "$SSH_ORIGINAL_COMMAND"')
    answer = Ssh(sshd.alias, sshd.command, None, os.environ).run("printf data")
    assert answer.out == b"data"


# --- out of reach --------------------------------------------------------------------------------------------


def why(ssh: Ssh, remote: str = "true", timeout: float = 30.0) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        ssh.run(remote, timeout=timeout)
    return caught.value


def test_each_cause_is_told_from_the_others(sshd: Sshd, ssh: Ssh) -> None:
    known = (sshd.folder / "known_hosts").read_text("utf-8")
    (sshd.folder / "known_hosts").write_text("", "utf-8")
    assert "its host key is not known here" in why(ssh).words
    other = (sshd.folder / "user_key.pub").read_text("utf-8")
    (sshd.folder / "known_hosts").write_text(f"{sshd.alias} {other}", "utf-8")
    changed = why(ssh)
    assert "its host key is another than before" in changed.words
    assert f"ssh-keygen -R {sshd.alias}" in changed.cure
    (sshd.folder / "known_hosts").write_text(known, "utf-8")

    key = (sshd.folder / "user_key").read_bytes()
    (sshd.folder / "user_key").write_bytes((sshd.folder / "host_key").read_bytes())
    refused = why(ssh)
    assert "it refuses our key" in refused.words
    assert "ssh-add -l" in refused.cure
    (sshd.folder / "user_key").write_bytes(key)

    assert sshd.cut is not None
    sshd.cut.refuse()
    assert "nothing takes connections there" in why(ssh).words
    sshd.cut.open()
    assert ssh.run("echo well").out == b"well\n"


def test_a_host_that_hangs_is_out_of_reach_within_the_user_s_limit(sshd: Sshd, ssh: Ssh) -> None:
    with sshd.config.open("a") as config:
        config.write(QUICK)
    assert sshd.cut is not None
    sshd.cut.hang()
    error = why(ssh)
    assert "it does not answer" in error.words
    assert not error.begun


def test_a_link_that_goes_down_while_a_command_runs_says_that_it_may_run_on(sshd: Sshd, tmp_path: Path) -> None:
    with sshd.config.open("a") as config:
        config.write(QUICK)
    fifo = sshd.home / "begun"
    os.mkfifo(fifo)
    code = ("import os, sys; from coordinator.adapters.executors.ssh import *; s = Ssh(sys.argv[1], sys.argv[3:], None,"
            " os.environ)\ntry: s.run('echo > ' + sys.argv[2] + '; sleep 600')\n"
            "except Unreachable as e: print(e.begun, e.words)")
    with subprocess.Popen([sys.executable, "-c", code, sshd.alias, str(fifo), *sshd.command], text=True,
                          stdout=subprocess.PIPE) as client:  # fmt: skip
        fifo.read_text("utf-8")
        assert sshd.cut is not None
        sshd.cut.hang()
        said, _ = client.communicate(timeout=60)
    assert said.startswith("True epyc12: the connection was lost")


def test_our_own_time_limit_is_no_exit_code_of_the_command(ssh: Ssh) -> None:
    error = why(ssh, "sleep 600", timeout=0.5)
    assert "no answer within 0.5 s" in error.words
    assert ssh.run("exit 124").code == 124
    assert ssh.run("exit 255").code == 255


# --- commands of people --------------------------------------------------------------------------------------


@pytest.mark.req("B31")
def test_a_command_is_dispatched_to_a_real_host(sshd: Sshd, yard: Yard) -> None:
    ran = yard.ask("dispatch", "epyc12", "--", "sh", "-c", "cat; echo $HOME; echo no >&2; exit 255", stdin="given\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (255, f"given\n{sshd.home}\n", "no\n")
    assert json.loads(yard.ask("dispatch", "--list", "--json").stdout)[0]["exit_code"] == 255


def test_ctrl_c_ends_the_command_on_the_host(sshd: Sshd, yard: Yard) -> None:
    with yard.started("dispatch", "epyc12", "sleep 600 & echo $$ $!; wait") as running:
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        assert all(map(runs, pids))
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (130, "the command on epyc12 was ended\n")
    until(lambda: not any(map(runs, pids)), "the end of the command")


def test_a_reader_who_has_enough_ends_the_command_without_a_word(yard: Yard) -> None:
    with yard.started("dispatch", "epyc12", "echo $$; exec yes") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        pid = int(running.stdout.readline())
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 128 + signal.SIGPIPE
    until(lambda: not runs(pid), "the end of the command")


@pytest.mark.req("B38")
def test_a_real_host_is_checked_and_its_gate_is_passed(sshd: Sshd, yard: Yard) -> None:
    began = time.monotonic()
    checked = yard.ask("hosts", "check", "epyc12")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.splitlines()[-1].split() == ["epyc12", "yes", "-", "-"]
    assert connections(sshd) == 1, "each question opened a connection of its own"
    assert time.monotonic() - began < 60

    assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 26
    assert yard.ask("hosts", "gate", "gpu1").returncode == 26
    (sshd.home / "paid").touch()
    assert yard.ask("hosts", "gate", "gpu1").returncode == 0
    assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 0


def test_the_folder_of_connections_is_short_and_ours_alone(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    found = control_folder({"XDG_RUNTIME_DIR": str(runtime)})
    if len(os.fsencode(runtime)) < 50:
        assert found == runtime / "coordinator-ssh"
    assert found is not None
    assert len(os.fsencode(found)) + 1 + 16 + 17 < 104
    assert found.stat().st_mode & 0o777 == 0o700
    long = control_folder({"XDG_RUNTIME_DIR": str(tmp_path / ("x" * 90))})
    assert long == Path(f"/tmp/coordinator-ssh-{os.geteuid()}")
