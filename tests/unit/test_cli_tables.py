"""A program that is built for one command has that command, whichever it is."""

from __future__ import annotations

import pytest

from coordinator.app.faces import COORDINATOR
from coordinator.cli import main
from coordinator.cli.commands import words
from coordinator.cli.jobs import group


def test_the_tables_name_every_command_there_is() -> None:
    assert words(main.program()) == set(main.COMMANDS)
    assert words(group.group(COORDINATOR)) == set(group.COMMANDS)


@pytest.mark.parametrize("word", sorted(main.COMMANDS))
def test_a_command_is_found_alone(word: str) -> None:
    assert words(main.program([word])) == {word}


@pytest.mark.parametrize("word", sorted(group.COMMANDS))
def test_a_command_of_the_job_runner_is_found_alone(word: str) -> None:
    assert words(group.group(COORDINATOR, [word])) == {word}


def test_what_is_no_command_is_looked_for_among_all() -> None:
    assert words(main.program(["--help"])) == set(main.COMMANDS)
