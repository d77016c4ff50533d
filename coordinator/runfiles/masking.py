"""Secrets are taken out of everything that is derived from a run: transcript, view, comments, reports,
errors.

The raw log and err files keep them (0600, never shown); whatever leaves those two passes through here. It
works by shape (tokens of known makers) and by value (what the environment is known to hold), so it must
never be the only wall: a secret that has no shape and no name is not seen.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Mapping, Tuple

MASK = "***"

_SHAPES = (
    r"gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub's classic, OAuth, user, server, refresh
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{18,}",
    r"sk-[A-Za-z0-9_-]{18,}",  # Anthropic, OpenAI and their like
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"ops_[A-Za-z0-9_-]{40,}",
    r"eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
)
_BARE = re.compile("(?<![A-Za-z0-9_])(?:" + "|".join(_SHAPES) + ")")

# What stands before a secret is kept, so that a reader still sees which one was hidden.
_LED: Tuple["re.Pattern[str]", ...] = (
    re.compile(r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+)[^\s\"'\\,;]{6,}"),
    re.compile(r"(?i)(\bx-api-key[\"']?\s*[:=]\s*[\"']?)[^\s\"'\\,;]{6,}"),
    re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/-]{16,}=*"),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"'\\<>]+(?=@)"),
    re.compile(
        r"(\b[A-Z][A-Z0-9_]*(?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|PRIVATE_KEY)[\"']?\s*[=:]\s*[\"']?)"
        r"[^\s\"'\\,;$&|]{6,}"
    ),
)
_HINT = re.compile(
    r"(?i)gh[pousr]_|_pat_|glpat-|sk-|akia|asia|aiza|xox|npm_|pypi-|ops_|eyj|private key|authorization"
    r"|x-api-key|bearer|@|token|secret|passw|api_key|private_key"
)

_SECRET_NAME = re.compile(r"(?:TOKEN|SECRET|PASSWORD|PASSWD|KEY|CREDENTIALS?)$")
_SHORTEST = 8


def secrets_in(environ: Mapping[str, str]) -> Tuple[str, ...]:
    """Values of variables whose names end like a secret's and that are long enough not to be a plain word."""
    found = (value for name, value in environ.items() if _SECRET_NAME.search(name.upper()))
    return tuple(value for value in found if len(value) >= _SHORTEST and "\n" not in value)


class Masker:
    """Hides secrets by shape, and the given values wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({value for value in secrets if len(value) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(value) for value in known)) if known else None

    def text(self, text: str) -> str:
        """The text without secrets; text that holds none is returned unchanged."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if not _HINT.search(text):
            return text
        text = _BARE.sub(MASK, text)
        for pattern in _LED:
            text = pattern.sub(r"\1" + MASK, text)
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
        return {
            self.text(key) if isinstance(key, str) else key: self.value(item) for key, item in value.items()
        }


_BY_SHAPE = Masker()


def mask(text: str) -> str:
    """Hides what looks like a secret by its shape alone."""
    return _BY_SHAPE.text(text)
