"""What the commands of the job runner share: their options, the name they were called by, errors in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.trouble import USAGE, Trouble
from coordinator.runfiles import names

if TYPE_CHECKING:
    from coordinator.app.faces import Face
    from coordinator.app.verbs import Desk, Refused

FaceContext = typer.Context


def checked(job: str) -> str:
    """The id itself: it becomes part of file names. Raises Trouble."""
    try:
        return names.check_name(job)
    except ValueError as wrong:
        raise Trouble(str(wrong), "Nothing was touched.", code=USAGE) from wrong


JobId = Annotated[str, typer.Option("--beads", "--job", metavar="ID", help="The job.", callback=checked)]
LogDir = Annotated[str, typer.Option("--log-dir", metavar="DIR", help="The folder of the run files.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="As JSON, and nothing else on stdout.")]


def face_of(ctx: typer.Context) -> Face:
    """The name this program was called by."""
    from coordinator.app.faces import COORDINATOR, Face

    found = ctx.find_root().obj
    return found if isinstance(found, Face) else COORDINATOR


@contextmanager
def acting(face: Face, log_dir: str, request: str = "", *, by_hand: str = "") -> Iterator[Desk]:
    """A desk for one verb; what it raises becomes words and an exit code. `request` and `by_hand` are for a job that is
    a coordinator's, as in handing.py: once it was asked, the command is over."""
    from coordinator.app import jobs, verbs

    desk = jobs.desk(face, log_dir, os.environ, lambda line: print(f"note: {line}", file=sys.stderr))
    try:
        yield desk
    except verbs.Refused as refused:
        raise trouble_of(refused) from refused
    except verbs.NotOurs as other:
        from coordinator.cli.jobs.handing import hand_over

        hand_over(other.job, request, by_hand)
        raise typer.Exit from other
    except (verbs.JobBusy, verbs.ForeignFolder, verbs.LaunchFailed) as error:
        raise Trouble(str(error), "Nothing was changed.") from error
    finally:
        jobs.close(desk)


def trouble_of(refused: Refused) -> Trouble:
    return Trouble(refused.words, *([refused.cure] if refused.cure else []), code=refused.code)


def read_prompt(path: str) -> str:
    """What the agent is sent. What is wrong with the file is an expected error."""
    from coordinator.app.jobs import prompt_of

    return prompt_of(path)
