"""When a limit ends, out of the words that tell of it. The agents say it in many ways: as Unix seconds, as a time to
wait, as a time of day, which is the host's unless a zone is named."""

from __future__ import annotations

import re

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import List, Optional, Tuple

_LONGEST = 40 * 86_400
"""Seconds; what lies further away is no reset of a limit."""
_UNIX = re.compile(r"\|\s*(\d{10})(?:\d{3})?\b")
_WAIT = re.compile(
    r"\b(?:in|after|for)\s+((?:\d+(?:\.\d+)?\s*(?:days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|[dhms])[\s,]*)+)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])", re.I)
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_CLOCK = re.compile(
    r"\b(?:at|resets?)\s+(?:([A-Z][a-z]{2})[a-z]*\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(?:(\d{4})\s+)?(?:at\s+)?)?"
    r"(\d{1,2})(?::(\d\d))?(?::\d\d)?\s*([ap]m)?\b(?:\s*\(([A-Za-z_]+/[A-Za-z_/]+)\))?", re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def in_words(text: str, now: Optional[float]) -> Optional[float]:
    """Unix seconds; None where the words name no moment, or one that needs `now` (Unix seconds, when they were said)
    to be known."""
    found = _UNIX.search(text)
    if found:
        return float(found.group(1))
    if now is None:
        return None
    moment = _waited(text, now) or _told(text, now)
    return moment if moment is not None and now < moment < now + _LONGEST else None


def _waited(text: str, now: float) -> Optional[float]:
    found = _WAIT.search(text)
    if not found:
        return None
    parts: List[Tuple[str, str]] = _PART.findall(found.group(1))
    return now + sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)


def _told(text: str, now: float) -> Optional[float]:
    found = _CLOCK.search(text)
    if not found:
        return None
    month, day, year, hour, minute, half, zone = found.groups()
    if half is None and minute is None:   # "at 3" may be anything
        return None
    hours = int(hour) % 12 + (12 if half.lower() == "pm" else 0) if half else int(hour)
    if hours > 23 or int(minute or 0) > 59:
        return None
    if month and month.lower() in _MONTHS:
        given = (int(year) if year else None, _MONTHS.index(month.lower()) + 1, int(day))
        return _moment(now, hours, int(minute or 0), zone, given)
    return _moment(now, hours, int(minute or 0), zone, None)


def _moment(now: float, hour: int, minute: int, zone: Optional[str],
            day: Optional[Tuple[Optional[int], int, int]]) -> Optional[float]:
    """The next such time of day, or that of the day which is named."""
    from datetime import datetime, timedelta

    here = datetime.fromtimestamp(now).astimezone(_zone(zone))
    try:
        if day is not None:
            year, month, number = day
            found = here.replace(year or here.year, month, number, hour, minute, 0, 0)
            return (found if year or found > here else found.replace(here.year + 1)).timestamp()
        found = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    except ValueError:
        return None
    return (found if found > here else found + timedelta(days=1)).timestamp()


def _zone(name: Optional[str]) -> Optional[tzinfo]:
    if not name:
        return None
    try:
        from zoneinfo import ZoneInfo

        return ZoneInfo(name)
    except (ImportError, KeyError, ValueError, OSError):
        return None

