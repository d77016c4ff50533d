"""Worktrees that are no longer needed, and a root that gave trouble."""

from __future__ import annotations

from coordinator.domain.task import ACTIVE
from coordinator.engine.effects.starting import HookFailed, run_hook
from coordinator.engine.facts import Cleaned, Swept, Tidied
from coordinator.engine.retention import sweep
from coordinator.engine.world import World
from coordinator.planning.actions import CleanUp, Sweep, Tidy
from coordinator.ports import GitError


def tidy(action: Tidy, world: World) -> Tidied:
    """Removes one worktree; the branch stays, what is not elsewhere is rescued first."""
    task = action.task
    try:
        run_hook(world, task, "before_remove", world.options.before_remove)
    except HookFailed as error:
        world.say(f"{task.id}: {error}")
    world.repo_of(task).remove_worktree(task.id)
    return Tidied(task, f"worktree {task.worktree} removed")


def clean(action: CleanUp, world: World) -> Cleaned:
    """Removes every worktree of ours that is dead, and clean and pushed or rescued; says which stayed. When
    a person asked, what has become too old goes too."""
    removed, kept = [], []
    for found in world.repo.worktrees():
        if found.task_id in action.keep or not found.registered or _in_use(world, found.task_id):
            kept.append(found.task_id)
            continue
        try:
            world.repo.remove_worktree(found.task_id)
            removed.append(found.task_id)
        except GitError as error:
            world.say(f"{found.task_id}: not removed: {error.words}")
            kept.append(found.task_id)
    swept = len(sweep(world)) if action.request is not None else 0
    return Cleaned(action, tuple(removed), tuple(kept), swept)


def _in_use(world: World, task_id: str) -> bool:
    """Asked anew for each: removing many takes long, and a person may have set this one going meanwhile."""
    task = world.store.task(task_id)
    started = task is not None and task.state in ACTIVE
    return started or any(handle.job == task_id for handle in world.executor.live())


def sweep_out(action: Sweep, world: World) -> Swept:  # noqa: ARG001 - every effect is called with its action
    return Swept(len(sweep(world)))
