"""Notifier by apprise, which knows some hundred services by one kind of address. It is run as a program of its own
under a time limit; of an address nothing but its scheme and its place in the list is ever said."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from coordinator.ports import Probe

PATIENCE = 30.0
"""Seconds for all addresses together; one that answers later is said to be late."""
_SLACK = 10.0
_KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONHOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
         "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_SHORTEST = 8


class AppriseNotifier:
    """`ports.Notifier`. The addresses go to the program by stdin: argv and environment are seen by every process."""

    def __init__(self, probe: Probe, environ: Mapping[str, str]) -> None:
        self._probe = probe
        self._env = {name: environ[name] for name in _KEPT if name in environ}

    def wrong(self, urls: Sequence[str]) -> str:
        return "; ".join(self._asked(urls, "", ""))

    def send(self, urls: Sequence[str], title: str, text: str) -> str:
        return "; ".join(self._asked(urls, title, text))

    def _asked(self, urls: Sequence[str], title: str, text: str) -> Iterator[str]:
        """What each address that did not do says of itself."""
        if not urls:
            return
        from coordinator.adapters.notify.child import GOOD

        order = json.dumps({"urls": list(urls), "title": title, "text": text, "seconds": PATIENCE})
        argv = [sys.executable, "-P", str(Path(__file__).with_name("child.py"))]
        code, out, _ = self._probe.run(argv, timeout=PATIENCE + _SLACK, env=self._env, stdin=order)
        try:
            said = [str(one) for one in json.loads(out)]
        except ValueError:
            said = []
        if code or len(said) != len(urls):
            yield f"notify.urls could not be asked (exit {code}): is apprise installed beside the coordinator?"
            return
        yield from (f"{_named(urls, at)} {_words(one)}" for at, one in enumerate(said) if one != GOOD)


def _words(said: str) -> str:
    from coordinator.adapters.notify.child import LATE, WRONG

    if said == WRONG:
        return "is no address that apprise knows"
    if said == LATE:
        return f"did not answer within {PATIENCE:g} s"
    reason = said.partition(" ")[2]
    return f"could not be reached, or refused{f' ({reason})' if reason else ''}"


def _named(urls: Sequence[str], at: int) -> str:
    """Which one is meant, without its secret."""
    scheme, there, _ = urls[at].partition("://")
    return f"notify.urls, entry {at + 1} of {len(urls)}{f' ({scheme}://…)' if there else ''}"


def secrets_of(urls: Iterable[str]) -> Iterator[str]:
    """What of the addresses must not stand in any text: the whole, and each part that may be a token."""
    for url in urls:
        yield url
        found = urlsplit(url)
        asked = (value for _, value in parse_qsl(found.query))
        for part in (*found.netloc.replace("@", ":").split(":"), *found.path.split("/"), *asked):
            if len(part) >= _SHORTEST and "." not in part:
                yield part
                if unquote(part) != part:
                    yield unquote(part)
