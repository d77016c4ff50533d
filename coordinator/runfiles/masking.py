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
    from typing import Any, Dict, Iterable, List, Tuple

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


def secrets_in(environ: Mapping[str, str]) -> Tuple[str, ...]:
    """Values of variables whose names end like a secret's, and what the files hold that are named as a token's; only
    what is long enough not to be a plain word."""
    found = [value for name, value in environ.items() if name.upper().endswith(_SECRET_NAMES)]
    files = [value for name, value in environ.items() if value and name.upper().endswith(_SECRET_FILES)]
    found += [_held(path, environ.get("HOME", "")) for path in files]
    return tuple(value for value in found if len(value) >= _SHORTEST and "\n" not in value)


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
    """Hides secrets by shape, and the given values wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: List[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """From now on these are hidden too: a key that was read from elsewhere than the environment."""
        known = {*self._known, *(value for value in secrets if len(value) >= _SHORTEST)}
        self._known = sorted(known, key=len, reverse=True)

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
        return text

    def value(self, value: Any) -> Any:
        """The same for a JSON value, keys included; a new value, the given one is not touched."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, (list, tuple)):
            masked: List[Any] = [self.value(item) for item in value]
            return masked
        return value

    def _mapping(self, value: Mapping[Any, Any]) -> Dict[Any, Any]:
        return {self.text(key) if isinstance(key, str) else key: self.value(item) for key, item in value.items()}


_BY_SHAPE = Masker()


def mask(text: str) -> str:
    """Hides what looks like a secret by its shape alone."""
    return _BY_SHAPE.text(text)
