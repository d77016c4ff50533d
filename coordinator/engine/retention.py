"""Old transcripts, run files, rescue refs and walled work go, one `sweep` a day or when a person asks. Which:
planning/retention."""

from __future__ import annotations

from pathlib import Path

from coordinator.domain.remains import WALLED, Litter, Remain
from coordinator.domain.task import TaskState
from coordinator.engine.world import World
from coordinator.planning.retention import RESCUE, litter
from coordinator.planning.rules.tidy import living
from coordinator.planning.snapshot import Snapshot
from coordinator.ports import GitError


def find(world: World) -> tuple[Litter, ...]:
    """Everything a clean-up would remove, worktrees included. Reads only. Raises GitError."""
    return (*_worktrees(world), *_old(world))


def sweep(world: World) -> tuple[Litter, ...]:
    """Removes what is old and not needed; what went. What cannot be removed is said and stays. Raises GitError."""
    old = _old(world)
    refs = _expired(world) if any(item.kind == RESCUE for item in old) else frozenset()
    gone = tuple(item for item in old if (item.name in refs if item.kind == RESCUE else _removed(world, item)))
    for item in gone:
        world.say(f"removed {item.kind} {item.name} ({item.why})")
    return gone


def _expired(world: World) -> frozenset[str]:
    """The rescue refs that went: those of finished tasks alone."""
    done = {task.id for task in world.store.tasks() if task.state is TaskState.DONE}
    keep = {one.task_id for one in _rescues(world)} - done
    return frozenset(world.repo.expire_rescues(world.clock.now() - world.options.ages.rescue, keep))


def _removed(world: World, item: Litter) -> bool:
    try:
        if item.kind == WALLED:
            world.repo.left_cells(drop=(item.name,))
        else:
            world.files.remove(Path(item.name))
    except (OSError, GitError) as error:
        world.say(f"{item.name}: not removed: {error}")
        return False
    return True


def _old(world: World) -> tuple[Litter, ...]:
    tasks = {task.id: task for task in world.store.tasks()}
    remains = (*world.remains(), *_rescues(world), *world.repo.left_cells())
    return tuple(litter(remains, tasks, _busy(world), world.options.ages, world.clock.now()))


def _busy(world: World) -> frozenset[str]:
    return frozenset(handle.job for handle in world.executor.live())


def _rescues(world: World) -> list[Remain]:
    """Rescue refs, `refs/coordinator/rescue/<task>/<attempt>`. All of a task go or stay together."""
    return [Remain(RESCUE, name, name.split("/")[-2], at, newest=True) for name, at in world.repo.rescues()]


def _worktrees(world: World) -> list[Litter]:
    """As the effect of CleanUp chooses them."""
    store = world.store
    tasks = {task.id: task for task in store.tasks()}
    keep = living(Snapshot(now=world.clock.now(), policy=world.policy, tasks=tasks, issues=store.issues()))
    return [
        Litter("worktree", str(found.path), "merged or closed" if found.task_id in tasks else "of no task here")
        for found in world.repo.worktrees()
        if found.registered and found.task_id not in keep | _busy(world) and not of_others(world, found.task_id)
    ]


def of_others(world: World, task_id: str) -> bool:
    """Whether it may be a task of another plan: a plan's own coordinator knows its own tasks alone, and shares the
    folder of worktrees with plans whose memory lies elsewhere."""
    return not world.policy.intake and world.store.task(task_id) is None
