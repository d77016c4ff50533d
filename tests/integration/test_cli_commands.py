"""The program as people start it: real processes, exit codes, what is loaded, what a bad file does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator import app
from coordinator.adapters.store import SqlStore
from coordinator.domain.request import Event
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.rehearsal.standin import StandIn
from tests.support.program import a_repository, environ
from tests.support.program import program as coordinator
from tests.support.workers import until

HEAVY = ("sqlalchemy", "github", "git", "apscheduler", "alembic", "jinja2", "rich", "requests")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return a_repository(tmp_path / "widgets")


def stored(root: Path, number: int, *moves: TaskState) -> None:
    (root / ".coordinator").mkdir(exist_ok=True)
    store = SqlStore(root / ".coordinator" / "state.db")
    pin = Pin(f"Title {number}", "", "", 1, "ann")
    task = Task(f"gh-{number}", pin, f"rpi/gh-{number}", NOW, NOW, NOW, issue=number, provider="claude")
    store.add(task, Event(task.id, NOW, "adopted"))
    for to in moves:
        moved = task.move(to, NOW)
        store.save(moved, Event(task.id, NOW, "to"), was=task.version)
        task = moved
    store.close()


def state(root: Path, task_id: str) -> TaskState:
    store = SqlStore(root / ".coordinator" / "state.db")
    try:
        task = store.task(task_id)
        assert task is not None
        return task.state
    finally:
        store.close()


def board(root: Path) -> None:
    folder = root / ".coordinator"
    folder.mkdir(exist_ok=True)
    rows = [{"id": "gh-471", "issue": 471, "state": "BLOCKED", "title": "One", "reason": "max_retries", "attempts": []}]
    held = [{"number": 490, "title": "Held", "code": "untrusted", "words": "set by @eve", "moves": "set it anew"}]
    (folder / "board.json").write_text(json.dumps({"generated_at": NOW.isoformat(), "tasks": rows, "held": held}))
    (root / "logs").mkdir(exist_ok=True)
    (root / "logs" / "gh-471.jsonl").write_text('{"type":"assistant","message":{"content":[]}}\n')


@pytest.mark.parametrize("argv", [["status"], ["why", "471"], ["view", "471"], ["status", "--summary"]])
def test_reading_commands_load_nothing_heavy(repository: Path, argv: list[str]) -> None:
    board(repository)
    script = (
        "import sys\nfrom coordinator.cli.main import main\n"
        f"code = main({argv!r})\nloaded = {{name.partition('.')[0] for name in sys.modules}}\n"
        f"print(code, sorted(loaded & set({HEAVY!r})), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=repository, env=environ(repository.parent), text=True,
                         capture_output=True, timeout=50, check=False)  # fmt: skip
    assert ran.stderr.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    "argv", [["bogus"], ["status", "--nope"], ["status", "--state", "odd"], ["why"], ["why", "../../etc/passwd"],
             ["why", "\u202e471"], ["view", "a" * 65],
             ["retry", "471", "--provider", "nobody"], ["view", "1", "--attempt", "x"]],
)  # fmt: skip
def test_wrong_usage_is_64_with_words_and_no_traceback(repository: Path, argv: list[str]) -> None:
    ran = coordinator(repository, *argv)
    assert ran.returncode == 64
    assert ran.stderr.startswith("error: ")
    assert "(exit 64)" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("argv", [["why", "9"], ["view", "9"], ["stop", "9"], ["retry", "gh-9"]])
def test_an_unknown_task_is_exit_1_with_words(repository: Path, argv: list[str]) -> None:
    board(repository)
    stored(repository, 471)
    ran = coordinator(repository, *argv)
    assert (ran.returncode, ran.stderr.startswith("error: ")) == (1, True)


def test_outside_of_a_repository_it_says_where_to_go(tmp_path: Path) -> None:
    ran = coordinator(tmp_path, "status")
    assert ran.returncode == 1
    assert "is in no git repository" in ran.stderr


def test_why_explains_a_task_and_an_issue_that_is_held(repository: Path) -> None:
    board(repository)
    for name in ("471", "gh-471", "#471"):
        assert "max_retries" in coordinator(repository, "why", name).stdout
    assert "set by @eve" in coordinator(repository, "why", "490").stdout
    assert json.loads(coordinator(repository, "why", "471", "--json").stdout)["code"] == "max_retries"


@pytest.mark.parametrize(
    "content", [b"[workers\n", b"\xff\xfe", b"[wrokers]\nmax = 3\n", b"[workers]\nprovider = 'odd'\n"]
)
def test_a_bad_configuration_is_64_and_changes_nothing(repository: Path, content: bytes) -> None:
    (repository / "coordinator.toml").write_bytes(content)
    ran = coordinator(repository, "config", "check")
    assert (ran.returncode, ran.stderr.startswith("error: ")) == (64, True)
    assert not (repository / ".coordinator").exists()


def test_of_the_traces_of_bugs_the_newest_fifty_are_kept(tmp_path: Path) -> None:
    home = tmp_path / ".coordinator"
    home.mkdir()
    for number in range(60):
        (home / f"bug-20200101T0000{number:02}-7.txt").write_text("old")
    (home / "bug-of-mine.md").write_text("a person's")
    saved = app.save_bug(app.Place(tmp_path), "KeyError")
    kept = sorted(path.name for path in home.glob("bug-2*"))
    assert (len(kept), kept[0], kept[-1]) == (50, "bug-20200101T000011-7.txt", saved.name)
    assert (home / "bug-of-mine.md").exists()


def test_a_bug_of_ours_is_70_and_its_trace_is_in_a_file(repository: Path) -> None:
    script = (
        "import sys\nfrom coordinator.cli import main as cli, reading\n"
        "def broken(*_): raise RuntimeError('boom')\nreading._board = broken\nsys.exit(cli.main(['status']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=repository, env=environ(repository.parent), text=True,
                         capture_output=True, timeout=50, check=False)  # fmt: skip
    traces = list((repository / ".coordinator").glob("bug-*.txt"))
    assert ran.returncode == 70
    assert "Traceback" not in ran.stderr
    assert str(traces[0]) in ran.stderr
    assert "RuntimeError: boom" in traces[0].read_text()


@pytest.mark.req("E51", "E52", "E53", "E54", "E55")
def test_the_summary_counts_the_working_directorys_files_wherever_it_stands(tmp_path: Path) -> None:
    """No repository, no terminal, no board: the two blocks all the same."""
    (tmp_path / "adws").mkdir()
    (tmp_path / "adws" / "metrics.json").write_text('{"workers_launched": 31, "workers_completed": 24, "health": "ok"}')
    marks = ("[] gh-1: a", "[🟡 w-abc123, trees/gh-2] gh-2: b", "[✅ x, w-1] gh-3: c", "[❌ w-1] gh-4: d")
    (tmp_path / "tasks.md").write_text("\n".join(marks))
    ran = coordinator(tmp_path, "status", "--summary")
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[:4] == [
        "📊 Coordinator Health", "   Status: OK", "   Workers launched: 31", "   Completed: 24",
    ]  # fmt: skip
    assert [line for line in ran.stdout.splitlines() if line.startswith("   ")][6:10] == [
        "   Pending: 1", "   Active: 1", "   Completed today: 1", "   Failed: 1",
    ]  # fmt: skip
    (tmp_path / "adws" / "metrics.json").unlink()
    assert "📊" not in coordinator(tmp_path, "status", "--summary").stdout


@pytest.mark.req("N9")
@pytest.mark.parametrize("path", [[TaskState.BLOCKED], [TaskState.CANCELLED]])
def test_the_command_that_why_names_really_moves_the_task(repository: Path, path: list[TaskState]) -> None:
    """No coordinator, no token, no network: the request is settled by the command itself."""
    stored(repository, 471, *path)
    ran = coordinator(repository, "retry", "471")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "gh-471 is queued again" in ran.stdout
    assert state(repository, "gh-471") is TaskState.QUEUED


def test_stop_without_a_coordinator_cancels_what_waits_and_starts_nothing(repository: Path) -> None:
    stored(repository, 471)
    stored(repository, 472)
    assert coordinator(repository, "stop", "471", "--reason", "not now").returncode == 0
    assert state(repository, "gh-471") is TaskState.CANCELLED
    assert state(repository, "gh-472") is TaskState.QUEUED


def test_a_remote_that_names_another_repository_than_before_is_refused_until_it_is_said_to_be_meant(
    repository: Path,
) -> None:
    """A worker can change the remote, and the token may push to more than one repository of the host."""
    stored(repository, 471)
    stored(repository, 472)
    remote = ["git", "-C", str(repository), "remote", "set-url", "origin"]
    subprocess.run([*remote, "https://github.com/acme/widgets.git"], check=True)
    assert coordinator(repository, "stop", "471").returncode == 0
    subprocess.run([*remote, "git@github.com:Acme/Widgets.git"], check=True)   # the same, otherwise spelt
    assert coordinator(repository, "stop", "471").returncode == 0
    subprocess.run([*remote, "https://github.com/eve/taken.git"], check=True)
    ran = coordinator(repository, "stop", "472")
    assert ran.returncode == 1
    assert "the remote names eve/taken, and until now this was acme/widgets" in ran.stderr
    assert 'repository.name = "eve/taken" in coordinator.toml' in ran.stderr
    assert state(repository, "gh-472") is TaskState.QUEUED
    (repository / "coordinator.toml").write_text('repository.name = "eve/taken"\n')
    assert coordinator(repository, "stop", "472").returncode == 0
    assert state(repository, "gh-472") is TaskState.CANCELLED
    (repository / "coordinator.toml").unlink()
    assert coordinator(repository, "stop", "471").returncode == 0


def test_init_done_twice_changes_nothing_the_second_time(repository: Path) -> None:
    before = sorted(path for path in repository.rglob("*") if ".git" not in path.parts)
    assert coordinator(repository, "init", "--dry-run").returncode == 0
    assert sorted(path for path in repository.rglob("*") if ".git" not in path.parts) == before
    assert "done        coordinator.toml" in coordinator(repository, "init").stdout
    assert 'name = "acme/widgets"' in (repository / "coordinator.toml").read_text()
    exclude = (repository / ".git" / "info" / "exclude").read_text()
    again = coordinator(repository, "init").stdout
    assert not [line for line in again.splitlines() if line.startswith("done")]
    assert (repository / ".git" / "info" / "exclude").read_text() == exclude
    assert "/trees/" in exclude
    assert "coordinator.toml" not in exclude


@pytest.mark.req("F13", "E58")
def test_the_tools_that_init_copies_run_by_their_shebang_with_any_python(repository: Path) -> None:
    assert coordinator(repository, "init").returncode == 0
    tool = repository / "tools" / "status.py"
    ran = subprocess.run([str(tool)], cwd=repository, env=environ(repository.parent), text=True, capture_output=True,
                         timeout=50, check=False)  # fmt: skip
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "! no coordinator has run here yet: coordinator run")


def test_doctor_names_what_is_missing_with_a_cure_and_exits_21(repository: Path) -> None:
    ran = coordinator(repository, "doctor", COORDINATOR_WORKERS_SANDBOX="off")
    assert ran.returncode == 21
    assert "fail  no GitHub token" in ran.stdout
    assert "sandbox off" in ran.stdout
    assert ran.stderr == ""


@pytest.mark.parametrize(("login", "code", "words"), [
    ("", 20, "claude is not installed or not on PATH"), ("claude", 10, "claude setup-token"),
])  # fmt: skip
def test_a_rehearsal_with_an_agent_that_cannot_start_says_so_at_once(
    tmp_path: Path, login: str, code: int, words: str
) -> None:
    if login:
        (tmp_path / login).write_text("#!/bin/sh\necho '2.1.197 (Claude Code)'\n")
        (tmp_path / login).chmod(0o755)
    ran = coordinator(tmp_path, "rehearse", "--agent", "claude", PATH=f"{tmp_path}:/usr/bin:/bin", HOME=str(tmp_path))
    assert (ran.returncode, ran.stdout) == (code, "")
    assert words in ran.stderr
    assert "coordinator rehearse" in ran.stderr


@pytest.mark.parametrize(("content", "words"), [
    *[(content, "holds no board: coordinator run") for content in (b"", b"\x00\xff garbage", b"[1, 2]", b"[" * 9_000)],
    (b'{"tasks": 3, "held": {}, "attempts": "x"}', "no coordinator runs here"),
])  # fmt: skip
def test_a_board_that_is_none_is_said_and_no_command_breaks(repository: Path, content: bytes, words: str) -> None:
    board(repository)
    (repository / ".coordinator" / "board.json").write_bytes(content)
    for argv in (["status"], ["status", "--json"], ["status", "--all"]):
        ran = coordinator(repository, *argv)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert words in ran.stdout
    why = coordinator(repository, "why", "471")
    assert (why.returncode, words in why.stderr) == (1, True)


def test_a_board_of_a_newer_coordinator_is_said_and_shown_as_far_as_it_is_understood(repository: Path) -> None:
    board(repository)
    path = repository / ".coordinator" / "board.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    ran = coordinator(repository, "status")
    assert ran.returncode == 0
    assert "written by a newer coordinator (schema 99, this one knows 1)" in ran.stdout
    assert "gh-471" in ran.stdout


def test_a_second_coordinator_is_refused_by_name(repository: Path) -> None:
    from coordinator.app import Place, hold

    with hold(Place(repository)):
        ran = coordinator(repository, "run")
    assert ran.returncode == 1
    assert f"pid {os.getpid()}" in ran.stderr


@pytest.mark.req("X4")
def test_a_first_run_over_many_labelled_issues_lists_them_and_wants_a_yes(repository: Path, tmp_path: Path) -> None:
    """Eleven issues: nothing is taken up, no label or comment is written; the daily cap stands in the start line."""
    with StandIn(tmp_path / "github") as github:
        github.add_user("bot", "t0ken")
        github.add_user("ann", "ann-token", permission="admin")
        made = github.add_repository("acme/widgets", {"README.md": "# widgets\n"})
        ann = made.as_user("ann")
        for number in range(1, 12):
            ann.open_issue(f"Issue number {number}", "")
            ann.add_label(number, "rpi-auto")
        subprocess.run(["git", "-C", str(repository), "remote", "set-url", "origin", made.clone_url], check=True)
        (repository / "coordinator.toml").write_text(
            f'[repository]\nname = "acme/widgets"\nbase = "main"\napi_url = "{github.url}"\n'
            f'[workers]\nprovider = "command"\n[providers.command]\nargv = ["{sys.executable}", "-c", "pass"]\n'
        )
        dry = coordinator(repository, "run", "--dry-run", GITHUB_TOKEN="t0ken")
        assert dry.returncode == 0, dry.stderr
        assert dry.stdout.count("held        #") == 11
        assert not (repository / ".coordinator" / "state.db").exists()
        assert not (repository / "tasks.md").exists()
        ran = coordinator(repository, "run", "--once", GITHUB_TOKEN="t0ken")
        assert ran.returncode == 1
        assert all(f"#{number}  Issue number {number}" in ran.stdout for number in range(1, 12))
        assert "coordinator run --yes" in ran.stderr
        assert all(not issue.comments for issue in made.issues())
        (repository / "STOP").touch()  # taken up, and nothing started: this is about the yes
        agreed = coordinator(repository, "run", "--once", "--yes", GITHUB_TOKEN="t0ken")
        assert "at most 50 sessions a day" in agreed.stderr
        assert "gh-11: adopted" in agreed.stderr


def asked(root: Path) -> bool:
    store = SqlStore(root / ".coordinator" / "state.db")
    try:
        return bool(store.requests())
    finally:
        store.close()


HOLDER = """
import os, sys, time
from pathlib import Path
from coordinator import app
with app.hold(app.Place(Path.cwd())):
    print(os.getpid(), flush=True)
    sys.stdin.readline()
"""
"""Holds the repository as a command with a request of its own does, and as a coordinator that only begins."""


def test_a_request_left_with_a_process_that_ends_without_a_word_is_settled_and_its_wakes_kill_nobody(
    repository: Path,
) -> None:
    stored(repository, 1, TaskState.BLOCKED)
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=repository, env=environ(repository), text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # fmt: skip
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        retry = subprocess.Popen([sys.executable, "-m", "coordinator", "retry", "gh-1"], cwd=repository,
                                 env=environ(repository), stdout=subprocess.PIPE, text=True)  # fmt: skip
        until(lambda: asked(repository), "the request")
        holder.send_signal(signal.SIGUSR1)
        holder.communicate("end\n")
        assert holder.returncode == 0
    said, _ = retry.communicate(timeout=30)
    assert (retry.returncode, "gh-1 is queued again" in said) == (0, True), said
    assert state(repository, "gh-1") is TaskState.QUEUED
