"""A way out of a network of its own to one server of this machine, and to nothing else: through a socket in a folder,
which networks do not part."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PIPE = """
import asyncio, sys
listen, connect = sys.argv[1:]
async def pump(frm, to):
    try:
        while data := await frm.read(65536):
            to.write(data)
            await to.drain()
    except OSError:
        pass
    finally:
        to.close()
async def serve(reader, writer):
    opened = asyncio.open_connection("127.0.0.1", int(connect)) if connect.isdigit() else \\
        asyncio.open_unix_connection(connect)
    there, back = await opened
    await asyncio.gather(pump(reader, back), pump(there, writer))
async def main():
    made = asyncio.start_server(serve, "127.0.0.1", int(listen)) if listen.isdigit() else \\
        asyncio.start_unix_server(serve, listen)
    async with await made as server:
        print("up", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def passage(inside: Sequence[str], port: int) -> Iterator[None]:
    """While it lasts, port `port` of 127.0.0.1 in there (`inside` are words that run the rest there) is this machine's
    own."""
    with tempfile.TemporaryDirectory(prefix="way") as folder, ExitStack() as ends:
        way = str(Path(folder) / "s")
        for words, listen, connect in (([], way, str(port)), (inside, str(port), way)):
            end = subprocess.Popen([*words, sys.executable, "-c", _PIPE, listen, connect], stdout=subprocess.PIPE)
            ends.callback(_ended, end)
            assert end.stdout is not None
            assert end.stdout.readline() == b"up\n"
        yield


def _ended(end: subprocess.Popen[bytes]) -> None:
    end.kill()
    end.communicate()
