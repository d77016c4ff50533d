"""Builders for plan files: which repositories one names, where its memory lies, and the coordinator that runs it."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coordinator.app import API_URL, Place, configuration, github_client, open_store, world_on
from coordinator.app.faces import state_home
from coordinator.config.rooting import find_root
from coordinator.domain.planfile import Delivery, PlanFile, Undertaking

if TYPE_CHECKING:
    from coordinator.adapters.git.repository import GitRepository
    from coordinator.app.renewing import Token
    from coordinator.config import Config
    from coordinator.domain.finding import Finding
    from coordinator.engine.runner import Runner
    from coordinator.engine.wakes import Wakes
    from coordinator.engine.world import Site, World
    from coordinator.ports import Store
    from coordinator.wording.plan_md.reading import Read

BRANCH = "feature-"
LARGEST = 8 << 20
"""Bytes of a plan file; one of a thousand tasks has half a megabyte."""


class BadPlanFile(Exception):
    """The file cannot be read as a plan at all; the words name it."""


@dataclass(frozen=True)
class Plan:
    """A plan file as it stands now. `roots` are the checkouts of its repositories by the names it gives them, None
    for one that is not found."""

    path: Path
    text: str
    read: Read
    roots: Mapping[str, Path | None]

    @property
    def file(self) -> PlanFile:
        return self.read.plan


def open_plan(path: Path, cwd: Path | None = None) -> Plan:
    """Reads the file and finds its repositories. Raises BadPlanFile."""
    from coordinator.runfiles import atomic
    from coordinator.wording.plan_md.reading import read_plan

    full = Path(os.path.realpath(path))
    if full.is_dir():
        raise BadPlanFile(f"{path} is a folder, not a plan file")
    if full.exists() and not full.is_file():
        raise BadPlanFile(f"{path} is no file of text")
    try:
        raw = atomic.read(str(full), LARGEST)
    except OSError as error:
        raise BadPlanFile(f"{path} cannot be read: {error.strerror or error}") from error
    if raw is None:
        raise BadPlanFile(f"there is no plan file {path}")
    if len(raw) >= LARGEST:
        raise BadPlanFile(f"{path} has more than {LARGEST >> 20} MB: no plan of people")
    if b"\0" in raw:
        raise BadPlanFile(f"{path} is no text: it holds zero bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadPlanFile(f"{path} is no UTF-8 text: byte {error.start} is none; save it as UTF-8") from error
    read = read_plan(text, full.name)
    return Plan(full, text, read, repositories(read.plan, full, cwd or Path.cwd()))


def repositories(plan: PlanFile, path: Path, cwd: Path) -> dict[str, Path | None]:
    """The checkout of each repository that the plan names, by that name: the one the command stands in or the plan
    lies in, where it has this name; a folder of this name beside one of them; a path. "" is the one stood in."""
    homes = [root for root in (find_root(cwd), find_root(path.parent)) if root is not None]
    return {task.repo: _find(task.repo, homes, (cwd, path.parent)) for task in plan.tasks}


def _find(name: str, homes: list[Path], starts: Iterable[Path]) -> Path | None:
    if not name:
        return homes[0] if homes else None
    last = name.rstrip("/").rsplit("/", 1)[-1]
    for root in homes:
        if root.name == last or (("/" in name) and _full_name(root) == name):
            return root
    beside = (*(root.parent / last for root in homes), *(start / name for start in starts), _own(name))
    return next((one.resolve() for one in beside if _is_root(one)), None)


def _own(name: str) -> Path:
    """A path that a person wrote; one below the home of nobody stays as it is."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def _is_root(one: Path) -> bool:
    try:
        return one.is_dir() and find_root(one) == one.resolve()
    except OSError:   # a name that no folder can have
        return False


def _full_name(root: Path) -> str:
    from coordinator.adapters.git.repository import GitRepository
    from coordinator.ports import GitError

    try:
        return GitRepository(root).full_name
    except GitError:
        return ""


def place_of(plan_id: str, path: Path, environ: Mapping[str, str]) -> Place:
    """Where the memory of a plan that is run by hand lies: a folder of its own, whatever the repositories."""
    mark = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    name = "".join(char if char.isalnum() or char in "-_" else "-" for char in plan_id)[:40]
    return Place(state_home(environ) / "coordinator" / "plans" / f"{name}-{mark}")


def is_own(where: Place) -> bool:
    """Whether this is the place of a plan that is run by hand, and no checkout, whatever its folder is called."""
    return where.root.parent.parts[-2:] == ("coordinator", "plans") and not (where.root / ".git").exists()


@contextmanager
def in_plain_words(where: Place) -> Iterator[None]:
    """What is to be done about a plan's own memory that is damaged: nobody but a person may say that merged tasks are
    done once more. Raises StoreDamaged."""
    from coordinator.ports import StoreDamaged

    try:
        yield
    except StoreDamaged as error:
        if not is_own(where):
            raise
        raise StoreDamaged(
            f"{error.words.partition(chr(10))[0]}\n  It is a plan's own memory, which no command makes anew. To do the "
            f"plan again from its first task, on its branches as they are:\n  mv {shlex.quote(str(where.store))}* /tmp "
            "&& coordinator plan resume PLAN") from error


def faults(plan: Plan) -> tuple[Finding, ...]:
    """Everything that is wrong or doubtful about the plan, in the file's order."""
    from coordinator.planning.plans.checking import findings

    found = (*plan.read.findings, *map(plan.read.placed, findings(plan.file, plan.roots)))
    return tuple(sorted(found, key=lambda one: one.line))


def waves(plan: PlanFile) -> dict[str, int]:
    """The wave of each task, from 1, by its id in the file."""
    from coordinator.planning.plans.waves import waves_of

    return waves_of({one.id: one.depends_on for one in plan.tasks})


def request(under: Undertaking, *, again: bool) -> dict[str, str]:
    """What a request holds that gives a plan to the coordinator of its repository."""
    from coordinator.engine.plans import encode

    return {"plan": encode(under), "again": "1" if again else ""}


def refused(answer: str) -> bool:
    """Whether that coordinator did not take the plan."""
    from coordinator.engine.plans import NOT_TAKEN

    return answer.startswith(NOT_TAKEN)


def begun(under: Undertaking, own: Place) -> Iterator[tuple[Place, Undertaking]]:
    """Where a plan of this id was begun in one of these repositories, from whatever file: by hand, in a folder beside
    its `own`, or by the coordinator of a repository. Its tasks have the same branches and worktrees. Raises StoreError,
    NewerSchema."""
    roots = {one.root for one in under.deliveries.values()}
    by_hand = sorted(own.root.parent.glob(f"{own.root.name.rpartition('-')[0]}-*"))
    for place in (Place(root) for root in (*by_hand, *map(Path, sorted(roots)))):
        if not place.store.exists():
            continue
        with in_plain_words(place):
            old = _plans_in(place).get(under.id)
        if old is not None and roots & {one.root for one in old.deliveries.values()}:
            yield place, old


def _plans_in(where: Place) -> Mapping[str, Undertaking]:
    from coordinator.engine.plans import plans_of

    memory = open_store(where)
    try:
        return plans_of(memory)
    finally:
        memory.close()


def work(where: Place, under: Undertaking, config: Config, environ: Mapping[str, str], me: Mapping[str, str],
         say: Callable[[str], None], *, again: bool) -> bool:
    """Works on a plan until nothing of it moves by itself; whether all that was asked for is done. `again`: what a
    person must look at is tried once more. Raises BadPlanFile where another plan has its id, StoreError, GitError."""
    from coordinator.engine.plans import OtherPlan, begin

    with in_plain_words(where):
        made = runner(where, under, config, environ, me, say)
        try:
            begin(made.world, under, again=again)
            return made.serve_plan(under.id)
        except OtherPlan as error:
            raise BadPlanFile(str(error)) from error
        finally:
            made.close()


def place_of_task(task_id: str, environ: Mapping[str, str]) -> Place | None:
    """The place of the plan that is run by hand and has this task, the one that moved last; None without one."""
    from coordinator.runfiles import atomic

    boards = (state_home(environ) / "coordinator" / "plans").glob("*/.coordinator/board.json")
    mark = f'"id":"{task_id}"'.encode()
    having = [one for one in boards if mark in (atomic.read(str(one), LARGEST) or b"")]
    newest = max(having, key=lambda one: one.stat().st_mtime, default=None)
    return Place(newest.parent.parent) if newest is not None else None


def undertaking(plan: Plan, config: Config, at: Any, *, wave: int = 0, strict: bool = False) -> Undertaking:
    """The plan as it is begun; all its repositories must have been found."""
    found = {name: root for name, root in plan.roots.items() if root is not None}
    home = next(iter(found.values()), None)
    deliveries = {
        name: Delivery(name, str(root), f"{BRANCH}{plan.file.id}", config.repository.base if root == home else "")
        for name, root in found.items()
    }
    return Undertaking(plan.file, str(plan.path), at, deliveries, wave=wave, strict=strict)


def plan_configuration(plan: Plan, environ: Mapping[str, str], overrides: Mapping[str, str]) -> Config:
    """The settings of the plan's first repository. Raises ConfigError."""
    root = next((root for root in plan.roots.values() if root is not None), Path.cwd())
    return configuration(Place(root), environ, overrides)


def home_of(under: Undertaking) -> Path:
    """The checkout whose settings hold for the plan: that of its first repository."""
    return Path(next(iter(under.deliveries.values())).root)


# --- repositories of plans ------------------------------------------------------------------------------


def sites(config: Config, token: Token, home: Path) -> Callable[[str], Site]:
    """Opens the repository of a plan's task by its checkout, once. The settings are those of the one at `home`: what
    they say of this repository alone, its fork, holds for no other. The result raises GitError."""
    known: dict[str, Site] = {}

    def site(root: str) -> Site:
        if root not in known:
            own = Path(root) == home
            known[root] = _site(Path(root), config if own else _others(config), token)
        return known[root]

    return site


def _others(config: Config) -> Config:
    return replace(config, repository=replace(config.repository, name="", base="", fork=""))


def _site(root: Path, config: Config, token: Token) -> Site:
    from coordinator.adapters.git.folder import agents_folder
    from coordinator.adapters.github.addresses import clone_url
    from coordinator.engine.world import Site

    def made(secret: Callable[[], str] | None = None, **addresses: str) -> GitRepository:
        from coordinator.adapters.git.repository import GitRepository

        return GitRepository(
            root, worktree_root=str(agents_folder(config.plans.worktrees)), leaf=root.name, token=secret,
            default_branch=config.repository.base, ca_bundle=config.repository.ca_bundle, proxy=config.repository.proxy,
            identity={"name": "Coordinator", "email": "coordinator@localhost"}, **addresses,
        )

    repo, api, fork = made(), config.repository.api_url or API_URL, config.repository.fork
    name = config.repository.name or repo.full_name
    if repo.by_path or not name or (not config.repository.name and _elsewhere(repo.host, clone_url(api, name))):
        return Site(repo, None, name, "its remote is no repository on GitHub")   # its host gets no token of GitHub
    if not token():
        return Site(repo, None, name, "there is no GitHub token: set GITHUB_TOKEN or GH_TOKEN, or gh auth login")
    repo = made(token, url=clone_url(api, name), push_url=clone_url(api, fork) if fork else "")
    return Site(repo, github_client(config, name, token), name)


def _elsewhere(host: str, address: str) -> bool:
    """Whether a remote's host is surely another than that of this address; a name without a dot may be an alias of
    ssh's configuration."""
    served = urlsplit(address).hostname
    return "." in host and host != served and not host.endswith(f".{served}")


def runner(where: Place, under: Undertaking, config: Config, environ: Mapping[str, str], me: Mapping[str, str],
           say: Callable[[str], None]) -> Runner:
    """A coordinator for one plan alone: no issues are asked for. Raises StoreError, GitError."""
    from coordinator import app

    memory = open_store(where)
    try:
        return app.runner(where, config, environ, me, say, world_of=lambda wakes, named: _world(
            where, under, config, environ, say, memory, wakes, named))
    except Exception:
        memory.close()
        raise


def _world(where: Place, under: Undertaking, config: Config, environ: Mapping[str, str], say: Callable[[str], None],
           memory: Store, wakes: Wakes, named: Mapping[str, Any]) -> World:
    from coordinator.adapters.github.offline import Offline
    from coordinator.app.renewing import Token
    from coordinator.app.templates import template_finder
    from coordinator.engine.world import Site

    token, root = Token(environ), home_of(under)
    first = sites(config, token, root)(str(root))
    home = Site(first.repo, Offline("a plan's coordinator asks for no issues"), first.name)
    world = world_on(where, config, environ, wakes, named, say, memory, home, token, looks="thread")
    world.policy = replace(world.policy, intake=False)
    world.template, world.site = template_finder(Place(root)), sites(config, token, root)
    return world


def stored(where: Place) -> Undertaking | None:
    """The plan whose memory lies here; None where this is no plan's place."""
    if not is_own(where) or not where.store.exists():
        return None
    with in_plain_words(where):
        return next(iter(_plans_in(where).values()), None)
