"""The names people know from older tools, each an entry point of its own: the same program with other defaults."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from coordinator.app.faces import CC_GLM_JOB, DX_RUNNER, Face
from coordinator.cli.jobs.group import group
from coordinator.cli.program import run_program


def run_as(face: Face, argv: Sequence[str]) -> int:
    """Runs one command under this name and returns its exit code. Never raises."""
    return run_program(group(face, argv), face.name, argv)


def cc_glm_job() -> int:
    return run_as(CC_GLM_JOB, sys.argv[1:])


def dx_runner() -> int:
    return run_as(DX_RUNNER, sys.argv[1:])
