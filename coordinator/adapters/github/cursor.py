"""Where the listing of issues stands, as text to be stored beside the issues. Opaque to everybody else.

`since` is the newest `updated_at` seen, GitHub's own time, and inclusive when asked with; `etag` belongs to the
answer for exactly that `since`, so that an idle look after a restart is a 304 too. It is that of the last `page`: where
more issues than one page holds were changed in that second, whatever changes since moves what stands on the last.
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
    page: int = 1

    @property
    def stamp(self) -> str:
        return self.since.strftime("%Y-%m-%dT%H:%M:%SZ")

    def text(self) -> str:
        return json.dumps({"repo": self.repo, "since": self.stamp, "etag": self.etag, "page": self.page})


def read(text: str | None, repo: str) -> Cursor | None:
    """None when there is none, it is another repository's or of no shape of ours: then all is listed anew."""
    try:
        told = json.loads(text or "null")
        since = datetime.fromisoformat(told["since"]).astimezone(UTC)
        found = Cursor(str(told["repo"]), since, str(told["etag"]), int(told.get("page", 1)))
    except (ValueError, TypeError, KeyError):
        return None
    return found if found.repo == repo else None
