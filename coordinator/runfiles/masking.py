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
    from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

    _Rule = Tuple[Tuple[str, ...], str]

MASK = "***"


_MIXED = r"(?=[A-Za-z._~+/=-]{0,200}[0-9])(?=[0-9._~+/=-]{0,200}[A-Za-z])[A-Za-z0-9._~+/=-]{8,}"
_LED = r"(?:[a-z0-9_.-]{0,40}[_.-])?(?:access|refresh)?"


def _shape(hints: Tuple[str, ...], pattern: str) -> _Rule:
    return hints, "(?<![A-Za-z0-9_])()(?:" + pattern + ")"


# Words of which one must stand in a text (lower case) before the pattern is tried, or compiled, at all: a search for a
# plain word is a hundred times faster than one for a pattern, and transcripts run to gigabytes.
# The first group of each pattern is kept, so that a reader still sees which secret was hidden. Repetitions
# that need something behind them are bounded: a hostile text must not make the search quadratic.
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
    _shape(("eyj",), r"eyJ[A-Za-z0-9_-]{15,2000}\.[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{5,}"),
    (
        ("private key",),
        r"()-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    ),
    (
        ("authorization",),
        r"(?i)(\bauthorization[\"']?\s{0,9}[:=]\s{0,9}[\"']?(?:bearer|basic|token)\s{1,9})[^\s\"'\\,;]{6,}",
    ),
    (("x-api-key",), r"(?i)(\bx-api-key[\"']?\s{0,9}[:=]\s{0,9}[\"']?)[^\s\"'\\,;]{6,}"),
    (("bearer",), r"(?i)(\bbearer\s{1,9})[A-Za-z0-9._~+/-]{16,}=*"),
    (("://",), r"(://)[^\s/@\"'\\<>]{1,400}(?=@)"),
    (
        ("token", "secret", "passw", "api_key", "private_key"),
        r"((?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|PRIVATE_KEY)[\"']?\s{0,9}[=:]\s{0,9}[\"']?)[^\s\"'\\,;$&|]{6,}",
    ),
    (   # in small letters these are words of every program: only what has both letters and digits is taken for a secret
        ("token", "secret", "passw", "api_key", "api-key", "apikey", "private_key"),
        r"(?i)((?:token|secret|password|passwd|api[_-]?key|private_key)[\"']?\s{0,9}[=:]\s{0,9}[\"']?)" + _MIXED,
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
_BREAKS = "(?:" + _ESCAPES + r"|\s)+"
"""What a terminal puts between the letters of a word: colours, and the line's end at its edge, of which whoever makes
one line of several leaves a space."""
_ELLIPSIS = "…"
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DESCRIPTOR = "COORDINATOR_GITHUB_TOKEN_FD"   # handed.VARIABLE, which few processes have need of


def secrets_in(environ: Mapping[str, str]) -> Tuple[str, ...]:
    """Values of variables whose names end like a secret's, and what the files hold that are named as a token's, and the
    GitHub token that this process put away; only what is long enough not to be a plain word."""
    found = [value for name, value in environ.items() if names_secret(name)]
    if _DESCRIPTOR in environ:
        from coordinator.runfiles import handed

        found.append(handed.read(environ)[0])
    files = [value for name, value in environ.items() if value and name.upper().endswith(_SECRET_FILES)]
    found += [_held(path, environ.get("HOME", "")) for path in files]
    return tuple(value for value in found if len(value) >= _SHORTEST and "\n" not in value)


def names_secret(variable: str) -> bool:
    return variable.upper().endswith(_SECRET_NAMES)


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
    """Hides secrets by shape, and the given values wherever they stand: also coded for an address or in base64, and
    where a terminal broke them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given: List[str] = []
        self._known: List[str] = []
        self._solid: List[str] = []   # the same without spaces
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """From now on these are hidden too: a key that was read from elsewhere than the environment."""
        new = {value for value in secrets if len(value) >= _SHORTEST}.difference(self._given)
        if new:
            self._given = sorted({*self._given, *new}, key=len, reverse=True)
            self._known = sorted({form for value in self._given for form in _forms(value)}, key=len, reverse=True)
            solid = {"".join(form.split()) for form in self._known}
            self._solid = sorted((form for form in solid if len(form) >= _SHORTEST), key=len, reverse=True)

    def known(self) -> Tuple[str, ...]:
        """The values that are hidden wherever they stand."""
        return tuple(self._known)

    def text(self, text: str) -> str:
        """The text without secrets; text that holds none is returned unchanged."""
        for secret in self._known:
            text = text.replace(secret, MASK)
        low = text.lower()
        for hints, pattern in _RULES:
            if any(hint in low for hint in hints):
                text = re.sub(pattern, r"\1" + MASK, text)
        if "\x1b" in text:
            text = _mended(text, _ESCAPES, self._known, _RULES)
        return _mended(text, _BREAKS, self._solid, ())   # a shape would run on into the next word

    def piece(self, text: str) -> str:
        """The same for a piece of what was said, cut from the rest by a stream or for its length: of a secret that was
        cut in two, what stands at the end or at the beginning is hidden too, unless it is as short as a word."""
        text = self.text(text)
        lead = _ELLIPSIS * text.startswith(_ELLIPSIS)
        end = _ELLIPSIS * text[len(lead):].endswith(_ELLIPSIS)
        body = text[len(lead):len(text) - len(end)]
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


def _mended(text: str, between: str, known: Iterable[str], rules: Tuple[_Rule, ...]) -> str:
    """The text without secrets that show only where what matches `between` is taken out."""
    whole = re.sub(between, "", text) if "\x1b" in text else "".join(text.split())
    spans = [span for secret in known for span in _places(whole, secret)]
    low = whole.lower() if rules else ""
    for hints, pattern in rules:
        if any(hint in low for hint in hints):
            spans += [(found.end(1), found.end()) for found in re.finditer(pattern, whole)]
    noise = [found.span() for found in re.finditer(between, text)] if spans else []
    for start, end in sorted(spans, reverse=True):
        first, last = _at(start, noise), _at(end - 1, noise) + 1
        if text[first:last] != MASK:
            text = text[:first] + MASK + text[last:]
    return text


def _forms(value: str) -> Iterator[str]:
    """How a secret may stand in a text: as it is, in an address, within JSON, in base64 wherever it begins there."""
    from binascii import b2a_base64

    raw = value.encode("utf-8", "surrogateescape")
    yield value
    yield "".join(chr(byte) if chr(byte) in _UNRESERVED else "%%%02X" % byte for byte in raw)
    yield value.replace("\\", "\\\\").replace('"', '\\"')
    for lead, shared in ((b"", 0), (b"x", 2), (b"xx", 3)):
        coded = b2a_base64(lead + raw, newline=False).decode()
        core = coded[shared:len(coded) - (0, 3, 2)[len(lead + raw) % 3]]   # what its neighbours change is left out
        if len(core) >= _SHORTEST:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _places(text: str, secret: str) -> Iterator[Tuple[int, int]]:
    at = text.find(secret)
    while at >= 0:
        yield at, at + len(secret)
        at = text.find(secret, at + len(secret))


def _at(place: int, noise: List[Tuple[int, int]]) -> int:
    """Where a place of the text without noise stands in the text with it."""
    for start, end in noise:
        if start > place:
            break
        place += end - start
    return place


_BY_SHAPE = Masker()


def mask(text: str) -> str:
    """Hides what looks like a secret by its shape alone."""
    return _BY_SHAPE.text(text)
