"""The names people know from older tools, each an entry point of its own: the same program with other defaults."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from coordinator.app.faces import CC_GLM_JOB, DX_RUNNER, Face
from coordinator.cli.jobs.group import group
from coordinator.cli.program import run_program


def cc_glm_job(argv: Sequence[str] | None = None) -> int:
    return _run(CC_GLM_JOB, argv)


def dx_runner(argv: Sequence[str] | None = None) -> int:
    return _run(DX_RUNNER, argv)


def _run(face: Face, argv: Sequence[str] | None) -> int:
    app = group(f"{face.name}: start, watch, stop and judge agent jobs. Run files: {face.folder}.")

    @app.callback(invoke_without_command=True)
    def named(
        ctx: typer.Context,
        version: bool = typer.Option(False, "--version", "-V", help="Print the version."),
    ) -> None:
        ctx.obj = face
        if version:
            from coordinator import __version__

            print(f"{face.name} {__version__}")
            raise typer.Exit

    return run_program(app, face.name, sys.argv[1:] if argv is None else argv)
