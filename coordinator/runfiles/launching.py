"""What every start of a run does with the job's files, on whatever host: was it started before, may it be, and the
papers that its wrapper finds. Called under the job's lock."""

from __future__ import annotations

import os

from coordinator.runfiles import atomic, codec, fences, identity, names, rotation

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from typing import Callable, Dict, Optional

    Put = Callable[[str, bytes], None]
    Around = Callable[[str], AbstractContextManager[object]]


class Papers:
    """All that is written before a start: key=value pairs by kind, and the prompt. `spec` are the wrapper's orders."""

    def __init__(self, job: str, token: str, fence: int, prompt: bytes, *, meta: Mapping[str, str],
                 contract: Mapping[str, str], spec: Mapping[str, str]) -> None:
        self.job, self.token, self.fence, self.prompt = job, token, fence, prompt
        self.meta, self.contract, self.spec = meta, contract, spec


def started(folder: str, job: str, token: str) -> Optional[int]:
    """The wrapper's pid if the run files show that this token ever started, 0 where they do not say which."""
    for kind in ("heartbeat", "outcome"):
        pairs = _pairs(folder, job, kind)
        if pairs.get("token") == token:
            return codec.whole(pairs.get("wrapper_pid", ""))
    return 0 if blank(folder, job, token) else None


def blank(folder: str, job: str, token: str) -> bool:
    """Heartbeats are not forced onto the disk: a power cut may leave an empty one of a run that was started."""
    return (atomic.read(names.path(folder, job, "heartbeat")) == b""
            and _pairs(folder, job, "spec").get("token") == token)


def overlap(folder: str, job: str, fence: int) -> str:
    """One worker a job: an earlier one that lives here, or a later one that has been, forbids a start. Words, or ""."""
    beat = _pairs(folder, job, "heartbeat")
    pid, start = codec.whole(beat.get("wrapper_pid", "")), codec.whole(beat.get("wrapper_start", ""))
    if not _ended(folder, job, beat.get("token", "")) and identity.alive(pid, start, beat.get("boot_id", "")):
        return "%s is still run by an earlier worker (pid %d): stop it first. Nothing was started." % (job, pid)
    standing = fences.standing(folder, job)
    if standing > fence:
        return "%s: an attempt with fence %d came after this one (%d). Nothing was started." % (job, standing, fence)
    return ""


def _ended(folder: str, job: str, token: str) -> bool:
    """Whether the run with this token has left an outcome, one that stepped aside included."""
    current = names.path(folder, job, "outcome")
    last = rotation.last(os.listdir(folder), job)
    return any((atomic.read_pairs(target) or {}).get("token") == token
               for target in [current] + ["%s.%d" % (current, number) for number in range(last, 0, -1)])


def lay(folder: str, papers: Papers, put: Put, around: Around) -> None:
    """This attempt's papers are written, the old one's step aside, the spec comes last. Meta names the new run before
    the old outcome goes, or whoever dies in between has made a lost run of one that ended well."""
    job = papers.job
    put(names.path(folder, job, "prompt"), papers.prompt)
    put(names.path(folder, job, "fence"), b"%d\n" % papers.fence)
    if papers.contract:
        put(names.path(folder, job, "contract"), codec.encode(papers.contract))
    merge_meta(folder, job, papers.meta, put)
    with around("rotate %s/%s" % (folder, job)):
        rotation.rotate(folder, job)
        rotation.drop_strays(folder, job)
        _drop_old_order(folder, papers)
    put(names.path(folder, job, "spec"), codec.encode(papers.spec))


def merge_meta(folder: str, job: str, changes: Mapping[str, str], put: Put) -> None:
    """Sets these keys; what people or others wrote beside them stays."""
    before = atomic.read(names.path(folder, job, "meta")) or b""
    put(names.path(folder, job, "meta"), codec.merge(before, changes))


def _drop_old_order(folder: str, papers: Papers) -> None:
    """A stop ordered for an earlier run; one for this run stays, it may have come before the start."""
    target = names.path(folder, papers.job, "stop")
    order = atomic.read_pairs(target)
    if order is not None and order.get("token") != papers.token:
        os.unlink(target)


def _pairs(folder: str, job: str, kind: str) -> Dict[str, str]:
    return atomic.read_pairs(names.path(folder, job, kind)) or {}
