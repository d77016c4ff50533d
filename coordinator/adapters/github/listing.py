"""Following the issues so that nothing is ever missed and an idle look is one 304.

The look asks for what was updated since the cursor, oldest first, and moves the cursor to the newest time it
saw; `since` counts whole seconds and is inclusive, so the same question is put again until it brings nothing newer,
and the ETag of its last page is kept. Pages are not walked by number: an issue that is updated meanwhile moves to
the end and the one behind it would slip between two pages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.adapters.github.asking import PER_PAGE, Asker, listed, next_page
from coordinator.adapters.github.cursor import Cursor
from coordinator.adapters.github.failures import server_time
from coordinator.adapters.github.transport import Answer
from coordinator.domain.hub import Listing
from coordinator.domain.issue import Issue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDS = 3
"""A listing during which issues were closed is made anew this often; the daily one mends what is left."""
_LATER = timedelta(seconds=5)
Found = dict[int, Issue]
Reader = Callable[[dict[str, Any]], Issue]


def since(asker: Asker, cursor: Cursor, read: Reader) -> Listing:
    """What was updated at or after the cursor, and the cursor for the next look."""
    found, after = _walk(asker, cursor, read)
    if found is None:
        return Listing(changed=False, issues=(), cursor=cursor.text())
    return Listing(changed=True, issues=tuple(found.values()), cursor=after.text())


def everything(asker: Asker, repo: str, read: Reader) -> Listing:
    """All open issues. One that is closed while the pages are read pulls the others up, over the edge of a page
    that was read already: the look from before the listing shows it, and the listing is made again."""
    found, after, sure = _round(asker, repo, read)
    for _ in range(_ROUNDS - 1):
        if sure:
            break
        found, after, sure = _round(asker, repo, read)
    still_open = tuple(issue for issue in found.values() if issue.open)
    return Listing(changed=True, issues=still_open, cursor=after.text(), full=True)


def _round(asker: Asker, repo: str, read: Reader) -> tuple[Found, Cursor, bool]:
    """One listing, the cursor after it, and whether nothing was closed while several pages were read."""
    newest = _newest(asker, read)
    start = Cursor(repo, newest.updated_at if newest else _EPOCH)
    pages = list(asker.pages("issues", {"state": "open", "sort": "created", "direction": "asc"}))
    found = {issue.number: issue for page in pages for issue in map(read, page)}
    changed, after = _walk(asker, start, read)
    closed = [issue for issue in (changed or {}).values() if not issue.open and issue != newest]
    return found | (changed or {}), after, len(pages) == 1 or not closed


def _newest(asker: Asker, read: Reader) -> Issue | None:
    answer = asker.look("issues", {"state": "all", "sort": "updated", "direction": "desc", "per_page": 1}, "")
    return next(map(read, listed(answer, "issues")), None)


def _walk(asker: Asker, cursor: Cursor, read: Reader) -> tuple[Found | None, Cursor]:
    """Looks until a look brings nothing newer. None = nothing changed at all."""
    found: Found | None = None
    page, etag = cursor.page, cursor.etag
    while True:
        answer = asker.look("issues", _query(cursor, page), etag)
        if answer.status == 304:
            return found, cursor
        if etag and page > 1:   # what stands on the last page moved: all of that second is read anew
            page, etag = 1, ""
            continue
        etag = ""
        told = list(map(read, listed(answer, "issues")))
        found = (found or {}) | {issue.number: issue for issue in told}
        latest = max((issue.updated_at for issue in told), default=cursor.since)
        more = next_page(answer) is not None
        if latest > cursor.since:
            cursor, page = Cursor(cursor.repo, latest), 1
        elif more:  # over a hundred in one second: only here are pages walked by number
            page += 1
        else:
            etag = answer.headers.get("etag", "") if page == 1 or _over(cursor.since, answer) else ""
            return found, Cursor(cursor.repo, cursor.since, etag, page if etag else 1)


def _over(second: datetime, answer: Answer) -> bool:
    """Whether nothing can be changed in that second any more, by GitHub's own clock."""
    there = server_time(answer.headers)
    return there is not None and there - second >= _LATER


def _query(cursor: Cursor, page: int) -> dict[str, Any]:
    query = {"state": "all", "sort": "updated", "direction": "asc", "since": cursor.stamp, "per_page": PER_PAGE}
    return query if page == 1 else query | {"page": page}


