"""A process that holds the GitHub token: nobody of the same user can look into it, and no list shows the token."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.cli.main import COMMANDS, main
from tests.support import ordinary
from tests.support.patience import end_of
from tests.support.program import a_repository, program

TOKEN, OTHER = "canary-of-the-vault-0123456789", "canary-of-the-second-variable"
HOLDER = """\
import os, sys
from coordinator import app
{before}
print(app.github_token(os.environ), flush=True)
sys.stdin.read()
"""
TAKEN = "app.take_in()"
LOOK = """\
import os, sys
pid, door = sys.argv[1:]
try:
    if door == "fd":
        for number in os.listdir(f"/proc/{pid}/fd"):
            if "coordinator-token" in os.readlink(f"/proc/{pid}/fd/{number}"):
                print(open(f"/proc/{pid}/fd/{number}").read())
    elif door == "mem":
        ranges = [line.split()[0].split("-") for line in open(f"/proc/{pid}/maps") if " rw-p " in line]
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for start, end in ranges:
                memory.seek(int(start, 16))
                try:
                    if b"canary-of-the-vault" in memory.read(int(end, 16) - int(start, 16)):
                        print("canary-of-the-vault-0123456789")
                except OSError:
                    continue
    elif door in ("cwd", "exe", "root"):
        print(os.readlink(f"/proc/{pid}/{door}"))
    else:
        print(open(f"/proc/{pid}/{door}", "rb").read())
except PermissionError:
    print("closed")
"""


@contextmanager
def a_holder(before: str, *, pass_fds: tuple[int, ...] = (), **env: str) -> Iterator[tuple[int, str]]:
    """(pid, what it said of its token) of a process that holds one until it is let go."""
    with subprocess.Popen([ordinary.python(), "-c", HOLDER.format(before=before)], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", pass_fds=pass_fds,
                          env={"PYTHONPATH": ordinary.paths(), "PATH": os.environ["PATH"], **env},
                          **ordinary.as_user()) as child:  # fmt: skip
        assert child.stdout is not None
        yield child.pid, child.stdout.readline().strip()
        child.communicate()


def looked(pid: int, door: str) -> str:
    """What another process of the same user finds behind that door of /proc/PID."""
    return ordinary.run(ordinary.python(), "-c", LOOK, str(pid), door, env={}, cwd=Path("/")).stdout.strip()


@pytest.mark.req("W19")
def test_another_process_of_the_same_user_finds_every_door_of_the_holder_closed() -> None:
    with a_holder(TAKEN, GITHUB_TOKEN=TOKEN, GH_TOKEN=OTHER) as (pid, said):
        assert said == f"('{TOKEN}', 'GITHUB_TOKEN')"
        assert {door: looked(pid, door) for door in ("environ", "fd", "mem", "cwd", "exe", "root")} == dict.fromkeys(
            ("environ", "fd", "mem", "cwd", "exe", "root"), "closed")
        assert "canary-of" not in looked(pid, "cmdline")
    with a_holder(TAKEN, GH_HOST="ghe.example", GITHUB_ENTERPRISE_TOKEN=TOKEN) as (pid, said):
        assert said == f"('{TOKEN}', 'GITHUB_ENTERPRISE_TOKEN')"
        assert {looked(pid, door) for door in ("environ", "fd", "mem")} == {"closed"}
    with a_holder("", GITHUB_TOKEN=TOKEN) as (pid, _):   # the doors are there, and lead to it
        assert TOKEN in looked(pid, "environ")
        assert TOKEN in looked(pid, "mem")


@pytest.mark.req("W19")
def test_not_even_the_kernel_s_list_holds_the_token_once_it_was_taken_in() -> None:
    """Whoever may read it: as root nothing else hides, but that block was overwritten."""
    with a_holder(TAKEN, GITHUB_TOKEN=TOKEN, GH_TOKEN=OTHER, MINE="kept",
                  OF_MINE_API_KEY="canary-of-me") as (pid, _):
        if os.geteuid() == 0:
            block = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            assert b"GITHUB_TOKEN=" + b"*" * len(TOKEN) in block
            assert b"OF_MINE_API_KEY=" + b"*" * 12 in block
            assert b"MINE=kept" in block
            assert b"canary-of" not in b"".join(block)
    seen = ordinary.run(ordinary.python(), "-c", f"""\
from coordinator import app
import os, resource, subprocess
{TAKEN}
assert os.environ["OF_MINE_API_KEY"] == "canary of a model"
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
print(subprocess.run(["env"], capture_output=True, text=True).stdout)
print([os.get_inheritable(int(os.environ["COORDINATOR_GITHUB_TOKEN_FD"]))])
""", env={"GITHUB_TOKEN": TOKEN, "GH_TOKEN": OTHER, "OF_MINE_API_KEY": "canary of a model"}, cwd=Path("/"))
    assert seen.stdout.startswith("0\n"), seen.stderr
    assert "canary-of" not in seen.stdout
    assert "[False]" in seen.stdout


@pytest.mark.req("W19")
@pytest.mark.parametrize("ending", ["\n", "", "\nmore lines\n"])
def test_a_token_comes_over_an_inherited_descriptor_which_is_used_up(ending: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, (TOKEN + ending).encode())
    os.close(writing)
    try:
        with a_holder(TAKEN, pass_fds=(reading,), COORDINATOR_GITHUB_TOKEN_FD=str(reading), GITHUB_TOKEN=OTHER) as held:
            assert held[1] == f"('{TOKEN}', 'descriptor {reading}')"   # before any variable
            assert looked(held[0], "environ") == "closed"
    finally:
        os.close(reading)


@pytest.mark.parametrize(("given", "words"), [
    ("77", "no descriptor that was handed"), ("1", "no descriptor that was handed"), ("x", "no descriptor that was"),
    ("empty", "nothing is in it"),
])  # fmt: skip
def test_a_descriptor_that_holds_no_token_is_said_and_nothing_else_is_taken(given: str, words: str) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    number = str(reading) if given == "empty" else given
    try:
        ran = ordinary.run(ordinary.python(), "-m", "coordinator", "doctor", cwd=Path("/"), pass_fds=(reading,),
                           env={"COORDINATOR_GITHUB_TOKEN_FD": number, "GITHUB_TOKEN": OTHER})
    finally:
        os.close(reading)
    assert ran.returncode == 10
    assert f"COORDINATOR_GITHUB_TOKEN_FD={number}: {words}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_token_s_file_is_read_anew_each_time_and_its_faults_are_named(tmp_path: Path) -> None:
    from coordinator.app.credentials import NoToken, github_token

    path = tmp_path / "token"
    path.write_text("first-token\n")
    environ = {"GITHUB_TOKEN_FILE": str(path), "PATH": ""}
    assert github_token(environ) == ("first-token", "GITHUB_TOKEN_FILE")
    path.write_text("renewed-token")
    assert github_token(environ) == ("renewed-token", "GITHUB_TOKEN_FILE")
    assert github_token({**environ, "GITHUB_TOKEN": "nearer"}) == ("nearer", "GITHUB_TOKEN")
    path.write_text("\n")
    with pytest.raises(NoToken, match="its first line is empty"):
        github_token(environ)
    path.unlink()
    with pytest.raises(NoToken, match="No such file"):
        github_token(environ)


@pytest.mark.parametrize("words", ["wait --command true", "job watchdog --once", "batch watch --prefix none-"])
def test_each_command_that_lives_long_hides_first(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden: list[str] = []
    monkeypatch.setattr("coordinator.app.credentials.hide", lambda: hidden.append(words))
    monkeypatch.setenv("COORDINATOR_JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.chdir(tmp_path)
    main(words.split())
    assert hidden == [words]
    capsys.readouterr()


@pytest.mark.req("W19")
@pytest.mark.parametrize("words", ["wait --command false --interval 50ms", "job watchdog"])
def test_a_command_that_lives_long_is_shut_too_and_what_a_person_gave_it_has_that_person_s_environment(
    words: str, tmp_path: Path
) -> None:
    with ordinary.a_home() as home:
        (home / "jobs").mkdir()
        ordinary.give(home)
        seen = home / "jobs" / "seen"
        line = words.replace("false", f"echo $GITHUB_TOKEN > {seen}; false").split(" ")
        argv = [*line[:2], " ".join(line[2:-2]), *line[-2:]] if line[0] == "wait" else line
        log = home / "jobs" / "log"
        with log.open("wb") as out, subprocess.Popen(
            [ordinary.python(), "-m", "coordinator", *argv], cwd=home, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": ordinary.paths(), "HOME": str(home), "GITHUB_TOKEN": TOKEN},
            **ordinary.as_user(),
        ) as child:  # fmt: skip
            try:
                end = end_of(time.monotonic(), 20)
                while looked(child.pid, "environ") != "closed":
                    assert child.poll() is None, log.read_text()
                    assert time.monotonic() < end
                if line[0] == "wait":
                    while not (seen.exists() and seen.read_text()):
                        assert time.monotonic() < end
                        time.sleep(0.02)
                    assert seen.read_text().strip() == TOKEN
            finally:
                child.kill()


HOLDERS = {"run", "plan", "doctor", "init", "clean"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_commands_that_ask_for_the_token_take_it_in_first_and_no_other(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others run what a person gives them (`wait`, `job`, `dispatch`) with that person's environment, or need none."""
    taken: list[str] = []
    monkeypatch.setattr("coordinator.app.take_in", lambda: taken.append(command))
    assert main([command, "--help"]) == 0
    assert taken == ([command] if command in HOLDERS else [])
    capsys.readouterr()


def test_a_command_that_is_a_coordinator_for_its_own_request_takes_it_in_too(tmp_path: Path) -> None:
    """Without one that runs here: the hook that looks is the environment of the git that it starts."""
    shim, seen = tmp_path / "bin" / "git", tmp_path / "seen"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\ntr "\\0" "\\n" < /proc/$PPID/environ >> {seen}\nexec {shutil.which("git")} "$@"\n')
    shim.chmod(0o755)
    root = a_repository(tmp_path / "widgets")
    ran = program(root, "pause", GITHUB_TOKEN=TOKEN, PATH=f"{shim.parent}:{os.environ['PATH']}")
    assert ran.returncode == 0, ran.stderr
    if os.geteuid() == 0:
        assert "GITHUB_TOKEN=***" in seen.read_text()
    assert TOKEN not in (seen.read_text() if seen.exists() else "")
