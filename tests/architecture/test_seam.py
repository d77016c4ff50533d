"""No write bypasses the seam: seen from outside in a living coordinator, and read off the source.

The crash points die at the crossings; a write that is none of them would never be died at.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.remote.link import READING, Link
from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.script import Order, Wishes
from coordinator.adapters.executors.ssh import Answer
from coordinator.adapters.system import seam
from coordinator.adapters.system.probe import SystemProbe
from coordinator.adapters.system.run import Ran
from coordinator.engine.contacts import Contacts, Message, Ways, hand_over
from coordinator.far import main as far
from coordinator.far import wire
from tests.architecture import floors
from tests.support.bypass import EXCEPTIONS, Seen, Watch, allowed, bypasses
from tests.support.crash import Lives, a_field, a_plot, faults

ROOT = Path(__file__).resolve().parents[2]
# Files that hold a write of their own at all; all others write through these.
WRITERS = {
    "adapters/executors/bringing.py": "outputs of a cluster's jobs, where a person wants them",
    "adapters/executors/local.py": "the stderr file that a wrapper inherits",
    "adapters/executors/remote/mirror.py": "output of runs on other hosts, piece by piece",
    "adapters/git/parcels.py": "the bundle that takes a worktree to another host",
    "adapters/executors/shelf_writing.py": "marks of dead jobs, and outcomes that step aside",
    "adapters/git/adding.py": "the folder above a worktree",
    "adapters/git/agentfiles.py": "agents' configuration that an earlier attempt left",
    "adapters/git/cells.py": "git of a worker's own behind its walls",
    "adapters/git/excludes.py": "info/exclude",
    "adapters/git/folder.py": "notes and copies in a worktree",
    "adapters/git/handoff.py": "what stages of a workflow hand on in a worktree",
    "adapters/git/hooks.py": "which of an operator's commands run in worktrees",
    "adapters/git/leftovers.py": "records of an operation that git left half done",
    "adapters/git/network.py": "scratch folders and the edges of a shallow clone",
    "adapters/git/odd.py": "pipes in a worktree, in the place of files that git reads",
    "adapters/git/rescue.py": "an index of its own, so that a rescue leaves the agent's alone",
    "adapters/git/worktrees.py": "worktrees and the mark that they are ours",
    "adapters/providers/transcript.py": "transcripts",
    "adapters/store/opening.py": "the database file",
    "adapters/system/files.py": "what people and other programs read in place",
    "adapters/system/instance.py": "the lock file names its holder",
    "adapters/system/notebook.py": "the folder of a batch's journal",
    "adapters/system/pidfile.py": "the watchdog's pid, where a person wants it",
    "adapters/system/probe.py": "a scratch folder for a provider's preflight",
    "adapters/system/run.py": "processes",
    "adapters/system/streaming.py": "a process whose output a person reads as it comes",
    "app/__init__.py": "the folder .coordinator",
    "app/host.py": "a copy of the memory in a scratch folder, to look ahead",
    "cli/jobs/hints.py": "the mark of when other job folders were last told of",
    "cli/program.py": "the trace of a bug where there is no repository",
    "cli/setting_up.py": "init: no coordinator runs then",
    "cli/rehearsing.py": "the folder of a rehearsal",
    "cli/view.py": "standard output, muted",
}
# Files that start programs by the funnel of adapters/system/run.py: in crossings, or why not.
STARTERS = {
    "adapters/executors/bringing.py": "a watch of a cluster's jobs brings copies; nothing of a task hangs on it",
    "adapters/executors/local.py": "workers",
    "adapters/executors/reach.py": "a watch of a cluster's jobs, whose acts its journal holds",
    "adapters/executors/remote/link.py": "the shell of this machine as a host: see Link.ask",
    "adapters/executors/ssh.py": "the shell of a host: see Link.ask; and ssh's own settings and connection",
    "adapters/git/cells.py": "the task's own git behind walls",
    "adapters/git/funnel.py": "git",
    "adapters/git/hooks.py": "hooks, gates and validations",
    "adapters/git/network.py": "git that speaks to a remote",
    "adapters/system/beads.py": "bd and git, for commands that a person types",
    "adapters/system/bubblewrap.py": "whether there are walls: a shell that does nothing",
    "adapters/system/probe.py": "questions, and a person's command",
    "app/credentials.py": "gh is asked for its token",
    "app/foreground.py": "a person's command, as a person waits for it",
    "app/host.py": "git is asked by doctor",
    "app/slurm_watch.py": "git is asked",
}
RUNS = re.compile(r"^ *from coordinator\.adapters\.system(\.run import .*\brun(_bytes)?\b| import run$)", re.MULTILINE)
OTHER_ROOMS = ("rehearsal", "worker", "runfiles", "far")   # an island; beside the agent; both sides; away
CALLS = re.compile(
    r"os\.(open|rename|replace|remove|unlink|mkdir|makedirs|rmdir|kill|killpg|symlink|link|chmod|truncate|ftruncate"
    r"|posix_spawn|fork)|shutil\.(rmtree|copy\w*|move)|tempfile\.\w+|subprocess\.(Popen|run|call|check_\w+)"
    r"|.*\.(write_text|write_bytes|unlink|mkdir|rmdir|touch|rename|symlink_to|chmod)")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Seen], list[Seen]]]:
    """What a coordinator wrote in a whole life, within crossings and outside."""
    folder = tmp_path_factory.mktemp("seam")
    with a_field(folder) as github:
        plot, lives = a_plot(github, folder / "p0001"), Lives()
        plot.watched = True
        try:
            assert lives.live(plot) == 0, (plot.folder / "log").read_text()
        finally:
            lives.close()
        assert faults(plot) == []
        yield plot.within, plot.outside


def test_every_write_of_a_whole_life_is_made_in_a_crossing(seen: tuple[list[Seen], list[Seen]]):
    assert bypasses(seen[1]) == []


def test_the_watch_is_awake_for_every_kind_of_write(seen: tuple[list[Seen], list[Seen]]):
    events = {one.event for one in seen[0]}
    assert {"open", "os.rename", "subprocess.Popen", "http.client.send", "sql"} <= events
    verbs = {one.what.split()[0] for one in seen[0] if one.event == "http.client.send"}
    assert verbs == {"POST", "PATCH", "DELETE"}


def test_no_exception_is_without_a_case(seen: tuple[list[Seen], list[Seen]]):
    met = {allowed(one) for one in seen[1]}
    assert [EXCEPTIONS[number] for number in range(len(EXCEPTIONS) - 1) if number not in met] == []


@pytest.mark.parametrize(("event", "args"), [
    ("open", ("/x/tasks.md", "w", 0o1101)),
    ("open", (b"/x/tasks.md", None, 0o101)),
    ("os.rename", ("/x/a", "/x/b", -1, -1)),
    ("os.remove", ("/x/a", -1)),
    ("os.mkdir", ("/x/.coordinator/other", 0o777, -1)),
    ("subprocess.Popen", ("git", ["git", "--git-dir=/x", "push", "origin"], None, None)),
    ("subprocess.Popen", ("git", ["git", "-c", "a=b", "worktree", "add", "/x"], None, None)),
    ("subprocess.Popen", ("git", ["git", "config", "user.name", "x"], None, None)),
    ("subprocess.Popen", ("git", ["git", "remote", "add", "x", "y"], None, None)),
    ("os.kill", (12, 15)),
    ("http.client.send", (None, b"POST /repos/a/b/pulls HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("subprocess.Popen", ("git", ["git", "symbolic-ref", "HEAD", "refs/heads/x"], None, None)),
    ("sql", ("INSERT INTO tasks VALUES (1)",)),
])
def test_a_planted_bypass_is_found(event: str, args: tuple[object, ...]):
    watch = Watch(lambda: 0)
    watch.note(event, args)
    [one] = watch.outside
    assert allowed(replace(one, where="coordinator/adapters/git/worktrees.py")) is None


@pytest.mark.parametrize(("event", "args"), [
    ("open", ("/x/tasks.md", "r", 0o2000000)),
    ("http.client.send", (None, b"GET /repos/a/b/issues HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("sql", ("SELECT 1",)),
])
def test_reading_is_no_write(event: str, args: tuple[object, ...]):
    watch = Watch(lambda: 0)
    watch.note(event, args)
    assert watch.outside == []


# --- what Python cannot see: what a message makes another host do, and what a program does ---------------------------


class Hearing:
    """A shell of a host that notes what it is asked, and in how many crossings."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        del remote, timeout
        self.heard.append((wire.unpack(stdin)[0]["do"], seam.inside()))
        return Answer(0, wire.pack({}, []), "")


def test_all_that_a_far_end_is_asked_is_a_crossing_but_what_changes_nothing_there(tmp_path: Path) -> None:
    shell = Hearing()
    link = Link("a", shell, "~/x", "python3")
    for verb in far.OPERATIONS:
        link.ask(verb)
    assert {verb for verb, inside in shell.heard if not inside} == READING
    home, asked = str(tmp_path / "home"), {"provider": "claude", "job": "gh-1", "token": "t", "fence": 1, "jobs": [],
                                          "begun": True, "repo": "r", "file": "gh-1.out", "offset": 0, "kind": "read",
                                          "what": "/nowhere"}
    far.answer(home, {"do": "put", "file": "gh-1.out", "offset": 0}, [b"x"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    for verb in READING:
        assert "refused" not in far.answer(home, {**asked, "do": verb}, [])[0], verb
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_travels_is_put_there_in_a_crossing_though_a_question_found_it_missing() -> None:
    seen: list[tuple[str, int]] = []

    class Bare:
        def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
            del stdin, timeout
            seen.append((remote, seam.inside()))
            return Answer(97, b"", "") if len(seen) == 1 else Answer(0, wire.pack({}, []), "")

    Link("a", Bare(), "~/x", "python3").ask("look")
    assert [(" && mv " in remote, inside) for remote, inside in seen] == [(False, 0), (True, 1), (False, 0)]


def test_slurm_is_told_in_a_crossing_and_asked_outside() -> None:
    seen: list[tuple[str, int]] = []

    def run(argv: Sequence[str], _stdin: str, _seconds: float) -> Ran:
        said = next(word for word in argv if word in ("squeue", "sacct", "scancel", "sbatch", "-0"))
        seen.append((said, seam.inside()))
        return Ran(0, "7" if "sbatch" in argv else "", "")

    queue = Queue(run, now=lambda: datetime(2026, 3, 2, tzinfo=UTC), poll=timedelta(seconds=9))
    queue.submit(Order("rpi-gh-1", "token", "/x", "/x/err", ("true",), Wishes()))
    queue.cancel(["7"], hard=True)
    queue.cancel(["7"], hard=False)
    assert set(seen) == {("squeue", 0), ("-0", 0), ("sbatch", 1), ("scancel", 1)}


def test_a_persons_command_is_a_crossing() -> None:
    seen: list[str] = []
    away = seam.watch(lambda moment, kind, what: seen.append(f"{moment} {kind} {what}"))
    try:
        ways = Ways(SystemProbe({}), None, {"PATH": os.environ["PATH"]})
        assert hand_over(Contacts("true --loud"), Message("it is so"), ways) == ()
    finally:
        away()
    assert seen == ["before process true --loud", "after process true --loud"]


def test_only_the_named_files_start_programs() -> None:
    found = {source.name.removeprefix("coordinator/") for source in floors.sources(ROOT)
             if source.room not in OTHER_ROOMS and RUNS.search((ROOT / source.name).read_text("utf-8"))}
    assert found == set(STARTERS)


def writers() -> dict[str, list[str]]:
    """File of ours -> the write primitives it calls."""
    found: dict[str, list[str]] = {}
    for source in floors.sources(ROOT):
        if source.room in OTHER_ROOMS:
            continue
        for node, called in source.calls():
            if CALLS.fullmatch(called) and not reads(node, called):
                name = source.name.removeprefix("coordinator/")
                found.setdefault(name, []).append(f"{source.name}:{node.lineno} {called}")
    return found


def reads(node: ast.Call, called: str) -> bool:
    return called == "os.open" and len(node.args) > 1 and "O_RDONLY" in ast.unparse(node.args[1])


def test_only_the_named_files_hold_a_write_of_their_own():
    found = writers()
    assert [line for name, lines in found.items() if name not in WRITERS for line in lines] == []
    assert [name for name in WRITERS if name not in found] == []
