"""Walls as values: the command line, what a program needs to be started, what the configuration promises."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.adapters.system import bubblewrap
from coordinator.adapters.system.installed import Needs, links_to
from coordinator.adapters.system.walls import argv
from coordinator.app import walls
from coordinator.config import Config, ConfigError, load
from coordinator.domain.walls import Cell, Walls

GOLDEN = Path(__file__).parents[1] / "golden" / "walls.txt"
ROOT, HOME = Path("/srv/widgets"), Path("/home/bot")
GIT = ROOT / ".git"
CELL = GIT / "coordinator-walls" / "gh-1"
A_WORKER = Walls(
    "/usr/bin/bwrap", ROOT / "trees/gh-1",
    write=(ROOT / "trees/gh-1", CELL / "git", HOME / ".claude/.credentials.json"),
    read=(Path("/usr"), Path("/etc"), HOME / ".nvm/bin", HOME / ".claude/settings.json", ROOT / "trees/gh-1/.git",
          GIT / "objects"),
    swap=((CELL / "admin", GIT / "worktrees/gh-1"),),
    empty=(Path("/tmp"), Path("/run"), HOME, HOME / ".claude", ROOT, GIT),
    hidden=(Path("/etc/shadow"),), closed=(Path("/etc/ssl/private"),),
    links=(("usr/bin", Path("/bin")),), network=False, environ={"IS_SANDBOX": "1"}, without=("XDG_RUNTIME_DIR",),
)


def test_the_command_line_of_a_worker_is_as_the_golden_file_has_it() -> None:
    made = argv(A_WORKER, ("claude", "-p"))
    lines = " ".join(made).replace(" --", "\n--") + "\n"
    assert lines == GOLDEN.read_text()


def test_what_lies_deeper_is_put_over_what_lies_around_it() -> None:
    made = argv(A_WORKER, ("true",))
    places = [made[at + 1 + (word != "--tmpfs")]
              for at, word in enumerate(made) if word in ("--bind", "--ro-bind", "--tmpfs")]
    for outer, inner in ((HOME, HOME / ".claude"), (HOME / ".claude", HOME / ".claude/settings.json"),
                         (ROOT, GIT), (GIT, GIT / "objects"), (ROOT / "trees/gh-1", ROOT / "trees/gh-1/.git")):
        assert places.index(str(outer)) < places.index(str(inner))
    assert made.index("--remount-ro") > max(at for at, word in enumerate(made) if word in ("--bind", "--tmpfs"))


def test_with_a_proxy_the_relay_starts_the_program_and_there_is_no_other_network() -> None:
    made = argv(replace(A_WORKER, network=True, proxy="proxy.lan:3128", door=CELL / "door", python="/usr/bin/python3"),
                ("claude", "-p"))
    assert "--unshare-net" in made
    assert made[made.index(str(CELL / "door")) - 1] == "--bind"
    relay = made[made.index("--") + 1:]
    assert (relay[:4], relay[5:]) == (("/usr/bin/python3", "-I", "-S", "-c"), ("/run/proxy", "3128", "claude", "-p"))


# --- what a program is started by -----------------------------------------------------------------------


def program(path: Path, first: str = "#!/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first}\n")
    path.chmod(0o755)
    return path


def needed(tmp_path: Path, name: str, *path: Path) -> Needs:
    needs = Needs([Path("/usr"), Path("/bin")], forbidden=(tmp_path / "home", tmp_path / "home/work/trees/gh-1"))
    environ = {"PATH": os.pathsep.join(map(str, path))}
    needs.program(name, environ)
    needs.path(environ)
    return needs


def test_a_program_of_npm_comes_with_its_modules_and_its_interpreter(tmp_path: Path) -> None:
    node = tmp_path / "home/.nvm/versions/node/v20"
    modules = tmp_path / "home/lib/node_modules"
    cli = program(modules / "@acme/agent/cli.js", "#!/usr/bin/env node")
    program(node / "bin/node")
    (tmp_path / "home/.nvm/current").symlink_to("versions/node/v20")
    (node / "bin/agent").symlink_to(cli)
    (node / "lib").mkdir()
    needs = needed(tmp_path, "agent", tmp_path / "home/.nvm/current/bin")
    assert {node / "bin", node / "lib", modules} <= set(needs.found)
    assert ("versions/node/v20", tmp_path / "home/.nvm/current") in needs.links
    assert not [path for path in needs.found if (tmp_path / "home").is_relative_to(path)]


def test_a_program_that_lies_in_home_itself_brings_nothing_of_home_along(tmp_path: Path) -> None:
    tool = program(tmp_path / "home/agent")
    needs = needed(tmp_path, str(tool), tmp_path / "home", tmp_path / "home/work", tmp_path)
    assert needs.found == [tool]


def test_an_environment_of_python_comes_with_its_base(tmp_path: Path) -> None:
    base = program(tmp_path / "home/.pyenv/bin/python3.12")
    (tmp_path / "home/.pyenv/lib").mkdir()
    venv = tmp_path / "home/venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "lib").mkdir()
    (venv / "pyvenv.cfg").write_text("home = elsewhere\n")
    (venv / "bin/python").symlink_to(base)
    tool = program(venv / "bin/tool", f"#!{venv}/bin/python")
    found = set(needed(tmp_path, str(tool)).found)
    assert {venv / "bin", venv / "lib", venv / "pyvenv.cfg", base.parent, tmp_path / "home/.pyenv/lib"} <= found


def test_folders_of_path_that_are_missing_relative_or_closed_to_us_are_left_out(tmp_path: Path) -> None:
    assert needed(tmp_path, "none", tmp_path / "gone", Path("bin")).found == []


def test_links_on_the_way_are_told_and_a_circle_of_them_ends(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "one").symlink_to("real")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert links_to(tmp_path / "two/inner") == [(str(tmp_path / "one"), tmp_path / "two"), ("real", tmp_path / "one")]
    (tmp_path / "circle").symlink_to("circle")
    assert 0 < len(links_to(tmp_path / "circle/x")) <= 40


# --- what others keep beside the system ------------------------------------------------------------------


def covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *system: str) -> tuple[Path, ...]:
    """What a worker finds closed where the folders `system` of this place are shown, and `opt` is one of others."""
    monkeypatch.setattr(bubblewrap, "SYSTEM", [str((tmp_path / name).relative_to("/")) for name in system])
    monkeypatch.setattr(bubblewrap, "_SECRETIVE", (tmp_path / "opt",))
    cell = Cell(tmp_path / "tree", CELL, CELL, GIT, (), CELL / "door", ())
    made = bubblewrap.around(cell, argv=("sh",), environ={"PATH": ""})
    assert not made.hidden
    return made.closed


@pytest.mark.parametrize(("real", "closed"), [("data/opt", False), ("usr/opt", True)])
def test_where_opt_is_a_link_only_what_is_shown_is_covered(
    real: str, closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bubblewrap can cover nothing where nothing lies: no worker would start."""
    (tmp_path / "usr").mkdir()
    (tmp_path / real / "private").mkdir(mode=0o700, parents=True)
    (tmp_path / "opt").symlink_to(real)
    assert covered(tmp_path, monkeypatch, "usr", "opt") == ((tmp_path / real / "private",) if closed else ())


def test_what_is_closed_in_opt_is_looked_for_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone meanwhile is not covered."""
    now = 1e6
    monkeypatch.setattr(bubblewrap, "monotonic", lambda: now)
    first, second = tmp_path / "opt/first", tmp_path / "opt/second"
    first.mkdir(mode=0o700, parents=True)
    assert covered(tmp_path, monkeypatch, "opt") == (first,)
    second.mkdir(mode=0o700)
    first.rename(tmp_path / "elsewhere")
    now += bubblewrap.HOLDS - 1
    assert covered(tmp_path, monkeypatch, "opt") == ()
    now += 1
    assert covered(tmp_path, monkeypatch, "opt") == (second,)


# --- what is promised -----------------------------------------------------------------------------------

HERE: tuple[str, str] = ("", "")
MISSING = ("bubblewrap is not installed", bubblewrap.INSTALL)


def config(monkeypatch: pytest.MonkeyPatch, trouble: tuple[str, str], **given: str) -> Config:
    monkeypatch.setattr(bubblewrap, "trouble", lambda **_: trouble)
    return load(None, {}, {f"workers.{key}": value for key, value in given.items() if "." not in key}
                | {key: value for key, value in given.items() if "." in key})


@pytest.mark.parametrize(("given", "trouble", "said"), [
    ({}, HERE, "sandbox bwrap"),
    ({"network": "off"}, HERE, "sandbox bwrap, no network"),
    ({"network": "http://proxy.lan:3128"}, HERE, "sandbox bwrap, network by http://proxy.lan:3128 alone"),
    ({}, MISSING, "sandbox off: agents run with your rights (bubblewrap is not installed: apt install bubblewrap)"),
    ({"sandbox": "off"}, HERE, "sandbox off: agents run with your rights"),
    ({"hosts.epyc.address": "a", "hosts.epyc.labels": "big"}, HERE, "sandbox bwrap; sandbox off on epyc"),
    ({"executor": "slurm"}, HERE, "sandbox bwrap; sandbox off on Slurm"),
])
def test_what_holds_is_said_aloud(
    given: dict[str, str], trouble: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config(monkeypatch, trouble, **given)
    walls.check_walls(made)
    assert walls.words(made) == said


@pytest.mark.parametrize(("given", "trouble", "said"), [
    ({"sandbox": "bwrap"}, MISSING, 'workers.sandbox = "bwrap" cannot be kept: bubblewrap is not installed'),
    ({"network": "off"}, MISSING, 'workers.network = "off" cannot be kept: bubblewrap is not installed'),
    ({"network": "http://proxy.lan:3128"}, MISSING, 'workers.network = "http://proxy.lan:3128" cannot be kept'),
    ({"network": "off", "sandbox": "off"}, HERE, 'workers.network = "off" cannot be kept: off in the configuration'),
    ({"sandbox": "bwrap", "executor": "slurm"}, HERE, "cannot be kept on Slurm"),
    ({"network": "off", "hosts.epyc.address": "a", "hosts.epyc.labels": "big"}, HERE, "cannot be kept on epyc"),
])
def test_an_order_that_cannot_be_kept_refuses_the_start(
    given: dict[str, str], trouble: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")) as refused:
        walls.check_walls(config(monkeypatch, trouble, **given))
    assert refused.value.cure


def test_without_walls_an_order_for_them_is_carried_on_and_a_wish_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert walls.sandbox_of(config(monkeypatch, MISSING, sandbox="bwrap"), {}).must
    wish = walls.sandbox_of(config(monkeypatch, MISSING), {})
    assert (wish.around, wish.must) == (None, False)
    assert walls.sandbox_of(config(monkeypatch, HERE), {}).around is not None


def test_a_host_that_forbids_walls_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """bubblewrap that fails, as where user namespaces are forbidden."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "program", lambda: str(fake))
    bubblewrap.trouble.cache_clear()
    try:
        why, cure = bubblewrap.trouble()
        assert "setting up uid map: Permission denied" in why
        assert cure
        monkeypatch.setattr(bubblewrap, "program", lambda: "")
        bubblewrap.trouble.cache_clear()
        assert bubblewrap.trouble() == MISSING
    finally:
        bubblewrap.trouble.cache_clear()
