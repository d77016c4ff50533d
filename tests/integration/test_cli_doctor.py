"""`doctor`: each fault is one line with its cure; exit 21 when one must be mended; never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.system import doctor
from coordinator.rehearsal.standin import StandIn
from coordinator.runfiles import identity
from tests.support.description import check_all
from tests.support.gitworld import git
from tests.support.program import a_repository, program
from tests.support.standin import MovableClock

TOKEN = "t0ken-of-doctor"
CLAUDE = """\
#!/bin/sh
[ "$1" = --version ] && echo "2.1.197 (Claude Code)" && exit
echo asked >> "$(dirname "$0")/asked"
echo '{"type": "result", "subtype": "success", "is_error": false, "result": "ok"}'
"""


@dataclass
class Ward:
    """A repository where all is well: what a test breaks is what doctor must find."""

    root: Path
    github: StandIn
    clock: MovableClock
    env: dict[str, str] = field(default_factory=lambda: {"GITHUB_TOKEN": TOKEN})
    ran: subprocess.CompletedProcess[str] = field(init=False)

    def set(self, *tables: str, provider: str = "command") -> None:
        (self.root / "coordinator.toml").write_text(
            f'[repository]\nname = "acme/widgets"\napi_url = "{self.github.url}"\n[workers]\nprovider = "{provider}"\n'
            f'[providers.command]\nargv = ["{sys.executable}", "-c", "pass"]\n' + "".join(f"{one}\n" for one in tables)
        )

    def doctor(self, *argv: str) -> list[str]:
        self.ran = program(self.root, "doctor", *argv, **self.env)
        assert self.ran.stderr == ""
        return self.ran.stdout.splitlines()

    def fails(self) -> list[str]:
        """The lines that fail, each with a cure; the exit code says the same."""
        failed = [line for line in self.doctor() if line.startswith("fail")]
        assert self.ran.returncode == (21 if failed else 0)
        assert all("  → " in line for line in failed), failed
        return failed

    def answers(self) -> int:
        path = self.root.parent / "asked"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    clock = MovableClock(time.time())
    with StandIn(tmp_path / "github", clock) as github:
        github.add_user("bot", TOKEN)
        made = github.add_repository("acme/widgets", {"README.md": "# widgets\n"})
        made.as_user("bot").open_issue("One", labels=("rpi-auto",))
        ward = Ward(a_repository(tmp_path / "widgets", made.clone_url), github, clock)
        ward.set("[floors]", 'disk = "1MB"', "inodes = 0", 'memory = "0"')
        yield ward
    check_all(github.requests)


def test_where_all_is_well_nothing_fails_and_every_line_says_what_was_found(ward: Ward) -> None:
    assert ward.fails() == []
    said = ward.ran.stdout
    for words in ("git 2.", "token scopes: repo", "acme/widgets may be pushed to", "label rpi-auto is there",
                  "the clock is within", "can be written", "disk: ", "inodes: ",
                  "memory: ", "load: ", "no stale lock", "no leftover w"):  # fmt: skip
        assert words in said
    rows = json.loads("\n".join(ward.doctor("--json")))
    assert {row["level"] for row in rows} == {"ok", "warn"}
    assert all(row["cure"] for row in rows if row["level"] != "ok")


@pytest.mark.parametrize(("token", "words", "cure"), [
    ("wrong", "GitHub refuses the token from GITHUB_TOKEN", "gh auth login"),
    ("", "no GitHub token", "gh auth login"),
    ("narrow", "acme/widgets is not there, or the token from GITHUB_TOKEN may not see it", "gh auth status"),
    ("reader", "no right to push to acme/widgets", "gh auth login"),
])  # fmt: skip
def test_a_token_that_does_not_do_is_named_with_its_cure(ward: Ward, token: str, words: str, cure: str) -> None:
    ward.github.add_user("narrow", "narrow", scopes=("gist",))
    ward.github.add_user("reader", "reader", permission="read")
    ward.env = {"GITHUB_TOKEN": token}
    [line] = ward.fails()
    assert words in line
    assert cure in line.partition("→")[2]


def test_a_fine_grained_token_is_tried_since_it_shows_no_scopes(ward: Ward) -> None:
    ward.github.add_user("bot", "fine", scopes=None)
    ward.env = {"GITHUB_TOKEN": "fine"}
    assert ward.fails() == []
    assert "fine-grained" in ward.ran.stdout
    assert "can be read and written" in ward.ran.stdout
    ward.github.add_user("bot", "finer", scopes=None, grants={"metadata": "read", "contents": "write"})
    ward.env = {"GITHUB_TOKEN": "finer"}
    assert any("may not read issues" in line for line in ward.fails())


@pytest.mark.parametrize(("grants", "denied"), [
    ({"issues": "read", "pull_requests": "write"}, ["labels", "issues/1/comments"]),
    ({"issues": "write", "pull_requests": "read"}, ["pulls"]),
    ({"issues": "read", "pull_requests": "read"}, ["pulls", "labels", "issues/1/comments"]),
])  # fmt: skip
def test_what_a_fine_grained_token_may_not_write_is_found_before_it_is_wanted(
    ward: Ward, grants: dict[str, str], denied: list[str]
) -> None:
    ward.github.add_user("bot", "fine", scopes=None, grants={"metadata": "read", "contents": "write", **grants})
    ward.env = {"GITHUB_TOKEN": "fine"}
    lines = ward.fails()
    assert [line.partition("POST /repos/acme/widgets/")[2].partition(":")[0] for line in lines] == denied
    assert all("Resource not accessible" in line and "read and write" in line.partition("→")[2] for line in lines)
    handle = ward.github.repository("acme/widgets")
    assert (len(handle.issues()), handle.pulls(), handle.issue(1).comments) == (1, [], [])


def test_where_there_is_no_issue_it_is_said_that_comments_were_not_tried(ward: Ward) -> None:
    ward.github.repository("acme/widgets").as_user("bot").close(1)
    ward.github.add_user("bot", "fine", scopes=None)
    ward.env = {"GITHUB_TOKEN": "fine"}
    assert ward.fails() == []
    assert "but for comments: there is no issue to try them on" in ward.ran.stdout


def test_without_git_on_path_it_says_how_to_get_it(ward: Ward, tmp_path: Path) -> None:
    ward.env["PATH"] = str(tmp_path)
    line = next(line for line in ward.fails() if "git" in line)
    assert line == "fail  git is not installed or not on PATH  → apt install git"


def test_a_missing_agent_is_named_with_the_command_that_installs_it(ward: Ward) -> None:
    ward.set("[floors]", 'disk = "1MB"', "inodes = 0", 'memory = "0"', "[providers.claude]",
             'binary = "no-such-claude"', provider="claude")  # fmt: skip
    [line] = ward.fails()
    assert "no-such-claude is not installed or not on PATH" in line
    assert "npm" in line


def test_a_cap_that_cannot_see_what_the_agent_uses_is_said_and_fails_nothing(ward: Ward) -> None:
    ward.set("[caps]", "tokens_per_task = 1000", "[floors]", 'disk = "1MB"', "inodes = 0", 'memory = "0"')
    assert ward.fails() == []
    [line] = [line for line in ward.ran.stdout.splitlines() if "caps.tokens_per_task" in line]
    assert line.startswith("warn")
    assert "keep caps.sessions_per_task" in line.partition("→")[2]


@pytest.mark.parametrize(("tables", "words", "cure"), [
    (("[labels]", 'auto = "other"'), "label other is missing in acme/widgets", "coordinator init"),
    (("[floors]", 'disk = "900TB"'), "the floor is 900000.0 GB", "coordinator clean --dry-run"),
    (("[workers.x]",), "workers", "coordinator config check"),
])  # fmt: skip
def test_what_is_missing_here_or_there_is_said_once(ward: Ward, tables: tuple[str, ...], words: str, cure: str) -> None:
    ward.set(*tables)
    [line] = [line for line in ward.fails() if words in line]
    assert cure in line.partition("→")[2]


def test_a_clock_that_is_off_is_a_warning(ward: Ward) -> None:
    ward.clock.advance(600)
    assert ward.fails() == []
    assert "warn  the clock is 600 s away" in ward.ran.stdout or "warn  the clock is 59" in ward.ran.stdout


def test_a_lock_left_by_a_dead_coordinator_is_none(ward: Ward) -> None:
    home = ward.root / ".coordinator"
    home.mkdir()
    (home / "lock").write_text(f"pid=1\npid_start=1\nboot_id={identity.boot_id()}\n")
    assert ward.fails() == []
    assert "no coordinator runs here, no stale lock" in ward.ran.stdout
    assert program(ward.root, "run", "--once", **ward.env).returncode == 0


def test_a_leftover_worker_is_named_and_the_cure_ends_it(ward: Ward) -> None:
    """A process that carries a run of this repository and that no task here owns."""
    jobs = ward.root / ".coordinator" / "jobs"
    left = {"COORDINATOR_RUN": f"command/gh-9@{jobs}", "COORDINATOR_TOKEN": "feed" * 8}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=left) as child:
        try:
            [line] = ward.fails()
            assert "no active task owns: gh-9 (command)" in line
            assert line.endswith(f"→ kill {child.pid}")
            subprocess.run(line.partition("→ ")[2].split(), check=True)
            child.wait(10)
        finally:
            child.kill()
    assert ward.fails() == []


def test_the_agent_is_asked_once_a_day_and_whenever_it_is_forced(ward: Ward) -> None:
    claude = ward.root.parent / "claude"
    claude.write_text(CLAUDE)
    claude.chmod(0o755)
    ward.env["ANTHROPIC_API_KEY"] = "a-key"
    ward.set("[floors]", 'disk = "1MB"', "[providers.claude]", f'binary = "{claude}"', provider="claude")
    ward.doctor()
    assert "ok    claude: answered" in ward.ran.stdout
    assert ward.answers() == 1
    ward.doctor()
    assert "answered within the last day" in ward.ran.stdout
    assert ward.answers() == 1
    ward.doctor("--live")
    assert ward.answers() == 2
    note = ward.root / ".coordinator" / "preflight.json"
    day = datetime.now(UTC) - timedelta(days=1, seconds=1)
    note.write_text(json.dumps(dict.fromkeys(json.loads(note.read_text()), day.isoformat())))
    ward.doctor()
    assert ward.answers() == 3
    note.write_text("\x00 no json")
    ward.doctor()
    assert ward.answers() == 4


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_github_that_answers_oddly_is_one_line(ward: Ward, status: int) -> None:
    ward.github.intercept = lambda _method, _path: (status, {}, b"<html>odd</html>")
    [line] = ward.fails()
    ward.github.intercept = None
    ward.github.requests.clear()   # what was answered by no GitHub at all is not held against its description
    assert "acme/widgets is not there" in line or "GitHub cannot be asked" in line


@pytest.mark.req("W19")
def test_a_token_in_a_file_is_used_and_said_to_lie_open(ward: Ward, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    ward.env = {"GITHUB_TOKEN_FILE": str(tmp_path / "token")}
    assert ward.fails() == []
    [line] = [line for line in ward.ran.stdout.splitlines() if "lies in a file of your user" in line]
    assert line.startswith("warn")
    assert "COORDINATOR_GITHUB_TOKEN_FD=3" in line.partition("→")[2]
    ward.env = {"GITHUB_TOKEN": TOKEN}
    assert "lies in a file" not in "\n".join(ward.doctor())
    ward.env = {"GITHUB_TOKEN_FILE": str(tmp_path / "none")}
    [failed] = ward.fails()
    assert f"GITHUB_TOKEN_FILE={tmp_path}/none cannot be read: No such file or directory" in failed


@pytest.mark.req("W19")
def test_whom_nothing_hides_from_is_said_plainly(ward: Ward) -> None:
    said = "\n".join(ward.doctor())
    assert ("this runs as root: nothing hides from root, agents" in said) == (os.geteuid() == 0)
    [open_to_root, off] = doctor.rights(0, "", "no bwrap here", "install it")
    assert open_to_root.words.endswith("nothing hides from root, agents included")
    said_of = "sandbox off: agents run with your rights on this host (no bwrap here)"
    assert (off.words, off.cure) == (said_of, "install it")
    [walled, tried] = doctor.rights(0, "sandbox bwrap", "", "")
    assert (walled.words.endswith("agents that have no walls included"), tried.level) == (True, "ok")
    assert not any("root" in line.words for line in doctor.rights(1000, "sandbox bwrap", "", ""))


def test_a_clone_that_is_not_whole_is_a_warning_with_its_cure(ward: Ward) -> None:
    ward.doctor()
    assert "ok    the clone is whole" in ward.ran.stdout
    git(ward.root, "config", "remote.origin.promisor", "true")
    assert ward.fails() == []
    [line] = [line for line in ward.ran.stdout.splitlines() if "partial clone" in line]
    assert line.startswith("warn")
    assert line.endswith("→ git fetch --refetch --no-filter origin && git config --unset remote.origin.promisor")
    assert "this is a partial clone" in program(ward.root, "run", "--once", **ward.env).stderr


def test_branches_named_as_those_of_tasks_begin_are_named_with_their_cure(ward: Ward) -> None:
    git(ward.root, "commit", "-q", "--allow-empty", "-m", "First")
    git(ward.root, "branch", "rpi")
    handle = ward.github.repository("acme/widgets")
    handle.as_user("bot").commit("rpi", {"a.txt": "a"}, "Mine")
    here, there = ward.fails()
    assert "a branch rpi is here: git makes no rpi/… beside it" in here
    assert "→ git branch -m rpi NAME" in here
    assert "a branch rpi is on the remote" in there


FORKED = ("[floors]", 'disk = "1MB"', "inodes = 0", 'memory = "0"')


def a_fork(ward: Ward, **options: object) -> None:
    """Branches go to helper's fork, with helper's token, which may only read upstream."""
    ward.github.add_user("helper", "helper", permission="read", **options)
    fork = ward.github.add_fork("helper", "acme/widgets")
    ward.set(*FORKED)
    text = (ward.root / "coordinator.toml").read_text()
    (ward.root / "coordinator.toml").write_text(text.replace("api_url", f'fork = "{fork.full_name}"\napi_url', 1))
    ward.env = {"GITHUB_TOKEN": "helper"}


def test_whoever_works_from_a_fork_needs_the_right_to_push_there_alone(ward: Ward) -> None:
    a_fork(ward)
    assert ward.fails() == []
    assert "ok    helper/widgets may be pushed to" in ward.ran.stdout


def test_from_a_fork_labels_that_cannot_be_set_are_a_warning(ward: Ward) -> None:
    a_fork(ward, scopes=None)
    assert ward.fails() == []
    assert "warn  the token may not write: POST /repos/acme/widgets/labels" in ward.ran.stdout


def test_a_fork_that_is_not_there_is_named(ward: Ward) -> None:
    a_fork(ward)
    text = (ward.root / "coordinator.toml").read_text()
    (ward.root / "coordinator.toml").write_text(text.replace("helper/widgets", "helper/nothing"))
    assert any("the fork that branches go to cannot be asked" in line for line in ward.fails())
