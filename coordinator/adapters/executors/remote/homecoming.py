"""What an ended run left on its host on the way home: its work, packed there and fetched in pieces, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.adapters.executors.remote.link import Link
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.views import exited_of, view_of
from coordinator.domain.worker import Exited, Missing, Waiting, WorkerView
from coordinator.ports import Away, Handle, LaunchFailed

_PACKING = 900.0
"""Seconds for a far end that packs the work of one run."""


HOMEWARD = Waiting("it has ended; what it left is on its way home")


def has_work(view: WorkerView) -> bool:
    """Whether a run that ended so was ever begun, and may have left something."""
    return isinstance(view, Exited) or (isinstance(view, Missing) and view.started)


class Homecoming:
    """Of the runs of one host; at most `limit` bytes of work are taken home. Only the thread whose look it is brings
    them home; any may ask for survivors."""

    def __init__(self, link: Link, limit: int) -> None:
        self._link, self.limit = link, limit
        self._survivors: dict[Handle, tuple[int, ...]] = {}

    def bring(self, mirror: Mirror, view: WorkerView, outcome: Mapping[str, str], skew: float) -> WorkerView:
        """The work, then the outcome: until that is here nobody takes the run for ended. What is to be said of it
        then. Raises Away, OSError, Busy."""
        if has_work(view):
            sent = mirror.pairs("meta").get("sent", "")
            try:
                left = self._fetch(mirror, sent)
            except LaunchFailed as refused:
                if refused.reason == "disk_full":   # it is all there, and nothing is lost by waiting for room
                    return Waiting(f"it has ended; its work cannot be packed: {refused.words}")
                mirror.keep_parcel({"sent": sent, "trouble": refused.words})
                left = ()
            self._survivors[mirror.handle] = left
            if left:
                return Waiting(f"it has ended; processes of it live on: {', '.join(map(str, left))}")
        if outcome:
            with mirror.locked():
                if mirror.ours():
                    mirror.put("outcome", _with_cause(outcome, view), skew)
            return view_of({}, lambda: mirror.pairs("outcome"))
        return view

    def survivors(self, handle: Handle) -> tuple[int, ...]:
        """Pids of what it left running that would not die."""
        return self._survivors.get(handle, ())

    def _fetch(self, mirror: Mirror, sent: str) -> tuple[int, ...]:
        """Packs the work there and brings it here, from where it was left off; pids that would not die. Raises Away,
        LaunchFailed."""
        handle, meta = mirror.handle, mirror.pairs("meta")
        known = mirror.pairs("parcel")
        if not known:
            told, _ = self._link.ask(
                "pack", timeout=_PACKING, provider=handle.provider, job=handle.job, token=handle.token,
                repo=meta.get("repository", "") if sent else "", branch=meta.get("branch", ""), head=sent,
                limit=self.limit, extra=meta.get("extra", "").split())
            if told["survivors"] or not sent:
                return tuple(told["survivors"])
            mirror.drop_parcel()
            mirror.keep_parcel({**told, "tip": told["branch"], "sent": sent})
            known = mirror.pairs("parcel")
        if known.get("sha256"):
            self._fetch_bundle(mirror, known)
        return ()

    def _fetch_bundle(self, mirror: Mirror, known: Mapping[str, str]) -> None:
        name, target = f"{mirror.handle.job}.out", mirror.path("bundle")
        while (at := target.stat().st_size if target.exists() else 0) < int(known["size"]):
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
