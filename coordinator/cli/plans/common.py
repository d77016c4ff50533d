"""What the commands of plan files share: the file, opened and found good, and where its memory lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.trouble import Trouble

if TYPE_CHECKING:
    from coordinator.app.plans import Plan

INVALID = 27

File = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan file, such as auth-plan.md.")]


def opened(path: Path) -> Plan:
    """The plan as its file stands. Raises Trouble for a file that is none."""
    from coordinator.app.plans import BadPlanFile, open_plan

    try:
        return open_plan(path)
    except BadPlanFile as error:
        raise Trouble(str(error), "coordinator plan new TOPIC writes one.") from error


def good(path: Path) -> Plan:
    """A plan without errors. Raises Trouble (27) that names the first of them, with its line and cure."""
    from coordinator.app.plans import faults

    plan = opened(path)
    errors = [one for one in faults(plan) if one.level == "error"]
    if errors:
        raise Trouble(
            f"{path}: {_count(errors)}; the first stands in line {errors[0].line}: {errors[0].words}",
            errors[0].cure, f"coordinator plan check {path} lists all of them.", "Nothing was started.", code=INVALID,
        )
    return plan


def _count(errors: Sequence[Any]) -> str:
    return "the plan has an error" if len(errors) == 1 else f"the plan has {len(errors)} errors"
