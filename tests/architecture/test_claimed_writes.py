"""Whatever is written on GitHub is for the holder of the claim: two coordinators that both speak would say it twice."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from coordinator.engine.effects import _MADE_BY
from coordinator.planning.claiming import OUTWARD
from coordinator.ports import GitHub
from tests.architecture import floors

ROOT = Path(__file__).resolve().parents[2]
READS = {"facts", "changed_issues", "recent_pulls", "issue", "label_events", "history", "remarks", "permission",
         "blockers", "pulls_of_branch", "pulls_with_commit", "comments", "label_exists", "budget"}
WRITES = {name for name in vars(GitHub) if not name.startswith("_")} - READS
WRITING = re.compile(rf"(.*\.)?github\.({'|'.join(sorted(WRITES))})|.*\.push")


def calls() -> dict[str, set[str]]:
    """What each function of the effects calls: by `module.name` what is one of them, else as it stands there."""
    found: dict[str, set[str]] = {}
    for source in floors.sources(ROOT):
        if not source.module.startswith("engine.effects"):
            continue
        here = source.module.rpartition(".")[2]
        known = {name.asname or name.name: f"{(node.module or '').rpartition('.')[2]}.{name.name}"
                 for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom) for name in node.names}
        for node in (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)):
            names = {ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
            found[f"{here}.{node.name}"] = {one if "." in one else known.get(one, f"{here}.{one}") for one in names}
    return found


def writing() -> set[str]:
    """Functions that write on GitHub, themselves or by another of them."""
    made = calls()
    found = {name for name, names in made.items() if any(map(WRITING.fullmatch, names))}
    while more := {name for name, names in made.items() if names & found} - found:
        found |= more
    return found


def test_every_effect_that_writes_on_github_is_left_to_the_holder_of_the_claim() -> None:
    write = writing()
    speaking = {action.__name__ for action, effect in _MADE_BY.items()
                if f"{effect.__module__.rpartition('.')[2]}.{effect.__name__}" in write}
    assert speaking >= {"Tell", "TellBatch", "Explain", "Push", "Publish", "Deliver"}, "the source was read"
    assert speaking - {action.__name__ for action in OUTWARD} == set()
