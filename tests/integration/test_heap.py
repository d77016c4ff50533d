"""Threads of a process that keeps its memory small share one arena of the C library."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

TELLS = """\
import ctypes, sys, threading
from coordinator.adapters.system import heap
if sys.argv[1] == "small":
    heap.keep_small()
gate = threading.Barrier(8)
def work():
    held = [bytes(2000) for _ in range(1000)]
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, stream := ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(stream)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
def test_with_one_arena_for_all_threads_there_is_one_heap_and_without_there_are_more() -> None:
    heaps = {how: subprocess.run([sys.executable, "-c", TELLS, how], check=True, capture_output=True,
                                 text=True).stdout.count("<heap nr=") for how in ("small", "plain")}
    assert heaps["small"] == 1 < heaps["plain"]
