"""The agent's environment: ours as we were started, or, where a scheduler starts us, the one that lies in `<job>.env`.

That file holds the agent's keys: it is gone before anything else is done, and nothing of it is ever printed.
"""

from __future__ import annotations

import os

from coordinator.runfiles import atomic, names
from coordinator.worker.spec import Refused

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from coordinator.worker.spec import Spec

_NODE = "SLURM"


def clean() -> None:
    """Takes back what the interpreter added at its start (PEP 538)."""
    with open("/proc/self/environ", "rb") as stream:
        given = stream.read()
    if not given.startswith(b"LC_CTYPE=") and b"\0LC_CTYPE=" not in given:
        os.environ.pop("LC_CTYPE", None)


def take(spec: Spec) -> None:
    """Reads `<job>.env` (key=value, with the token of this run), removes it, and puts it over what the node gave; what
    the scheduler says of the job (SLURM_…) stays as the node has it. Raises Refused, OSError."""
    target = spec.path("env")
    pairs = atomic.read_pairs(target)
    if pairs is None:
        raise Refused("%s: no environment for the agent (the first start of a run uses it up); nothing was started"
                      % target, 66)
    if pairs.get(names.TOKEN_VARIABLE) != spec.token:
        raise Refused("%s: the environment is for another run; nothing was started" % target, 75)
    os.unlink(target)
    for key, value in pairs.items():
        if not (key.startswith(_NODE) and key in os.environ):
            os.environ[key] = value
