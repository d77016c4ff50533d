"""What an ended run left on its host on the way home: its work, packed there and fetched in pieces, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.adapters.executors.remote.link import Link, NotAsked
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.views import exited_of, view_of
from coordinator.domain.worker import Exited, Missing, Unknown, Waiting, WorkerView
from coordinator.ports import Away, Clock, Handle, LaunchFailed
from coordinator.runfiles.lock import Busy

_PACKING = 900.0
"""Seconds for a far end that packs the work of one run."""


HOMEWARD = Waiting("it has ended; what it left is on its way home")


@dataclass(frozen=True)
class Ended:
    """A run that is over there, all its output being home. `skew`: seconds by which the host's clock is ahead."""

    mirror: Mirror
    view: Exited | Missing
    outcome: Mapping[str, str]
    skew: float


class Homecoming:
    """Of the runs of one host; at most `limit` bytes of work are taken home. Only the thread whose look it is brings
    them home; any may ask for survivors."""

    def __init__(self, link: Link, limit: int, clock: Clock) -> None:
        self._link, self.limit, self._clock = link, limit, clock
        self._survivors: dict[Handle, tuple[int, ...]] = {}
        self._in_vain: dict[Handle, datetime] = {}   # since when

    def bring(self, run: Ended) -> WorkerView:
        """The work, then the outcome: until that is here nobody takes the run for ended. What is to be said of it
        then. Raises NotAsked, OSError, Busy."""
        mirror, handle = run.mirror, run.mirror.handle
        had = mirror.size("bundle")
        try:
            view = self._brought(run)
        except NotAsked:
            raise
        except Away as away:   # the host has just answered for the others
            if mirror.size("bundle") > had:   # bit by bit it comes
                self._in_vain.pop(handle, None)
            return Unknown(away.words, self._in_vain.setdefault(handle, self._clock.now()))
        self._in_vain.pop(handle, None)
        return view

    def spare(self, brought: Handle, by: timedelta) -> None:
        """So long one was brought home, and none of the others could be."""
        self._in_vain = {handle: since if handle == brought else since + by for handle, since in self._in_vain.items()}

    def _brought(self, run: Ended) -> WorkerView:
        mirror = run.mirror
        sent = mirror.pairs("meta").get("sent", "")
        try:
            left = self._fetch(mirror, sent)
        except Busy as busy:
            return Waiting(f"it has ended; {busy}")
        except LaunchFailed as refused:
            if refused.reason == "disk_full":   # it is all there, and nothing is lost by waiting for room
                return Waiting(f"it has ended; its work cannot be packed: {refused.words}")
            mirror.keep_parcel({"sent": sent, "trouble": refused.words})
            left = ()
        self._survivors[mirror.handle] = left
        if left:
            return Waiting(f"it has ended; processes of it live on: {', '.join(map(str, left))}")
        if not run.outcome:
            return run.view
        with mirror.locked():
            if mirror.ours():
                mirror.put("outcome", _with_cause(run.outcome, run.view), run.skew)
        return view_of({}, lambda: mirror.pairs("outcome"))

    def survivors(self, handle: Handle) -> tuple[int, ...]:
        """Pids of what it left running that would not die."""
        return self._survivors.get(handle, ())

    def _fetch(self, mirror: Mirror, sent: str) -> tuple[int, ...]:
        """Packs the work there and brings it here, from where it was left off; pids that would not die. Raises Away,
        LaunchFailed, Busy."""
        handle, meta = mirror.handle, mirror.pairs("meta")
        known = mirror.pairs("parcel")
        if not known:
            told, _ = self._link.ask(
                "pack", timeout=_PACKING, provider=handle.provider, job=handle.job, token=handle.token,
                repo=meta.get("repository", "") if sent else "", branch=meta.get("branch", ""), head=sent,
                limit=self.limit, extra=meta.get("extra", "").split())
            if told.get("busy"):
                raise Busy("its work is still being packed there, for a look whose answer was lost")
            if told["survivors"] or not sent:
                return tuple(told["survivors"])
            mirror.drop_parcel()
            mirror.keep_parcel({**told, "tip": told["branch"], "sent": sent})
            known = mirror.pairs("parcel")
        if known.get("sha256"):
            self._fetch_bundle(mirror, known)
        return ()

    def _fetch_bundle(self, mirror: Mirror, known: Mapping[str, str]) -> None:
        name = f"{mirror.handle.job}.out"
        while (at := mirror.size("bundle")) < int(known["size"]):
            _, (piece,) = self._link.ask("get", file=name, offset=at)
            if not piece:
                break
            mirror.append("bundle", piece)
        if mirror.digest("bundle") != known["sha256"]:
            mirror.drop_parcel()
            raise Away(f"{self._link.name}: what came home of {mirror.handle.job} is not what was packed; "
                       "it is fetched anew")
        self._link.ask("drop", file=name)


def _with_cause(outcome: Mapping[str, str], view: WorkerView) -> Mapping[str, str]:
    """Who started the wrapper may know better than it what ended it."""
    if not isinstance(view, Exited) or view.reason == exited_of(outcome).reason:
        return outcome
    plain = outcome.get("reason_code") == outcome.get("ended_by")
    return {**outcome, "ended_by": view.reason, "words": view.words, **({"reason_code": view.reason} if plain else {})}
