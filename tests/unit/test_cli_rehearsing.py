"""What `rehearse --serve` says can be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from coordinator.cli.rehearsing import again, served


@pytest.mark.parametrize("folder", ["/tmp/plain", "/tmp/my co", "/tmp/it's; $HOME"])
def test_paths_are_words_of_a_shell_whatever_they_hold(folder: str) -> None:
    _, tail, change, _ = served("http://127.0.0.1:1", Path(folder) / "log", Path(folder) / "clone")
    assert shlex.split(tail, comments=True) == ["tail", "-f", f"{folder}/log"]
    assert shlex.split(change) == ["cd", f"{folder}/clone", "&&", "coordinator", "status"]
    _, change = again(Path(folder) / "clone", "a-token")
    assert shlex.split(change) == ["cd", f"{folder}/clone", "&&", "GITHUB_TOKEN=a-token", "coordinator", "run"]
