"""batch cancel, clean, resubmit, resume, hold, note: what is done about a batch, written into its journal.

Jobs are served here, one by one; tasks are their coordinator's, which is asked. Without --yes nothing ends, goes or
starts, and nothing is done to a job or task outside the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.batches.cluster import NOWHERE, Given, with_cluster
from coordinator.cli.batches.looking import duration
from coordinator.cli.batches.scope import Label, LogDir, Named, Plan, Prefix, batch_of, of_slurm
from coordinator.cli.batches.telling import agreed, code_of, told
from coordinator.cli.jobs.common import acting
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app.batch_verbs import Done
    from coordinator.app.batches import Batch, Member, Stand

FAILED = 3
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this it is only listed.")]
Fix = Annotated[str, typer.Option("--fix", metavar="TEXT", help="The cause and what mends it; kept for the report.")]

Partial = Annotated[list[str] | None, typer.Option("--partial", metavar="PATTERN", help="With --slurm: files in a "
                    "job's folder that it leaves when it fails, with {id} or {name}; repeatable.")]


def add_to(app: typer.Typer) -> None:
    for command in (cancel, clean, resubmit, note):
        app.command()(with_cluster(command))
    app.command()(resume)
    app.command()(hold)


def cancel(
    batch: Named = "", prefix: Prefix = "", label: Label = "", plan: Plan = "", log_dir: LogDir = "", fix: Fix = "",
    yes: Yes = False, cluster: Given = NOWHERE,
) -> int:  # fmt: skip
    """End what runs or waits of a batch. What the fix will be is said first (--fix)."""
    from coordinator.app.batches import Stand

    if cluster.slurm:
        from coordinator.cli.batches import cluster_acting

        return cluster_acting.cancel(of_slurm(cluster, prefix, batch, label, plan, log_dir), fix, yes=yes)
    made = batch_of(batch, prefix, label, plan, log_dir, cluster)
    going = _of(made, Stand.RUNNING, Stand.WAITING)
    if not agreed(going, "would end", made.scope.command("cancel --yes --fix TEXT"), yes=yes):
        return 0
    if not fix.strip():
        raise Trouble("say what is wrong and what mends it before the batch is ended", "--fix TEXT", code=USAGE)
    if made.scope.by_hand:
        from coordinator.app import batch_verbs
        from coordinator.app.faces import COORDINATOR

        with acting(COORDINATOR, log_dir) as desk:
            done = list(told(batch_verbs.cancel(desk, [one.id for one in going])))
        made.note("cancel", fix, [one.id for one in done if one.ok])
        return code_of(done)
    from coordinator.cli.batches.asking import ask_cancel

    ids = [one.id for one in going]
    ask_cancel(made, ids, fix)
    made.note("cancel", fix, ids)
    return 0


def clean(
    batch: Named = "", prefix: Prefix = "", label: Label = "", plan: Plan = "", log_dir: LogDir = "", yes: Yes = False,
    partial: Partial = None, cluster: Given = NOWHERE,
) -> int:  # fmt: skip
    """Remove what failed and cancelled ones left half-done: dead marks, and worktrees; of jobs of a cluster the files
    that --partial finds.

    Logs and outcomes stay, and so does what is not pushed: a job's worktree is kept then, of a task's it gets a rescue
    ref."""
    from coordinator.app.batches import Stand

    if cluster.slurm:
        from coordinator.cli.batches import cluster_acting

        return cluster_acting.clean(of_slurm(cluster, prefix, batch, label, plan, log_dir), partial or [], yes=yes)
    _only_of_slurm("--partial", partial)
    made = batch_of(batch, prefix, label, plan, log_dir, cluster)
    over = _of(made, Stand.BAD, Stand.STOPPED)
    if not agreed(over, "would be cleaned up", made.scope.command("clean --yes"), yes=yes):
        return 0
    ids = [one.id for one in over]
    if made.scope.by_hand:
        from coordinator.app import batch_verbs
        from coordinator.app.faces import COORDINATOR

        with acting(COORDINATOR, log_dir) as desk:
            done = list(told(batch_verbs.clean(desk, ids, batch_verbs.remove_worktree)))
        made.note("clean", "; ".join(f"{one.id}: {one.words}" for one in done), [one.id for one in done if one.ok])
        return code_of(done)
    from coordinator.cli.batches.asking import ask_clean

    ask_clean(made.scope, ids)
    made.note("clean", "", ids)
    return 0


def resubmit(
    batch: Named = "", prefix: Prefix = "", label: Label = "", plan: Plan = "", log_dir: LogDir = "", fix: Fix = "",
    only_failed: Annotated[bool, typer.Option("--only-failed", help="Not those that a person stopped.")] = False,
    no_smoke: Annotated[bool, typer.Option("--no-smoke", help="All at once; else one is tried first.")] = False,
    smoke_timeout: Annotated[
        str, typer.Option("--smoke-timeout", metavar="DURATION", help="How long that one is waited for.")] = "2h",
    stagger: Annotated[str, typer.Option(help="The pause between two starts.")] = "2s",
    yes: Yes = False,
    submit: Annotated[str, typer.Option("--submit", metavar="CMD", help="With --slurm: how one is submitted, with "
                                        "{id}, {name}, {index}; else as it was.")] = "",
    cluster: Given = NOWHERE,
) -> int:  # fmt: skip
    """Start the failed and stopped ones again: one first, the others once it ended well.

    Jobs run with their prompt file as it is now; the old and the new run of each are written down and printed."""
    from coordinator.app.batches import Stand

    limit, pause = duration("--smoke-timeout", smoke_timeout), duration("--stagger", stagger)
    if cluster.slurm:
        from coordinator.cli.batches import cluster_acting

        tries = cluster_acting.Tries(submit, None if no_smoke else limit, fix, only_failed)
        return cluster_acting.resubmit(of_slurm(cluster, prefix, batch, label, plan, log_dir), tries, yes=yes)
    _only_of_slurm("--submit", submit)
    made = batch_of(batch, prefix, label, plan, log_dir, cluster)
    over = _of(made, *((Stand.BAD,) if only_failed else (Stand.BAD, Stand.STOPPED)))
    ids = [one.id for one in over]
    words = "resubmit --only-failed --yes" if only_failed else "resubmit --yes"
    if not agreed(over, "would be started again", made.scope.command(words), yes=yes):
        return 0
    smoke = None if no_smoke else limit
    if made.scope.by_hand:
        return _resubmit_jobs(made, ids, log_dir, smoke, pause, fix)
    from coordinator.cli.batches import asking

    if made.gate():
        asking.ask_again(made, ids, fix, smoke=not no_smoke)
        return 0
    if smoke is not None and len(ids) > 1:
        asking.need_a_coordinator(made)
    return _resubmit(made, ids, lambda names: asking.retried(made, names), smoke, fix)


def _resubmit_jobs(
    made: Batch, ids: Sequence[str], log_dir: str, limit: timedelta | None, stagger: timedelta, fix: str
) -> int:
    from coordinator.app import batch_verbs, jobs
    from coordinator.app.faces import COORDINATOR

    with acting(COORDINATOR, log_dir) as desk:
        def start(names: Sequence[str]) -> Iterator[Done]:
            return batch_verbs.start_again(desk, names, jobs.prompt_of, stagger)

        return _resubmit(made, ids, start, limit, fix)


def _resubmit(
    made: Batch, ids: Sequence[str], start: Callable[[Sequence[str]], Iterator[Done]], limit: timedelta | None, fix: str
) -> int:
    from coordinator.app import batch_verbs as verbs

    again = verbs.Again(start, limit, fix)
    try:
        return code_of(list(told(verbs.resubmit(made, ids, again, lambda span: time.sleep(span.total_seconds())))))
    except verbs.SmokeFailed as failed:
        raise Trouble(f"{failed}; the other {len(ids) - 1} were not started", made.scope.command("status"),
                      code=FAILED) from failed


def resume(
    batch: Named = "", label: Label = "", plan: Plan = "", fix: Fix = "",
    canary: Annotated[bool, typer.Option("--canary", help="One task first: its success lets the next wave go on.")]
    = False,
) -> None:  # fmt: skip
    """Let a held batch go on, all of it or one task first."""
    from coordinator.cli.batches.asking import ask_batch

    made = _of_tasks(batch_of(batch, "", label, plan), "resume")
    ask_batch(made.scope, "resume_batch", canary="1" if canary else "")
    made.note("resume", fix or ("one task first" if canary else "all of it"))


def hold(
    batch: Named = "", label: Label = "", plan: Plan = "",
    reason: Annotated[str, typer.Option(help="Told wherever one asks why nothing starts.")] = "",
    cancel_running: Annotated[bool, typer.Option("--cancel", help="End what runs, too.")] = False,
) -> None:  # fmt: skip
    """Start nothing more of a batch; what runs goes on, unless --cancel."""
    from coordinator.app.batches import Stand
    from coordinator.cli.batches.asking import ask_batch

    made = _of_tasks(batch_of(batch, "", label, plan), "hold")
    ids = [one.id for one in _of(made, Stand.RUNNING)] if cancel_running else []
    ask_batch(made.scope, "hold_batch", ids, reason=reason, cancel="1" if cancel_running else "")
    made.note("hold", reason, ids)


def note(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What was found, mended or learnt.")],
    prefix: Prefix = "", label: Label = "", plan: Plan = "", log_dir: LogDir = "",
    learnt: Annotated[bool, typer.Option("--learnt", help="A learning, not a fix.")] = False,
    cluster: Given = NOWHERE,
) -> None:  # fmt: skip
    """Keep a line for the report: a fix, or with --learnt a learning."""
    made = batch_of("", prefix, label, plan, log_dir, cluster)
    made.note("learnt" if learnt else "fix", text)
    print(f"noted; {made.scope.command('report')} shows it")


# --- shared ----------------------------------------------------------------------------------------------


def _of(made: Batch, *stands: Stand) -> list[Member]:
    return [one for one in made.members() if one.stand in stands]


def _only_of_slurm(option: str, value: object) -> None:
    if value:
        raise Trouble(f"{option} means nothing without --slurm", "It is for jobs of a cluster.", code=USAGE)


def _of_tasks(made: Batch, word: str) -> Batch:
    if made.scope.by_hand:
        raise Trouble(f"jobs started by hand are not held, so there is nothing to {word}",
                      "Nothing of them starts by itself. Tasks: --label or --plan.", code=USAGE)
    if not made.gate():
        raise Trouble(f"{made.scope.key} has no gate that could be closed or opened",
                      "Plans have one, and labels that begin with batch: (batch.label).")
    return made
