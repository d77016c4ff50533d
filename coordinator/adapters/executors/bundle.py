"""What travels, as one file: wrapper, far end and runfiles in a zip that any Python 3.9 runs, named by its content.

A running wrapper keeps the file it was started from; an upgrade puts another one beside it.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import io
import zipfile
from pathlib import Path

import coordinator
from coordinator.adapters.system.seam import crossing
from coordinator.runfiles import atomic

# The interpreter is not taken down in good order: that takes longer than writing the outcome, and when many agents end
# at once the others wait for it.
_MAIN = """import os
import sys
if sys.argv[1:2] == ["--far"]:
    from coordinator.far.main import main
    code = main(sys.argv[2])
else:
    from coordinator.worker.main import main
    code = main(sys.argv[1:])
sys.stderr.flush()
os._exit(code)
"""
_ROOMS = ("far", "runfiles", "runfiles/tongues", "runfiles/verdict", "worker")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNCHECKED = (1).to_bytes(4, "little")   # PEP 552: the source beside it in the archive is not compared


def build() -> bytes:
    """The same sources give the same bytes: fixed times and order, uncompressed (zlib costs memory). Their compiled
    form is in it too, for compiling costs a start more than all else; a Python of another version passes it over."""
    root = Path(coordinator.__file__).parent
    sources = {"coordinator/__init__.py": (root / "__init__.py").read_bytes(), "__main__.py": _MAIN.encode()}
    for room in _ROOMS:
        for source in (root / room).glob("*.py"):
            sources[f"coordinator/{room}/{source.name}"] = source.read_bytes()
            sources[f"coordinator/{room}/{source.name}c"] = _compiled(source)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o600 << 16
            if sources[name] or name.endswith(".py"):
                archive.writestr(entry, sources[name])
    return buffer.getvalue()


def _compiled(source: Path) -> bytes:
    """What Python keeps in __pycache__, under a header without the source's time; b"" where it keeps nothing, or
    something that it made of another source."""
    importlib.machinery.SourceFileLoader(source.stem, str(source)).get_code(source.stem)
    seen = source.stat()
    fresh = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in (0, int(seen.st_mtime), seen.st_size))
    try:
        kept = Path(importlib.util.cache_from_source(str(source))).read_bytes()
    except OSError:
        return b""
    if kept[:16] != importlib.util.MAGIC_NUMBER + fresh:
        return b""
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source.read_bytes()) + kept[16:]


def name_of(data: bytes) -> str:
    """The file's name; it tells the content."""
    return f"wrapper-{hashlib.sha256(data).hexdigest()[:12]}.pyz"


def place(jobs: Path) -> Path:
    """Puts the bundle into the jobs folder if it is not there and returns its path. Raises OSError."""
    data = build()
    target = jobs / name_of(data)
    if atomic.read(str(target)) != data:
        with crossing("file", str(target)):
            atomic.write(str(target), data)
    return target
