"""Who may call, and how often: tokens, scopes, permissions, primary and secondary rate limits."""

from __future__ import annotations

import base64
import binascii
import math
from collections import deque
from dataclasses import dataclass, field

from .world import LEVELS, Refused, Repository, Token, World, not_found

HOUR = 3600
MINUTE = 60
ANONYMOUS_LIMIT = 60


@dataclass
class Window:
    """One user's hour."""

    used: int
    resets_at: int


@dataclass
class Limits:
    """GitHub's limits with its default numbers; `status` is 403 or 429, GitHub uses both.

    The secondary limit counts requests that create content (issues, comments, pull requests, reviews).
    """

    hourly: int = 5000
    creations_a_minute: int = 80
    status: int = 403
    throttled_until: float = 0.0
    windows: dict[str, Window] = field(default_factory=dict)
    creations: deque[float] = field(default_factory=deque)

    def limit(self, login: str | None) -> int:
        return self.hourly if login else ANONYMOUS_LIMIT

    def window(self, login: str | None, now: float) -> Window:
        key = (login or "").lower()
        held = self.windows.get(key)
        if held is None or now >= held.resets_at:
            held = self.windows[key] = Window(0, math.ceil(now) + HOUR)
        return held

    def spend(self, login: str | None, now: float) -> None:
        window = self.window(login, now)
        if window.used >= self.limit(login):
            raise Refused(self.status, f"API rate limit exceeded for user ID {login or 'anonymous'}.")
        window.used += 1

    def refund(self, login: str | None, now: float) -> None:
        self.window(login, now).used -= 1

    def check_secondary(self, creates: bool, now: float) -> None:
        while self.creations and self.creations[0] <= now - MINUTE:
            self.creations.popleft()
        if creates and len(self.creations) >= self.creations_a_minute:
            self.throttled_until = max(self.throttled_until, self.creations[0] + MINUTE)
        if now < self.throttled_until:
            wait = str(math.ceil(self.throttled_until - now))
            words = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
            raise Refused(self.status, words, headers={"Retry-After": wait})
        if creates:
            self.creations.append(now)

    def numbers(self, login: str | None, now: float) -> dict[str, int]:
        window = self.window(login, now)
        limit = self.limit(login)
        return {
            "limit": limit,
            "remaining": max(0, limit - window.used),
            "reset": window.resets_at,
            "used": window.used,
        }

    def headers(self, login: str | None, now: float) -> dict[str, str]:
        told = {f"X-RateLimit-{name.capitalize()}": str(n) for name, n in self.numbers(login, now).items()}
        return {**told, "X-RateLimit-Resource": "core"}


def rest_token(world: World, header: str) -> Token | None:
    """The token of an Authorization header; None without one. Raises 401 for one nobody was given."""
    if not header:
        return None
    kind, _, value = header.partition(" ")
    if kind.lower() == "basic":
        value = _password(value)
    elif kind.lower() not in ("bearer", "token"):
        raise Refused(401, "Bad credentials")
    return _known(world, value.strip())


def git_token(world: World, header: str) -> Token | None:
    """As `rest_token`, but git's way: Basic, where the token is the password (or the user's name)."""
    if not header.lower().startswith("basic "):
        return None
    return _known(world, _password(header[6:]))


def _known(world: World, value: str) -> Token:
    token = world.tokens.get(value)
    if token is None:
        raise Refused(401, "Bad credentials")
    return token


def _password(encoded: str) -> str:
    try:
        name, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return secret if secret not in ("", "x-oauth-basic") else name


def check(world: World, repository: Repository, token: Token | None, level: str, grant: tuple[str, str]) -> None:
    """Whether this token may do a thing that needs `level` and, fine-grained, `grant` (subject, access)."""
    login = token.login if token else None
    if world.level(repository, login) < LEVELS.index("read") or not _scoped(repository, token, grant[1]):
        raise not_found()
    if token is not None and not token.may(*grant):
        wanted = {"X-Accepted-GitHub-Permissions": "=".join(grant)}
        raise Refused(403, "Resource not accessible by personal access token", headers=wanted)
    if token is None and level != "read":
        raise Refused(401, "Requires authentication")
    if not world.allows(repository, login, level):
        raise Refused(403, _refusal(level))


def _scoped(repository: Repository, token: Token | None, access: str) -> bool:
    """A classic token needs `repo`, or `public_repo` to write to a public one; reading that is free."""
    if token is None or token.scopes is None or "repo" in token.scopes:
        return True
    return not repository.private and (access == "read" or "public_repo" in token.scopes)


def _refusal(level: str) -> str:
    return f"Must have {'admin rights to' if level == 'admin' else 'push access to'} repository"
