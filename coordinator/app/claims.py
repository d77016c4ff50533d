"""The claim on a repository, as this memory and this process ask for it."""

from __future__ import annotations

import json
import os
import secrets
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.config import Config
    from coordinator.domain.claim import Claim
    from coordinator.engine.claimant import Claimant
    from coordinator.planning.claiming import Terms
    from coordinator.ports import Repository, Store

HOLDER = "claim_holder"
"""The document with the name of this memory among all that may ask for the claim."""


def claimant(where: Place, config: Config, store: Store, repo: Repository) -> Claimant | None:
    """Who keeps the claim for this process; None where it is switched off."""
    from coordinator.adapters.system.clock import SystemClock, even
    from coordinator.domain.claim import Claim
    from coordinator.engine.claimant import Claimant
    from coordinator.engine.record import CLAIM

    if not config.repository.claim:
        return None
    holder = store.document(HOLDER)
    if holder is None:
        holder = secrets.token_hex(8)
        store.keep_document(HOLDER, holder)
    us = Claim(holder=holder, life=secrets.token_hex(4), host=socket.gethostname(), pid=os.getpid(),
               checkout=str(where.root))
    last = json.loads(store.document(CLAIM) or "{}")
    return Claimant(repo, us, terms(config), even=even, now=SystemClock().now, sha=last.get("sha", ""),
                    generation=last.get("generation", 0))


def look(repo: Repository) -> Claim | None:
    """Whose the claim is now; None where there is none. Raises GitError."""
    from coordinator.domain.claim import read

    sha, words = repo.claim("")
    return read(words) if sha else None


def holder_of(where: Place) -> str:
    """The name of this repository's memory among all that may ask for the claim; "" before it asked for one."""
    from coordinator.app import open_store
    from coordinator.ports import NewerSchema, StoreError

    if not where.store.exists():
        return ""
    try:
        store = open_store(where)
    except (StoreError, NewerSchema):   # said in a line of its own
        return ""
    try:
        return store.document(HOLDER) or ""
    finally:
        store.close()


def terms(config: Config) -> Terms:
    from coordinator.planning.claiming import Terms

    given = config.repository
    return Terms(given.claim_renew, given.claim_lease, given.claim_watch)
