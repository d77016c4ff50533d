"""Two hosts behind a real ssh, each in a network of its own; the link to one is cut in mid-run and healed after the
lease. The first worker has a way to GitHub all the while, and to nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import sshd as ssh_server
from tests.support.netns import CannotBuild, Networks
from tests.support.parted import Parted, hosts, script
from tests.support.passage import passage
from tests.support.running import a_daemon
from tests.support.sshd import Sshd
from tests.support.yard import Yard, a_yard

QUICK = "    ServerAliveInterval 1\n    ServerAliveCountMax 2\n    ConnectTimeout 2\n"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def a_host(stack: ExitStack, folder: Path, name: str) -> tuple[Networks, Path]:
    """Its networks, and a program `ssh` that goes to it as the user's own would."""
    networks = stack.enter_context(Networks())
    host = stack.enter_context(Sshd(folder / name, name, networks=networks))
    with host.config.open("a") as config:
        config.write(QUICK)
    program = folder / name / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(host.command)} "$@"\n', "utf-8")
    program.chmod(0o755)
    return networks, program


def ways_to_github(stack: ExitStack, yard: Yard, nets: Sequence[Networks]) -> None:
    port = urlsplit(yard.github.url).port
    assert port is not None
    for one in nets:
        stack.enter_context(passage(one.far, port))


@pytest.mark.timeout(600)
@pytest.mark.req("N2")
def test_of_two_workers_parted_by_a_cut_link_only_the_second_is_heard(tmp_path: Path, stack: ExitStack) -> None:
    if why := ssh_server.missing():
        pytest.skip(why)
    try:
        (net_a, ssh_a), (net_b, ssh_b) = (a_host(stack, tmp_path, name) for name in ("a", "b"))
    except CannotBuild as why:
        pytest.skip(str(why))
    with a_yard(tmp_path / "yard") as yard:
        ways_to_github(stack, yard, (net_a, net_b))
        hosts(yard, ssh_a, ssh_b, lease="5s")
        yard.issue(script=script(yard))
        with a_daemon(yard) as daemon:
            story = Parted(yard, daemon)
            story.began()
            net_a.down()
            story.taken_over()
            net_a.up()
            story.ended()
            story.stands(hosts=("a", "b"))
            assert daemon.end() == 0
