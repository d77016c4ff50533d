"""No write bypasses the seam: seen from outside in a living coordinator, and read off the source.

The crash points die at the crossings; a write that is none of them would never be died at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.architecture import floors
from tests.support.bypass import Seen, Watch
from tests.support.crash import Lives, a_field, a_plot, faults, report_of

ROOT = Path(__file__).resolve().parents[2]
READING_GIT = (r"(rev-parse|for-each-ref|check-ref-format|status|rev-list|diff|cat-file)( .*)?",
               r"(diff-tree|ls-tree) .*", r".*; f --git-dir=\S+ ls-remote --(heads|symref) .*",
               r"config( -\S+)* --get.*", "remote", r"symbolic-ref --quiet \S+", "worktree list.*")

# Where, which event, what it may be done to, why no crash point is needed there. A life meets every row but the last.
EXCEPTIONS = (
    (".*", "subprocess.Popen", rf"git ({'|'.join(READING_GIT)})", "git is asked, nothing is changed"),
    ("adapters/github/transport.py", "http.client.send", r"POST /graphql HTTP/1\.1", "a question, or in a crossing"),
    ("adapters/git/network.py", ".*", r".*/coordinator-git-\w+(/.*)?|[\w-]+",
     "the scratch folder of one fetch or push: nobody else knows it, it goes away with the call"),
    ("runfiles/lock.py", "open", r".*\.lock", "an empty file to hold a lock on; its content is never read"),
    ("app/__init__.py", "os.mkdir", r".*/\.coordinator", "an empty folder says nothing and is made again"),
    ("adapters/store/opening.py", "os.mkdir", r".*/\.coordinator", "the same"),
    ("adapters/git/worktrees.py", "os.mkdir", r".*/trees", "the same"),
    ("runfiles/names.py", "os.mkdir", r".*/jobs(/command)?", "the same"),
    ("adapters/git/reading.py", "os.kill", ".*", "a cat-file of ours that has not ended by itself"),
)

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
    "adapters/git/leftovers.py": "records of an operation that git left half done",
    "adapters/git/network.py": "scratch folders and the edges of a shallow clone",
    "adapters/git/odd.py": "pipes in a worktree, in the place of files that git reads",
    "adapters/git/rescue.py": "an index of its own, so that a rescue leaves the agent's alone",
    "adapters/git/worktrees.py": "worktrees and the mark that they are ours",
    "adapters/providers/transcript.py": "transcripts",
    "adapters/store/opening.py": "the database file",
    "adapters/system/emptying.py": "folders that somebody hostile has filled",
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
        try:
            assert lives.live(plot, watched=True) == 0, (plot.folder / "log").read_text()
        finally:
            lives.close()
        assert faults(plot) == []
        report = report_of(plot)
        yield report.within, report.outside


def allowed(one: Seen) -> int | None:
    """The number of the exception that covers it."""
    for number, (where, event, what, _) in enumerate(EXCEPTIONS):
        if (re.fullmatch(f"coordinator/{where}", one.where) and re.fullmatch(event, one.event)
                and re.fullmatch(what, bare(one), re.DOTALL)):
            return number
    return None


def bare(one: Seen) -> str:
    """Without the options before git's command, the mode or descriptor that some events name beside the path."""
    if one.event == "subprocess.Popen":
        return re.sub(r"^git( -c \S+| --\S+)* ", "git ", one.what)
    return re.sub(r" -?\d+$", "", one.what) if one.event.startswith("os.") else one.what


def test_every_write_of_a_whole_life_is_made_in_a_crossing(seen: tuple[list[Seen], list[Seen]]):
    bypasses = [str(one) for one in seen[1] if allowed(one) is None]
    assert bypasses == [], "\n".join(dict.fromkeys(bypasses))


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
