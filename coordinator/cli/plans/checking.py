"""plan check and plan show: a plan file before it is run. Nothing is started and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.plans.common import INVALID, File, opened

if TYPE_CHECKING:
    from coordinator.app.plans import Plan
    from coordinator.domain.finding import Finding

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


def add_to(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(show)


def check(plan: File, as_json: Json = False) -> int:
    """Say what is wrong with a plan, each with its line and what to do.

    0 for a plan that can be run, with warnings too; 27 for one that cannot."""
    from coordinator.cli.views.plan_file import finding_row, findings

    made, found, errors = _judged(plan)
    if as_json:
        counts = {"errors": errors, "warnings": len(found) - errors}
        _print({"file": str(made.path), "id": made.file.id, **counts, "findings": [finding_row(one) for one in found]})
    else:
        from coordinator.cli import screen

        screen.show(findings(plan.name, made.file, found))
    return INVALID if errors else 0


def show(plan: File, as_json: Json = False) -> int:
    """Show a plan's waves as a tree, its longest chain, and which tasks are in each other's way.

    0 for a plan that can be run, 27 for one that cannot."""
    from coordinator.app.drafts import shape
    from coordinator.cli.views.plan_file import tree, tree_row

    made, _, errors = _judged(plan)
    drawn = shape(made.file)
    if as_json:
        _print({"file": str(made.path), "errors": errors, **tree_row(made.file, drawn)})
    else:
        from coordinator.cli import screen

        screen.show(tree(made.file, drawn, errors, screen.width()))
    return INVALID if errors else 0


def _judged(path: File) -> tuple[Plan, tuple[Finding, ...], int]:
    """The plan, what was found, and how many of it are errors."""
    from coordinator.app.plans import faults

    made = opened(path)
    found = faults(made)
    return made, found, sum(one.level == "error" for one in found)


def _print(data: dict[str, object]) -> None:
    import json

    print(json.dumps(data, ensure_ascii=False, indent=2))
