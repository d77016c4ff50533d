"""Worktrees that are no longer needed, and a root that gave trouble."""

from __future__ import annotations

from functools import partial

from coordinator.domain.checkout import Found
from coordinator.domain.task import ACTIVE, Task
from coordinator.engine.effects.starting import HookFailed, run_hook
from coordinator.engine.facts import Cleaned, NotTidied, Reclaimed, Swept, Tidied
from coordinator.engine.retention import of_others, sweep
from coordinator.engine.world import World
from coordinator.planning.actions import CleanUp, Reclaim, Sweep, Tidy
from coordinator.ports import GitBusy, GitError


def tidy(action: Tidy, world: World) -> Tidied | NotTidied:
    """Removes one worktree; the branch stays, what is not elsewhere is rescued first."""
    task = action.task
    try:
        run_hook(world, task, "before_remove", world.options.before_remove)
    except (HookFailed, GitError, OSError) as error:   # a person may have removed the worktree already
        world.say(f"{task.id}: {_words(error)}")
    try:
        world.repo_of(task).remove_worktree(task.id)
    except (GitError, OSError) as error:
        return NotTidied(task, _words(error), busy=isinstance(error, GitBusy))
    return Tidied(task, f"worktree {task.worktree} removed")


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    return str(error)


def clean(action: CleanUp, world: World) -> Cleaned:
    """Removes every worktree of ours that is dead, and clean and pushed or rescued; says which stayed. When
    a person asked, what has become too old goes too."""
    removed, kept = [], []
    for found in world.repo.worktrees():
        if of_others(world, found.task_id):
            continue
        if found.task_id in action.keep or not found.registered or _in_use(world, found.task_id):
            kept.append(found.task_id)
            continue
        try:
            world.repo.remove_worktree(found.task_id, unless=partial(_in_use, world, found.task_id))
            removed.append(found.task_id)
        except (GitError, OSError) as error:
            world.say(f"{found.task_id}: not removed: {_words(error)}")
            kept.append(found.task_id)
    swept = len(sweep(world)) if action.request is not None else 0
    return Cleaned(action, tuple(removed), tuple(kept), swept)


def reclaim(action: Reclaim, world: World) -> Reclaimed:
    """On another host its far end removes what it has of these tasks; here only trees in which nothing lies that is
    not merged."""
    if action.host:
        return Reclaimed(action, (), world.executor.make_room(action.host, [task.id for task in action.tasks]))
    standing = {found.task_id: found for found in world.repo.worktrees()} if action.tasks else {}
    removed = [task for task in action.tasks if _clean(world, task, standing.get(task.id)) and _removed(world, task)]
    return Reclaimed(action, tuple(removed), len(sweep(world)))


def _clean(world: World, task: Task, found: Found | None) -> bool:
    """Nothing uncommitted, nothing that did not reach the remote, and no STOP of a person, who may be about to look."""
    if found is None or not found.registered or found.dirty or _in_use(world, task.id):
        return False
    if world.files.exists(found.path / "STOP"):
        return False
    work = world.repo.work(task.id, task.branch, task.base_sha) if found.unpushed else None
    return not found.unpushed or (work is not None and work.branch_ok and work.head_sha == task.pushed_sha)


def _removed(world: World, task: Task) -> bool:
    done = tidy(Tidy(task), world)
    if isinstance(done, NotTidied):
        world.say(f"{task.id}: not removed: {done.words}")
    return isinstance(done, Tidied)


def _in_use(world: World, task_id: str) -> bool:
    """Asked anew for each: removing many takes long, and a person may have set this one going meanwhile."""
    task = world.store.task(task_id)
    started = task is not None and task.state in ACTIVE
    return started or any(handle.job == task_id for handle in world.executor.live())


def sweep_out(action: Sweep, world: World) -> Swept:  # noqa: ARG001 - every effect is called with its action
    return Swept(len(sweep(world)))
