"""Puts a job's run files in place before its wrapper starts. Each write is a crossing; none truncates."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from coordinator.adapters.system.seam import crossing
from coordinator.ports import LaunchSpec, StopOrder
from coordinator.runfiles import atomic, codec, names, rotation

Tuning = Mapping[str, str]


def put(folder: str, name: str, kind: str, data: bytes) -> None:
    target = names.path(folder, name, kind)
    with crossing("file", target):
        atomic.write(target, data)


def put_pairs(folder: str, job: str, kind: str, pairs: Mapping[str, str]) -> None:
    put(folder, job, kind, codec.encode(pairs))


def merge_meta(folder: str, job: str, changes: Mapping[str, str]) -> None:
    """Sets these keys; what people or others wrote beside them stays."""
    before = atomic.read(names.path(folder, job, "meta")) or b""
    put(folder, job, "meta", codec.merge(before, changes))


def prepare(folder: str, spec: LaunchSpec, tuning: Tuning) -> None:
    """Under the lock: this attempt's files are written, the old one's step aside, the spec comes last. Meta names the
    new run before the old outcome goes, or whoever dies in between has made a lost run of one that ended well."""
    job = spec.handle.job
    put(folder, job, "prompt", spec.prompt.encode("utf-8", "surrogateescape"))
    put(folder, job, "fence", b"%d\n" % spec.fence)
    if spec.contract:
        put_pairs(folder, job, "contract", spec.contract)
    merge_meta(folder, job, meta_of(folder, spec))
    with crossing("file", f"rotate {folder}/{job}"):
        rotation.rotate(folder, job)
        rotation.drop_strays(folder, job)
        _drop_old_order(folder, spec)
    put_pairs(folder, job, "spec", spec_of(spec, tuning))


def order_of(token: str, order: StopOrder) -> dict[str, str]:
    pairs = {"token": token, "reason": order.reason, "words": order.words, "hard": "1" if order.hard else "0"}
    return pairs if order.exit_code is None else {**pairs, "exit_code": str(order.exit_code)}


def _drop_old_order(folder: str, spec: LaunchSpec) -> None:
    """A stop ordered for an earlier run; one for this run stays, it may have come before the start."""
    target = names.path(folder, spec.handle.job, "stop")
    order = atomic.read_pairs(target)
    if order is not None and order.get("token") != spec.handle.token:
        Path(target).unlink()


def meta_of(folder: str, spec: LaunchSpec) -> dict[str, str]:
    """What is known before the start; `meta` of the spec wins."""
    return {
        "beads": spec.handle.job, "provider": spec.handle.provider, "token": spec.handle.token,
        "worker_id": spec.worker_id, "attempt": str(spec.attempt), "fence": str(spec.fence),
        "retries": str(max(0, spec.attempt - 1)), "run_id": spec.run_id, "host": socket.gethostname(),
        "cwd": str(spec.cwd), "worktree": str(spec.cwd), "execution_mode": "pty" if spec.pty else "nohup",
        "prompt_file": names.path(folder, spec.handle.job, "prompt"), **spec.meta,
    }


def spec_of(spec: LaunchSpec, tuning: Tuning) -> dict[str, str]:
    """The wrapper's orders. The environment is not among them: it may hold secrets and is inherited."""
    carried = {
        "host": socket.gethostname(), "worktree": spec.meta.get("worktree", str(spec.cwd)),
        "retries": spec.meta.get("retries", str(max(0, spec.attempt - 1))),
        "selected_model": spec.meta.get("model", ""), "fallback_reason": spec.meta.get("fallback_reason") or "none",
    }
    return {
        "token": spec.handle.token, "fence": str(spec.fence), "run_id": spec.run_id,
        "worker_id": spec.worker_id, "cwd": str(spec.cwd), "stdin": spec.stdin,
        "timeout_sec": f"{spec.timeout.total_seconds():g}", "grace_sec": f"{spec.grace.total_seconds():g}",
        "stop_signal": spec.stop_signal, "speaks": spec.speaks, "pty": "1" if spec.pty else "0",
        "watch_tree": "1" if spec.watch_tree else "0", "spelling": spec.spelling, **tuning,
        **{f"argv.{at}": word for at, word in enumerate(spec.argv)},
        **{f"out.{key}": value for key, value in carried.items()},
    }
