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


def test_that_function_sends_a_branch_after_the_look_alone() -> None:
    [source] = [one for one in floors.sources(ROOT) if one.name == NETWORK]
    made = methods(source.tree)

    def callers(name: str) -> list[str]:
        return [who for who, node in made.items() if f"self.{name}" in calls(node)]

    assert (callers("_push"), callers("_push_branch")) == (["_push_branch", "_push_claim"], ["push"])
    assert calls(made["push"])[:2] == ["self._look_through", "self._push_branch"]
    assert (callers("_push_claim"), callers("_put")) == (["_put"], ["push_claimed", "put_claim"])
    assert calls(made["push_claimed"]) == ["self._look_through", "self._put"]
    assert ast.unparse(made["put_claim"].body[-1]) == "return self._put(words, held)"   # no branch goes along
    assert calls(made["_look_through"]) == ["self._leaving", "HeldBack.judge", "passes", "self._stands"]
