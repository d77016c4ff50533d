"""The stand-in GitHub as tests and the demo hold it: start it, fill it, read its record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from .hub import bare
from .hub.access import Limits
from .hub.bare import Identity
from .hub.server import Hub
from .hub.wire import Exchange, Intercept
from .hub.world import LEVELS, Repository, Token, User, World
from .people import RepositoryHandle


class StandIn:
    """A GitHub on a free port of 127.0.0.1, kept in the folder `root`; a context manager.

    `url` serves both REST (`url + "/repos/…"`, `url + "/graphql"`) and git (`url + "/owner/name.git"`).
    `clock` gives seconds since 1970 and may be moved by tests. `intercept` sees (method, path) of every
    request first: None lets it pass, (status, headers, body) answers in its place, "drop" cuts the
    connection before anything happened, "drop-after" when all was done but nothing was said.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self.world = World(root.resolve(), clock)
        self.limits = Limits()
        self._hub = Hub(self.world, self.limits)
        self.url = self._hub.url

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        threading.Thread(target=self._hub.serve_forever, args=(0.02,), name="stand-in", daemon=True).start()

    def stop(self) -> None:
        self._hub.shutdown()
        self._hub.server_close()

    @property
    def intercept(self) -> Intercept | None:
        return self._hub.intercept

    @intercept.setter
    def intercept(self, hook: Intercept | None) -> None:
        self._hub.intercept = hook

    @property
    def requests(self) -> list[Exchange]:
        """A copy of the record so far, oldest first, git's requests among them."""
        with self.world.lock:
            return list(self._hub.exchanges)

    def forget_requests(self) -> None:
        with self.world.lock:
            self._hub.exchanges.clear()

    def add_user(
        self,
        login: str,
        token: str = "",
        *,
        permission: str = "write",
        scopes: tuple[str, ...] | None = ("repo",),
        grants: Mapping[str, str] | None = None,
        kind: str = "User",
    ) -> User:
        """A user with a role in every repository, and a token for it.

        `scopes=None` makes the token a fine-grained one, which `grants` may narrow. Called again for the
        same login it adds another token and sets the role.
        """
        if permission not in LEVELS:
            raise ValueError(f"permission {permission!r} is none of {', '.join(LEVELS)}")
        world = self.world
        with world.lock:
            fresh = User(world.next_id(), login, permission, world.now(), kind)
            user = world.users.setdefault(login.lower(), fresh)
            user.permission = permission
            if token:
                world.tokens[token] = Token(user.login, scopes, grants)
            return user

    def revoke(self, token: str) -> None:
        with self.world.lock:
            self.world.tokens.pop(token, None)

    def add_repository(
        self,
        full_name: str,
        files: Mapping[str, str],
        *,
        default_branch: str = "main",
        private: bool = True,
        protected: Iterable[str] = (),
        delete_branch_on_merge: bool = False,
    ) -> RepositoryHandle:
        """A repository whose default branch holds one commit with these files (path -> text)."""
        owner, name = full_name.split("/")
        world = self.world
        with world.lock:
            if owner.lower() not in world.users:
                self.add_user(owner)
            made = self._repository(owner, name)
            first = Identity(owner, f"{owner}@example.invalid", world.now())
            bare.create(made.bare, files, default_branch, first)
            bare.protect(made.bare, list(protected))
            made.default_branch = default_branch
            made.private = private
            made.delete_branch_on_merge = delete_branch_on_merge
            return RepositoryHandle(world, self.url, made)

    def add_fork(self, owner: str, full_name: str) -> RepositoryHandle:
        """`owner`'s own copy of a repository, from which pull requests can be sent."""
        world = self.world
        with world.lock:
            source = world.repository(full_name)
            made = self._repository(owner, source.name)
            bare.fork(source.bare, made.bare)
            made.default_branch, made.private = source.default_branch, source.private
            made.parent = source.full_name
            return RepositoryHandle(world, self.url, made)

    def move_repository(self, full_name: str, to: str) -> RepositoryHandle:
        """Renames it, or transfers it to another owner: its old address leads to the new one."""
        world = self.world
        owner, name = to.split("/")
        with world.lock:
            moved = world.repositories.pop(full_name.lower())
            if owner.lower() not in world.users:
                self.add_user(owner)
            world.former[full_name.lower()] = moved
            moved.owner, moved.name = owner, name
            world.repositories[to.lower()] = moved
            for _, pull in moved.pulls():
                if pull.head_repo.lower() == full_name.lower():
                    pull.head_repo = moved.full_name
            return RepositoryHandle(world, self.url, moved)

    def _repository(self, owner: str, name: str) -> Repository:
        world = self.world
        where = world.root / owner / f"{name}.git"
        made = Repository(world.next_id(), owner, name, where, world.now(), world.now())
        world.repositories[made.full_name.lower()] = made
        return made

    def repository(self, full_name: str) -> RepositoryHandle:
        with self.world.lock:
            return RepositoryHandle(self.world, self.url, self.world.repository(full_name))

    def throttle(self, seconds: float) -> None:
        """Refuse all with the secondary limit until this much time of the clock has gone by."""
        with self.world.lock:
            self.limits.throttled_until = self.world.clock() + seconds

    def spend(self, login: str, leave: int = 0) -> None:
        """Use up a user's hour down to `leave` requests."""
        with self.world.lock:
            window = self.limits.window(login, self.world.clock())
            window.used = self.limits.hourly - leave
