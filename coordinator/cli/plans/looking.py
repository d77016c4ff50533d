"""plan status: how a plan stands, from what its coordinator wrote last."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.plans.common import File, opened
from coordinator.cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.app import Place
    from coordinator.app.plans import Plan
    from coordinator.cli.board import Board
    from coordinator.cli.views.fitting import Line


def add_to(app: typer.Typer) -> None:
    app.command()(status)


def status(
    plan: File,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    watching: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds.")] = False,
) -> None:
    """How a plan stands: its waves, each task with what it waits for, and what came out."""
    from coordinator.cli import screen

    made = opened(plan)
    if as_json:
        board, row = _found(made)
        tasks = [{**task, "now": _task_row(board, task)} for task in row["tasks"]]
        print(json.dumps({**row, "tasks": tasks, "warnings": board.warnings}, indent=2, ensure_ascii=False))
    elif watching:
        screen.watch(lambda _: _lines(*_found(made)))
    else:
        screen.show(_lines(*_found(made)))


def answer(place: Place, plan_id: str) -> list[Line]:
    """How the plan stands at this place."""
    board = _board(place)
    return next((_lines(board, row) for row in _plans(board) if row["id"] == plan_id), [])


def _lines(board: Board, row: dict[str, Any]) -> list[Line]:
    from coordinator import app
    from coordinator.cli import screen
    from coordinator.cli.views.plan import plan_status

    return plan_status(row, board, app.now(), screen.width())


def _found(made: Plan) -> tuple[Board, dict[str, Any]]:
    """The board that knows this plan: its own place's, else that of a repository it was handed to."""
    for place in _places(made):
        board = _board(place)
        for row in _plans(board):
            if row["id"] == made.file.id and row.get("path") == str(made.path):
                return board, row
    raise Trouble(f"the plan {made.path.name} was never begun", f"coordinator plan run {made.path}")


def _places(made: Plan) -> Iterator[Place]:
    from coordinator.app import Place
    from coordinator.app.plans import place_of

    yield place_of(made.file.id, made.path, os.environ)
    yield from (Place(root) for root in dict.fromkeys(made.roots.values()) if root is not None)


def _board(place: Place) -> Board:
    from coordinator import app
    from coordinator.cli.board import read_board

    return read_board(place.board, place.jobs, app.daemon_pid(place), app.now())


def _plans(board: Board) -> list[dict[str, Any]]:
    plans = board.data.get("plans")
    rows = plans if isinstance(plans, list) else []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("tasks"), list)]


def _task_row(board: Board, task: dict[str, Any]) -> dict[str, Any] | None:
    return board.row(str(task.get("task")))
