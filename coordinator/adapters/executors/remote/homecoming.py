"""What an ended run left on its host on the way home: its work, packed there and fetched piece by piece."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.adapters.executors.remote.link import Link
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.views import exited_of
from coordinator.domain.worker import Exited, WorkerView
from coordinator.ports import Away


def fetch(link: Link, mirror: Mirror, sent: str, limit: int) -> tuple[int, ...]:
    """Packs the work there and brings it here, from where it was left off; pids that would not die. Raises Away,
    LaunchFailed."""
    handle, meta = mirror.handle, mirror.pairs("meta")
    known = mirror.pairs("parcel")
    if not known:
        told, _ = link.ask(
            "pack", timeout=900.0, provider=handle.provider, job=handle.job, token=handle.token,
            repo=meta.get("repository", "") if sent else "", branch=meta.get("branch", ""), head=sent,
            limit=limit, extra=meta.get("extra", "").split())
        if told["survivors"] or not sent:
            return tuple(told["survivors"])
        mirror.drop_parcel()
        mirror.keep_parcel({**told, "tip": told["branch"], "sent": sent})
        known = mirror.pairs("parcel")
    if known.get("sha256"):
        _fetch_bundle(link, mirror, known)
    return ()


def _fetch_bundle(link: Link, mirror: Mirror, known: Mapping[str, str]) -> None:
    name, target = f"{mirror.handle.job}.out", mirror.path("bundle")
    while (at := target.stat().st_size if target.exists() else 0) < int(known["size"]):
        _, (piece,) = link.ask("get", file=name, offset=at)
        if not piece:
            break
        mirror.append("bundle", piece)
    if mirror.digest("bundle") != known["sha256"]:
        mirror.drop_parcel()
        raise Away(f"{link.name}: what came home of {mirror.handle.job} is not what was packed; it is fetched anew")
    link.ask("drop", file=name)


def with_cause(outcome: Mapping[str, str], view: WorkerView) -> Mapping[str, str]:
    """Who started the wrapper may know better than it what ended it."""
    if not isinstance(view, Exited) or view.reason == exited_of(outcome).reason:
        return outcome
    plain = outcome.get("reason_code") == outcome.get("ended_by")
    return {**outcome, "ended_by": view.reason, "words": view.words, **({"reason_code": view.reason} if plain else {})}
