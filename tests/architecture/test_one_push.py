"""There is one way out: git is told to push in one place, after what it would publish was looked through."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture import floors

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "coordinator/adapters/git/network.py"


def words(node: ast.AST) -> set[str]:
    return {str(one.value) for one in ast.walk(node) if isinstance(one, ast.Constant)}


def methods(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def calls(node: ast.AST) -> list[str]:
    """Names of what is called, as they stand in the source."""
    found = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    return [ast.unparse(one.func) for one in sorted(found, key=lambda one: (one.lineno, one.col_offset))]


def test_git_is_told_to_push_in_one_function_alone() -> None:
    rooms = ("adapters.git", "adapters.executors", "adapters.system", "engine", "worker", "far", "app")
    tellers = [(source.name, name) for source in floors.sources(ROOT) if source.room in rooms
               for name, node in methods(source.tree).items()
               if any({"push", "send-pack"} & words(call) for call in ast.walk(node) if isinstance(call, ast.Tuple))]
    assert tellers == [(NETWORK, "_push")]


def test_that_function_is_called_after_the_look_alone() -> None:
    [source] = [one for one in floors.sources(ROOT) if one.name == NETWORK]
    callers = {name: calls(node) for name, node in methods(source.tree).items() if "self._push" in calls(node)}
    assert list(callers) == ["push"]
    assert callers["push"][:4] == ["self._leaving", "_refuse", "passes", "self._push"]
