"""Two networks with a link between them that can be taken down, as root: a host that goes away as hosts do. Connections
find no way instead of a closed door, and what was under way is sent again when the link is back."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

_NUMBERS = itertools.count()


class CannotBuild(Exception):
    """This machine lets nobody have networks of their own; says why."""


class Networks:
    """`near` and `far` are words that run the rest in one of the two; the far one is known to the near one by
    `address`."""

    address = "192.0.2.2"   # of a block that is kept for documentation

    def __init__(self) -> None:
        name = f"c{os.getpid()}-{next(_NUMBERS)}"
        self._near, self._far, self._link = f"{name}n", f"{name}f", "cable"
        self.near = ("ip", "netns", "exec", self._near)
        self.far = ("ip", "netns", "exec", self._far)
        if os.geteuid() != 0:
            raise CannotBuild("networks of their own need root")
        if not shutil.which("ip"):
            raise CannotBuild("ip not found: apt install iproute2")
        try:
            self._build()
        except CannotBuild:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def down(self) -> None:
        _ip("-n", self._far, "link", "set", self._link, "down")

    def up(self) -> None:
        _ip("-n", self._far, "link", "set", self._link, "up")

    def close(self) -> None:
        """The link goes with its ends."""
        for one in (self._near, self._far):
            subprocess.run(["ip", "netns", "delete", one], capture_output=True, check=False)

    def _build(self) -> None:
        for one in (self._near, self._far):
            _ip("netns", "add", one)
        _ip("-n", self._near, "link", "add", self._link, "type", "veth", "peer", "name", self._link, "netns", self._far)
        for one, address in ((self._near, "192.0.2.1"), (self._far, self.address)):
            _ip("-n", one, "address", "add", f"{address}/30", "dev", self._link)
            _ip("-n", one, "link", "set", "lo", "up")
            _ip("-n", one, "link", "set", self._link, "up")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotBuild(f"ip {' '.join(words)}: {done.stderr.strip()}")
