"""Real bubblewrap: what a hostile worker reaches behind its walls, as root and as an ordinary user, and that its honest
work comes out."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.adapters.git import cells
from coordinator.adapters.system import bubblewrap
from coordinator.adapters.system.run import run
from coordinator.adapters.system.walls import argv
from coordinator.app.walls import sandbox_of
from coordinator.config import load
from coordinator.domain.remains import WALLED
from coordinator.domain.walls import Own
from coordinator.ports import Command, GitBusy, GitError
from tests.support.gitworld import NO_CHECKOUT, git
from tests.support.program import tree as digest
from tests.support.walled import BRANCH, CANARY, OTHER, TASK, Field, as_nobody, fields, make_field, needs_walls

pytestmark = pytest.mark.usefixtures("walls")

HOSTILE = r"""
for p in $PLACES; do
    cat "$p" 2>/dev/null
    mkdir -p "$(dirname "$p")" 2>/dev/null
    echo planted >> "$p" 2>/dev/null
    rm -rf "$p" 2>/dev/null
done
find / -xdev -name 'id_ed25519' -o -name 'state.db' 2>/dev/null | while read f; do cat "$f"; done
grep -rs "$WORD" /proc/*/environ /proc/*/cmdline /proc/*/root/root /etc 2>/dev/null | grep -v -e grep -e WORD=
echo "writes: $(for p in /etc/planted /usr/bin/planted /planted /proc/sys/kernel/core_pattern /proc/sysrq-trigger \
    /sys/planted; do (echo planted > $p) 2>/dev/null && echo $p; done)"
echo "shadow: $(cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key 2>/dev/null)"
echo "pids: $(ls /proc | grep -c '^[0-9]')"
echo "outside: $(kill -0 $OUTSIDE 2>/dev/null && echo reached)"
echo "caps: $(grep CapEff /proc/self/status | cut -f2)"
echo "sockets: $(find /run /tmp /var -type s 2>/dev/null)"
echo "devices: $(find /dev -type b -o -type c -not -path '/dev/pts/*' -printf '%f ')"
echo "sandbox: $IS_SANDBOX"
"""


@pytest.fixture(scope="module")
def walls() -> None:
    needs_walls()


@pytest.fixture
def field(tmp_path: Path) -> Field:
    return make_field(tmp_path)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with fields() as folder:
        yield folder


def hostile(field: Field) -> str:
    """What a worker that tries everything says; nothing outside its worktree may differ afterwards."""
    before, home = digest(field.world.checkout), digest(field.home)
    made = field.walls()
    places = " ".join(map(str, field.secrets))
    said = field.inside(f"PLACES='{places}' WORD={CANARY[:12]}; OUTSIDE={os.getpid()}\n{HOSTILE}").out
    field.let_out()
    after = digest(field.world.checkout)
    own = ("trees/gh-1", ".git/worktrees/gh-1", ".git/coordinator-walls")
    changed = sorted({name for name in before.keys() ^ after.keys() if not name.startswith(own)}
                     | {name for name in before.keys() & after.keys() if before[name] != after[name]
                        and not name.startswith(own)})
    return json.dumps({"said": said, "changed": changed, "home": digest(field.home) == home,
                       "cwd": str(made.cwd) == str(field.tree.resolve())})


@pytest.mark.parametrize("who", ["this user", "an ordinary user"])
def test_a_hostile_worker_reaches_nothing_but_its_own(who: str, open_folder: Path) -> None:
    """Its home, ours, other tasks, the system's secrets, other processes, the kernel's switches: as root too."""
    switch = Path("/proc/sys/kernel/core_pattern")
    core = switch.read_text()
    try:
        text = hostile(make_field(open_folder)) if who == "this user" else \
            as_nobody(open_folder, lambda: hostile(make_field(open_folder)))
    finally:
        moved = switch.read_text()
        if moved != core:
            switch.write_text(core)   # walls that are broken must not leave this machine so
    seen = json.loads(text) if text.startswith("{") else pytest.fail(text)
    said = dict(line.partition(": ")[::2] for line in seen["said"].splitlines())
    assert CANARY not in seen["said"]
    assert (seen["changed"], seen["home"], seen["cwd"]) == ([], True, True)
    assert (said["writes"], said["shadow"], said["outside"], said["sockets"]) == ("", "", "", "")
    assert (said["caps"], said["sandbox"]) == ("0000000000000000", "1")
    assert int(said["pids"]) < 10
    assert set(said["devices"].split()) <= {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
    assert moved == core


def test_without_the_walls_the_same_script_finds_the_secrets(field: Field) -> None:
    """The script is no straw man."""
    store = field.world.checkout / ".coordinator" / "state.db"
    ran = git(field.tree, "-c", f"alias.try=!cat {field.secrets[0]} {store}", "try")
    assert ran.count(CANARY) == 2


def test_what_is_kept_in_a_shown_folder_of_the_system_shows_only_where_it_is_for_everybody(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/opt, where services have their homes. The token's file may be for everybody to read: it is known by name."""
    field, opt = make_field(open_folder), open_folder / "opt"
    shown_as_opt(opt, monkeypatch)
    secret = {"coordinator/token": 0o644, "coordinator/token.new": 0o644, "state/coordinator/plans/x": 0o644,
              "mixed/key": 0o600, "private/notes": 0o644, "repos/other/.env": 0o644,
              "repos/other/.coordinator/state.db": 0o644, "repos/bare.git/config": 0o644, "agents/gh-7/half": 0o644,
              "tool/key": 0o644}
    for name, mode in secret.items():
        put(opt / name, f"{CANARY}\n", mode)
    for name in ("repos/bare.git/coordinator.lock", "repos/other/.git/worktrees/gh-7/coordinator", "mixed/readme"):
        put(opt / name, f"{name}\n", 0o644)
    (opt / "agents/gh-7/.git").write_text(f"gitdir: {opt}/repos/other/.git/worktrees/gh-7\n")
    put(opt / "tool/releases/1/bin/greet", "#!/bin/sh\necho hello\n", 0o700)
    (opt / "tool/current").symlink_to("releases/1")
    for name in ("private", "tool"):
        (opt / name).chmod(0o700)
    sandbox = sandbox_of(load(None, {}), {"GITHUB_TOKEN_FILE": str(opt / "coordinator/token"),
                                          "XDG_STATE_HOME": str(opt / "state")})
    environ = {**field.environ, "PATH": f"/usr/bin:/bin:{opt}/tool/current/bin"}
    assert sandbox.around is not None
    made = sandbox.around(field.world.repository().wall_in(TASK, "t"), Command(("sh",), environ, "", "TERM"), ())
    script = f"grep -rs . {opt}; cat {' '.join(str(opt / name) for name in secret)}; greet"
    said = run(argv(made, ("sh", "-c", script)), env=environ, cwd=field.tree)
    assert CANARY not in said.out
    assert said.out.splitlines()[-1] == "hello", said.err
    assert f"{opt}/mixed/readme:mixed/readme" in said.out
    assert "coordinator.lock" not in said.out


def test_repositories_of_others_in_opt_that_are_closed_to_us_keep_nobody_from_starting(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git directory without right of entry, one in such a folder, one that no place is named like."""
    own, opt, theirs = (open_folder / name for name in ("own", "opt", "theirs"))
    shown_as_opt(opt, monkeypatch)
    put(opt / "tree/.git", f"gitdir: {theirs}/.git/worktrees/tree\n", 0o644)
    put(opt / "long/.git", f"gitdir: /{'n' * 300}\n", 0o644)
    for closed in (opt / "closed/.git", theirs):
        closed.mkdir(parents=True)
        closed.chmod(0o600)
    own.mkdir()
    assert as_nobody(own, lambda: make_field(own).inside(f"ls {opt}").out).split() == ["closed", "long", "tree"]


def shown_as_opt(opt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "SYSTEM", (*bubblewrap.SYSTEM, str(opt.relative_to("/"))))
    monkeypatch.setattr(bubblewrap, "_SECRETIVE", (opt,))


def put(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_commits_rebases_stashes_and_branches_work_and_the_task_s_branch_comes_out(field: Field) -> None:
    base = field.tip()
    said = field.inside("""set -e
        echo one > one; git add one; git commit -qm one
        echo two > two; git add two; git stash -q; git stash pop -q; git commit -qm two
        git checkout -q -b side HEAD~1; echo three > three; git add three; git commit -qm three
        git checkout -q rpi/gh-1; git merge -q side -m merged; git rebase -q HEAD~1
        git status --porcelain; git log --oneline -1 --format=%s; git fsck --strict; git gc -q; git worktree list
        echo loose > loose; echo four >> one
    """)
    assert said.code == 0, said.err
    assert field.tip() == base, "nothing moves outside before the worker is over"
    field.let_out()
    assert git(field.tree, "log", "--format=%s", f"{base}..HEAD").splitlines() != []
    assert git(field.tree, "symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert git(field.tree, "rev-parse", "HEAD") == field.tip() != base
    assert git(field.tree, "status", "--porcelain").splitlines() == ["M one", "?? loose"]
    assert git(field.world.checkout, "branch", "--list", "side") == ""
    assert not (field.world.checkout / ".git" / "coordinator-walls" / TASK).exists()
    git(field.world.checkout, "fsck", "--strict")
    field.let_out()


def test_other_branches_objects_and_settings_cannot_be_moved(field: Field) -> None:
    other = field.tip(f"rpi/{OTHER}")
    field.inside(f"""
        echo x > x; git add x; git commit -qm x
        git update-ref refs/heads/rpi/{OTHER} HEAD; git update-ref refs/heads/main HEAD; git tag -f v1
        git config core.hooksPath /tmp/hooks; git config --global core.pager evil
        rm -rf {field.world.checkout}/.git/objects/*; echo gitdir: /elsewhere > .git; rm -f .git; mv .git x
    """)
    field.let_out()
    assert field.tip(f"rpi/{OTHER}") == other
    assert field.tip("main") == other
    assert git(field.world.checkout, "tag") == ""
    assert git(field.world.checkout, "config", "--get", "core.hooksPath", ok=False) == ""
    assert git(field.tree, "log", "-1", "--format=%s") == "x"
    git(field.world.checkout, "fsck")


@pytest.mark.parametrize("trap", [
    'rm -rf "$G/objects/pack"; ln -s $FAR/.git/objects/pack "$G/objects/pack"; echo $SHA > "$G/refs/heads/rpi/gh-1"',
    'echo $FAR/.git/objects >> "$G/objects/info/alternates"; echo $SHA > "$G/refs/heads/rpi/gh-1"',
    'ln -sf $FAR/.git/refs/heads/main "$G/refs/heads/rpi/gh-1"',
    'echo "$FAR/.git" > "$(git rev-parse --git-dir)/commondir"',
    """git config extensions.partialClone o; git config remote.o.promisor true; git config protocol.ext.allow always
       git config remote.o.url "ext::sh -c touch% $PWD/sprung"; echo $SHA > "$G/refs/heads/rpi/gh-1" """,
])
def test_no_link_planted_behind_the_walls_brings_out_what_lies_elsewhere(trap: str, field: Field) -> None:
    """A private repository of the same user whose newest commit the worker knows by name."""
    far = field.home / "private"
    git(field.root, "init", "-q", "-b", "main", str(far))
    (far / "secret").write_text(CANARY)
    git(far, "add", "secret")
    git(far, "commit", "-q", "-m", "secret")
    git(far, "repack", "-q", "-a", "-d")
    sha, base = git(far, "rev-parse", "HEAD"), field.tip()
    ran = field.inside(f"""FAR={far}; SHA={sha}; G=$(git rev-parse --path-format=absolute --git-common-dir)
        mkdir -p "$G/refs/heads/rpi"; {trap}""")
    try:
        field.let_out()
    except GitError:
        pass   # refused is as good as nothing found
    assert field.tip() == base, ran.err
    assert git(field.world.checkout, "cat-file", "-t", sha, ok=False) == ""
    assert not (field.tree / "sprung").exists()


def test_a_commit_that_no_checkout_can_be_made_of_is_not_taken_in(field: Field) -> None:
    base = field.tip()
    assert field.inside(NO_CHECKOUT).code == 0
    with pytest.raises(GitError, match="hasDotgit"):
        field.let_out()
    assert (field.tip(), git(field.tree, "rev-parse", "HEAD")) == (base, base)


def test_the_branch_moves_when_the_index_has_done_so(field: Field) -> None:
    """What no index can be made of would leave a branch that no later attempt can check out."""
    field.inside("echo x > x; git add x; git commit -qm x")
    base, lock = field.tip(), field.world.checkout / ".git" / "worktrees" / TASK / "index.lock"
    lock.touch()
    with pytest.raises(GitBusy):
        field.let_out()
    assert field.tip() == base
    lock.unlink()
    field.let_out()
    assert git(field.tree, "log", "-1", "--format=%s") == "x"


def test_a_cell_that_was_made_hard_to_remove_is_removed(field: Field) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")
    home = field.world.checkout / ".git" / "coordinator-walls" / TASK
    make_hard(home / "git", outside=field.home)
    before = digest(field.home)
    field.let_out()
    assert git(field.tree, "log", "-1", "--format=%s") == "x"
    assert (list(home.parent.iterdir()), digest(field.home)) == ([], before)


def make_hard(folder: Path, outside: Path) -> None:
    """Paths too long for any call, folders too deep for any stack, some closed, and a link out of it."""
    for name, depth in (("n" * 250, 20), ("deep", 1100)):
        at = os.open(folder, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir(name, dir_fd=at)
            inner = os.open(name, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = inner
        os.symlink(outside, "out", dir_fd=at)
        os.close(at)
    for closed in (folder / "closed", folder / "closed/inner"):
        closed.mkdir()
        (closed / "file").write_text("x")
    (folder / "closed/inner").chmod(0)
    (folder / "closed").chmod(0o500)


def test_one_that_cannot_be_removed_stands_aside_and_the_work_is_taken_in(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")

    def refused(folder: str) -> None:
        if Path(folder).name == TASK:
            raise PermissionError(errno.EPERM, "Operation not permitted", folder)

    monkeypatch.setattr(cells, "remove_all", refused)
    field.let_out()
    assert git(field.tree, "log", "-1", "--format=%s") == "x"
    field.let_out()
    [left] = (field.world.checkout / ".git" / "coordinator-walls").iterdir()
    assert left.name.startswith(f"{TASK}.left-")
    monkeypatch.undo()
    assert field.world.repository().wall_in(TASK, "next").git.is_dir()


def test_a_worker_s_own_settings_are_read_its_login_is_renewed_and_nothing_else_stays(field: Field) -> None:
    """A hook that it writes into its settings would be run outside at the next occasion."""
    folder = field.home / ".claude"
    (folder / "settings.json").write_text("{}\n")
    own = Own((folder,), (folder / "settings.json", folder / "CLAUDE.md"), (folder / ".credentials.json",))
    before = digest(field.home)
    made = field.walls(own=own)
    script = """cat ~/.claude/settings.json; ls -A ~/.claude; echo renewed > ~/.claude/.credentials.json
        echo evil > ~/.claude/settings.json; echo evil > ~/.claude/CLAUDE.md; mkdir ~/.claude/projects && echo made"""
    said = run(argv(made, ("sh", "-c", script)), env=field.environ, cwd=field.tree).out
    assert said.split() == ["{}", ".credentials.json", "settings.json", "made"]
    after = digest(field.home)
    assert (folder / ".credentials.json").read_text() == "renewed\n"
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} \
        == {".claude/.credentials.json"}


def test_without_network_there_is_no_way_out_and_with_it_there_is(field: Field) -> None:
    look = "cat /proc/net/dev | tail -n +3 | cut -d: -f1"
    assert field.inside(look, network=False).out.split() == ["lo"]
    assert sorted(field.inside(look).out.split()) == sorted(path.name for path in Path("/sys/class/net").iterdir())


def test_a_cell_is_made_once_an_attempt_and_what_could_not_be_taken_in_stands_aside(field: Field) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")
    repo = field.world.repository()
    assert repo.wall_in(TASK, "t") == repo.wall_in(TASK, "t")
    field.inside("git log -1 --format=%s > y")
    assert (field.tree / "y").read_text() == "x\n", "met again as it was left"
    repo.wall_in(TASK, "next")
    left = [path.name for path in (field.world.checkout / ".git" / "coordinator-walls").iterdir()]
    assert sorted(left) == [TASK, f"{TASK}.left-t"]


def test_work_whose_walls_cannot_be_put_up_any_more_is_kept_and_said(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")
    with monkeypatch.context() as patched:
        patched.setattr(bubblewrap, "trouble", lambda **_: ("bubblewrap is not installed", bubblewrap.INSTALL))
        with pytest.raises(GitError, match="apt install bubblewrap"):
            field.let_out()
    field.let_out()
    assert git(field.tree, "log", "-1", "--format=%s") == "x"


def test_a_worktree_that_goes_takes_its_cell_with_it_and_no_work(field: Field) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")
    repo, walls = field.world.repository(), field.world.checkout / ".git" / "coordinator-walls"
    repo.remove_worktree(TASK)
    assert git(field.world.checkout, "log", "-1", "--format=%s", BRANCH) == "x"
    assert (list(walls.iterdir()), field.tree.exists()) == ([], False)


def test_a_cell_whose_worktree_a_person_removed_stands_aside(field: Field) -> None:
    field.inside("echo x > x; git add x; git commit -qm x")
    shutil.rmtree(field.tree)
    field.world.repository().remove_worktree(TASK)
    walls = field.world.checkout / ".git" / "coordinator-walls"
    assert [path.name for path in walls.iterdir()] == [f"{TASK}.left-t"]
    assert git(walls / f"{TASK}.left-t" / "git", "log", "-1", "--format=%s", BRANCH) == "x"


def test_cells_that_stand_aside_are_found_and_go_by_name_and_no_other_does(field: Field) -> None:
    """Also with folders that the worker closed to us."""
    repo, walls = field.world.repository(), field.world.checkout / ".git" / "coordinator-walls"
    for token in ("first", "second", "t"):
        repo.wall_in(TASK, token)
    closed = walls / f"{TASK}.left-first"
    (closed / "git" / "refs").chmod(0)
    os.utime(closed, (1e9, 1e9))

    found = repo.left_cells()
    assert [(one.kind, one.task_id, one.newest) for one in found] == [(WALLED, TASK, True)] * 2
    assert [Path(one.name).name for one in found] == [closed.name, f"{TASK}.left-second"]
    assert (found[0].at, found[0].size > 100) == (datetime.fromtimestamp(1e9, UTC), True)
    assert repo.left_cells(drop=[str(closed), str(walls / TASK), str(field.tree)]) == found[1:]
    assert sorted(path.name for path in walls.iterdir()) == [TASK, f"{TASK}.left-second"]
    assert field.tree.exists()


def test_a_cell_deeper_than_any_stack_stands_aside_like_another(field: Field) -> None:
    repo, walls = field.world.repository(), field.world.checkout / ".git" / "coordinator-walls"
    for token in ("first", "t"):
        repo.wall_in(TASK, token)
    make_hard(walls / f"{TASK}.left-first" / "git", outside=field.home)
    [found] = repo.left_cells()
    assert found.size > 100
    assert repo.left_cells(drop=[found.name]) == ()
    assert [path.name for path in walls.iterdir()] == [TASK]


def test_submodules_settings_and_sparse_trees_are_met_behind_the_walls(field: Field) -> None:
    """What makes files look as they do comes along; what would sign, or run something, does not."""
    modules = field.world.checkout / ".git" / "worktrees" / TASK / "modules" / "lib"
    modules.mkdir(parents=True)
    (modules / "HEAD").write_text("ref: refs/heads/main\n")
    for key, value in (("user.email", 'a "b" \\ c'), ("user.name", "Bee"), ("commit.gpgSign", "true"),
                       ("core.hooksPath", "/tmp/evil"), ("remote.origin.url", "https://example.org/widgets.git")):
        git(field.world.checkout, "config", key, value)
    git(field.tree, "sparse-checkout", "set", "--no-cone", "/*", "!/more.txt")
    said = field.inside("""git config user.email; git config user.name; git config remote.origin.url
        git config commit.gpgSign; git config core.hooksPath; git config remote.mirror.url; git sparse-checkout list
        cat $(git rev-parse --git-dir)/modules/lib/HEAD; git status --porcelain""")
    assert said.out.splitlines() == ['a "b" \\ c', "Bee", "https://example.org/widgets.git", "/*", "!/more.txt",
                                     "ref: refs/heads/main"], said.err
