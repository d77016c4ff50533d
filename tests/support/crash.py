"""A whole life under kill -9: a coordinator that dies at a named write, a fresh one that drains, and what must hold.

The stand-in lives in the test's process; coordinators are forked from a process that holds no threads and has
everything imported (`python -m tests.support.crash`), so that a crash point costs what its two lives cost.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coordinator.rehearsal.people import Person, RepositoryHandle
from coordinator.rehearsal.standin import StandIn
from coordinator.runfiles import identity
from tests.support.bypass import Seen, Watch
from tests.support.fate import Fate, Point, Write

ROOT = Path(__file__).resolve().parents[2]
LOADED_LATE = ("alembic.command", "alembic.config", "github", "requests")
"""What a coordinator loads when it comes to it: a third of the work of a life."""
PATIENCE = 90.0
"""Seconds a life may take; one alone takes two."""
TOKEN = "bot-token-of-the-crashes"
FILES = {"README.md": "# widgets\n"}
CONFIG = """\
[repository]
name = "{name}"
api_url = "{url}"

[poll]
interval = "1s"
jitter = "0s"
reserve = 0

[workers]
sandbox = "off"
provider = "command"
timeout = "60s"
grace = "1s"
stall = "60s"
stop_grace = "500ms"

[retry]
max = 1
backoff = "0s"

[floors]
disk = "0"
inodes = 0
memory = "0"

[retention]
worktrees_after_merge = "0s"

[labels]
mode = "full"

[providers.command]
argv = ["{python}", "-S", "-E", "{agent}", "{{attempt}}"]
"""

AGENT = '''\
"""Commits a file of its attempt; the first attempt fails. It notes every start, and whether it was alone."""
import fcntl, os, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
attempt = sys.argv[1]
alone = open(here + "/alone", "a")
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    word = "alone"
except BlockingIOError:
    word = "crowded"
with open(here + "/starts", "a") as starts:
    starts.write("%s %s %s\\n" % (attempt, os.environ["COORDINATOR_TOKEN"], word))
time.sleep(0.1)
name = "work-%s.txt" % attempt
with open(name, "w") as work:
    work.write("work\\n")
for args in (["add", name], ["commit", "-q", "-m", "Work of attempt " + attempt]):
    subprocess.run(["git"] + args, check=True)
time.sleep(0.1)
if attempt == "1":
    sys.exit(3)
print('{"type": "result", "subtype": "success", "is_error": false, "result": "Done."}')
'''

MARKER = re.compile(r"<!-- coordinator:\S+ -->")


@dataclass
class Plot:
    """A repository of its own on the stand-in, its clone, one labelled issue. `watched`: of its lives every write that
    Python announces is kept, as made `within` crossings or `outside`."""

    folder: Path
    github: StandIn
    repository: RepositoryHandle
    environ: dict[str, str]
    issue: int = field(init=False)
    merged: bool = False
    watched: bool = False
    within: list[Seen] = field(default_factory=list)
    outside: list[Seen] = field(default_factory=list)

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def ann(self) -> Person:
        return self.repository.as_user("ann")

    def act(self) -> None:
        """The maintainer merges what waits for review, once."""
        if not self.merged and "rpi:in-review" in self.repository.issue(self.issue).labels:
            [pull] = self.repository.pulls()
            self.ann.merge(pull.number)
            self.merged = True

    def git(self, *args: str) -> str:
        return git(self.clone, self.environ, *args)


def git(cwd: Path, environ: dict[str, str], *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=cwd, env=environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def a_field(folder: Path) -> Iterator[StandIn]:
    """A stand-in on which plots can be marked out."""
    with StandIn(folder / "github") as github:
        github.limits.hourly = github.limits.creations_a_minute = 10**6   # hundreds of lives share this one
        github.add_user("bot", TOKEN)
        github.add_user("ann", "ann-token", permission="admin")
        yield github


def a_plot(github: StandIn, folder: Path, *, config: str = "") -> Plot:
    """`config` is added to coordinator.toml."""
    folder.mkdir(parents=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "GITHUB_TOKEN": TOKEN,
               "GIT_CONFIG_GLOBAL": str(folder / ".gitconfig"), "GIT_TERMINAL_PROMPT": "0"}
    repository = github.add_repository(f"acme/{folder.name}", FILES)
    plot = Plot(folder, github, repository, environ)
    address = repository.clone_url.replace("://", f"://x:{TOKEN}@")
    git(folder, environ, "clone", "-q", address, "clone")
    plot.git("remote", "set-url", "origin", repository.clone_url)
    (folder / "agent.py").write_text(AGENT)
    (folder / "tmp").mkdir()
    text = CONFIG.format(name=f"acme/{folder.name}", url=github.url, python=sys.executable, agent=folder / "agent.py")
    (plot.clone / "coordinator.toml").write_text(text + config)
    plot.issue = plot.ann.open_issue("Make it turn", "Please.", ("rpi-auto",)).number
    return plot


# --- one life of a coordinator, in a forked child -----------------------------------------------------------------


@dataclass
class Report:
    """What a life that ended by itself says of the end."""

    writes: list[Write] = field(default_factory=list)
    middles: list[Write] = field(default_factory=list)
    task: dict[str, Any] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    rebuilt: bool = False
    within: list[Seen] = field(default_factory=list)
    outside: list[Seen] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


class Lives:
    """A process that forks coordinators, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "tests.support.crash"], cwd=ROOT, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def live(self, plot: Plot, die: Point | None = None, *, step: str = "", argv: Sequence[str] = ()) -> int:
        """Runs one coordinator on the plot to its end, the maintainer at hand; its exit code. With `argv` it is this
        command of the program, called `step`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"folder": str(plot.folder), "environ": plot.environ, "watched": plot.watched,
                 "step": step, "argv": list(argv),
                 "die": asdict(die) if die is not None else None}
        (plot.folder / "over").unlink(missing_ok=True)
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        while not (plot.folder / "over").exists():
            assert self._process.poll() is None, "the process that forks coordinators has ended"
            plot.act()
            time.sleep(0.02)
        code = int(self._process.stdout.readline())
        if plot.watched:
            report = report_of(plot)
            plot.within += report.within
            plot.outside += report.outside
        return code


def report_of(plot: Plot) -> Report:
    """What the last life wrote about its end."""
    found = json.loads((plot.folder / "report.json").read_text("utf-8"))
    seen = {name: [Seen(**one) for one in found.get(name, ())] for name in ("within", "outside")}
    writes = {name: [Write(**one) for one in found[name]] for name in ("writes", "middles")}
    return Report(**{**found, **seen, **writes})


def _serve() -> None:
    """Reads orders line by line, forks a life for each, answers its exit code."""
    _import_all()
    for line in sys.stdin:
        order = json.loads(line)
        folder = Path(order["folder"])
        pid = os.fork()
        if not pid:
            _life(folder, order["environ"], order["die"], order["argv"], order["step"], watched=order["watched"])
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        (folder / "over").touch()


def _import_all() -> None:
    import coordinator

    for room in pkgutil.walk_packages(coordinator.__path__, "coordinator."):
        if not room.name.startswith(("coordinator.rehearsal", "coordinator.__main__",
                                     "coordinator.adapters.store.migrations.env")):
            importlib.import_module(room.name)
    for name in LOADED_LATE:
        importlib.import_module(name)


def _life(folder: Path, environ: dict[str, str], die: dict[str, Any] | None, argv: list[str], step: str, *,
          watched: bool) -> None:
    """Never returns."""
    from coordinator.adapters.system import seam

    log: list[str] = []
    code = 3
    try:
        os.environ.clear()
        os.environ.update(environ)
        tempfile.tempdir = str(folder / "tmp")
        point = Point(die["when"], Write(**die["write"])) if die is not None else None
        fate, watch = Fate(folder, point, log, step and f"{step}: "), Watch(seam.inside)
        code = _command(folder, argv, fate, watch, watched=watched) if argv else _drain(
            folder, environ, fate, watch, log, watched=watched)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told by the log
        log.append(f"{type(error).__name__}: {error}")
    finally:
        with (folder / "log").open("a") as out:
            out.write("".join(f"{line}\n" for line in [f"--- {os.getpid()} {die}", *log, f"exit {code}"]))
        os._exit(code)


def _command(folder: Path, argv: list[str], fate: Fate, watch: Watch, *, watched: bool) -> int:
    """One command of the program as a person types it in the clone; what it prints goes into the log."""
    from coordinator.cli.main import main

    with (folder / "log").open("ab") as out, Path(os.devnull).open("rb") as nothing:
        for target, source in enumerate((nothing, out, out)):
            os.dup2(source.fileno(), target)
    os.chdir(folder / "clone")
    fate.install()
    if watched:
        watch.install()
    code = main(argv)
    report = Report(list(fate.writes), list(fate.middles), within=list(watch.within), outside=list(watch.outside))
    (folder / "report.json").write_text(json.dumps(asdict(report)), "utf-8")
    return code


def _drain(folder: Path, environ: dict[str, str], fate: Fate, watch: Watch, log: list[str], *, watched: bool) -> int:
    from coordinator import app
    from coordinator.engine.tick import AtOnce, Engine
    from coordinator.engine.wakes import Wakes

    fate.install()
    if watched:
        watch.install()
    where, wakes = app.Place(folder / "clone"), Wakes()
    world = app.coordinator_world(where, app.configuration(where, environ), environ, wakes, {}, log.append,
                                  looks="due")
    engine = Engine(world, AtOnce(), wakes.put)
    until = time.monotonic() + PATIENCE
    while not _over(engine):
        if time.monotonic() > until:
            log.append(f"not over: {world.store.tasks()}")
            return 4
        wakes.wait(0.05)
    recorded = list(fate.writes), list(fate.middles), list(watch.within), list(watch.outside)
    report = Report(*recorded[:2], *_ended(world), _rebuilt(engine), *recorded[2:], log)
    (folder / "report.json").write_text(json.dumps(asdict(report)), "utf-8")
    world.store.close()
    return 0


def _over(engine: Any) -> bool:
    """One tick; whether the task is done and tidied and nothing else is left to do."""
    engine.memory.poll_due = True
    made = engine.tick()
    tasks = engine.world.store.tasks()
    if len(tasks) != 1 or tasks[0].state != "DONE" or not tasks[0].tidied or engine.busy or engine.memory.failures:
        return False
    return not [action for action in made.actions if action.lane != "poll"]


def _ended(world: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    [task] = world.store.tasks()
    wanted = ("id", "state", "reason", "attempts", "pr_number", "worktree", "branch", "tidied")
    attempts = [{"number": one.number, "token": one.token, "ending": str(one.ending), "commits": one.commits,
                 "launched": one.launched_at is not None, "reason": one.reason, "head": one.head_sha}
                for one in world.store.attempts()[task.id]]
    return {name: getattr(task, name) for name in wanted} | {"state": str(task.state)}, attempts


def _rebuilt(engine: Any) -> bool:
    """Whether tasks.md, deleted, comes back byte for byte, and metrics.json with equal counters."""
    root = engine.world.root
    paths = root / "tasks.md", root / "adws" / "metrics.json"
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    engine.tick()
    after = [path.read_bytes() for path in paths]
    return before[0] == after[0] and _counted(before[1]) == _counted(after[1])


MOVING = ("last_update", "api_requests", "api_not_modified")


def _counted(data: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(data).items() if key not in MOVING}


# --- what must hold -----------------------------------------------------------------------------------------------


def torn(plot: Plot) -> list[str]:
    """Right after a death: files that are read by others and are not whole."""
    wrong = []
    for name in (".coordinator/board.json", "adws/metrics.json"):
        path = plot.clone / name
        try:
            if path.exists():
                json.loads(path.read_bytes())
        except ValueError as error:
            wrong.append(f"{name} is half written: {error}")
    ledger = plot.clone / "tasks.md"
    if ledger.exists() and not ledger.read_bytes().endswith(b"\n"):
        wrong.append("tasks.md is half written")
    return wrong


def faults(plot: Plot) -> list[str]:
    """What does not hold after the drain; empty when all is well."""
    report = report_of(plot)
    return [*_task(plot, report), *_starts(plot, report), *_work(plot), *_said(plot), *_files(plot, report),
            *_quiet(plot, report)]


def _task(plot: Plot, report: Report) -> Iterator[str]:
    task = report.task
    if (task["state"], task["tidied"], task["attempts"]) != ("DONE", True, 2):
        yield f"task: {task}"
    if (plot.clone / "trees" / task["id"]).exists():
        yield "the worktree is still there"
    endings = [(one["number"], one["ending"], one["launched"]) for one in report.attempts]
    if endings != [(1, "Failed", True), (2, "Succeeded", True)]:
        yield f"attempts: {report.attempts}"


def _starts(plot: Plot, report: Report) -> Iterator[str]:
    starts = [line.split() for line in (plot.folder / "starts").read_text().splitlines()]
    if [start[:2] for start in starts] != [[str(one["number"]), one["token"]] for one in report.attempts]:
        yield f"agents were started for {starts}, attempts are {report.attempts}"
    if any(start[2] != "alone" for start in starts):
        yield f"two workers at once: {starts}"


def _work(plot: Plot) -> Iterator[str]:
    pulls = plot.repository.pulls()
    if len(pulls) != 1:
        yield f"{len(pulls)} pull requests"
    there = set(plot.repository.files("main"))
    if not {"work-1.txt", "work-2.txt"} <= there:
        yield f"lost work: main holds {sorted(there)}"


def _said(plot: Plot) -> Iterator[str]:
    issue = plot.repository.issue(plot.issue)
    markers = Counter(mark for comment in issue.comments for mark in MARKER.findall(comment.body))
    number = plot.repository.pulls()[0].number
    wanted = {f"<!-- coordinator:gh-{plot.issue}:{which} -->" for which in ("status", f"completed:pr{number}")}
    if set(markers) != wanted or set(markers.values()) != {1}:
        yield f"comments: {dict(markers)}"
    living = next((one.body for one in issue.comments if ":status -->" in one.body), "")
    if "✅ Done" not in living:
        yield f"the living comment says {living!r}"
    ours = sorted(name for name in issue.labels if name.startswith("rpi:"))
    if ours != ["rpi:done"]:
        yield f"labels: {ours}"


def _files(plot: Plot, report: Report) -> Iterator[str]:
    if not report.rebuilt:
        yield "tasks.md or the counters are not what the store gives"
    lines = [line for line in (plot.clone / "tasks.md").read_text("utf-8").splitlines() if line.startswith("[")]
    if len(lines) != 1 or not lines[0].startswith(f"[✅ {report.attempts[-1]['head'][:7]}"):
        yield f"tasks.md: {lines}"
    metrics = json.loads((plot.clone / "adws" / "metrics.json").read_text("utf-8"))
    counts = [metrics[f"workers_{word}"] for word in ("launched", "completed", "failed")]
    if [*counts, metrics["prs_created"], metrics["worktree_errors"]] != [2, 1, 1, 1, 0]:
        yield f"metrics: {metrics}"


def _quiet(plot: Plot, report: Report) -> Iterator[str]:
    until = time.monotonic() + 30
    while left := [proc.pid for one in report.attempts for proc in identity.with_token(one["token"])]:
        if time.monotonic() > until:
            yield f"left running: {left}"
            return
        time.sleep(0.02)


if __name__ == "__main__":
    _serve()
