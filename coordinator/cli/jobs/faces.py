"""The names people know from older tools, each an entry point of its own: the same program with other defaults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import typer

from coordinator.app.faces import CC_GLM_JOB, DX_RUNNER, Face
from coordinator.cli.commands import bare
from coordinator.cli.jobs.group import group
from coordinator.cli.program import run_program


def run_as(face: Face, argv: Sequence[str]) -> int:
    """Runs one command under this name and returns its exit code. Never raises."""
    return run_program(group(face, argv), face.name, argv)


def cc_glm_job() -> int:
    return run_as(CC_GLM_JOB, sys.argv[1:])


def dx_runner() -> int:
    return run_as(DX_RUNNER, sys.argv[1:])


def cc_glm_headless() -> int:
    """One command and no others: `cc-glm-headless --prompt-file P`."""
    from coordinator.cli.jobs import headless

    return _alone("cc-glm-headless", headless.add_to)


def wait_for_job() -> int:
    """One command and no others: `wait-for-job --check-cmd C`."""
    from coordinator.cli.jobs import waiting

    return _alone("wait-for-job", waiting.add_to)


def _alone(name: str, add_to: Callable[[typer.Typer], None]) -> int:
    app = bare(name, "")
    add_to(app)
    return run_program(app, name, sys.argv[1:])
