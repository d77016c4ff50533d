"""hosts list, check, gate: asked as operators ask, over hosts that are folders of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from coordinator.app import hosts
from coordinator.config import load
from tests.support.fake_ssh import program
from tests.support.host_yard import Yard, mode

TWO = """
[hosts.mini]
address = "ops@mini.example"
labels = ["ios", "macos"]
slots = 3
purpose = "macOS and iOS builds"
[hosts.epyc12]
address = "epyc12"
default = true
purpose = "Linux builds"
[hosts.gpu1]
address = "gpu1"
enabled = false
gate = "test -e $HOME/paid"
gate_doc = "docs/gpu.md"
"""


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path)
    made.tell(TWO)
    for address in ("ops@mini.example", "epyc12", "gpu1"):
        made.ssh.host(address)
    return made


@pytest.mark.req("B32")
def test_the_list_tells_of_each_host_where_it_is_what_for_and_whether_it_takes_work(yard: Yard) -> None:
    ran = yard.ask("hosts", "list")
    assert ran.returncode == 0
    head, *rows = (line.split("  ") for line in ran.stdout.splitlines())
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [cell.strip() for cell in head if cell] == ["HOST", "ADDRESS", "STATUS", "SLOTS", "LABELS", "PURPOSE"]
    assert cells == [
        ["epyc12", "epyc12", "enabled, default", "2", "-", "Linux builds"],
        ["mini", "ops@mini.example", "enabled", "3", "ios, macos", "macOS and iOS builds"],
        ["gpu1", "gpu1", "disabled: gate closed", "2", "-", "-"],
    ]
    assert yard.ssh.asked() == []


def test_the_list_for_programs_holds_the_same(yard: Yard) -> None:
    found = json.loads(yard.ask("hosts", "list", "--json").stdout)
    assert [(one["name"], one["gate"], one["default"], one["labels"]) for one in found] == [
        ("epyc12", "open", True, []), ("mini", "open", False, ["ios", "macos"]), ("gpu1", "closed", False, []),
    ]  # fmt: skip


def test_without_hosts_it_says_how_to_add_one(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    for words in (("hosts", "list"), ("hosts", "check")):
        ran = yard.ask(*words)
        assert ran.returncode == 0
        assert "[hosts.NAME] in coordinator.toml adds one" in ran.stdout


# --- check ------------------------------------------------------------------------------------------------


def test_a_check_asks_all_that_a_worker_needs_and_ends_in_a_table(yard: Yard) -> None:
    ran = yard.ask("hosts", "check", "epyc12", "mini")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines, _, table = ran.stdout.partition("\n\n")
    for name in ("epyc12", "mini"):
        said = [line.split(None, 2)[2] for line in lines.splitlines() if line.split()[1] == name]
        for beginning in ("answers", "Python 3.", "git 2.", "is made with the first worker", "disk: ", "inodes: ",
                          "the clocks differ by 0 s", "command"):
            assert any(beginning in line for line in said), (beginning, said)
        assert all(line.startswith("ok ") for line in lines.splitlines())
    assert [row.split() for row in table.splitlines()] == [
        ["HOST", "READY", "GATE", "MISSING"], ["epyc12", "yes", "-", "-"], ["mini", "yes", "-", "-"],
    ]  # fmt: skip


def test_a_host_out_of_reach_is_26_with_the_cause_and_the_others_are_checked(yard: Yard) -> None:
    yard.ssh.down("ops@mini.example", "ssh: connect to host mini.example port 22: Connection refused\n")
    ran = yard.ask("hosts", "check", "mini", "epyc12")
    assert ran.returncode == 26
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("fail")]
    assert "nothing takes connections there" in line
    assert line.endswith("→ is sshd running there, and the port right? ssh ops@mini.example true")
    assert ran.stdout.splitlines()[-2].split() == ["mini", "no", "-", "ssh"]
    assert ran.stdout.splitlines()[-1].split() == ["epyc12", "yes", "-", "-"]


def test_a_closed_gate_is_26_and_says_what_opens_it(yard: Yard) -> None:
    ran = yard.ask("hosts", "check", "gpu1", "--json")
    assert ran.returncode == 26
    [found] = json.loads(ran.stdout)
    assert (found["reachable"], found["ready"], found["gate"]) == (True, False, "closed")
    assert "read docs/gpu.md, then: coordinator hosts gate gpu1" in found["why_closed"]
    assert yard.ask("hosts", "check", "gpu1").stdout.splitlines()[-1].split() == ["gpu1", "no", "closed", "gate"]


@pytest.mark.parametrize(("programs", "settings", "words", "about"), [
    ({"python3": "#!/bin/sh\necho 3.6.8\n"}, "", "python3 is Python 3.6.8, 3.9 or newer is needed", "python"),
    ({}, 'python = "~/no/python"', "~/no/python: ", "python"),
    ({"git": "#!/bin/sh\necho git version 2.20.1\n"}, "", "git 2.20.1 is too old, 2.31 is needed", "git"),
    ({"git": "#!/bin/sh\nexit 127\n"}, "", "git is not installed there", "git"),
    ({}, 'workdir = "~/taken/ours"', "taken is no folder", "workdir"),
])  # fmt: skip
def test_what_a_host_lacks_is_21_and_named_with_its_cure(
    yard: Yard, programs: dict[str, str], settings: str, words: str, about: str
) -> None:
    (yard.ssh.host("other", programs) / "taken").touch()
    yard.tell(f'[hosts.other]\naddress = "other"\n{settings}\n')
    ran = yard.ask("hosts", "check", "--json")
    assert ran.returncode == 21
    [fault] = [line for line in json.loads(ran.stdout)[0]["lines"] if line["level"] == "fail"]
    assert words in fault["words"]
    assert fault["about"] == about
    assert fault["cure"]


def test_room_is_held_against_the_floors_of_the_configuration(yard: Yard) -> None:
    ran = yard.ask("hosts", "check", "epyc12", "--json", COORDINATOR_FLOORS_DISK="900000TB")
    assert ran.returncode == 21
    [fault] = [line for line in json.loads(ran.stdout)[0]["lines"] if line["level"] == "fail"]
    assert "the floor is 900000000.0 GB" in fault["words"]
    assert "coordinator dispatch epyc12 -- df -h" in fault["cure"]


def test_a_program_of_the_host_is_found_in_the_folders_that_its_configuration_names(yard: Yard) -> None:
    home = yard.ssh.host("other")
    yard.tell('[hosts.other]\naddress = "other"\npath = ["~/agents"]\n')
    (home / "agents").mkdir()
    script = home / "agents" / "claude"
    script.write_text("#!/bin/sh\necho 2.1.197\n", "utf-8")
    script.chmod(0o755)
    claude = {"COORDINATOR_WORKERS_PROVIDER": "claude"}
    ran = yard.ask("hosts", "check", "--json", ANTHROPIC_API_KEY="k-0123456789", **claude)
    lines = json.loads(ran.stdout)[0]["lines"]
    said = [line["words"] for line in lines if line["about"] == "claude"]
    assert said == ["claude 2.1.197", "claude: credentials from ANTHROPIC_API_KEY"]
    lines = json.loads(yard.ask("hosts", "check", "--json", **claude).stdout)[0]["lines"]
    assert [line["cure"] for line in lines if line["level"] == "fail"] == ["claude setup-token"]
    script.unlink()
    lines = json.loads(yard.ask("hosts", "check", "--json", **claude).stdout)[0]["lines"]
    [fault] = [line for line in lines if line["level"] == "fail"]
    assert "claude is not installed or not on PATH" in fault["words"]


def test_hosts_are_asked_at_the_same_time(yard: Yard) -> None:
    meet = 'touch "$HOME/../../met.$0"; until [ -e "$HOME/../../met.{}" ]; do sleep 0.02; done'
    for name, other in (("one", "two"), ("two", "one")):
        yard.ssh.host(name, {"git": f"#!/bin/sh\n{meet.replace('$0', name).format(other)}\necho git version 2.40.0\n"})
    yard.tell('[hosts.one]\naddress = "one"\n[hosts.two]\naddress = "two"\n')
    ran = yard.ask("hosts", "check")
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("git 2.40.0") == 2


def test_a_name_that_is_none_is_a_wrong_usage_that_names_those_there_are(yard: Yard) -> None:
    for words in (("hosts", "check", "epyc13"), ("hosts", "gate", "epyc13"), ("dispatch", "epyc13", "--", "true")):
        ran = yard.ask(*words)
        assert ran.returncode == 64
        assert "there is no host 'epyc13'" in ran.stderr
        assert "Known are mini, epyc12, gpu1" in ran.stderr
    assert yard.ssh.asked() == []


# --- gate -------------------------------------------------------------------------------------------------


@pytest.mark.req("B38")
def test_a_disabled_host_is_refused_until_its_gate_was_passed(yard: Yard) -> None:
    refused = yard.ask("dispatch", "gpu1", "--", "touch", "ran")
    assert refused.returncode == 26
    assert "gpu1 is disabled and its gate was never passed" in refused.stderr
    assert "read docs/gpu.md" in refused.stderr
    assert "the default host is epyc12" in refused.stderr
    assert yard.ssh.asked() == []

    home = yard.ssh.folder / "gpu1" / "home"
    closed = yard.ask("hosts", "gate", "gpu1")
    assert closed.returncode == 26
    assert "`test -e $HOME/paid` ended with 1 there" in closed.stderr
    assert "docs/gpu.md" in closed.stderr
    assert "the default host is epyc12" in closed.stderr
    assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 26

    (home / "paid").touch()
    opened = yard.ask("hosts", "gate", "gpu1")
    assert opened.returncode == 0, opened.stderr
    assert yard.ask("dispatch", "gpu1", "--", "touch", "ran").returncode == 0
    assert (home / "ran").exists()


def test_the_record_of_a_gate_tells_who_and_when_and_is_ours_alone(yard: Yard) -> None:
    (yard.ssh.folder / "gpu1" / "home" / "paid").touch()
    assert yard.ask("hosts", "gate", "gpu1").returncode == 0
    note = yard.state / "hosts" / "gpu1.json"
    held = json.loads(note.read_text("utf-8"))
    assert (held["host"], held["address"], held["gate"]) == ("gpu1", "gpu1", "test -e $HOME/paid")
    assert held["by"].endswith(f"@{os.uname().nodename}")
    assert held["at"].endswith("+00:00")
    assert mode(note) == 0o600
    assert "disabled: gate open" in yard.ask("hosts", "list").stdout


@pytest.mark.parametrize(("old", "new", "why"), [
    ('address = "gpu1"', 'address = "gpu2"', "before its address has changed"),
    ("test -e $HOME/paid", "true", "before the gate's command has changed"),
])  # fmt: skip
def test_a_gate_closes_again_when_what_it_was_passed_for_changes(yard: Yard, old: str, new: str, why: str) -> None:
    (yard.ssh.folder / "gpu1" / "home" / "paid").touch()
    assert yard.ask("hosts", "gate", "gpu1").returncode == 0
    yard.tell(TWO.replace(old, new))
    refused = yard.ask("dispatch", "gpu1", "--", "true")
    assert refused.returncode == 26
    assert why in refused.stderr
    yard.tell(TWO)
    assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 0


def test_a_gate_is_closed_by_hand(yard: Yard) -> None:
    (yard.ssh.folder / "gpu1" / "home" / "paid").touch()
    assert yard.ask("hosts", "gate", "gpu1").returncode == 0
    assert yard.ask("hosts", "gate", "gpu1", "--close").stdout == "the gate of gpu1 is closed\n"
    assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 26
    assert yard.ask("hosts", "gate", "gpu1", "--close").stdout == "the gate of gpu1 was not open\n"


def test_a_gate_without_a_command_is_the_check_alone(yard: Yard) -> None:
    yard.tell(TWO.replace('gate = "test -e $HOME/paid"', 'path = ["~/bin"]'))
    git = yard.ssh.folder / "gpu1" / "bin" / "git"
    program(git, "#!/bin/sh\nexit 127\n")
    closed = yard.ask("hosts", "gate", "gpu1")
    assert closed.returncode == 26
    assert "the gate of gpu1 stays closed: git is not installed there" in closed.stderr
    assert not (yard.state / "hosts" / "gpu1.json").exists()
    git.unlink()
    assert yard.ask("hosts", "gate", "gpu1").returncode == 0
    assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 0


def test_what_a_gate_prints_is_shown_without_secrets_and_cannot_move_the_cursor(yard: Yard) -> None:
    yard.tell(TWO.replace("test -e $HOME/paid", "printf 'a\\\\033[2Jb\\\\n'; echo planted-secret-value"))
    ran = yard.ask("hosts", "gate", "gpu1", PLAIN_TOKEN="planted-secret-value")
    assert ran.returncode == 0, ran.stderr
    assert "\033" not in ran.stdout
    assert [line for line in ran.stdout.splitlines() if line.startswith("gate ")][-1] == "gate  gpu1  ***"


def test_a_gate_that_cannot_be_asked_stays_closed(yard: Yard) -> None:
    (yard.ssh.folder / "gpu1" / "home" / "paid").touch()
    yard.ssh.down("gpu1", "gpu1: Permission denied (publickey).\n")
    closed = yard.ask("hosts", "gate", "gpu1")
    assert closed.returncode == 26
    assert "it refuses our key" in closed.stderr
    assert not (yard.state / "hosts" / "gpu1.json").exists()


def test_a_record_that_cannot_be_read_opens_nothing(yard: Yard) -> None:
    note = yard.state / "hosts" / "gpu1.json"
    note.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"address": "gpu1"}'):
        note.write_text(text, "utf-8")
        assert yard.ask("dispatch", "gpu1", "--", "true").returncode == 26


def test_an_enabled_host_needs_no_gate(yard: Yard) -> None:
    ran = yard.ask("hosts", "gate", "epyc12")
    assert (ran.returncode, ran.stdout) == (0, "epyc12 is enabled: it takes work without a gate\n")
    assert yard.ssh.asked() == []


def test_the_dispatcher_is_told_which_hosts_are_closed_and_why(yard: Yard) -> None:
    config = load(yard.home / ".config/coordinator/config.toml", {})
    told = hosts.gates(config, {"HOME": str(yard.home)})
    assert {name: bool(words) for name, words in told.items()} == {"mini": False, "epyc12": False, "gpu1": True}
    assert "coordinator hosts gate gpu1" in told["gpu1"]
