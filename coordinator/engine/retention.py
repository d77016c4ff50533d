"""Old transcripts, run files and rescue refs go, one `sweep` a day or when a person asks. Which: planning/retention."""

from __future__ import annotations

from pathlib import Path

from coordinator.domain.remains import Litter, Remain
from coordinator.domain.task import TaskState
from coordinator.engine.world import World
from coordinator.planning.retention import litter
from coordinator.planning.rules.tidy import living
from coordinator.planning.snapshot import Snapshot


def find(world: World) -> tuple[Litter, ...]:
    """Everything a clean-up would remove, worktrees included. Reads only. Raises GitError."""
    return (*_worktrees(world), *_old(world))


def sweep(world: World) -> tuple[Litter, ...]:
    """Removes what is old and not needed; what went. What cannot be removed is said and stays. Raises GitError."""
    gone = [item for item in _old(world) if item.kind == "rescue ref" or _removed(world, item)]
    tasks = world.store.tasks()
    keep = [task.id for task in tasks if task.state is not TaskState.DONE]
    world.repo.expire_rescues(world.clock.now() - world.options.ages.rescue, keep)
    for item in gone:
        world.say(f"removed {item.kind} {item.name} ({item.why})")
    return tuple(gone)


def _removed(world: World, item: Litter) -> bool:
    try:
        world.files.remove(Path(item.name))
    except OSError as error:
        world.say(f"{item.name}: not removed: {error}")
        return False
    return True


def _old(world: World) -> tuple[Litter, ...]:
    tasks = {task.id: task for task in world.store.tasks()}
    remains = (*world.remains(), *_rescues(world))
    return tuple(litter(remains, tasks, world.options.ages, world.clock.now()))


def _rescues(world: World) -> list[Remain]:
    """Rescue refs, `refs/coordinator/rescue/<task>/<attempt>`. All of a task go or stay together."""
    return [Remain("rescue ref", name, name.split("/")[-2], at, newest=True) for name, at in world.repo.rescues()]


def _worktrees(world: World) -> list[Litter]:
    """As the effect of CleanUp chooses them."""
    store = world.store
    tasks = {task.id: task for task in store.tasks()}
    keep = living(Snapshot(now=world.clock.now(), policy=world.policy, tasks=tasks, issues=store.issues()))
    busy = {handle.job for handle in world.executor.live()}
    return [
        Litter("worktree", str(found.path), "merged or closed" if found.task_id in tasks else "of no task here")
        for found in world.repo.worktrees()
        if found.registered and found.task_id not in keep | busy
    ]
