"""Who a process is on a host without /proc (macOS, the BSDs): by a walk over what ps prints, and by process groups.

Takes the place of what `identity` and `hunt` do with /proc, chosen once, when they are imported. What is weaker here:

====================  ================================  ==============================================================
of a run              with /proc                        here
====================  ================================  ==============================================================
a process is          pid, start in ticks, boot id      pid, start in whole seconds, boot id
a signal              sent while a pidfd holds it       sent some milliseconds after its start time was looked at
its processes         descendants (orphans fall to the  descendants, and every process group that one was seen in;
                      wrapper), and whoever carries     environments are not read. One that leaves its group and
                      the token in its environment      loses its parent between two looks is not found
after a dead wrapper  the same, by token and cgroup     what descends from the living agent or is in its group; of an
                                                        agent that is gone too, nothing
STOP in the worktree  the kernel tells                  looked for every second
CPU time              of all, by the kernel's sums      of each as last seen: what lived between two heartbeats counts
                                                        only once the agent has ended
want of memory        told by the cgroup                a SIGKILL like any other
room for an outcome   taken at the start                not taken: a disk that filled up delays it
====================  ================================  ==============================================================

As strong on both: the outcome and its exit code, times, one start a token, the fence, polite and hard stop of every
process group that is known, survivors that are named, no signal to a pid that was given away.
"""

from __future__ import annotations

import os
import signal

from coordinator.runfiles.ps import Proc, Ps

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

_ps = Ps()


class Memory:
    """What this process knows of its own tree from earlier looks: `known`, pid -> process as last seen; `groups`, group
    -> start of its leader, 0 where it was never seen. A group without a member is forgotten, for its number may be
    given away. `spent` is the CPU time of those that are gone."""

    def __init__(self) -> None:
        self.known: Dict[int, Proc] = {}
        self.groups: Dict[int, int] = {}
        self.spent = 0.0

    def keep(self, found: Iterable[Proc]) -> None:
        for proc in found:
            self.known[proc.pid] = proc
            if proc.group != os.getpgrp():
                self.groups.setdefault(proc.group, 0)
            if proc.pid == proc.group:
                self.groups[proc.group] = proc.start

    def forget(self, table: Dict[int, Proc]) -> None:
        """Whatever is gone, or another's by now."""
        for pid, last in list(self.known.items()):
            if pid not in table or table[pid].start != last.start:
                self.spent += last.cpu
                del self.known[pid]
        inhabited = {proc.group for proc in table.values()}
        for group, start in list(self.groups.items()):
            if group not in inhabited or (group in table and table[group].start != start):
                del self.groups[group]


_memory = Memory()


def ask(pid: int) -> Optional[Proc]:
    """None only where there is no such process for sure; raises OSError where it cannot be asked."""
    return next(iter(_ps.one(pid)), None)


def look(pid: int) -> Optional[Proc]:
    """A child of ours is remembered, with its group: it may be gone at the next look."""
    try:
        proc = ask(pid)
    except OSError:
        return None
    if proc is not None and proc.ppid == os.getpid():
        _memory.keep([proc])
    return proc


def lives(proc: Proc) -> bool:
    return proc.state not in "ZX"


def children(pid: int) -> List[int]:
    try:
        return [proc.pid for proc in _ps.all() if proc.ppid == pid]
    except OSError:
        return []


def tree(pid: int) -> Iterator[Proc]:
    """The living processes that are this one's, itself excepted, by one look; none where ps does not answer."""
    try:
        return iter([proc for proc in _kin([pid]) if proc.pid != pid])
    except OSError:
        return iter(())


def with_token(_token: str) -> List[Proc]:
    """Environments are not read here: nobody is found by his token alone."""
    return []


def send(pid: int, start: int, number: int) -> bool:
    """Signals this process unless its pid was given away; a moment lies between the look and the signal."""
    proc = look(pid)
    return proc is not None and proc.start == start and _sent(os.kill, pid, number)


def unseen_cpu() -> float:
    """What ended processes had used when they were last seen, less what our looking cost."""
    return _memory.spent - _ps.cost


def members(roots: List[int], _token: str) -> Iterator[Proc]:
    """These processes and all that is theirs, we ourselves never. Looks again until nobody new is there; while ps does
    not answer, whoever was seen last counts as living."""
    seen: Set[Tuple[int, int]] = set()
    while True:
        try:
            found = _kin(roots)
        except OSError:
            found = list(_memory.known.values()) if os.getpid() in roots else []
        fresh = [proc for proc in found if (proc.pid, proc.start) not in seen and proc.pid != os.getpid()]
        if not fresh:
            return
        for proc in fresh:
            seen.add((proc.pid, proc.start))
            yield proc


def signal_all(roots: List[int], token: str, number: int, spared: Iterable[int] = ()) -> int:
    """How many there were. By their groups, which reaches even those that are made meanwhile."""
    found = [proc for proc in members(roots, token) if proc.pid not in spared]
    alone = [group for group in {proc.group for proc in found}
             if group == os.getpgrp() or not _sent(os.killpg, group, number)]
    for proc in found:
        if proc.group in alone:
            _sent(os.kill, proc.pid, number)
    return len(found)


def strike(roots: List[int], token: str) -> int:
    return signal_all(roots, token, signal.SIGKILL)


def _kin(roots: List[int]) -> List[Proc]:
    """The living among the roots, their descendants, and whoever is in a group of one of these. Of our own tree, those
    who were of it before too: a sweep of another's must not find them. Raises OSError."""
    own = os.getpid() in roots
    table = {proc.pid: proc for proc in _ps.all()}
    ours = {pid: table[pid] for pid in roots if pid in table}
    groups: Set[int] = set()
    if own:
        _memory.forget(table)
        ours.update((pid, table[pid]) for pid in _memory.known)
        groups.update(_memory.groups)
    more = list(ours.values())
    while more:
        groups.update(proc.group for proc in more)
        groups -= {os.getpgrp(), 0}
        more = [proc for proc in table.values()
                if proc.pid not in ours and (proc.ppid in ours or proc.group in groups)]
        ours.update((proc.pid, proc) for proc in more)
    if own:
        _memory.keep(proc for proc in ours.values() if proc.pid not in roots)
    return [proc for proc in ours.values() if lives(proc)]


def _sent(act: Callable[[int, int], None], whom: int, number: int) -> bool:
    try:
        act(whom, number)
        return True
    except OSError:
        return False


OF_IDENTITY = {"boot_id": _ps.boot_id, "look": look, "_ask": ask, "lives": lives, "children": children, "tree": tree,
               "with_token": with_token, "send": send, "unseen_cpu": unseen_cpu}
OF_HUNT = {"members": members, "signal_all": signal_all, "_strike": strike}
"""Name in that module -> what takes its place."""
