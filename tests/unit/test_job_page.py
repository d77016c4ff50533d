"""What operators are told of jobs stands in docs/job-runner.md, and their options have their old defaults."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from coordinator.app.faces import CC_GLM_JOB, COORDINATOR, DX_RUNNER, where
from coordinator.cli.jobs.group import group
from coordinator.domain.worker import Health
from tests.unit.test_docs import DOCS, firsts, rows, section, text

PAGE = DOCS / "job-runner.md"


def row_of(table: str, first: str) -> str:
    """One row of the table below a heading, by what its first cell begins with."""
    found = [" | ".join(row) for row in rows(section(PAGE, table)) if row[0].startswith(first)]
    assert len(found) == 1, (table, first, found)
    return found[0]


@pytest.mark.req("A34", "A35", "A36")
def test_the_cadence_of_watching_is_told_with_its_commands() -> None:
    assert "job status" in row_of("## Watching", "every 5 minutes")
    assert "job health" in row_of("## Watching", "every 15 minutes")
    assert "job tail" in row_of("## Watching", "on an alert")


@pytest.mark.req("A74", "A75", "A76", "A77", "A78", "A79", "A84")
def test_each_trouble_is_told_with_what_to_do() -> None:
    heading = "## When something is wrong"
    assert "worktree exists" in row_of(heading, "permission denied")
    assert "fix the prompt file" in row_of(heading, "the agent did something else")
    assert "last output" in row_of(heading, "no log update for 20 minutes")
    assert "long API call" in row_of(heading, "the process is alive")
    assert "`restart` by hand" in row_of(heading, "API timeout")
    assert "may hang" in row_of(heading, "CPU time does not rise (`last_cpu_time` in meta)")
    told = section(PAGE, heading)
    assert "a bad prompt, missing dependencies, rate limiting, the environment" in told


@pytest.mark.req("B101", "B106", "B107")
def test_the_retired_commands_have_their_successors_and_the_old_mistakes_are_named() -> None:
    retired = " ".join(row[0] for row in rows(section(PAGE, "## Migration from the older runners")))
    for name in ("cc-glm-job.sh", "cc-glm-headless.sh", "dx-runner"):
        assert name in retired
    watching = " ".join(section(PAGE, "## Watching").split())
    assert "do not restart more than once" in watching
    assert "no complex state tracking of your own" in watching


@pytest.mark.req("B23")
def test_every_health_has_its_action() -> None:
    told = {word for word in firsts(section(PAGE, "## Watching")) if word in set(Health)}
    assert told == {str(one) for one in Health}
    assert "nothing" in row_of("## Watching", "`healthy`").rpartition("|")[2]
    assert "wait" in row_of("## Watching", "`starting`")
    assert "restart" in row_of("## Watching", "`stalled`")
    assert "review the output" in row_of("## Watching", "`exited_ok`")
    assert "read the log" in row_of("## Watching", "`exited_err`")
    assert "a person" in row_of("## Watching", "`blocked`")


def defaults(command: str) -> dict[str, Any]:
    whole = typer.main.get_command(group(COORDINATOR))
    found = whole.commands[command]   # type: ignore[attr-defined]
    return {word: one.default for one in found.params for word in one.opts}


@pytest.mark.req("A122", "A124", "A125", "A126", "A127", "A128", "A133")
def test_start_and_watchdog_have_their_old_defaults() -> None:
    watchdog = defaults("watchdog")
    assert defaults("start")["--pty"] is False
    assert watchdog["--interval"] == 60
    assert watchdog["--max-retries"] == 1
    assert [watchdog[one] for one in ("--once", "--observe-only", "--no-auto-restart")] == [False] * 3
    assert watchdog["--pidfile"] == ""


@pytest.mark.req("A121", "A129", "A130", "A131", "A132")
def test_the_others_have_their_old_defaults_too() -> None:
    assert defaults("restart")["--preserve-contract"] is False
    assert defaults("tail")["--lines"] == 20
    assert [defaults(one)["--no-ansi"] for one in ("status", "health", "tail")] == [False] * 3
    assert [defaults(one)["--show-overrides"] for one in ("status", "health")] == [False] * 2
    assert str(where(CC_GLM_JOB, "", {}).folder) == "/tmp/cc-glm-jobs"
    assert str(where(DX_RUNNER, "", {}).folder) == "/tmp/dx-runner"


@pytest.mark.req("A103", "A109", "A110", "A111", "A114", "A116", "B16")
def test_the_quick_reference_holds_under_every_name() -> None:
    everyday = ("start", "status", "health", "check", "tail", "restart", "stop", "set-override", "watchdog")
    for face in (COORDINATOR, CC_GLM_JOB, DX_RUNNER):
        whole = typer.main.get_command(group(face))
        commands = whole.commands   # type: ignore[attr-defined]
        assert [one for one in everyday if one not in commands] == []
        for name in everyday:
            words = {word for param in commands[name].params for word in param.opts}
            assert {"--beads", "--job", "--log-dir"} <= words, (face.name, name)
        told = firsts(section(PAGE, "## Commands"))
        assert [one for one in everyday if not any(re.match(rf"coordinator job {one}\b", row) for row in told)] == []


def test_the_page_is_linked_from_the_first_page() -> None:
    assert "docs/job-runner.md" in text(DOCS.parent / "README.md")
