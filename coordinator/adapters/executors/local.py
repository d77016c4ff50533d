"""Workers on this host: starts a wrapper for each, finds it again by run files and identity, never by name.

It keeps nothing that a restart would lose but the child handles it needs to reap.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from coordinator.adapters.executors import bundle, launch, output
from coordinator.adapters.executors.views import Who, view_of
from coordinator.adapters.system import run
from coordinator.adapters.system.clock import SystemClock
from coordinator.adapters.system.processes import Children, Exits, carriers, wait_until
from coordinator.adapters.system.seam import crossing
from coordinator.domain.parcel import Inbound
from coordinator.domain.worker import HostState, Missing, Running, Unknown, WorkerView
from coordinator.ports import Clock, Handle, LaunchFailed, LaunchSpec, Quarters, StopOrder
from coordinator.runfiles import atomic, cgroup, hunt, identity, launching, names, orders, rotation
from coordinator.runfiles.lock import Busy, Lock

_CLAIM_PATIENCE = 10.0
_SWEEP_BUDGET = 5.0
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW


class LocalExecutor:
    """`ports.Executor` on this host. `flat` puts all run files into `jobs` itself (`--log-dir`). `beat` and
    `soft` (how long an agent may take to honour STOP by itself) are seconds, `idle_cpu` a share of one core;
    without `cgroup` a worker's tree is found by walking alone."""

    def __init__(self, jobs: Path, wake: Callable[[str], None], *, clock: Clock | None = None,
                 python: str = "", beat: float = 30.0, soft: float = 1.0, idle_cpu: float = 0.02,
                 cgroup: bool = True, flat: bool = False) -> None:
        self._jobs = jobs.absolute()
        self._clock: Clock = clock or SystemClock()
        # the real interpreter: a virtual environment may be replaced under a running wrapper
        self._python = python or os.path.realpath(sys.executable)
        self._tuning = {"beat_sec": f"{beat:g}", "soft_sec": f"{soft:g}", "idle_cpu": f"{idle_cpu:g}",
                        "cgroup": "1" if cgroup else "0"}
        self._flat = flat
        self._exits = Exits(lambda: wake("exit"))
        self._children = Children()
        self._unasked: dict[Handle, datetime] = {}

    # --- starting -----------------------------------------------------------------------------------

    def submit(self, spec: LaunchSpec) -> int:
        """See ports.Executor. Returns once the wrapper has claimed the run (some 0.1 s)."""
        handle = spec.handle
        folder = self._folder(handle)
        try:
            names.check_name(handle.job)
            names.check_name(handle.provider, "provider")
            names.make_folder(str(self._jobs))
            names.make_folder(folder)
            with Lock(self._path(handle, "lock")):
                known = self._started(handle)
                if known is not None:
                    return known
                refused = launching.overlap(folder, handle.job, spec.fence)
                if refused:
                    raise LaunchFailed("launch_failed", refused)
                launch.prepare(folder, spec, self._tuning)
            return self._start(spec, folder)
        except Busy as busy:
            raise LaunchFailed("launch_failed", f"{busy}; nothing was started") from busy
        except (names.ForeignFolder, ValueError) as wrong:
            raise LaunchFailed("launch_failed", str(wrong)) from wrong
        except OSError as error:
            reason = "disk_full" if error.errno in (28, 122) else "launch_failed"
            raise LaunchFailed(reason, f"{error.strerror}: {error.filename or folder}") from error

    def _started(self, handle: Handle) -> int | None:
        """The wrapper's pid if the run files show that this token ever started."""
        return launching.started(self._folder(handle), handle.job, handle.token)

    def _start(self, spec: LaunchSpec, folder: str) -> int:
        handle = spec.handle
        zipped = bundle.place(self._jobs)
        argv = [self._python, "-I", "-S", str(zipped), handle.provider, handle.job,
                "--dir", folder, "--token", handle.token]
        env = {**spec.env, names.TOKEN_VARIABLE: handle.token,
               names.RUN_VARIABLE: f"{handle.provider}/{handle.job}@{self._jobs}"}
        with crossing("process", f"start {handle.provider} {handle.job}"):
            err = os.open(self._path(handle, "err"), _APPEND, 0o600)
            try:
                child = run.start(argv, env=env, cwd=Path(folder), stdout=err, stderr=err)
                self._children.add(handle.token, child)
            finally:
                os.close(err)
        wait_until(lambda: self._claimed(handle) or child.poll() is not None, _CLAIM_PATIENCE)
        started = self._started(handle)
        if started is None and child.poll() is not None:
            raise LaunchFailed("launch_failed", self._last_words(handle, child.returncode))
        pid = started or child.pid
        try:
            self._note_start(spec, folder, pid)
        except (OSError, Busy):
            pass   # meta is a courtesy to people; that it runs stands in the heartbeat
        return pid

    def _claimed(self, handle: Handle) -> bool:
        pairs = self._pairs(handle, "heartbeat")
        return bool(pairs.get("agent_pid")) or bool(self._pairs(handle, "outcome"))

    def _note_start(self, spec: LaunchSpec, folder: str, pid: int) -> None:
        pairs = self._pairs(spec.handle, "heartbeat")
        with Lock(self._path(spec.handle, "lock")):
            launch.merge_meta(folder, spec.handle.job, {
                "pid": str(pid), "pid_start": pairs.get("wrapper_start", ""),
                "boot_id": pairs.get("boot_id", ""),
                "agent_pid": pairs.get("agent_pid", ""), "agent_start": pairs.get("agent_start", ""),
                "started_at": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                "run_instance": f"{spec.run_id}-{spec.handle.provider}-{pid}", "launch_state": "started",
            })
        self._watch(Who(pairs))

    def _last_words(self, handle: Handle, code: int) -> str:
        tail = self.log_tail(handle, 2000).decode("utf-8", "replace").strip()
        return f"the wrapper ended at once (exit {code}): {tail or 'it said nothing'}"

    # --- looking ------------------------------------------------------------------------------------

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
        return {handle: self._look(handle) for handle in handles}

    def _look(self, handle: Handle) -> WorkerView:
        try:
            view = self._view(handle)
        except OSError as error:
            since = self._unasked.setdefault(handle, self._clock.now())
            return Unknown(f"{error.strerror}: {error.filename}", since)
        self._unasked.pop(handle, None)
        return view

    def _view(self, handle: Handle) -> WorkerView:
        beat = self._pairs(handle, "heartbeat")
        view = view_of(beat, lambda: self._pairs(handle, "outcome"))
        if isinstance(view, Running):
            self._watch(Who(beat))
        if isinstance(view, Missing) and not view.started:
            starting = self._children.living(handle.token)
            if starting is not None:
                return Running(starting, 0.0)
            if self._started(handle):   # since its files were read
                return self._view(handle)
            return Missing(started=launching.blank(self._folder(handle), handle.job, handle.token))
        return view

    def live(self) -> tuple[Handle, ...]:
        found = {}
        for pid, env in carriers(names.RUN_VARIABLE):
            what, _, jobs = env[names.RUN_VARIABLE].partition("@")
            provider, _, job = what.partition("/")
            if jobs == str(self._jobs) and job:
                handle = Handle(provider, job, env.get(names.TOKEN_VARIABLE, ""))
                if not self._is_leaving(handle, pid):
                    found[handle] = True
        return tuple(found)

    def _is_leaving(self, handle: Handle, pid: int) -> bool:
        """A wrapper that has written its outcome has nothing left but to exit."""
        try:
            return Who(self._pairs(handle, "outcome")).pid == pid
        except OSError:
            return False

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        return Path(self._path(handle, "log")), Path(self._path(handle, "err"))

    def prompt_path(self, handle: Handle) -> Path:
        return Path(self._path(handle, "prompt"))

    def log_tail(self, handle: Handle, limit: int = 65536) -> bytes:
        return output.both(*self.paths(handle), limit)

    # --- ending -------------------------------------------------------------------------------------

    def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
        """Ours: the run lives where the worktree stands, and nothing is cloned for it."""
        del repository
        return Quarters(worktree, self.prompt_path(handle))

    def fetch(self, handle: Handle) -> Inbound | None:
        """What it leaves, it leaves in our own worktree."""

    def taken_in(self, handle: Handle) -> None:
        """Nothing was fetched."""

    def give_up(self, handle: Handle) -> None:
        """This host cannot be out of reach."""

    def make_room(self, host: str, jobs: Sequence[str]) -> int:  # noqa: ARG002 - the seam's signature
        """Worktrees of this machine are the repository's own."""
        return 0

    def hosts(self) -> Mapping[str, HostState]:
        return {}

    def stop(self, handle: Handle, order: StopOrder) -> None:
        """See runfiles.orders."""
        folder = self._folder(handle)
        if not Path(folder).is_dir():
            return
        beat = self._pairs(handle, "heartbeat")
        unheard = orders.lay(folder, handle.job, launch.order_of(handle.token, order), beat, launch.put)
        who = Who(beat)
        if identity.alive(who.pid, who.start, who.boot):
            with crossing("process", f"stop {handle.provider} {handle.job}"):
                orders.hurry(who.pid, who.start, overrule=unheard)

    def reap(self) -> tuple[tuple[int, int], ...]:
        return self._children.reap()

    def sweep(self, handle: Handle) -> tuple[int, ...]:
        beat = self._pairs(handle, "heartbeat")
        who = Who(beat)
        if identity.alive(who.pid, who.start, who.boot):
            return ()
        roots = [who.agent[0]] if identity.alive(*who.agent, who.boot) else []
        group = cgroup.known(beat.get("cgroup", ""), handle.token)
        with crossing("process", f"sweep {handle.provider} {handle.job}"):
            if group is not None:
                group.kill()
            left = set(hunt.end_all(roots, handle.token, lambda: False, _SWEEP_BUDGET))
            if group is not None:
                left.update(group.remove())
            return tuple(sorted(left))

    def close(self) -> None:
        """Lets go of everything; the workers run on."""
        self.reap()
        self._exits.close()
        self._children.let_go()

    # --- files --------------------------------------------------------------------------------------

    def _folder(self, handle: Handle) -> str:
        return str(self._jobs if self._flat else self._jobs / handle.provider)

    def _path(self, handle: Handle, kind: str) -> str:
        return names.path(self._folder(handle), handle.job, kind)

    def _pairs(self, handle: Handle, kind: str) -> dict[str, str]:
        """The pairs of a run file if it is of this run; an outcome that has stepped aside is found too."""
        for target in self._candidates(handle, kind):
            pairs = atomic.read_pairs(target) or {}
            if pairs.get("token") == handle.token:
                return pairs
        return {}

    def _candidates(self, handle: Handle, kind: str) -> Iterator[str]:
        """An outcome steps aside only after meta has named another run: until then the folder, with the files of all
        jobs, is not read for one of them."""
        current = self._path(handle, kind)
        yield current
        folder = Path(self._folder(handle))
        if kind == "outcome" and folder.is_dir() and not self._pairs(handle, "meta"):
            for number in range(rotation.last((entry.name for entry in folder.iterdir()), handle.job), 0, -1):
                yield f"{current}.{number}"

    def _watch(self, who: Who) -> None:
        self._exits.watch(who.pid, who.start)
