"""hosts list: every host of the configuration with what it is for. It asks none of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

from coordinator.cli.hosts.common import JsonFlag, configured, table

if TYPE_CHECKING:
    from coordinator.config.sections import Host

_HEAD = ("HOST", "ADDRESS", "STATUS", "SLOTS", "LABELS", "PURPOSE")


def add_to(app: typer.Typer) -> None:
    app.command("list")(list_hosts)


def list_hosts(as_json: JsonFlag = False) -> None:
    """List the hosts of the configuration: where, what for, whether they take work."""
    from coordinator.app import hosts

    config = configured()
    closed = hosts.gates(config, os.environ)
    rows = [_facts(name, config.hosts[name], closed[name]) for name in hosts.in_order(config)]
    if as_json:
        from coordinator.cli.jobs.reading import print_json

        print_json(rows)
    elif not rows:
        print("no hosts: all work runs on this machine; [hosts.NAME] in coordinator.toml adds one")
    else:
        table(_HEAD, [[row["name"], row["address"], row["status"], str(row["slots"]),
                       ", ".join(row["labels"]) or "-", row["purpose"] or "-"] for row in rows])  # fmt: skip


def _facts(name: str, host: Host, closed: str) -> dict[str, Any]:
    status = "enabled" if host.enabled else "disabled: gate closed" if closed else "disabled: gate open"
    return {
        "name": name, "address": host.address, "purpose": host.purpose,
        "status": f"{status}, default" if host.default else status, "enabled": host.enabled, "default": host.default,
        "gate": "closed" if closed else "open", "why_closed": closed, "gate_doc": host.gate_doc, "slots": host.slots,
        "labels": list(host.labels), "ssh": list(host.ssh), "workdir": host.workdir, "shared": host.shared,
    }  # fmt: skip
