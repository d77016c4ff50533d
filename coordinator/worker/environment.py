"""The agent's environment where a scheduler starts us: it lies in `<job>.env`. Imported only there.

That file holds the agent's keys: it is gone before anything else is done, and nothing of it is ever printed.
"""

from __future__ import annotations

import os

from coordinator.runfiles import atomic, names
from coordinator.worker.agent import inherited
from coordinator.worker.spec import Refused

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from coordinator.worker.spec import Spec

_NODE = "SLURM"


def take(spec: Spec) -> None:
    """Reads the file (key=value, with the token of this run), removes it, and puts it over what the node gave; what the
    scheduler says of the job (SLURM_…) stays as the node has it. Raises Refused, OSError."""
    target = spec.path("env")
    pairs = atomic.read_pairs(target)
    if pairs is None:
        raise Refused("%s: no environment for the agent (the first start of a run uses it up); nothing was started"
                      % target, 66)
    if pairs.get(names.TOKEN_VARIABLE) != spec.token:
        raise Refused("%s: the environment is for another run; nothing was started" % target, 75)
    os.unlink(target)
    node = inherited()
    kept = {key: value for key, value in node.items() if key.startswith(_NODE)}
    os.environ.clear()
    os.environ.update({**node, **pairs, **kept})
    spec.env = True
