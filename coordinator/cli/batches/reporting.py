"""batch report: what became of a batch and how sure that is, in eight parts; for people, scripts, or as a page."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from coordinator.cli.batches.cluster import NOWHERE, Expect, Given, with_cluster
from coordinator.cli.batches.scope import Label, LogDir, Named, Plan, Prefix, batch_of
from coordinator.cli.jobs.reading import print_json
from coordinator.cli.trouble import USAGE, Trouble

FORMATS = ("markdown", "json", "html")


def add_to(app: typer.Typer) -> None:
    app.command()(with_cluster(report))


def report(
    batch: Named = "",
    prefix: Prefix = "",
    label: Label = "",
    plan: Plan = "",
    log_dir: LogDir = "",
    form: Annotated[str, typer.Option("--format", metavar="markdown|json|html", help="For people, for scripts, or one "
                                      "page with charts that is read offline.")] = "markdown",
    expect: Expect = None,
    cluster: Given = NOWHERE,
) -> None:
    """Print the report of a batch, in eight parts: scope, timeline, failures, decision, intervention, completion,
    learnings, evidence."""
    from coordinator.app import batch_report, foreground

    if form not in FORMATS:
        raise Trouble(f"--format is {form!r}", f"Give {', '.join(FORMATS)}.", code=USAGE)
    named = replace(cluster, expect=tuple(expect or ()))
    made = batch_of(batch, prefix, label, plan, log_dir, named, aside=True)
    data = batch_report.report_of(made)
    if form == "json":
        print_json(data)
    elif form == "html":
        from coordinator.wording.batch_page import page

        print(page(foreground.masked_data(data, os.environ)), end="")
    else:
        from coordinator.wording.batch_report import markdown

        print(markdown(foreground.masked_data(data, os.environ)), end="")
