"""What is relied on of OpenSSH and of our server for tests, each held by the real thing."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cut import Cut
from tests.support.netns import Networks
from tests.support.sshd import Sshd
from tests.support.workers import until

KEPT_ALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2", "-o", "ConnectTimeout=2")


def test_a_command_gives_its_own_output_words_and_exit_code(sshd: Sshd) -> None:
    ran = sshd.run("cat; echo no >&2; exit 7", stdin="sent\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "sent\n", "no\n")


def test_commands_see_the_host_s_own_home_and_settings(tmp_path: Path) -> None:
    with Sshd(tmp_path / "a b", environ={"GREETING": "good day", "PATH": "/opt/agents:/usr/bin:/bin"}) as host:
        assert host.run("echo $HOME; echo $GREETING; echo $PATH").stdout.splitlines() == [
            str(host.home), "good day", "/opt/agents:/usr/bin:/bin",
        ]  # fmt: skip


def test_no_connection_is_exit_code_255_and_says_why(sshd: Sshd) -> None:
    sshd.cut.refuse()
    refused = sshd.run("true")
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Connection refused" in refused.stderr
    sshd.cut.open()
    assert sshd.run("echo back").stdout == "back\n"


def test_a_host_of_another_key_is_not_spoken_to(sshd: Sshd) -> None:
    (sshd.folder / "known_hosts").write_text("epyc12 ssh-ed25519 " + "A" * 68, "utf-8")
    refused = sshd.run("echo no")
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Host key verification failed" in refused.stderr


def test_a_host_that_does_not_answer_is_255_after_the_connect_timeout(sshd: Sshd) -> None:
    sshd.cut.hang()
    hung = sshd.run("true", *KEPT_ALIVE)
    assert (hung.returncode, hung.stdout) == (255, "")
    assert "timed out" in hung.stderr


def test_a_link_that_goes_down_ends_ssh_with_255_and_the_command_is_there_when_it_is_up_again(sshd: Sshd) -> None:
    note = sshd.home / "note"
    command = f"echo $$; read -r word < {note}; echo $word"
    sshd.run(f"mkfifo {note}")
    with subprocess.Popen([*sshd.command, *KEPT_ALIVE, sshd.alias, command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as client:  # fmt: skip
        assert client.stdout is not None
        pid = client.stdout.readline().strip()
        sshd.cut.hang()
        _, said = client.communicate(timeout=60)
    assert client.returncode == 255
    assert "not responding" in said
    sshd.cut.open()
    assert sshd.run(f"ps -o pid= -p {pid}").stdout.strip() == pid


def test_a_host_whose_network_is_down_is_255_and_its_worker_is_there_when_it_is_up(
    away: Sshd, networks: Networks
) -> None:
    with subprocess.Popen([*away.command, *KEPT_ALIVE, away.alias, "echo $$; exec sleep 600"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:  # fmt: skip
        assert client.stdout is not None
        pid = client.stdout.readline().strip()
        networks.down()
        _, said = client.communicate(timeout=60)
    assert client.returncode == 255
    assert "not responding" in said
    assert away.run("true", *KEPT_ALIVE).returncode == 255
    networks.up()
    until(lambda: away.run("true", *KEPT_ALIVE).returncode == 0, "the way there")
    shown = away.run(f"ps -o args= -p {pid}")
    assert shown.stdout == "sleep 600\n", shown


def test_what_was_on_its_way_during_a_short_cut_arrives_after_it(sshd: Sshd) -> None:
    with subprocess.Popen([*sshd.command, sshd.alias, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        print("one", file=client.stdin, flush=True)
        assert client.stdout.readline() == "one\n"
        sshd.cut.hang()
        print("two", file=client.stdin, flush=True)
        client.stdin.close()
        sshd.cut.open()
        assert client.stdout.read() == "two\n"
    assert client.returncode == 0


def test_a_detached_command_outlives_a_killed_client(sshd: Sshd) -> None:
    note = sshd.home / "note"
    sshd.run(f"mkfifo {note}")
    waits = f"setsid -f sh -c 'read -r word < {note}; echo $word > {note}.read' < /dev/null > /dev/null 2>&1"
    with subprocess.Popen([*sshd.command, sshd.alias, f"{waits}; echo started; sleep 600"], stdout=subprocess.PIPE,
                          text=True) as client:  # fmt: skip
        assert client.stdout is not None
        assert client.stdout.readline() == "started\n"
        client.kill()
    sshd.run(f"echo heard > {note}")
    read = Path(f"{note}.read")
    assert until(lambda: read.exists() and read.read_text("utf-8"), "the word that was given to it") == "heard\n"


def test_what_a_client_started_runs_on_while_the_server_is_restarted_on_its_port(sshd: Sshd) -> None:
    sshd.run("setsid -f sleep 600 < /dev/null > /dev/null 2>&1")
    port = sshd.port
    sshd.stop()
    assert sshd.run("true").returncode == 255
    assert [process.name() for process in sshd.living()] == ["sleep"]
    sshd.start()
    assert sshd.port == port
    assert sshd.run("echo back").stdout == "back\n"


def test_many_commands_share_the_connection_of_a_master(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> None:
    sockets = tmp_path_factory.mktemp("mux")   # a socket's whole path may have 108 bytes
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={sockets}/%C", "-o", "ControlPersist=30")
    try:
        assert [sshd.run(f"echo {number}", *shared).stdout for number in range(3)] == ["0\n", "1\n", "2\n"]
        assert sshd.cut.connections == 1
        running = [subprocess.Popen([*sshd.command, *shared, sshd.alias, "cat"], stdin=subprocess.PIPE)
                   for _ in range(12)]  # fmt: skip
        for process in running:
            process.communicate(timeout=60)
        assert {process.returncode for process in running} == {0}
        assert sshd.cut.connections == 1, "ten sessions a connection are sshd's own limit, raised here"
    finally:
        subprocess.run([*sshd.command, *shared, "-O", "exit", sshd.alias], capture_output=True, check=False)


def test_an_answer_is_cut_off_after_as_many_bytes_as_are_asked_for(sshd: Sshd) -> None:
    sshd.cut.refuse_after(500_000)
    cut_off = sshd.run("head -c 2000000 /dev/zero | tr '\\0' x")
    assert cut_off.returncode == 255
    assert 0 < len(cut_off.stdout) <= 500_000, "what was not read yet is lost with the connection"
    sshd.cut.open()
    assert len(sshd.run("head -c 2000000 /dev/zero | tr '\\0' x").stdout) == 2_000_000


def test_a_cable_hangs_after_as_many_bytes_as_are_asked_for_and_nothing_is_lost(sshd: Sshd) -> None:
    sshd.cut.hang_after(500_000)
    with subprocess.Popen([*sshd.command, sshd.alias, "head -c 2000000 /dev/zero"], stdout=subprocess.PIPE) as client:
        until(lambda: sshd.cut.received >= 500_000, "half a megabyte")
        time.sleep(0.2)
        assert client.poll() is None
        sshd.cut.open()
        assert client.stdout is not None
        assert len(client.stdout.read()) == 2_000_000
    assert client.returncode == 0


def test_nothing_is_left_of_a_host_that_was_closed(tmp_path: Path) -> None:
    with Sshd(tmp_path / "far") as host:
        host.run("setsid -f sleep 600 < /dev/null > /dev/null 2>&1")
        assert host.living() != []
    assert host.living() == []
    assert host.run("true").returncode == 255


def test_a_port_that_nobody_serves_resets_who_comes_through_the_cable() -> None:
    with Cut(to=1) as cut:
        answer = subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{cut.port}; cat <&3"],
                                capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert answer.returncode != 0
    assert "reset" in answer.stderr
