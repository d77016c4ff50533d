"""The GitHub token of a running coordinator: where it comes from is asked again once GitHub refuses it, so that one
which was revoked and renewed in mid-run needs no restart."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.app.credentials import github_token, token_or_none


class Token:
    """Gives the token when called, "" without one. An environment stays as it was at the start: what can change is what
    a file or `gh` gives. Raises NoToken when `needed` and there is none."""

    def __init__(self, environ: Mapping[str, str], *, needed: bool = False) -> None:
        self._environ = environ
        self._value = github_token(environ)[0] if needed else token_or_none(environ)

    def __call__(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Token()"

    def renew(self) -> bool:
        """Whether another one is there now."""
        before, self._value = self._value, token_or_none(self._environ) or self._value
        return self._value != before
