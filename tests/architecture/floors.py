"""The house rules as data, and the reader that holds source files against them. Imports nothing it judges."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

OURS = "coordinator"
IMPORTERS = ("import_module", "importlib.import_module", "__import__")

# Which rooms a room may import; a dotted entry is one module of a room. A room may always import itself.
FLOORS: dict[str, tuple[str, ...]] = {
    "domain": (),
    "config": (),
    "planning": ("domain",),
    "wording": ("domain",),
    "ports": ("domain",),
    "engine": ("planning", "wording", "ports", "domain"),
    "adapters": (),
    "adapters.system": ("ports", "domain", "runfiles"),
    "adapters.github": ("ports", "domain", "runfiles", "adapters.system"),
    "adapters.git": ("ports", "domain", "runfiles", "adapters.system"),
    "adapters.executors": ("ports", "domain", "runfiles", "adapters.system", "far.wire"),
    "adapters.providers": ("ports", "domain", "runfiles", "adapters.system"),
    "adapters.store": ("ports", "domain", "runfiles", "adapters.system"),
    "adapters.notify": ("ports", "domain", "runfiles", "adapters.system"),
    "runfiles": (),
    "worker": ("runfiles",),
    "far": ("runfiles",),
    "rehearsal": (),
    "__main__": ("cli",),
    "app": ("adapters", "engine", "planning", "wording", "ports", "domain", "runfiles", "config"),
    "cli": ("app", "config", "wording", "planning.health", "domain", "runfiles", "rehearsal"),
}

# Where a third-party name, or a module of the standard library that starts processes, may be imported.
HOMES: dict[str, tuple[str, ...]] = {
    "github": ("adapters.github",),
    "requests": ("adapters.github",),
    "urllib3": ("adapters.github",),
    "git": ("adapters.git",),
    "detect_secrets": ("adapters.git",),
    "sqlalchemy": ("adapters.store",),
    "alembic": ("adapters.store",),
    "psutil": ("adapters.system",),
    "apscheduler": ("engine.daemon",),
    "apprise": ("adapters.notify",),
    "jinja2": ("wording",),
    "pygal": ("wording",),
    "rich": ("cli",),
    "msgspec": ("cli", "engine.plans"),
    "typer": ("cli",),
    "click": ("cli",),
    "subprocess": ("adapters.system", "rehearsal", "far"),
    "multiprocessing": (),
    "pty": ("worker",),
}

# The standard library's own things that a room must do without, and why.
WITHOUT: dict[str, tuple[frozenset[str], str]] = {
    room: (names, why)
    for rooms, names, why in (
        (
            ("domain", "planning", "wording"),
            frozenset(
                {
                    "os",
                    "io",
                    "time",
                    "random",
                    "secrets",
                    "uuid",
                    "socket",
                    "threading",
                    "signal",
                    "shutil",
                    "tempfile",
                    "logging",
                }
            ),
            "a decision or a sentence depends on its arguments alone",
        ),
        (
            ("worker", "runfiles"),
            frozenset({"json", "pathlib", "asyncio", "inspect", "typing_extensions"}),
            "they stand in memory beside every agent",
        ),
    )
    for room in rooms
}

# What a room does without all the same holds for these modules of it not, and why.
EXCEPT: dict[str, tuple[frozenset[str], str]] = {
    "runfiles.verdict": (frozenset({"json"}), "imported beside an agent only once it has ended"),
}

CLOCKS = ("adapters.system", "worker", "runfiles", "far", "rehearsal")
TIME_MODULE = (*CLOCKS, "cli")  # cli waits between two pictures of --watch
PRINTERS = ("cli", "rehearsal", "worker", "far")
WIDEST = 500
WIDER = {"coordinator/ports.py": 900}  # every seam on one page


@dataclass(frozen=True)
class Source:
    """One Python file; `root` is the folder that holds `coordinator/`."""

    root: Path
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text("utf-8"), str(self.path))

    @property
    def name(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    @property
    def module(self) -> str:
        """Dotted, without `coordinator.`: "domain.task"; "" for the package itself."""
        parts = self.path.relative_to(self.root / OURS).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """What a relative import starts from."""
        return self.module if self.path.stem == "__init__" else self.module.rpartition(".")[0]

    @property
    def room(self) -> str:
        return room_of(self.module)

    def calls(self) -> tuple[tuple[ast.Call, str], ...]:
        return self._calls

    @cached_property
    def _calls(self) -> tuple[tuple[ast.Call, str], ...]:
        return tuple((node, ast.unparse(node.func)) for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def imports(self) -> tuple[tuple[int, str], ...]:
        """(line, dotted name) of all that is imported, at any depth, under TYPE_CHECKING too."""
        return self._imports

    @cached_property
    def _imports(self) -> tuple[tuple[int, str], ...]:
        return tuple(self._imported())

    def _imported(self) -> Iterator[tuple[int, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, one.name) for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                yield from ((node.lineno, self._target(base, one.name)) for one in node.names)
        for call, called in self.calls():
            if called in IMPORTERS and call.args and isinstance(call.args[0], ast.Constant):
                yield call.lineno, str(call.args[0].value)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = [OURS, *self.package.split(".")] if self.package else [OURS]
        kept = parts[: len(parts) - node.level + 1]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def _target(self, base: str, name: str) -> str:
        """`from a import b` means module a.b where there is one, else something inside a."""
        folder = self.root.joinpath(*base.split("."))
        inner = (folder / name).is_dir() or (folder / f"{name}.py").is_file()
        return f"{base}.{name}" if inner else base


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "adapters" else parts[0]


def sources(root: Path) -> list[Source]:
    return [_source(root, path, path.stat().st_mtime_ns) for path in sorted((root / OURS).rglob("*.py"))]


@cache
def _source(root: Path, path: Path, changed: int) -> Source:
    """One for each state of a file: every rule reads every file, and parsing is most of the work."""
    return Source(root, path)


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in names)


# --- the rules: each yields one readable line a violation -----------------------------------------------


def floors(root: Path) -> Iterator[str]:
    for source in sources(root):
        if source.room and source.room not in FLOORS:
            yield f"{source.name}: room {source.room} stands in no line of the floors table"
            continue
        for line, name in source.imports():
            target = name.removeprefix(f"{OURS}.")
            if not name.startswith(f"{OURS}.") or room_of(target) == source.room:
                continue
            if not within(target, FLOORS.get(source.room, ())):
                yield f"{source.name}:{line} imports {name}; floor {source.room or OURS} may not"


def homes(root: Path) -> Iterator[str]:
    for source in sources(root):
        for line, name in source.imports():
            top = name.partition(".")[0]
            if top in HOMES:
                if not within(source.module, HOMES[top]):
                    where = " or ".join(HOMES[top]) or "nowhere"
                    yield f"{source.name}:{line} imports {top}; its home is {where}"
            elif top not in sys.stdlib_module_names and top != OURS:
                yield f"{source.name}:{line} imports {top}, which has no home in the table"


def purity(root: Path) -> Iterator[str]:
    for source in sources(root):
        names, why = WITHOUT.get(source.room, (frozenset(), ""))
        allowed = frozenset().union(*(kept for room, (kept, _) in EXCEPT.items() if within(source.module, (room,))))
        for line, name in source.imports():
            if name.partition(".")[0] in names - allowed:
                yield f"{source.name}:{line} imports {name}; {source.room} does without: {why}"
        if source.room in ("domain", "planning", "wording"):
            yield from (
                f"{source.name}:{node.lineno} opens a file; {source.room} does without: {why}"
                for node, called in source.calls()
                if called == "open"
                or called.endswith((".read_text", ".write_text", ".read_bytes", ".write_bytes"))
            )


def clocks(root: Path) -> Iterator[str]:
    for source in sources(root):
        if source.room not in TIME_MODULE:
            for line, name in source.imports():
                if name == "time":
                    yield f"{source.name}:{line} imports time; the clock's home is adapters.system"
        if source.room not in CLOCKS:
            for node, called in source.calls():
                if called.endswith(("datetime.now", "datetime.utcnow", "datetime.today", "date.today")):
                    yield f"{source.name}:{node.lineno} calls {called}; time is an input"


def waits_for_any_child(root: Path) -> Iterator[str]:
    """The calls that reap whatever child ended, and so steal the exit code of somebody else's."""
    for source in sources(root):
        for node, called in source.calls():
            name = called.rpartition(".")[2]
            first = ast.unparse(node.args[0]) if node.args else ""
            any_child = (
                (name in ("waitpid", "wait4") and first in ("-1", "0"))
                or (name == "waitid" and first.endswith("P_ALL"))
                or called in ("os.wait", "os.wait3")
            )
            if any_child:
                yield f"{source.name}:{node.lineno} calls {ast.unparse(node)}: it steals exit codes"


def shells(root: Path) -> Iterator[str]:
    for source in sources(root):
        for node, called in source.calls():
            by_word = any(one.arg == "shell" and ast.unparse(one.value) != "False" for one in node.keywords)
            if by_word or called in (
                "os.system",
                "os.popen",
                "subprocess.getoutput",
                "subprocess.getstatusoutput",
            ):
                yield f"{source.name}:{node.lineno} starts a shell: {ast.unparse(node)[:60]}"


def prints(root: Path) -> Iterator[str]:
    for source in sources(root):
        if source.room not in PRINTERS:
            for node, called in source.calls():
                if called in ("print", "sys.stdout.write"):
                    yield f"{source.name}:{node.lineno} prints; only {', '.join(PRINTERS)} do"


def old_syntax(root: Path) -> Iterator[str]:
    """worker, far, runfiles and the package's own first file travel to hosts that have Python 3.9."""
    for source in sources(root):
        if source.room in ("worker", "runfiles", "far", ""):
            try:
                ast.parse(source.path.read_text("utf-8"), source.name, feature_version=(3, 9))
            except SyntaxError as error:
                yield f"{source.name}:{error.lineno} is no Python 3.9: {error.msg}"


def length(root: Path) -> Iterator[str]:
    for folder in (OURS, "tests", "tools", "adws"):
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            lines = len(path.read_text("utf-8").splitlines())
            if lines > WIDER.get(name, WIDEST):
                yield f"{name}: {lines} lines, {WIDER.get(name, WIDEST)} at most; which noun was missed?"
