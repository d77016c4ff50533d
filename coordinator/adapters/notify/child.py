"""Runs as a program of its own: reads addresses and a message on stdin, tells each of them by apprise, and prints what
became of each. Alone, so that whatever an address leads to can be ended at its time limit, the coordinator carries none
of apprise's weight, and what libraries log and warn of, which may hold an address, goes to a stderr that nobody reads.
Must import nothing of ours."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

GOOD, WRONG, REFUSED, LATE = "good", "wrong", "refused", "late"
_CODE = re.compile(r"error=(\d{3})\b")


class _Codes(logging.Handler):
    """Of all that apprise logs the HTTP status alone is kept, by the thread that met it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.of: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        found = _CODE.search(record.getMessage())
        if found:
            self.of[threading.get_ident()] = found[1]


def _told(url: str, title: str, text: str, codes: _Codes) -> str:
    codes.of.pop(threading.get_ident(), None)
    try:
        import apprise

        address = apprise.Apprise.instantiate(url)
        if address is None:
            return WRONG
        if not title or address.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT):
            return GOOD
    except Exception as error:  # noqa: BLE001 - its words may hold the address; what kind it was is safe to say
        return f"{REFUSED} {type(error).__name__}"
    return f"{REFUSED} {codes.of.get(threading.get_ident(), '')}".strip()


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    codes = _Codes()
    logger = logging.getLogger("apprise")
    logger.addHandler(codes)
    logger.propagate = False
    pool = ThreadPoolExecutor(max(1, len(asked["urls"])))
    sent = [pool.submit(_told, url, asked["title"], asked["text"], codes) for url in asked["urls"]]
    wait(sent, timeout=asked["seconds"])
    os.write(1, json.dumps([one.result() if one.done() else LATE for one in sent]).encode())
    os._exit(0)   # one that never answers is not waited for


if __name__ == "__main__":
    main()
