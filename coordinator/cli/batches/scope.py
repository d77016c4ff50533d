"""Which batch a command means: one of --prefix, --label and --plan, and where its members are found."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.batches.cluster import NOWHERE, SHORT, Given, refuse_without
from coordinator.cli.batches.cluster import opened as opened_cluster
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.app.batches import Batch, Member, Scope
    from coordinator.app.slurm_watch import ClusterBatch
    from coordinator.cli.board import Board

Named = Annotated[
    str, typer.Argument(metavar="[BATCH]", help="prefix:P, label:L or plan:P; anything else is a label.")]
Prefix = Annotated[str, typer.Option("--prefix", metavar="P", help="Jobs whose id begins so; with --slurm: whose "
                                                 "name does.")]
Label = Annotated[str, typer.Option("--label", metavar="L", help="Tasks here whose issue has this label.")]
Plan = Annotated[str, typer.Option("--plan", metavar="PLAN", help="Tasks of this plan: its file or its id.")]
LogDir = Annotated[str, typer.Option("--log-dir", metavar="DIR", help="With --prefix: the folder of the run files.")]


def batch_of(
    key: str, prefix: str, label: str, plan: str, log_dir: str = "", cluster: Given = NOWHERE, *,
    aside: bool = False, patience: timedelta = SHORT,
) -> Batch:  # fmt: skip
    """The one batch that was named, by its key or by an option. `aside` and `patience` are for jobs of a cluster: where
    their scope is shown, and how long one question is tried again. Raises Trouble for none, more than one, or one that
    has no members."""
    from coordinator.app import batches

    refuse_without(cluster)
    if cluster.slurm:
        return of_slurm(cluster, prefix, key, label, plan, log_dir, aside=aside, patience=patience)
    given = [(kind, name) for kind, name in
             ((batches.PREFIX, prefix), (batches.LABEL, label), (batches.PLAN, plan)) if name]
    given += [kind_and_name(key)] if key else []
    if len(given) != 1:
        words = "name one batch" if not given else f"{' and '.join(':'.join(one) for one in given)}: name one batch"
        raise Trouble(words, "Give --prefix P (jobs), --label L or --plan PLAN (tasks); --slurm for jobs of a cluster.",
                      code=USAGE)
    [(kind, name)] = given
    if log_dir and kind != batches.PREFIX:
        raise Trouble(f"--log-dir means nothing with --{kind}", "Jobs lie in a folder, tasks on the board.", code=USAGE)
    return opened(kind, name, log_dir)


def of_slurm(
    cluster: Given, prefix: str, key: str, label: str, plan: str, log_dir: str, *, aside: bool = False,
    patience: timedelta = SHORT,
) -> ClusterBatch:  # fmt: skip
    """Jobs of a cluster, which nothing that names other batches can mean. Raises Trouble."""
    others = (("BATCH", key), ("--label", label), ("--plan", plan), ("--log-dir", log_dir))
    if named := [name for name, value in others if value]:
        raise Trouble(f"--slurm and {named[0]} name different batches", "With --slurm: --prefix P, --jobs IDS or "
                      "--user U.", code=USAGE)  # fmt: skip
    return opened_cluster(cluster, prefix, aside=aside, patience=patience)


def kind_and_name(key: str) -> tuple[str, str]:
    from coordinator.app import batches

    try:
        return batches.parse_key(key)
    except ValueError:
        return batches.LABEL, key


def opened(kind: str, name: str, log_dir: str = "") -> Batch:
    """As `batch_of`, for a kind and a name."""
    from coordinator.app import batches

    made = _of_jobs(name, log_dir) if kind == batches.PREFIX else _of_tasks(kind, name)
    if not made.members():
        raise _empty(made.scope)
    return made


def _of_jobs(prefix: str, log_dir: str) -> Batch:
    from coordinator.app import batches, jobs

    scope = batches.job_scope(prefix, log_dir, os.environ)
    find = batches.members_of_jobs(scope, os.environ, jobs.reading_settings(os.environ))
    return batches.batch_of(scope, find, batches.bands_of(jobs.configuration(os.environ)), os.environ,
                            files=lambda: batches.files_of_jobs(scope, os.environ))


def _of_tasks(kind: str, name: str) -> Batch:
    from coordinator import app
    from coordinator.app import batches

    place, name = _of_plan(name) if kind == batches.PLAN else _of_label(name)
    for line in _board(place).warnings:
        cure = "coordinator plan run PLAN" if kind == batches.PLAN else "coordinator run"
        print(f"note: {line.removesuffix('coordinator run')}{cure if line.endswith('coordinator run') else ''}",
              file=sys.stderr)
    scope = batches.Scope(kind, name, str(place.root))
    bands = batches.bands_of(app.configuration(place, os.environ))

    def find(_: Mapping[str, Any]) -> Sequence[Member]:
        return batches.members_of_rows(_board(place).rows, kind, name)

    return batches.batch_of(scope, find, bands, os.environ, lambda: batches.gate_of(_board(place).data, scope),
                            lambda: batches.files_of_rows(_board(place).rows, place.logs))


def _of_label(name: str) -> tuple[Place, str]:
    """The repository here, and the label in full: `spring` means `batch:spring` where no task has the first."""
    from coordinator import app

    place = app.place()
    full = f"{app.configuration(place, os.environ).batch.label}{name}"
    known = {str(label) for row in _board(place).rows for label in row.get("labels") or ()}
    return place, full if full in known and name not in known else name


def _of_plan(name: str) -> tuple[Place, str]:
    """Where the plan is worked on, by its file or its id: by a coordinator of its own, or that of a repository."""
    path = Path(name)
    if path.is_file():
        from coordinator.app.plans import place_of
        from coordinator.cli.plans.common import opened as opened_plan

        made = opened_plan(path)
        roots = (root for root in made.roots.values() if root is not None)
        found = [place_of(made.file.id, made.path, os.environ), *map(_place, dict.fromkeys(roots))]
        name, known = made.file.id, [one for one in found if _knows(one, made.file.id)][:1]
    else:
        known = [one for one in _places_of_plans() if _knows(one, name)]
    if not known:
        raise Trouble(f"no plan {name!r} was begun here", "coordinator plan run PLAN")
    if len(known) > 1:
        raise Trouble(f"{len(known)} plans have the id {name!r}", "Name its file: --plan PATH")
    return known[0], name


def _places_of_plans() -> list[Place]:
    """Of this repository, if we stand in one, and of every plan that has a coordinator of its own."""
    from coordinator import app
    from coordinator.app.faces import state_home

    try:
        here = [app.place()]
    except app.NoRepository:
        here = []
    plans = state_home(os.environ) / "coordinator" / "plans"
    return [*here, *(_place(one) for one in (sorted(plans.iterdir()) if plans.is_dir() else []))]


def _place(root: Path) -> Place:
    from coordinator.app import Place

    return Place(root)


def _knows(place: Place, plan: str) -> bool:
    rows = _board(place).data.get("plans")
    return any(isinstance(row, dict) and row.get("id") == plan for row in (rows if isinstance(rows, list) else []))


def _board(place: Place) -> Board:
    from coordinator import app
    from coordinator.cli.board import read_board

    return read_board(place.board, place.jobs, app.daemon_pid(place), app.now())


def _empty(scope: Scope) -> Trouble:
    if scope.by_hand:
        return Trouble(f"no job in {scope.place} begins with {scope.name!r}",
                       "`coordinator job status --all` lists the jobs; --log-dir names another folder.")
    what = "has the label" if scope.kind == "label" else "belongs to the plan"
    return Trouble(f"no task in {scope.place} {what} {scope.name!r}", "`coordinator status --all` lists the tasks.")
