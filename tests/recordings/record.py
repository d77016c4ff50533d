"""Records every row of the table of ends on the real CLIs: `python -m tests.recordings.record [PROVIDER ...]` writes
`tests/recordings/<provider>/<version>/ends.json`, by row what the agent printed and how it ended. Old versions stay."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordinator.domain.outcome import Work
from coordinator.ports import Finished
from tests.support.agents import STANDS, Bench
from tests.support.conformance import PROVIDERS, cells, scenarios
from tests.support.model_server import serving
from tests.support.real_parts import MODULES

HERE = Path(__file__).parent
LONGEST = 60_000
"""Characters of one stream that are kept: an agent that asks without end says the same again and again."""


def version(binary: Path) -> str:
    said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    assert found is not None, said
    return found.group()


def recorded(provider: str) -> str:
    """The newest version with recorded ends; "" without one."""
    found = [path.parent.name for path in (HERE / provider).glob("*/ends.json")]
    return max(found, key=lambda name: tuple(map(int, name.split("."))), default="")


def runs() -> Iterator[tuple[str, str, str, Finished]]:
    """(provider, version, row, the run) of all that was ever recorded."""
    for path in sorted(HERE.glob("*/*/ends.json")):
        for row, kept in json.loads(path.read_text("utf-8")).items():
            yield path.parts[-3], path.parts[-2], row, _run(kept)


def _run(kept: dict[str, Any]) -> Finished:
    lines = [line.encode() + b"\n" for line in kept["stdout"]]
    work = Work("base", "head", commits=kept["commits"])
    return Finished(kept["code"], kept["signal"], kept["wrapper"], lines, kept["stderr"], work, kept["ended_at"])


def _kept(run: Finished, root: Path, port: int) -> dict[str, Any]:
    def clean(text: str) -> str:
        for there, kept in ((str(root), "/home/worker"), (str(MODULES), "/usr/lib/node_modules"),
                            (f"127.0.0.1:{port}", "127.0.0.1:1")):  # fmt: skip
            text = text.replace(there, kept)
        return text

    raw = b"".join(run.lines).decode("utf-8", "replace")[:LONGEST]
    assert run.work is not None
    return {"code": run.code, "signal": run.signal, "wrapper": run.wrapper_reason, "commits": run.work.commits,
            "ended_at": run.ended_at, "stderr": clean(run.stderr_tail), "stdout": clean(raw).splitlines()}  # fmt: skip


def record(name: str) -> Path:
    target = HERE / name / version(STANDS[name].binary) / "ends.json"
    kept = {}
    with serving() as server:
        server.scenarios |= scenarios()
        for row in (row for row, one in cells() if one == name):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                bench = Bench(name, Path(folder), server)
                bench.lay_out()
                kept[row.name] = _kept(bench.play(row), bench.root, server.server_address[1])
                bench.bury()
            print(f"{name}: {row.name}", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return target


if __name__ == "__main__":
    for one in sys.argv[1:] or PROVIDERS:
        print(record(one))
