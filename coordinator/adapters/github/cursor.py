"""Where the listing of issues stands, as text to be stored beside the issues. Opaque to everybody else.

`since` is the newest `updated_at` seen, GitHub's own time, and inclusive when asked with; `etag` belongs to the
answer for exactly that `since`, so that an idle look after a restart is a 304 too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Cursor:
    repo: str
    since: datetime
    etag: str = ""

    @property
    def stamp(self) -> str:
        return self.since.strftime("%Y-%m-%dT%H:%M:%SZ")

    def text(self) -> str:
        return json.dumps({"repo": self.repo, "since": self.stamp, "etag": self.etag})


def read(text: str | None, repo: str) -> Cursor | None:
    """None when there is none, it is another repository's or of no shape of ours: then all is listed anew."""
    try:
        told = json.loads(text or "null")
        since = datetime.fromisoformat(told["since"]).astimezone(UTC)
        found = Cursor(str(told["repo"]), since, str(told["etag"]))
    except (ValueError, TypeError, KeyError):
        return None
    return found if found.repo == repo else None
