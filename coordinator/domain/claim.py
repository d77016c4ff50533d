"""The claim that one coordinator at a time holds on a repository, as it is written where all of them can see it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

TITLE = "The claim of a coordinator on this repository"
LONGEST = 200
"""Characters of a value that are kept: whoever may push can write anything here."""
LONGEST_LEASE = timedelta(days=1)
"""A longer lease is neither asked for nor waited for: a claim of a dead machine must not hold a repository for ever."""
_UNFIT = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]")


@dataclass(frozen=True)
class Claim:
    """Who holds the repository. `holder` names a checkout for ever and `life` one process on it; `generation` grows by
    one each time the claim is taken. `since` and `renewed_at` are by the holder's own clock and for people alone: no
    clock of one machine is held against another's. `released`: it was given back. `lease` is how long after a renewal
    the holder may count on it, in seconds; 0 where it does not say."""

    holder: str = ""
    life: str = ""
    generation: int = 0
    host: str = ""
    pid: int = 0
    checkout: str = ""
    since: datetime | None = None
    renewed_at: datetime | None = None
    released: bool = False
    lease: int = 0

    @property
    def who(self) -> str:
        """The holder, in words that let a person find it."""
        since = f", since {self.since:%Y-%m-%d %H:%M} UTC by its clock" if self.since is not None else ""
        return f"{self.host or 'an unknown host'} (pid {self.pid or 'unknown'}, {self.checkout or 'no folder'}{since})"


def written(claim: Claim) -> str:
    """The message of the claim's commit: a title, then one `key: value` a line."""
    pairs = {
        "holder": claim.holder,
        "life": claim.life,
        "generation": str(claim.generation),
        "lease": str(claim.lease),
        "host": claim.host,
        "pid": str(claim.pid),
        "checkout": claim.checkout,
        "since": claim.since.isoformat() if claim.since is not None else "",
        "renewed-at": claim.renewed_at.isoformat() if claim.renewed_at is not None else "",
        "state": "released" if claim.released else "held",
    }
    return "\n".join([TITLE, "", *(f"{key}: {_fit(value)}" for key, value in pairs.items()), ""])


def read(text: str) -> Claim:
    """The claim of such a message. What cannot be read is left out: such a claim is nobody's we know, and counts."""
    pairs = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    pairs = {key: _fit(value.strip()) for key, value in pairs.items()}
    return Claim(
        holder=pairs.get("holder", ""),
        life=pairs.get("life", ""),
        generation=_whole(pairs.get("generation", "")),
        lease=_whole(pairs.get("lease", "")),
        host=pairs.get("host", ""),
        pid=_whole(pairs.get("pid", "")),
        checkout=pairs.get("checkout", ""),
        since=_moment(pairs.get("since", "")),
        renewed_at=_moment(pairs.get("renewed-at", "")),
        released=pairs.get("state") == "released",
    )


def _fit(value: str) -> str:
    return _UNFIT.sub("?", value)[:LONGEST]


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else 0


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else None
