"""hosts check: asks hosts whether a worker could run there, several at the same time, and ends in one table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.hosts.common import AWAY, JsonFlag, configured, spoken, table
from coordinator.cli.trouble import NOT_READY
from coordinator.domain.hostcheck import HostLine

if TYPE_CHECKING:
    from coordinator.config import Config
    from coordinator.domain.hostcheck import HostReport

_HEAD = ("HOST", "READY", "GATE", "MISSING")


def add_to(app: typer.Typer) -> None:
    app.command()(check)


def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[HOST]...", help="These alone; else all.")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Ask hosts what a worker needs: ssh, Python, git, room, our folder, the clock, agents with their credentials.

    0 all are ready; 26 one is out of reach or its gate is closed; 21 one lacks something else."""
    from coordinator.app import host_checks, hosts

    config = configured()
    with spoken():
        wanted = list(dict.fromkeys(names or hosts.in_order(config)))
        for name in wanted:
            hosts.host_of(config, name)
    reports = []
    for report in host_checks.check(config, wanted, os.environ):
        reports.append(report)
        if not as_json:
            show_lines(report, max(map(len, wanted)))
            if report.closed:
                show_line(report.name, HostLine("gate", "fail", report.closed), max(map(len, wanted)))
    if as_json:
        from coordinator.cli.jobs.reading import print_json

        print_json([_facts(config, one) for one in reports])
    elif reports:
        print()
        table(_HEAD, [_row(config, one) for one in reports])
    else:
        print("no hosts: all work runs on this machine; [hosts.NAME] in coordinator.toml adds one")
    return judged(reports)


def show_lines(report: HostReport, width: int) -> None:
    for line in report.lines:
        show_line(report.name, line, width)


def show_line(host: str, line: HostLine, width: int) -> None:
    from coordinator.cli.jobs.reading import shown

    arrow = f"  → {shown(line.cure)}" if line.cure else ""
    print(f"{line.level:<4}  {host:<{width}}  {shown(line.words)}{arrow}", flush=True)


def judged(reports: Sequence[HostReport]) -> int:
    if any(not one.reachable or one.closed for one in reports):
        return AWAY
    return NOT_READY if any(one.missing for one in reports) else 0


def _row(config: Config, report: HostReport) -> list[str]:
    missing = [line.about for line in report.missing]
    gate = "closed" if report.closed else "open" if not config.hosts[report.name].enabled else "-"
    ready = "no" if missing or report.closed else "yes"
    return [report.name, ready, gate, ", ".join([*missing, *(["gate"] if report.closed else [])]) or "-"]


def _facts(config: Config, report: HostReport) -> dict[str, Any]:
    lines = [{"about": one.about, "level": one.level, "words": one.words, "cure": one.cure} for one in report.lines]
    return {
        "name": report.name, "address": config.hosts[report.name].address, "reachable": report.reachable,
        "ready": not report.missing and not report.closed, "gate": "closed" if report.closed else "open",
        "why_closed": report.closed, "lines": lines,
    }  # fmt: skip
