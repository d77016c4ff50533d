"""Secrets are taken out of everything that is derived from a run: transcript, view, comments, reports,
errors.

The raw log and err files keep them (0600, never shown); whatever leaves those two passes through here. It
works by shape (tokens of known makers) and by value (what the environment is known to hold), so it must
never be the only wall: a secret that has no shape and no name is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, List, Match, Optional, Tuple

    _Rule = Tuple[Tuple[str, ...], str]

MASK = "***"


_JWT = r"eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"
_WORD = "[A-Za-z0-9._~+/=-]{8,}"
_MIXED = r"(?=[A-Za-z._~+/=-]*[0-9])(?=[0-9._~+/=-]*[A-Za-z])" + _WORD
_NAMES = r"(?:token|secret|password|passwd|api[_-]?key|private_key)[\"']?\s{0,9}[=:]\s{0,9}[\"']?"
_FREE = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
"""Where a word begins, also behind a sign that a program wrote as letters: a line's end, what an address or JSON makes
of an equals sign."""
_LED = r"(?:[a-z0-9_.-]{0,40}[_.-])?(?:access|refresh)?"


def _shape(hints: Tuple[str, ...], pattern: str) -> _Rule:
    return hints, _FREE + "()(?:" + pattern + ")"


# Words of which one must stand in a text (lower case) before the pattern is tried, or compiled, at all: a search for a
# plain word is a hundred times faster than one for a pattern, and transcripts run to gigabytes.
# The first group of each pattern is kept, so that a reader still sees which secret was hidden. A hostile text must not
# make the search slow: repetitions that need something behind them are bounded, and where one could begin anew within
# another, what was looked through in vain becomes part of the first group, which may be the whole match then: no
# beginning of another match is in it.
_RULES: Tuple[_Rule, ...] = (
    _shape(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{20,}"),
    _shape(("github_pat_",), r"github_pat_[A-Za-z0-9_]{20,}"),
    _shape(("glpat-",), r"glpat-[A-Za-z0-9_-]{18,}"),
    _shape(("sk-",), r"sk-[A-Za-z0-9_-]{18,}"),
    _shape(("akia", "asia"), r"(?:AKIA|ASIA)[A-Z0-9]{16}"),
    _shape(("aiza",), r"AIza[A-Za-z0-9_-]{30,}"),
    _shape(("xox",), r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    _shape(("npm_",), r"npm_[A-Za-z0-9]{30,}"),
    _shape(("pypi-",), r"pypi-[A-Za-z0-9_-]{40,}"),
    _shape(("ops_",), r"ops_[A-Za-z0-9_-]{40,}"),
    (("eyj",), "(?=eyJ)" + _FREE + r"((?:(?!" + _JWT + ")[A-Za-z0-9_-]+)?)(?:" + _JWT + ")?"),
    (
        ("private key",),
        r"()-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    ),
    (
        ("authorization",),
        "(?i)(" + _FREE + r"authorization[\"']?\s{0,9}[:=]\s{0,9}[\"']?(?:bearer|basic|token)\s{1,9})[^\s\"'\\,;]{6,}",
    ),
    (("x-api-key",), "(?i)(" + _FREE + r"x-api-key[\"']?\s{0,9}[:=]\s{0,9}[\"']?)[^\s\"'\\,;]{6,}"),
    (("bearer",), "(?i)(" + _FREE + r"bearer\s{1,9})[A-Za-z0-9._~+/-]{16,}=*"),
    (("://",), r"(://)[^\s/@\"'\\<>]{1,400}(?=@)"),
    (
        ("token", "secret", "passw", "api_key", "private_key"),
        r"((?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|PRIVATE_KEY)[\"']?\s{0,9}[=:]\s{0,9}[\"']?)[^\s\"'\\,;$&|]{6,}",
    ),
    (   # in small letters these are words of every program: only what has both letters and digits is taken for a secret
        ("token", "secret", "passw", "api_key", "api-key", "apikey", "private_key"),
        "(?i)(" + _NAMES + "(?:(?!" + _MIXED + ")(?:[A-Za-z0-9._~+/=-]*(?=" + _NAMES + ")|" + _WORD + "))?)"
        "(?:" + _MIXED + ")?",
    ),
    (   # in the query of an address
        ("token=", "key=", "secret=", "passw", "auth=", "signature=", "sig="),
        "(?i)([?&]" + _LED + r"(?:token|apikey|key|secret|password|passwd|auth|signature|sig)=)[^\s\"'\\<>&#]{4,}",
    ),
)

_SECRET_NAMES = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL", "CREDENTIALS", "NOTIFY_URLS")
_SECRET_FILES = ("TOKEN_FILE",)
_SHORTEST = 8
_ESCAPES = r"\x1b(?:\[[0-?]{0,60}[ -/]{0,9}[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[()][0-9A-B])"
_VEILS = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
"""Letters that nobody sees."""
_UNSEEN = _ESCAPES + "|[" + _VEILS + "]"
_WORDY = _ESCAPES + r"|\\+[nr]?"
_SIGNS = "+->" + _VEILS
_BREAKS = "(?:" + _WORDY + r"|[\s" + re.escape(_SIGNS) + "])+"
"""What stands between the letters of a word that was broken: colours, the line's end at a terminal's edge, of which
whoever makes one line of several leaves a space; the line's end as programs write it, and what a diff or an answer puts
before each line. A secret's own signs are no more looked at then than the text's."""
_EDGE = "… \t\r\n\\" + _SIGNS
"""What may stand before or behind a piece: that it was cut, and what breaks."""
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DESCRIPTOR = "COORDINATOR_GITHUB_TOKEN_FD"   # handed.VARIABLE, which few processes have need of


def secrets_in(environ: Mapping[str, str]) -> Tuple[str, ...]:
    """Values of variables whose names end like a secret's, and what the files hold that are named as a token's, and the
    GitHub token that this process put away; only what is long enough not to be a plain word."""
    found = [value for name, value in environ.items() if names_secret(name)]
    if _DESCRIPTOR in environ:
        from coordinator.runfiles import handed

        found.append(handed.read(environ)[0])
    files = [value for name, value in environ.items() if value and names_token_file(name)]
    found += [_held(path, environ.get("HOME", "")) for path in files]
    return tuple(value for value in found if len(value) >= _SHORTEST and "\n" not in value)


def names_secret(variable: str) -> bool:
    return variable.upper().endswith(_SECRET_NAMES)


def names_token_file(variable: str) -> bool:
    return variable.upper().endswith(_SECRET_FILES)


def _held(path: str, home: str) -> str:
    """The beginning of a token's file; "" for what is none or cannot be read."""
    import os
    import stat

    if path.startswith("~/"):
        path = os.path.join(home, path[2:])
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        return os.read(fd, 4096).decode("utf-8", "replace").strip() if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    except OSError:
        return ""
    finally:
        os.close(fd)


class Masker:
    """Hides secrets by shape, and the given values wherever they stand: also coded for an address, in hex or base64,
    and where a terminal or a program broke them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given: List[str] = []
        self._known: List[str] = []
        self._solid: List[str] = []   # the same without what breaks
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """From now on these are hidden too: a key that was read from elsewhere than the environment."""
        new = {value for value in secrets if len(value) >= _SHORTEST}.difference(self._given)
        if new:
            self._given = sorted({*self._given, *new}, key=len, reverse=True)
            self._known = sorted({form for value in self._given for form in _forms(value)}, key=len, reverse=True)
            solid = {_unbroken(form) for form in self._known}
            self._solid = sorted((form for form in solid if len(form) >= _SHORTEST), key=len, reverse=True)

    def known(self) -> Tuple[str, ...]:
        """The values that are hidden wherever they stand."""
        return tuple(self._known)

    def text(self, text: str) -> str:
        """The text without secrets; text that holds none is returned unchanged. The time it takes grows as the text."""
        if len(text) < _SHORTEST:
            return text
        for secret in self._known:
            text = text.replace(secret, MASK)
        low = text.lower()
        for hints, pattern in _RULES:
            if any(hint in low for hint in hints):
                text = re.sub(pattern, _hidden, text)
        if "\x1b" in text or any(veil in text for veil in _VEILS):
            seen = re.sub(_UNSEEN, "", text)
            text = _mended(text, _UNSEEN, [*_spans(seen, self._known), *_shaped(seen)])
        return _mended(text, _BREAKS, _spans(_unbroken(text), self._solid))   # a shape would run on into the next word

    def piece(self, text: str) -> str:
        """The same for a piece of what was said, cut from the rest by a stream or for its length: of a secret that was
        cut in two, what stands at the end or at the beginning is hidden too, unless it is as short as a word."""
        text = self.text(text)
        body = text.lstrip(_EDGE)
        lead = text[:len(text) - len(body)]
        body = body.rstrip(_EDGE)
        end = text[len(lead) + len(body):]
        for secret in self._given:
            least = max(_SHORTEST, len(secret) // 3)
            sizes = range(len(secret) - 1, least - 1, -1)
            if secret[:least] in body[-len(secret):]:
                cut = next((size for size in sizes if body.endswith(secret[:size])), 0)
                body = body[:-cut] + MASK if cut else body
            if secret[-least:] in body[:len(secret)]:
                cut = next((size for size in sizes if body.startswith(secret[-size:])), 0)
                body = MASK + body[cut:] if cut else body
        return lead + body + end

    def value(self, value: Any, hide: Optional[Callable[[str], str]] = None) -> Any:
        """The same for a JSON value, keys included; a new value, the given one is not touched. `hide`: `piece` where
        its texts are pieces."""
        hide = hide or self.text
        if isinstance(value, str):
            return hide(value)
        if isinstance(value, Mapping):
            return {hide(key) if isinstance(key, str) else key: self.value(item, hide) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            masked: List[Any] = [self.value(item, hide) for item in value]
            return masked
        return value


def _hidden(found: Match[str]) -> str:
    return found[1] + MASK if found.end(1) < found.end() else found[0]


def _unbroken(text: str) -> str:
    """The text without what matches _BREAKS."""
    if "\x1b" in text or "\\" in text:
        text = re.sub(_WORDY, "", text)
    text = "".join(text.split())
    for sign in _SIGNS:
        text = text.replace(sign, "")
    return text


def _shaped(text: str) -> Iterator[Tuple[int, int]]:
    low = text.lower()
    for hints, pattern in _RULES:
        if any(hint in low for hint in hints):
            for found in re.finditer(pattern, text):
                if found.end(1) < found.end():
                    yield found.end(1), found.end()


def _spans(text: str, secrets: Iterable[str]) -> Iterator[Tuple[int, int]]:
    for secret in secrets:
        at = text.find(secret)
        while at >= 0:
            yield at, at + len(secret)
            at = text.find(secret, at + len(secret))


def _mended(text: str, between: str, spans: Iterable[Tuple[int, int]]) -> str:
    """The text with a mask for each of `spans`, which are places of it without what matches `between`."""
    ordered = _joined(sorted(spans))
    if not ordered:
        return text
    places = _there((place for start, end in ordered for place in (start, end - 1)), re.finditer(between, text))
    kept, after = [], 0
    for first in places:
        kept.append(text[after:first])
        after = next(places) + 1
    return MASK.join([*kept, text[after:]])


def _joined(spans: Iterable[Tuple[int, int]]) -> List[Tuple[int, int]]:
    """The spans, given in order, with those made one that overlap."""
    joined: List[Tuple[int, int]] = []
    for start, end in spans:
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _there(places: Iterable[int], noise: Iterator[Match[str]]) -> Iterator[int]:
    """Where places of the text without noise, in rising order, stand in the text with it."""
    shift, gap = 0, next(noise, None)
    for place in places:
        while gap is not None and gap.start() - shift <= place:
            shift += gap.end() - gap.start()
            gap = next(noise, None)
        yield place + shift


def _forms(value: str) -> Iterator[str]:
    """How a secret may stand in a text: as it is, in an address, within JSON, in hex, in base64 wherever it begins."""
    from binascii import b2a_base64

    raw = value.encode("utf-8", "surrogateescape")
    yield value
    yield "".join(chr(byte) if chr(byte) in _UNRESERVED else "%%%02X" % byte for byte in raw)
    yield value.replace("\\", "\\\\").replace('"', '\\"')
    yield raw.hex()
    yield raw.hex().upper()
    for lead, shared in ((b"", 0), (b"x", 2), (b"xx", 3)):
        coded = b2a_base64(lead + raw, newline=False).decode()
        core = coded[shared:len(coded) - (0, 3, 2)[len(lead + raw) % 3]]   # what its neighbours change is left out
        if len(core) >= _SHORTEST:
            yield core
            yield core.replace("+", "-").replace("/", "_")


_BY_SHAPE = Masker()


def mask(text: str) -> str:
    """Hides what looks like a secret by its shape alone."""
    return _BY_SHAPE.text(text)
