"""An order to end lies in a file, found whenever the wrapper looks; a signal only hurries it.

A wrapper that lives and hears nothing any more is overruled: it is killed. Its run is then one that vanished, and
whoever finds that ends what is left of its tree.
"""

from __future__ import annotations

import signal
import time

from coordinator.runfiles import atomic, codec, identity, names

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Callable, Dict

    Put = Callable[[str, bytes], None]

UNHEARD = 600.0
"""Seconds without another heartbeat, from the first order on, by a clock that stands still while the host sleeps. One
that hears writes them on; while it ends its tree and waits for room for its outcome it is silent for half of that."""


def lay(folder: str, job: str, order: Mapping[str, str], beat: Mapping[str, str], put: Put) -> bool:
    """Puts the order, which names its run's token, where the wrapper looks. `beat` is that run's last heartbeat. True
    where orders go unheard: the wrapper is to be overruled. Raises OSError."""
    target, now = names.path(folder, job, "stop"), time.monotonic()
    before = _standing(target)
    same = (before.get("token"), before.get("beat")) == (order["token"], beat.get("at", ""))
    since = before.get("since", "") if same else ""
    told = {**order, "beat": beat.get("at", ""), "since": since or "%.3f" % now}
    if told != before:
        put(target, codec.encode(told))
    return now - codec.number(told["since"]) >= UNHEARD


def hurry(pid: int, start: int, *, overrule: bool) -> None:
    """The wrapper looks at once, or is no more."""
    if overrule:
        identity.send(pid, start, signal.SIGKILL)
        return
    identity.send(pid, start, signal.SIGTERM)
    identity.send(pid, start, signal.SIGCONT)   # one that was stopped hears nothing until it is let go on


def _standing(target: str) -> Dict[str, str]:
    try:
        return atomic.read_pairs(target) or {}
    except OSError:   # whatever lies in its place is replaced
        return {}
