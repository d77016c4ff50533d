"""One question, one answer: a message on stdin, a message on stdout, and the program is over.

Nothing stays behind but run files, worktrees and the wrappers it started. The exit code is 0 whenever an answer was
given; what could not be done is in the answer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from coordinator.far import keeping, running, trees, wire
from coordinator.far.home import Home, Refused
from coordinator.runfiles import identity, launching, names, room
from coordinator.runfiles.lock import Busy

TYPE_CHECKING = False   # one habit of the rooms that travel
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple

    Head = Dict[str, Any]
    Answer = Tuple[Head, List[bytes]]

_KEPT = 1 << 20
_TIMED_OUT, _NOT_FOUND = 124, 127


def hello(home: Home, _asked: Head, _blobs: List[bytes]) -> Answer:
    """Who we are, and the environment that a worker here would be born into."""
    return {
        "folder": home.folder, "jobs": home.jobs, "trees": home.trees, "host": os.uname().nodename,
        "system": os.uname().sysname, "uid": os.geteuid(), "boot": identity.boot_id(), "now": time.time(),
        "python": "%d.%d.%d" % sys.version_info[:3], "cpus": os.cpu_count() or 1,
        "environ": dict(os.environ),
    }, []


def start(home: Home, asked: Head, blobs: List[bytes]) -> Answer:
    """Lays the papers of a run, makes its worktree, and starts it unless somebody else will. A run that was ever
    started is only reported."""
    with running.starting(home, asked["job"], asked["patience"]):   # the one before it may still be at its hooks
        return _start(home, asked, blobs)


def _start(home: Home, asked: Head, blobs: List[bytes]) -> Answer:
    provider, job, token, env = asked["provider"], asked["job"], asked["token"], _environment(asked)
    pid = running.known(home, provider, job, token)
    if pid is not None:
        return {"pid": pid}, []
    _check_free(home, provider, job, asked["fence"])
    if asked.get("parcel"):
        path = trees.make(home, job, asked["parcel"])
        for name, command, patience in asked.get("hooks", []):
            _hook(path, name, command, patience)
    papers = launching.Papers(job, token, asked["fence"], blobs[0], meta=asked["meta"], contract=asked["contract"],
                              spec=asked["spec"])
    running.lay(home, provider, papers, env, keep_env=not asked["here"])
    if not asked["here"]:
        return {"pid": None, "wrapper": running.wrapper(provider, job, home.of(provider), token)}, []
    return {"pid": running.start(home, provider, job, token, env)}, []


def may(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    """Whether this run was ever started here (its pid), or may be: nothing is changed."""
    pid = running.known(home, asked["provider"], asked["job"], asked["token"])
    if pid is None:
        _check_free(home, asked["provider"], asked["job"], asked["fence"])
    return {"pid": pid}, []


def _check_free(home: Home, provider: str, job: str, fence: int) -> None:
    """Before the worktree of an earlier worker is taken from under it."""
    words = launching.overlap(home.of(provider), names.check_name(job), fence)
    if words:
        raise Refused("launch_failed", words)


def _environment(asked: Head) -> Dict[str, str]:
    """The agent's: what it was given, with folders of this host's own put before PATH."""
    env: Dict[str, str] = dict(asked["env"])
    first = [os.path.expanduser(each) for each in asked.get("path", [])]
    env["PATH"] = os.pathsep.join([*first, env.get("PATH") or os.defpath])
    return env


def _hook(path: str, name: str, command: str, patience: float) -> None:
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    code, out, err = _ran(["/bin/sh", "-c", command], b"", patience, env, path)
    if code:
        said = (out + err)[-600:].decode("utf-8", "replace").strip()
        raise Refused("hook_failed", "%s (%s): %s" % (name, command, said))


def look(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    told, blobs = running.look(home, asked["jobs"])
    live = running.live(home, begun=asked["begun"])
    return {"jobs": told, "live": live, "now": time.time(), "boot": identity.boot_id(),
            "room": _room(home.folder)}, blobs


def _room(folder: str) -> Dict[str, Any]:
    """What cannot be measured is no reason not to tell the rest."""
    try:
        return room.measure(folder)
    except OSError:
        return {}


def stop(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    running.stop(home, asked["provider"], asked["job"], asked["token"], asked["order"], asked["fence"])
    return {}, []


def pack(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    """Ends what the run left running; then, where nothing is left and a parcel is wanted, packs its work. `busy`: it is
    being packed already, for somebody whom the answer may not reach any more."""
    left = running.sweep(home, asked["provider"], asked["job"], asked["token"])
    if left or not asked.get("repo"):
        return {"survivors": left}, []
    try:
        with trees.packing(home, asked["job"]):
            return {"survivors": [], **trees.pack(home, asked["job"], asked)}, []
    except Busy:
        return {"survivors": [], "busy": True}, []


def had(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    return {"commits": trees.had(home, asked["repo"]), "path": trees.path_of(home, asked["repo"], asked["job"])}, []


def tidy(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    before = time.time() - asked["keep"]
    if "only" in asked:
        return {"gone": keeping.forget(home, before, frozenset(asked["only"]))}, []
    return {"gone": keeping.tidy(home, before, frozenset(asked["wanted"]))}, []


def put(home: Home, asked: Head, blobs: List[bytes]) -> Answer:
    return {"size": home.put(asked["file"], asked["offset"], blobs[0])}, []


def weigh(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    try:
        size, sha256 = home.weigh(asked["file"])
    except FileNotFoundError:
        size, sha256 = 0, ""
    return {"size": size, "sha256": sha256}, []


def get(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    return {}, [home.get(asked["file"], asked["offset"])]


def drop(home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    home.drop(asked["file"])
    return {}, []


def run(_home: Home, asked: Head, blobs: List[bytes]) -> Answer:
    """A program, to its end: 124 when it took too long, 127 when it is not there."""
    env = {**os.environ, **asked.get("env", {})}
    if asked.get("path"):
        env = _environment({"env": env, "path": asked["path"]})
    code, out, err = _ran(asked["argv"], blobs[0] if blobs else b"", asked["patience"], env, asked.get("cwd") or "/")
    return {"code": code}, [out, err]


def _ran(argv: List[str], stdin: bytes, patience: float, env: Dict[str, str],
         cwd: str) -> Tuple[int, bytes, bytes]:
    """(exit code, the end of its output, the end of its complaints)."""
    try:
        child = subprocess.Popen(
            argv, env=env, cwd=os.path.expanduser(cwd), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        return _NOT_FOUND, b"", ("%s: %s" % (argv[0], error.strerror)).encode()
    try:
        out, err = child.communicate(stdin, timeout=patience)
        code = child.returncode
    except subprocess.TimeoutExpired:
        _kill(child)
        out, err = child.communicate()
        code, err = _TIMED_OUT, err + b"\nno answer within %d s" % patience
    return code, out[-_KEPT:], err[-_KEPT:]


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, 9)
    except OSError:
        child.kill()


def find(_home: Home, asked: Head, _blobs: List[bytes]) -> Answer:
    """Where a program stands ("" for nowhere), what stands at a path, and the text of a file there, if any."""
    kind, what = asked["kind"], os.path.expanduser(asked["what"])
    if kind == "which":
        first = os.pathsep.join([os.path.expanduser(each) for each in asked.get("path", [])])
        path = os.pathsep.join([one for one in (first, os.environ.get("PATH", os.defpath)) if one])
        return {"found": shutil.which(what, path=path) or ""}, []
    if kind == "stands":
        word = "file" if os.path.isfile(what) else "folder" if os.path.isdir(what) else \
            "other" if os.path.exists(what) else ""
        return {"found": word}, []
    try:
        with open(what, "rb") as stream:
            return {"found": "file"}, [stream.read(_KEPT)]
    except OSError:
        return {"found": ""}, [b""]


OPERATIONS: Dict[str, Callable[[Home, Head, List[bytes]], Answer]] = {
    each.__name__: each for each in (hello, may, start, look, stop, pack, tidy, had, put, weigh, get, drop, run, find)
}


def answer(folder: str, asked: Head, blobs: List[bytes]) -> Answer:
    """Whatever goes wrong is an answer: {"refused": reason code, "words"}."""
    try:
        home = Home(folder)
        home.make()
        return OPERATIONS[asked["do"]](home, asked, blobs)
    except Refused as no:
        return {"refused": no.reason, "words": no.words}, []
    except Busy as busy:
        return {"refused": "launch_failed", "words": "%s; nothing was started" % busy}, []
    except names.ForeignFolder as foreign:
        return {"refused": "launch_failed", "words": str(foreign)}, []
    except OSError as error:
        reason = "disk_full" if error.errno in (28, 122) else "launch_failed"
        return {"refused": reason, "words": "%s: %s" % (error.strerror, error.filename or folder)}, []
    except subprocess.TimeoutExpired as late:
        return {"refused": "worktree_error", "words": "%s took longer than %d s" % (late.cmd[0], late.timeout)}, []
    except (KeyError, ValueError) as wrong:
        return {"refused": "config_error", "words": "the far end cannot do that: %r" % wrong}, []


def main(folder: str) -> int:
    """Answers one message. The umask stays as it is, for the agent inherits it: what is ours lies in closed folders."""
    try:
        asked, blobs = wire.unpack(sys.stdin.buffer.read())
    except wire.Torn as torn:
        print("this is the far end of a coordinator: it answers messages (got: %s)" % torn.words, file=sys.stderr)
        return 64
    sys.stdout.buffer.write(wire.pack(*answer(folder, asked, blobs)))
    sys.stdout.buffer.flush()
    return 0
