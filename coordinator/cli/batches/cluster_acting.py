"""cancel, clean and resubmit of a cluster's jobs: strictly within the batch, listed first, done with --yes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from coordinator.cli.batches.cluster import in_words
from coordinator.cli.batches.telling import agreed, code_of, told
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app.batches import Member
    from coordinator.app.slurm_watch import ClusterBatch

FAILED = 3
LOOK_EVERY = timedelta(seconds=30)
"""While the one that is tried first runs: a cluster is not asked every second."""


@dataclass(frozen=True)
class Tries:
    """How jobs are started again: `command` is a person's own way, `limit` how long the first is waited for (None = no
    run before the others), `words` say what was mended."""

    command: str
    limit: timedelta | None
    words: str
    only_failed: bool


def cancel(made: ClusterBatch, fix: str, *, yes: bool) -> int:
    from coordinator.app import slurm_watch_acts as acts

    _narrow(made, "cancel")
    members = made.members()
    ids = set(acts.alive(made.ask))
    going = [one for one in members if one.id in ids]
    if not agreed(going, "would be cancelled", made.scope.command("cancel --yes --fix TEXT"), yes=yes):
        return 0
    if not fix.strip():
        raise Trouble("say what is wrong and what mends it before the batch is ended", "--fix TEXT", code=USAGE)
    with in_words(made):
        done = list(told(acts.cancel(made.ask, [one.id for one in going])))
    made.note("cancel", fix, [one.id for one in done if one.ok])
    return code_of(done)


def clean(made: ClusterBatch, patterns: Sequence[str], *, yes: bool) -> int:
    """What failed and cancelled jobs left half-done, by the patterns."""
    from coordinator.app import slurm_watch_acts as acts

    _narrow(made, "clean")
    if not patterns:
        raise Trouble("nobody says what a failed job leaves behind", "--partial 'out/{name}/*.tmp': files of the job's "
                      "folder, with {id} or {name} in it", code=USAGE)  # fmt: skip
    over = [one.id for one in _over(made, only_failed=False)]
    with in_words(made):
        try:
            left, kept = acts.leftovers(made.ask, over, patterns)
        except ValueError as wrong:
            raise Trouble(f"--partial {wrong}", "Such as --partial 'out/{name}/*.tmp'.", code=USAGE) from wrong
        for line in kept:
            print(f"note: {line}")
        if not left or not yes:
            for one in left:
                print(f"would be removed: {one.path} ({one.size} bytes, of {one.job})")
            again = f"; nothing was done: {made.scope.command('clean --yes --partial PATTERN')}" if left else ""
            print(f"{len(left)} in all{again}")
            return 0
        done = list(told(acts.clean(made.ask, left)))
    made.note("clean", "; ".join(one.words for one in done)[:2000], sorted({one.id for one in done if one.ok}))
    return code_of(done)


def resubmit(made: ClusterBatch, tries: Tries, *, yes: bool) -> int:
    from coordinator.app import batch_verbs as verbs
    from coordinator.app import slurm_watch_acts as acts

    _narrow(made, "resubmit")
    over = _over(made, only_failed=tries.only_failed)
    ids = [one.id for one in over]
    again = acts.Again(made.ask, tries.command)
    if over and not yes:
        for name, line in again.shown(ids).items():
            print(f"{name}: {line}")
    words = "resubmit --only-failed --yes" if tries.only_failed else "resubmit --yes"
    if not agreed(over, "would be submitted again", made.scope.command(words), yes=yes):
        return 0
    order = verbs.Again(again.start, tries.limit, tries.words, LOOK_EVERY, lambda one: one.id)
    try:
        with in_words(made):
            return code_of(list(told(verbs.resubmit(made, ids, order, lambda span: time.sleep(span.total_seconds())))))
    except verbs.SmokeFailed as failed:
        raise Trouble(f"{failed}; the other {len(ids) - 1} were not submitted", made.scope.command("status"),
                      code=FAILED) from failed


def _over(made: ClusterBatch, *, only_failed: bool) -> list[Member]:
    from coordinator.app.batches import Stand

    wanted = (Stand.BAD,) if only_failed else (Stand.BAD, Stand.STOPPED)
    return [one for one in made.members() if one.stand in wanted]


def _narrow(made: ClusterBatch, verb: str) -> None:
    """All jobs of a user are of many projects. Raises Trouble."""
    cluster = made.scope.cluster
    if cluster is None or not cluster.narrow:
        raise Trouble(f"--user alone says too little to {verb}: it may mean jobs of other projects",
                      "--prefix P or --jobs IDS", code=USAGE)
