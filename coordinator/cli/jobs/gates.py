"""preflight and beads-gate: what must be in order before work is started, asked without starting any."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs.common import JsonFlag
from coordinator.cli.trouble import NO_PROVIDER, USAGE, Trouble
from coordinator.cli.views.harmless import harmless

if TYPE_CHECKING:
    from coordinator.app.gates import Gate, Readiness

BEADS_FAILED = 24
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def add_to(app: typer.Typer) -> None:
    app.command()(preflight)
    app.command("beads-gate")(beads_gate)


def preflight(
    provider: Annotated[str, typer.Option(help="Which agent.")],
    live: Annotated[bool, typer.Option("--live", help="Ask for an answer now, whatever was known.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Check whether an agent can be started: program, version, credentials, and once a day a real answer."""
    from coordinator.app import gates

    known = gates.known_provider(provider)
    if known:
        raise Trouble(f"there is no provider {provider!r}", known, code=NO_PROVIDER)
    lines = gates.preflight(provider, os.environ, lambda line: print(harmless(line), file=sys.stderr), live=live)
    if as_json:
        _print_json(_preflight_facts(provider, lines))
    else:
        for line in lines:
            print(_row("ok" if line.ok else "fail", line.words, line.cure))
    return next((line.code for line in lines if not line.ok), 0)


def _preflight_facts(provider: str, lines: tuple[Readiness, ...]) -> dict[str, object]:
    bad = next((line for line in lines if not line.ok), None)
    return {
        "provider": provider,
        "passed": bad is None,
        "reason_code": bad.reason if bad is not None else "",
        "exit_code": bad.code if bad is not None else 0,
        "checks": [
            {"ok": line.ok, "words": line.words, "reason_code": line.reason, "cure": line.cure} for line in lines
        ],
    }


def beads_gate(
    repo: Annotated[Path, typer.Option(metavar="DIR", help="The repository whose beads are worked on.")],
    probe_id: Annotated[str, typer.Option("--probe-id", metavar="ID", help="An issue that must be there.")] = "",
    write_probe: Annotated[bool, typer.Option("--write-probe", help="Comment on it, to see that one may.")] = False,
    flush: Annotated[bool, typer.Option("--flush", help="Have bd write its JSONL; a failure warns.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Check that the beads of a repository can be read and, when asked, written. Exit 24 when not."""
    from coordinator.app import gates

    if not repo.is_dir():
        raise Trouble(f"--repo {repo} is no folder", "Name the checkout whose beads are meant.", code=USAGE)
    if probe_id and not _ID.fullmatch(probe_id):
        raise Trouble(f"--probe-id {probe_id!r} is no id", "Letters, digits, dots, dashes: bd-x1.", code=USAGE)
    if write_probe and not probe_id:
        raise Trouble("--write-probe comments on an issue, and none is named", "Add --probe-id ID.", code=USAGE)
    wanted = gates.beads_wanted(repo, os.environ, probe_id=probe_id, write=write_probe, flush=flush)
    gate = gates.beads_gate(wanted, os.environ)
    if as_json:
        _print_json(_gate_facts(gate))
    else:
        print(_row("ok" if gate.passed else "fail", f"{gate.reason}: {gate.details}", gate.cure))
    for warning in gate.warnings:
        print(f"warning: {_line(warning)}", file=sys.stderr)
    return 0 if gate.passed else BEADS_FAILED


def _gate_facts(gate: Gate) -> dict[str, object]:
    return {
        "passed": gate.passed,
        "reason_code": gate.reason,
        "db_status": gate.db_status,
        "repo_id_local": gate.repo_id_local,
        "repo_id_db": gate.repo_id_db,
        "external_repo": gate.external_repo,
        "external_remote": gate.external_remote,
        "details": gate.details,
        "cure": gate.cure,
        "warnings": list(gate.warnings),
    }


def _row(level: str, words: str, cure: str) -> str:
    return f"{level:<4}  {_line(words)}" + (f"  → {_line(cure)}" if cure else "")


def _line(text: str) -> str:
    return " ".join(harmless(text).split())


def _print_json(facts: dict[str, object]) -> None:
    print(json.dumps(facts, ensure_ascii=False, indent=2))
