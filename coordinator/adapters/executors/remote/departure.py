"""How a run leaves for another host: its worktree, its papers here and there, and the order to start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from coordinator.adapters.executors import launch
from coordinator.adapters.executors.remote.link import Link
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.remote.starters import Starter
from coordinator.ports import Away, LaunchSpec
from coordinator.runfiles import names
from coordinator.runfiles.lock import Busy, Lock

_MAKING = 900.0
"""Seconds that a worktree there may take to be made, before its hooks."""


class Departure:
    """To the host of this `name`; `jobs` is where the mirror lies. `starter` is who starts wrappers there, None: the
    far end itself; `tuning` is for the wrapper."""

    def __init__(self, name: str, link: Link, jobs: Path, starter: Starter | None, tuning: Mapping[str, str]) -> None:
        self._name, self._link, self._jobs, self._starter, self._tuning = name, link, jobs, starter, tuning

    def leave(self, mirror: Mirror, spec: LaunchSpec) -> int:
        """The wrapper's pid, 0 where it is not known yet. First the host is asked for the token; then the papers are
        laid here: from then on the run may have been started. Raises NotAsked, Busy, ForeignFolder, ValueError and
        LaunchFailed with nothing started, Away with nothing known."""
        facts = self._link.facts()
        self._link.ask("may", provider=spec.handle.provider, job=spec.handle.job, token=spec.handle.token,
                       fence=spec.fence)
        if self._waits(mirror):
            return 0
        self._send(spec)
        self._lay(mirror, spec)
        return self._start(mirror, spec, facts.jobs)

    def _waits(self, mirror: Mirror) -> bool:
        """Whether an earlier try was heard by whoever starts wrappers: its papers and its worktree are in use."""
        return self._starter is not None and mirror.asked() and mirror.handle in self._starter.live((mirror.handle,))

    def _send(self, spec: LaunchSpec) -> None:
        outbound = spec.outbound
        if outbound is not None and outbound.bundle is not None:
            self._link.send(outbound.bundle, f"{spec.handle.job}.in")

    def _lay(self, mirror: Mirror, spec: LaunchSpec) -> None:
        """The run's papers as readers here want them; not twice, or the output that is home would step aside."""
        if mirror.asked():
            return
        names.check_name(spec.handle.job)
        names.check_name(spec.handle.provider, "provider")
        names.make_folder(str(self._jobs))
        names.make_folder(mirror.folder)
        with Lock(str(mirror.path("lock"))):
            mirror.drop_parcel()
            out = spec.outbound
            sent = {} if out is None else {"sent": out.head, "repository": out.repository, "branch": out.branch,
                                           "extra": " ".join(out.extra)}
            launch.prepare(mirror.folder, replace(spec, meta={**spec.meta, **sent, "host": self._name}), {})

    def _start(self, mirror: Mirror, spec: LaunchSpec, jobs: Path) -> int:
        handle, out = spec.handle, spec.outbound
        papers = launch.papers(str(jobs / handle.provider), spec, self._tuning, self._name)
        parcel = None if out is None else {
            "repo": out.repository, "branch": out.branch, "head": out.head, "files": out.files,
            "file": f"{handle.job}.in" if out.bundle is not None else "", "exclude": list(out.exclude),
            "shallow": list(out.shallow),
        }
        patience = _MAKING + sum(hook[2] for hook in spec.hooks)
        said, _ = self._link.ask(
            "start", [papers.prompt], timeout=patience, patience=2 * patience, provider=handle.provider,
            job=handle.job, token=handle.token, fence=spec.fence,
            meta=dict(papers.meta), contract=dict(papers.contract), spec=dict(papers.spec),
            env=dict(spec.env), path=[], here=self._starter is None, parcel=parcel,
            hooks=[list(hook) for hook in spec.hooks])
        if self._starter is not None and said["pid"] is None:
            try:
                self._starter.start(mirror, spec, jobs / handle.provider, said["wrapper"])
            except (Busy, OSError) as error:   # it may have been heard, and could not be noted here
                raise Away(str(error)) from error
        return int(said["pid"] or 0)
