"""plan new: the skeleton of a plan file, to be filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.trouble import GENERAL, USAGE, Trouble


def add_to(app: typer.Typer) -> None:
    app.command()(new)


def new(
    topic: Annotated[str, typer.Argument(help="What the plan is about, such as auth: the file is auth-plan.md.")],
    name: Annotated[str, typer.Option(help="The plan's name; the topic for none.")] = "",
    tasks: Annotated[int, typer.Option(min=1, max=1000, help="How many tasks the skeleton has.")] = 3,
    repo: Annotated[str, typer.Option(help="The repository they change; the one stood in for none.")] = "",
) -> None:
    """Write a plan file with every field to fill in. A file that is there is left alone."""
    from coordinator.app.drafts import BadTopic, NoDraft, new_plan

    try:
        path = new_plan(Path(), topic, name, tasks, repo)
    except NoDraft as error:
        raise Trouble(str(error), error.cure, code=USAGE if isinstance(error, BadTopic) else GENERAL) from error
    except OSError as error:
        raise Trouble(f"the plan cannot be written: {error}", "Stand in a folder you may write to.") from error
    print(f"{path}: fill it in, then coordinator plan check {path}")
