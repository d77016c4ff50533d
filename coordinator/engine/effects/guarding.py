"""What a push may carry, by the settings and by what a person let pass; and how a pull request tells of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.issue import PullRequest
from coordinator.domain.task import Task
from coordinator.engine import planted
from coordinator.engine.world import World
from coordinator.planning.protection import AGENTS, cleared
from coordinator.ports import Forbidden, GitError, GitHub, GitUnreachable, HeldBack, NotThere, Refused, Repository
from coordinator.wording.escape import marker
from coordinator.wording.warnings import modules_words, paths_words, warnings


def search(world: World, base: str, tasks: Iterable[Task]) -> Search:
    """How the work of these tasks is looked through."""
    allowed = (sha for task in tasks for sha in cleared(task, "secret_found", "not_scanned"))
    return Search(base, world.known(), tuple(dict.fromkeys(allowed)))


def passing(world: World, tasks: Iterable[Task]) -> Callable[[Cargo], None]:
    """Raises HeldBack for protected paths where the settings say so, and for what nobody could get whole (commits of
    submodules, files of Git LFS), where no person let this very commit pass."""
    mine = tuple(tasks)

    def let(cargo: Cargo, reason: str) -> bool:
        return any(cargo.head in cleared(task, reason) for task in mine)

    def passes(cargo: Cargo) -> None:
        if cargo.only_here and not let(cargo, "submodule_commit"):
            raise HeldBack("submodule_commit", modules_words(cargo.only_here))
        if cargo.pointers and not let(cargo, "lfs_objects"):
            raise HeldBack("lfs_objects", paths_words(cargo.pointers))
        if not let(cargo, "protected_path"):
            _blocked(world, cargo)

    return passes


def beside(world: World, repo: Repository, base: str, came: tuple[str, ...]) -> Callable[[Cargo], None]:
    """The same for a branch that the commits `came` into, each judged then: what one of them has just so passes."""
    return lambda cargo: _blocked(world, repo.cargo(cargo.head, Search(base, allowed=came, scan=False)))


def _blocked(world: World, cargo: Cargo) -> None:
    touched = world.options.protection.touched(cargo)
    if touched and world.options.protection.mode == "block":
        raise HeldBack("protected_path", paths_words(touched))


def obeyed(world: World, task: Task, head: str, base: str) -> str:
    """The files, in words, that agents obey and that the branch has otherwise than the base, but for those that a
    person let pass; "" for none. Raises GitError."""
    seen = cleared(task, "agent_config")
    cargo = world.repo_of(task).cargo(head, Search(base, allowed=seen, scan=False))
    return paths_words(AGENTS.touched(cargo))


def since(repo: Repository, cargo: Cargo, base: str, seen: str) -> Cargo:
    """What of it is new since the commit `seen`, of which a pull request told already ("" = none did). All of it where
    that cannot be known. Raises GitUnreachable."""
    if not seen or not cargo.head:
        return cargo
    try:
        return replace(cargo, files=repo.cargo(cargo.head, Search(base, allowed=(seen,), scan=False)).files)
    except GitUnreachable:
        raise
    except GitError:
        return cargo


def told(world: World, cargo: Cargo, tasks: Iterable[Task]) -> tuple[tuple[str, ...], bool]:
    """(paragraphs for the pull request, whether it should be a draft)."""
    touched = world.options.protection.touched(cargo)
    those = tuple(tasks)
    found = ", ".join(filter(None, (planted.told(world, task) for task in those)))
    let = [one for task in those for one in task.cleared]
    return tuple(world.mask(words) for words in warnings(cargo, touched, found, let)), bool(touched)


def flag(world: World, github: GitHub, pull: PullRequest, ident: str, words: tuple[str, ...], *, draft: bool,
         opened: bool) -> None:
    """The label of protected paths on a pull request; one that others opened, or that stood already, becomes a draft
    and gets our words, once."""
    acts: list[Callable[[], object]] = []
    if draft:
        acts.append(lambda: github.add_labels(pull.number, [world.policy.labels.protected]))
    if draft and not pull.draft and not opened:
        acts.append(lambda: github.make_draft(pull.number))
    if words and not opened:
        acts.append(lambda: _tell(github, pull, ident, words))
    for act in acts:
        try:
            act()
        except (Forbidden, NotThere, Refused) as error:
            world.say(f"{ident}: pull request #{pull.number} could not be flagged: {error.words}")


def _tell(github: GitHub, pull: PullRequest, ident: str, words: tuple[str, ...]) -> None:
    mark = marker(ident, "carries", f"{pull.head_sha[:12]}")
    if not any(mark in comment.body for comment in github.comments(pull.number)):
        github.add_comment(pull.number, "\n\n".join((mark, *words)))
