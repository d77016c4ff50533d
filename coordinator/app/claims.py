"""The claim on a repository, as this memory and this process ask for it."""

from __future__ import annotations

import json
import os
import secrets
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from coordinator.app import Place
    from coordinator.config import Config
    from coordinator.domain.claim import Claim
    from coordinator.engine.claimant import Claimant
    from coordinator.planning.claiming import Terms
    from coordinator.ports import Repository, Store

def claimant(where: Place, config: Config, store: Store, repo: Repository) -> Claimant | None:
    """Who keeps the claim for this process; None where it is switched off."""
    from coordinator.adapters.system.clock import SystemClock, even
    from coordinator.domain.claim import Claim
    from coordinator.engine.claimant import Claimant
    from coordinator.engine.holding import CLAIM

    if not config.repository.claim:
        return None
    us = Claim(holder=holder_of(where) or _named(where), life=secrets.token_hex(4), host=socket.gethostname(),
               pid=os.getpid(), checkout=str(where.root))
    last = json.loads(store.document(CLAIM) or "{}")
    return Claimant(repo, us, terms(config), even=even, now=SystemClock().now, sha=last.get("sha", ""),
                    generation=last.get("generation", 0))


def look(repo: Repository) -> Claim | None:
    """Whose the claim is now; None where there is none. Raises GitError."""
    from coordinator.domain.claim import read

    sha, words = repo.claim("")
    return read(words) if sha else None


def holder_of(where: Place) -> str:
    """This checkout's name among all that may ask for the claim; "" before it asked for one. It stands in a file: the
    lock beside it keeps two of that name apart, and it outlives a memory that is lost."""
    from coordinator.runfiles import atomic

    return (atomic.read(str(_holder(where)), 1000) or b"").decode("ascii", "replace").strip()


def _named(where: Place) -> str:
    from coordinator.adapters.system.files import SystemFiles

    name = secrets.token_hex(8)
    SystemFiles().put(_holder(where), f"{name}\n")
    return name


def _holder(where: Place) -> Path:
    return where.home / "holder"


def terms(config: Config) -> Terms:
    from coordinator.planning.claiming import Terms

    given = config.repository
    return Terms(given.claim_renew, given.claim_lease, given.claim_watch)
