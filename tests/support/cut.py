"""A TCP port before another one, which can be cut like a cable: for a host that goes away and comes back, without root.

What was on its way while the cut lasted is held, not lost, as TCP would send it again: a connection that both ends
have kept goes on where it was.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

_RESET = struct.pack("ii", 1, 0)   # SO_LINGER: close() sends RST and drops what is queued


class Reserved:
    """A free port of this machine that stays ours while nobody listens on it: who connects then is refused. A server
    that sets SO_REUSEADDR, as sshd and Slurm do, may listen on it all the same, and again after a restart."""

    def __init__(self) -> None:
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


class Cut:
    """Forwards `port` to the port `to` of this machine, until `hang` or `refuse` is said; `open` heals.

    `connections` counts those that were accepted, `received` the bytes that came back from the far side.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.connections = self.received = 0
        self._reserved = Reserved()
        self.port = self._reserved.port
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[Any]] = set()
        self._limit: tuple[int, Callable[[], None]] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"cut {self.port}", daemon=True)
        self._thread.start()
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def open(self) -> None:
        self._do(self._listen(flows=True))

    def hang(self) -> None:
        """Connections stay and new ones are made, but nothing comes through: a link that is down."""
        self._do(self._listen(flows=False))

    def refuse(self) -> None:
        """Connections are reset and new ones refused: a machine that is up while its server is not."""
        self._do(self._close())

    def refuse_after(self, received: int) -> None:
        """As `refuse`, once so many more bytes have come back: a connection lost in the middle of an answer."""
        self._limit = (self.received + received, self._drop)

    def hang_after(self, received: int) -> None:
        self._limit = (self.received + received, self._flows.clear)

    def close(self) -> None:
        self._do(self._close())
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _listen(self, *, flows: bool) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=_bound(self.port))
        if flows:
            self._flows.set()
        else:
            self._flows.clear()

    async def _close(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self._ends):
            _reset(end)
        for task in self._served:
            task.cancel()

    async def _end(self) -> None:
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        self._ends.add(writer)
        self.connections += 1
        ends = [writer]
        try:
            await self._flows.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
            ends.append(far_writer)
            self._ends.add(far_writer)
            await asyncio.gather(self._pump(reader, far_writer, 0), self._pump(far_reader, writer, 1))
        except (OSError, asyncio.CancelledError):   # refused, or reset by either end: so is the other
            for end in ends:
                _reset(end)
        finally:
            for end in ends:
                self._ends.discard(end)
                end.close()
            self._served.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: int) -> None:
        while data := await reader.read(16_384):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
            self.received += counts * len(data)
            if counts and self._limit is not None and self.received >= self._limit[0]:
                act, self._limit = self._limit[1], None
                act()
        await self._flows.wait()
        writer.write_eof()


def _reset(end: asyncio.StreamWriter) -> None:
    if not end.transport.is_closing():
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.transport.abort()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
