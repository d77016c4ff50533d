"""What another coordinator left on the remote, as the store keeps it: one document, read anew at each take-over."""

from __future__ import annotations

import json
from collections.abc import Mapping

from coordinator.domain.task import Task
from coordinator.engine.facts import Inherited
from coordinator.planning.claiming import Inheritance, Left
from coordinator.ports import Store

NAME = "inheritance"


def inheritance_of(store: Store) -> Inheritance:
    kept = json.loads(store.document(NAME) or "{}")
    return Inheritance({branch: Left(sha, pull) for branch, (sha, pull) in kept.items()})


def expected(store: Store, task: Task) -> str:
    """The commit of the task's branch on the remote that may be built upon and replaced."""
    return inheritance_of(store).expected(task)


def come_into(store: Store, branches: Mapping[str, str]) -> None:
    """The branches that stood there when the claim was taken from another."""
    _keep(store, {branch: Left(sha) for branch, sha in branches.items()})


def answered(store: Store, fact: Inherited) -> None:
    """Which pull request carries one of them."""
    if fact.pull is not None:
        store.keep_pulls([fact.pull])
    branches = dict(inheritance_of(store).branches)
    branches[fact.branch] = Left(fact.sha, fact.pull.number if fact.pull is not None else 0)
    _keep(store, branches)


def _keep(store: Store, branches: Mapping[str, Left]) -> None:
    kept = {branch: (left.sha, left.pull) for branch, left in branches.items()}
    store.keep_document(NAME, json.dumps(kept, sort_keys=True) if kept else None)
