"""What follows a stall: another try or a person. One rule for issues and for jobs started by hand."""

from __future__ import annotations


def blocked_by(retries: int, most: int, *, never: bool = False) -> str:
    """"" when it may be started again by itself, else the reason code of the block. `retries` is how often it was begun
    again, `most` how often it may be, `never` that restarting by itself is switched off."""
    if never or most == 0:
        return "no_auto_restart"
    return "max_retries" if retries >= most else ""
