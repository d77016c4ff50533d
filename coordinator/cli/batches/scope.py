"""Which batch a command means: one of --prefix, --label and --plan, and where its members are found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.app.batches import Batch, Member, Scope

Named = Annotated[
    str, typer.Argument(metavar="[BATCH]", help="prefix:P, label:L or plan:P; anything else is a label.")]
Prefix = Annotated[str, typer.Option("--prefix", metavar="P", help="Jobs whose id begins so.")]
Label = Annotated[str, typer.Option("--label", metavar="L", help="Tasks here whose issue has this label.")]
Plan = Annotated[str, typer.Option("--plan", metavar="PLAN", help="Tasks of this plan: its file or its id.")]
LogDir = Annotated[str, typer.Option("--log-dir", metavar="DIR", help="With --prefix: the folder of the run files.")]


def batch_of(key: str, prefix: str, label: str, plan: str, log_dir: str = "") -> Batch:
    """The one batch that was named, by its key or by an option. Raises Trouble for none, more than one, or one that has
    no members."""
    from coordinator.app import batches

    given = [(kind, name) for kind, name in
             ((batches.PREFIX, prefix), (batches.LABEL, label), (batches.PLAN, plan)) if name]
    given += [kind_and_name(key)] if key else []
    if len(given) != 1:
        words = "name one batch" if not given else f"{' and '.join(':'.join(one) for one in given)}: name one batch"
        raise Trouble(words, "Give --prefix P (jobs), --label L or --plan PLAN (tasks).", code=USAGE)
    [(kind, name)] = given
    if log_dir and kind != batches.PREFIX:
        raise Trouble(f"--log-dir means nothing with --{kind}", "Jobs lie in a folder, tasks on the board.", code=USAGE)
    return opened(kind, name, log_dir)


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
    if not made.find({}):
        raise _empty(made.scope)
    return made


def _of_jobs(prefix: str, log_dir: str) -> Batch:
    from coordinator.app import batches, jobs

    scope = batches.job_scope(prefix, log_dir, os.environ)
    find = batches.members_of_jobs(scope, os.environ, jobs.reading_settings(os.environ))
    return batches.batch_of(scope, find, batches.bands_of(jobs.configuration(os.environ)), os.environ)


def _of_tasks(kind: str, name: str) -> Batch:
    from coordinator import app
    from coordinator.app import batches

    place = app.place()
    scope = batches.Scope(kind, name, str(place.root))
    bands = batches.bands_of(app.configuration(place, os.environ))
    return batches.batch_of(scope, _on_the_board(place, scope), bands, os.environ)


def _on_the_board(place: Place, scope: Scope) -> Callable[[Mapping[str, Any]], Sequence[Member]]:
    from coordinator import app
    from coordinator.app import batches
    from coordinator.cli.board import read_board

    def find(_: Mapping[str, Any]) -> Sequence[Member]:
        board = read_board(place.board, place.jobs, app.daemon_pid(place), app.now())
        return batches.members_of_rows(board.rows, scope.kind, scope.name)

    return find


def _empty(scope: Scope) -> Trouble:
    if scope.by_hand:
        return Trouble(f"no job in {scope.place} begins with {scope.name!r}",
                       "`coordinator job status --all` lists the jobs; --log-dir names another folder.")
    what = "has the label" if scope.kind == "label" else "belongs to the plan"
    return Trouble(f"no task in {scope.place} {what} {scope.name!r}", "`coordinator status --all` lists the tasks.")
