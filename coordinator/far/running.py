"""Runs on this host: started detached, looked at, stopped. The wrapper beside each does the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from coordinator.far.home import PIECE, Home, Refused
from coordinator.runfiles import atomic, cgroup, codec, fences, hunt, identity, launching, names, orders, rotation
from coordinator.runfiles.lock import Busy, Lock

TYPE_CHECKING = False   # one habit of the rooms that travel
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Tuple

_CLAIM_PATIENCE = 10.0
_SWEEP_BUDGET = 5.0
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
MOST = 8 << 20
"""Bytes of output that one look brings home, of all jobs together."""


class _Quiet:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def known(home: Home, provider: str, job: str, token: str) -> Optional[int]:
    """The wrapper's pid if this token ever started here, 0 where the files do not say which."""
    return launching.started(home.of(provider), names.check_name(job), token)


def lay(home: Home, provider: str, papers: launching.Papers, env: Dict[str, str], *, keep_env: bool) -> None:
    """The papers of a run. `keep_env`: its environment waits in a file that the wrapper reads and removes, for somebody
    else starts it. Raises Refused, Busy, OSError."""
    folder, job = home.of(provider), names.check_name(papers.job)
    with Lock(names.path(folder, job, "lock")):
        words = launching.overlap(folder, job, papers.fence)
        if words:
            raise Refused("launch_failed", words)
        launching.lay(folder, papers, atomic.write, lambda _: _Quiet())
        if keep_env:
            atomic.write(names.path(folder, job, "env"), codec.encode(_marked(home, provider, job, papers.token, env)))


def starting(home: Home, job: str, patience: float) -> Lock:
    """Held while a start of this job is under way, its worktree and its hooks included."""
    return Lock("%s/%s.starting" % (home.jobs, names.check_name(job)), patience)


def _under_way(home: Home, job: str) -> bool:
    try:
        with starting(home, job, 0.0):
            return False
    except Busy:
        return True


def start(home: Home, provider: str, job: str, token: str, env: Dict[str, str]) -> int:
    """The wrapper's pid once it has claimed the run. Raises Refused, OSError."""
    folder = home.of(provider)
    err = os.open(names.path(folder, job, "err"), _APPEND, 0o600)
    try:
        child = subprocess.Popen(
            wrapper(provider, job, folder, token), env=_marked(home, provider, job, token, env), cwd=folder,
            stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True)
    finally:
        os.close(err)
    until = time.monotonic() + _CLAIM_PATIENCE
    while not _claimed(folder, job, token) and child.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    pid = launching.started(folder, job, token)
    if pid is None and child.poll() is not None:
        said = _tail(names.path(folder, job, "err"))
        raise Refused("launch_failed", "the wrapper ended at once (exit %d): %s" % (child.returncode, said))
    return pid or child.pid


def _marked(home: Home, provider: str, job: str, token: str, env: Dict[str, str]) -> Dict[str, str]:
    """With the marks by which every process of the run is known, and its environment's file too."""
    return {**env, names.TOKEN_VARIABLE: token, names.RUN_VARIABLE: "%s/%s@%s" % (provider, job, home.jobs)}


def wrapper(provider: str, job: str, folder: str, token: str) -> List[str]:
    """The command of the wrapper: this very file, by this very Python."""
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", os.path.abspath(sys.argv[0]), provider, job, "--dir", folder, "--token", token]


def _claimed(folder: str, job: str, token: str) -> bool:
    beat = _of(folder, job, "heartbeat", token)
    return bool(beat.get("agent_pid")) or bool(outcome(folder, job, token))


def outcome(folder: str, job: str, token: str) -> Dict[str, str]:
    """The outcome of the run with this token, also where it has stepped aside; {} for none. Before it does, meta names
    another run: until then the folder, with the files of thousands of runs, is not read for one of them."""
    pairs = _of(folder, job, "outcome", token)
    if pairs or _of(folder, job, "meta", token):
        return pairs
    current = names.path(folder, job, "outcome")
    for number in range(rotation.last(os.listdir(folder), job), 0, -1):
        pairs = atomic.read_pairs("%s.%d" % (current, number)) or {}
        if pairs.get("token") == token:
            return pairs
    return {}


def look(home: Home, asked: List[Dict[str, Any]]) -> Tuple[List[Dict[str, Any]], List[bytes]]:
    """For each run its heartbeat, its outcome, whether its wrapper lives here, and what its log and err hold from the
    given offsets on."""
    told: List[Dict[str, Any]] = []
    blobs: List[bytes] = []
    left = MOST
    for one in asked:
        try:
            answer, pieces = _look(home, one, left)
        except (OSError, ValueError, names.ForeignFolder) as error:
            answer, pieces = {"trouble": str(error)}, [b"", b""]
        told.append(answer)
        blobs += pieces
        left -= sum(len(piece) for piece in pieces)
    return told, blobs


def _look(home: Home, one: Dict[str, Any], left: int) -> Tuple[Dict[str, Any], List[bytes]]:
    folder, job, token = home.of(one["provider"]), names.check_name(one["job"]), one["token"]
    beat = _of(folder, job, "heartbeat", token)
    alive = bool(beat) and _lives(beat)
    done = outcome(folder, job, token)   # after the question whether it lives: one that just ended has left one
    pieces, sizes = [], []
    for kind in ("log", "err"):
        piece, size = _piece(names.path(folder, job, kind), one[kind], min(PIECE, max(0, left)))
        left -= len(piece)
        pieces.append(piece)
        sizes.append(size)
    current = _of(folder, job, "spec", token)
    under_way = not beat and not done and _under_way(home, job)
    return {"beat": beat, "outcome": done, "alive": alive, "blank": launching.blank(folder, job, token),
            "laid": bool(current), "under_way": under_way,
            "sizes": sizes if current else [one["log"], one["err"]]}, \
        pieces if current else [b"", b""]


def _piece(target: str, offset: int, most: int) -> Tuple[bytes, int]:
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", 0
    try:
        return os.pread(fd, most, offset), os.fstat(fd).st_size
    finally:
        os.close(fd)


def _lives(beat: Dict[str, str]) -> bool:
    pid, start = codec.whole(beat.get("wrapper_pid", "")), codec.whole(beat.get("wrapper_start", ""))
    return identity.alive(pid, start, beat.get("boot_id", ""))


def stop(home: Home, provider: str, job: str, token: str, order: Dict[str, str], fence: int) -> None:
    """See runfiles.orders. A `fence` above the standing one tells a worker that was given up that it may write nothing
    any more."""
    folder = home.of(provider)
    beat = _of(folder, job, "heartbeat", token)
    unheard = orders.lay(folder, job, {**order, "token": token}, beat, atomic.write)
    if fence > fences.standing(folder, job):
        atomic.write(names.path(folder, job, "fence"), b"%d\n" % fence)
    if _lives(beat):
        pid, start = codec.whole(beat.get("wrapper_pid", "")), codec.whole(beat.get("wrapper_start", ""))
        orders.hurry(pid, start, overrule=unheard)


def sweep(home: Home, provider: str, job: str, token: str) -> List[int]:
    """Ends what a dead wrapper left; the pids that would not die."""
    folder = home.of(provider)
    beat = _of(folder, job, "heartbeat", token)
    if _lives(beat):
        return []
    agent = (codec.whole(beat.get("agent_pid", "")), codec.whole(beat.get("agent_start", "")), beat.get("boot_id", ""))
    group = cgroup.known(beat.get("cgroup", ""), token)
    if group is not None:
        group.kill()
    left = set(hunt.end_all([agent[0]] if identity.alive(*agent) else [], token, lambda: False, _SWEEP_BUDGET))
    if group is not None:
        left.update(group.remove())
    return sorted(left)


def live(home: Home, *, begun: bool) -> List[Dict[str, Any]]:
    """Every run of this home whose wrapper lives here, by its files. `begun`: every one that has papers and no outcome,
    for somebody else starts it, who knows where."""
    found: List[Dict[str, Any]] = []
    kind = "spec" if begun else "heartbeat"
    for provider, folder in folders(home):
        for name in os.listdir(folder):
            told = names.job_of(name)
            if told is None or name != "%s.%s" % (told[0], kind):
                continue
            pairs = atomic.read_pairs("%s/%s" % (folder, name)) or {}
            token = pairs.get("token", "")
            if token and (begun or _lives(pairs)) and not outcome(folder, told[0], token):
                found.append({"provider": provider, "job": told[0], "token": token,
                              "fence": codec.whole(pairs.get("fence", ""))})
    return found


def folders(home: Home) -> Iterator[Tuple[str, str]]:
    """(provider, folder of its jobs)."""
    for name in sorted(os.listdir(home.jobs)):
        folder = "%s/%s" % (home.jobs, name)
        if os.path.isdir(folder) and not os.path.islink(folder):
            yield name, folder


def _of(folder: str, job: str, kind: str, token: str) -> Dict[str, str]:
    pairs = atomic.read_pairs(names.path(folder, job, kind)) or {}
    return pairs if pairs.get("token") == token else {}


def _tail(target: str) -> str:
    try:
        with open(target, "rb") as stream:
            return stream.read()[-2000:].decode("utf-8", "replace").strip() or "it said nothing"
    except OSError:
        return "it said nothing"


__all__ = ["Busy", "known", "lay", "live", "look", "outcome", "start", "stop", "sweep", "wrapper"]
