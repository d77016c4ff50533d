"""A launch as run files: what a LaunchSpec says, in the pairs that its wrapper and its readers find. Each write is a
crossing."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from coordinator.adapters.system import walls
from coordinator.adapters.system.seam import crossing
from coordinator.ports import LaunchSpec, StopOrder
from coordinator.runfiles import atomic, codec, launching, names

Tuning = Mapping[str, str]


def put(target: str, data: bytes) -> None:
    with crossing("file", target):
        atomic.write(target, data)


def put_pairs(folder: str, job: str, kind: str, pairs: Mapping[str, str]) -> None:
    put(names.path(folder, job, kind), codec.encode(pairs))


def merge_meta(folder: str, job: str, changes: Mapping[str, str]) -> None:
    """Sets these keys; what people or others wrote beside them stays."""
    launching.merge_meta(folder, job, changes, put)


def prepare(folder: str, spec: LaunchSpec, tuning: Tuning) -> None:
    """See launching.lay."""
    launching.lay(folder, papers(folder, spec, tuning), put, lambda what: crossing("file", what))


def papers(folder: str, spec: LaunchSpec, tuning: Tuning, host: str = "") -> launching.Papers:
    """`host` is the name under which people know the machine; "" is this one."""
    known = {"host": host or socket.gethostname()}
    return launching.Papers(
        spec.handle.job, spec.handle.token, spec.fence, spec.prompt.encode("utf-8", "surrogateescape"),
        meta=known | meta_of(folder, spec), contract=spec.contract, spec=spec_of(spec, tuning, known["host"]),
    )


def order_of(token: str, order: StopOrder) -> dict[str, str]:
    pairs = {"token": token, "reason": order.reason, "words": order.words, "hard": "1" if order.hard else "0"}
    return pairs if order.exit_code is None else {**pairs, "exit_code": str(order.exit_code)}


def meta_of(folder: str, spec: LaunchSpec) -> dict[str, str]:
    """What is known before the start; `meta` of the spec wins."""
    return {
        "beads": spec.handle.job, "provider": spec.handle.provider, "token": spec.handle.token,
        "worker_id": spec.worker_id, "attempt": str(spec.attempt), "fence": str(spec.fence),
        "retries": str(max(0, spec.attempt - 1)), "run_id": spec.run_id,
        "cwd": str(spec.cwd), "worktree": str(spec.cwd), "execution_mode": "pty" if spec.pty else "nohup",
        "prompt_file": names.path(folder, spec.handle.job, "prompt"), **spec.meta,
    }


def _argv(spec: LaunchSpec) -> tuple[str, ...]:
    return spec.argv if spec.walls is None else walls.argv(spec.walls, spec.argv, pty=spec.pty)


def _behind(spec: LaunchSpec) -> dict[str, str]:
    """What the wrapper must know of walls: that its child is their builder, and which git moves behind them."""
    if spec.walls is None:
        return {}
    made = spec.walls
    return {"walls": "1", "git_dir": str(made.swap[0][0]) if made.swap else "", "proxy": made.proxy,
            "door": str(made.door)}


def spec_of(spec: LaunchSpec, tuning: Tuning, host: str) -> dict[str, str]:
    """The wrapper's orders. The environment is not among them: it may hold secrets and is inherited."""
    carried = {
        "host": host, "worktree": spec.meta.get("worktree", str(spec.cwd)),
        "retries": spec.meta.get("retries", str(max(0, spec.attempt - 1))),
        "selected_model": spec.meta.get("model", ""), "fallback_reason": spec.meta.get("fallback_reason") or "none",
    }
    return {
        "token": spec.handle.token, "fence": str(spec.fence), "run_id": spec.run_id,
        "worker_id": spec.worker_id, "cwd": str(spec.cwd), "stdin": spec.stdin,
        "timeout_sec": f"{spec.timeout.total_seconds():g}", "grace_sec": f"{spec.grace.total_seconds():g}",
        "stop_signal": spec.stop_signal, "speaks": spec.speaks, "pty": "1" if spec.pty else "0",
        "watch_tree": "1" if spec.watch_tree else "0", "spelling": spec.spelling, **tuning,
        **{f"argv.{at}": word for at, word in enumerate(_argv(spec))}, **_behind(spec),
        **{f"out.{key}": value for key, value in carried.items()},
    }
