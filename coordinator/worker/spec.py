"""What the wrapper was told to do: `<job>.spec`, read once at the start. Never holds a secret."""

from __future__ import annotations

import signal

from coordinator.runfiles import atomic, codec, names

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, List

CARRIED = "out."
"""Keys with this prefix go into the outcome as they are, without it."""


class Refused(Exception):
    """This start may not go on; `code` is the wrapper's exit code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


class Spec:
    """One run. Times are in seconds; `timeout` 0 = no limit. `warn`: signals by which a scheduler says that it will end
    the run soon, each with the reason code that it stands for; `keep` is how long saving the work may take then.
    `env`: our environment is the agent's as it is, for it came in a file. `walls`: argv puts walls up and then starts
    the agent, whose git directory is `git_dir`; `proxy` (host:port) is then the one way out, by a socket in `door`."""

    def __init__(self, provider: str, job: str, folder: str, pairs: Dict[str, str]) -> None:
        def number(key: str, default: float) -> float:
            return codec.number(pairs.get(key, ""), default)

        self.provider, self.job, self.folder = provider, job, folder
        self.token = pairs.get("token", "")
        self.fence = int(number("fence", 0))
        self.run_id = pairs.get("run_id", "")
        self.worker_id = pairs.get("worker_id", "")
        self.argv = _argv(pairs)
        self.cwd = pairs.get("cwd", "/")
        self.stdin = pairs.get("stdin", "null")
        self.timeout = number("timeout_sec", 0)
        self.grace = number("grace_sec", 5)
        self.soft = number("soft_sec", 1)
        self.linger = number("linger_sec", 0.5)
        self.stop_signal = pairs.get("stop_signal", "TERM")
        self.beat = max(0.05, number("beat_sec", 30))
        self.idle_cpu = number("idle_cpu", 0.02)
        self.speaks = pairs.get("speaks", "text")
        self.pty = pairs.get("pty", "0") == "1"
        self.watch_tree = pairs.get("watch_tree", "1") == "1"
        self.spelling = pairs.get("spelling", "")
        self.cgroup = pairs.get("cgroup", "1") == "1"
        self.env = False
        self.walls = pairs.get("walls", "0") == "1"
        self.git_dir = pairs.get("git_dir", "")
        self.proxy = pairs.get("proxy", "")
        self.door = pairs.get("door", "")
        self.warn = _warnings(pairs.get("warn", ""))
        self.keep = number("keep_sec", 30)
        self.carried = {key[len(CARRIED):]: value for key, value in pairs.items() if key.startswith(CARRIED)}

    def path(self, kind: str) -> str:
        return names.path(self.folder, self.job, kind)


def _argv(pairs: Dict[str, str]) -> List[str]:
    argv: List[str] = []
    while "argv.%d" % len(argv) in pairs:
        argv.append(pairs["argv.%d" % len(argv)])
    return argv


def _warnings(text: str) -> Dict[int, str]:
    """`USR1:slurm_timeout,TERM:slurm_preempted`. Raises Refused."""
    found: Dict[int, str] = {}
    for each in filter(None, text.split(",")):
        name, _, reason = each.partition(":")
        number = getattr(signal, "SIG" + name, None)
        if not isinstance(number, int) or not reason:
            raise Refused("the spec's warn=%s: %s is no SIGNAL:REASON; nothing was started" % (text, each), 65)
        found[int(number)] = reason
    return found


def read(provider: str, job: str, folder: str, token: str) -> Spec:
    """Raises Refused when there is no spec for this token (a newer attempt has taken its place)."""
    pairs = atomic.read_pairs(names.path(folder, job, "spec"))
    if pairs is None:
        raise Refused("%s: no spec; nothing was started" % names.path(folder, job, "spec"), 66)
    spec = Spec(provider, job, folder, pairs)
    if spec.token != token:
        raise Refused("%s: the spec is for another run; nothing was started" % job, 75)
    if not spec.argv:
        raise Refused("%s: the spec names no program; nothing was started" % job, 65)
    return spec
