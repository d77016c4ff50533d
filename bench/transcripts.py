"""What reading a transcript costs: its account and the first page of its conversation, beside a plain `json.loads` loop
and the tools that people have, over the same file in the same run.

`python bench/transcripts.py [--large] [--rounds 5]` makes a transcript of 200 MB, or of 1 GB, the same one each time,
and prints a table. Every row is a whole process, its start included. What is compared is the processor's time, the best
of some rounds: what else the machine does falls on it least.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MB = 1_000_000
PAGE = 50
FILE = "/srv/widgets/trees/gh-471/src/parse.py"
SESSION = "f9ec2ff0-988b-49fb-b5f2-c3c35a98b0d1"
VIEW = (sys.executable, "-m", "coordinator", "view", "471")
LOOP = "import sys, {0}\nfor line in open(sys.argv[1], 'rb'): {0}.loads(line)"
ACCOUNT = "import sys\nfrom coordinator.cli.summing import account_of\naccount_of(open(sys.argv[1], 'rb', 0))"
BASELINE = "json.loads loop"
SUM = 'select(.type == "assistant") | .message.usage | .input_tokens + .output_tokens'
USED = r'"(input|output)_tokens":[0-9]*'


def transcript(size: int, seed: int = 471) -> Iterator[bytes]:
    """Lines as claude 2.1 prints them, some `size` bytes in all. What a tool says stands in its line twice, once for
    the model and once as it is kept: with the lines that an edit changed, the files that a search found."""
    rnd = random.Random(seed)
    texts = [_text(rnd, min(60_000, int(rnd.lognormvariate(7, 1.3)))) for _ in range(400)]
    number = written = 0
    while written < size:
        number += 1
        for body in _turn(rnd, texts, number):
            line = json.dumps({**body, "timestamp": _time(number)}, ensure_ascii=False, separators=(",", ":"))
            raw = line.encode() + b"\n"
            written += len(raw)
            yield raw


def _text(rnd: random.Random, size: int) -> str:
    """Something like code: lines, indents, quotes; in one of ten a sign beyond ASCII."""
    words = ["".join(rnd.choices("abcdefghijklmnopqrstuvwxyz_", k=rnd.randrange(2, 10))) for _ in range(60)]
    words += ["(self)", "return", "=", '"name"', "—" if rnd.random() < 0.1 else "-"]
    lines: list[str] = []
    while sum(map(len, lines)) < size:
        lines.append("    " * rnd.randrange(4) + " ".join(rnd.choices(words, k=rnd.randrange(3, 10))))
    return "\n".join(lines)[:size]


def _turn(rnd: random.Random, texts: list[str], number: int) -> Iterator[dict[str, Any]]:
    """Words of the agent now and then, a tool use, what the tool said; seldom the API is asked again."""
    used = {
        "input_tokens": 3, "cache_creation_input_tokens": rnd.randrange(2000), "output_tokens": rnd.randrange(500),
        "cache_read_input_tokens": 20_000 + rnd.randrange(80_000), "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
    }  # fmt: skip
    if rnd.random() < 0.3:
        yield _said(number, {"type": "text", "text": rnd.choice(texts)[:400]}, used)
    ident, bad = f"toolu_{number:024x}", rnd.random() < 0.05
    name, given, printed, kept = rnd.choice((_bash, _bash, _read, _read, _edit, _grep, _write))(rnd, texts)
    yield _said(number, {"type": "tool_use", "id": ident, "name": name, "input": given}, used)
    block = {"tool_use_id": ident, "type": "tool_result", "content": printed, "is_error": bad}
    yield {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": None,
           "session_id": SESSION, "uuid": _uuid(number), "tool_use_result": kept}  # fmt: skip
    if number % 50 == 0:
        yield {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "error": "overloaded"}
        yield {"type": "error", "error": {"type": "overloaded", "message": "overloaded (attempt 1 of 10)"}}


Tool = tuple[str, dict[str, Any], str, dict[str, Any]]


def _bash(rnd: random.Random, texts: list[str]) -> Tool:
    out = rnd.choice(texts)[: int(rnd.lognormvariate(6.3, 1.5))]
    kept = {"stdout": out, "stderr": "", "interrupted": False, "isImage": False, "noOutputExpected": False}
    return "Bash", {"command": rnd.choice(texts)[:120], "description": "Run the tests"}, out, kept


def _read(rnd: random.Random, texts: list[str]) -> Tool:
    lines = rnd.choice(texts).split("\n")
    numbered = "\n".join(f"{number:6}→{line}" for number, line in enumerate(lines, 1))
    file = {"filePath": FILE, "content": "\n".join(lines), "numLines": len(lines), "startLine": 1,
            "totalLines": len(lines)}  # fmt: skip
    return "Read", {"file_path": FILE}, numbered, {"type": "text", "file": file}


def _edit(rnd: random.Random, texts: list[str]) -> Tool:
    old, file = rnd.choice(texts)[:600], rnd.choice(texts)
    new = old + rnd.choice(texts)[:200]
    patch = [*(f"-{line}" for line in old.split("\n")), *(f"+{line}" for line in new.split("\n"))]
    hunk = {"oldStart": 10, "oldLines": old.count("\n"), "newStart": 10, "newLines": new.count("\n"), "lines": patch}
    kept = {"filePath": FILE, "oldString": old, "newString": new, "originalFile": file, "structuredPatch": [hunk],
            "userModified": False, "replaceAll": False}  # fmt: skip
    return "Edit", {"file_path": FILE, "old_string": old, "new_string": new}, f"The file {FILE} was updated.", kept


def _grep(rnd: random.Random, _: list[str]) -> Tool:
    files = [f"/srv/widgets/src/module_{rnd.randrange(500)}/parse.py" for _ in range(rnd.randrange(40))]
    kept = {"mode": "files_with_matches", "filenames": files, "numFiles": len(files)}
    return "Grep", {"pattern": "def parse", "path": "src"}, "\n".join(files), kept


def _write(rnd: random.Random, texts: list[str]) -> Tool:
    text = rnd.choice(texts)
    kept = {"type": "create", "filePath": FILE, "content": text, "structuredPatch": []}
    return "Write", {"file_path": FILE, "content": text}, f"File created at: {FILE}", kept


def _said(number: int, block: dict[str, Any], used: dict[str, Any]) -> dict[str, Any]:
    message = {"id": f"msg_{number:024x}", "type": "message", "role": "assistant", "model": "claude-x",
               "content": [block], "stop_reason": None, "stop_sequence": None, "usage": used}  # fmt: skip
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": SESSION,
            "uuid": _uuid(number), "request_id": f"req_{number}"}  # fmt: skip


def _uuid(number: int) -> str:
    return f"6ba7b810-9dad-11d1-80b4-{number:012x}"


def _time(second: int) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def place(root: Path, size: int) -> Path:
    """A repository with such a transcript of gh-471."""
    (root / "logs").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    with (root / "logs" / "gh-471.jsonl").open("wb") as out:
        out.writelines(transcript(size))
    return root


@dataclass(frozen=True, order=True)
class Cost:
    """Seconds of the processor, seconds by the clock, MB of memory at most."""

    cpu: float
    clock: float
    memory: float


def whole(argv: tuple[str, ...], root: Path) -> Cost:
    """A process that ends by itself. What it prints goes to a file: some tools stop at once where nobody listens."""
    with (root / "printed").open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(argv, cwd=root, stdout=out)
        cost = _ended(process, began)
    if process.returncode:
        sys.exit(f"exit {process.returncode}: {' '.join(argv)}")
    return cost


def first_page(argv: tuple[str, ...], root: Path) -> Cost:
    """A process whose reader goes away once the first page of what it prints is there."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(PAGE)]
    assert all(lines), "the page is full"
    process.stdout.close()
    return _ended(process, began)


def _ended(process: subprocess.Popen[Any], began: float) -> Cost:
    peak = _Peak(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, peak.end())


class _Peak:
    """The most memory that a process had; the rusage of a child begins at what its parent had."""

    def __init__(self, pid: int) -> None:
        self._status, self._most = Path(f"/proc/{pid}/status"), 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while found := self._look():
            self._most = max(self._most, found)
            time.sleep(0.01)

    def _look(self) -> int:
        """KB, 0 once it has ended."""
        try:
            lines = self._status.read_text("ascii", "replace").splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)

    def end(self) -> float:
        self._thread.join()
        return self._most / 1000


def contenders(file: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What reads a whole transcript, the baseline first; tools that are not there are left out."""
    yield BASELINE, (sys.executable, "-c", LOOP.format("json"), file)
    yield "the account alone", (sys.executable, "-c", ACCOUNT, file)
    yield "`view --summary`", (*VIEW, "--summary")
    yield "`view`, all of it", VIEW
    if find_spec("orjson"):
        yield "orjson.loads loop", (sys.executable, "-c", LOOP.format("orjson"), file)
    if shutil.which("grep"):
        yield "grep -o (tokens alone)", ("grep", "-aoE", USED, file)
    if shutil.which("jq"):
        yield "jq (tokens alone)", ("jq", SUM, file)


def rows(root: Path, rounds: int) -> Iterator[str]:
    """Round by round in turn, so that what else the machine does falls on all alike."""
    those = list(contenders("logs/gh-471.jsonl"))
    taken: dict[str, list[Cost]] = {name: [] for name, _ in those}
    for _ in range(rounds):
        for name, argv in those:
            taken[name].append(whole(argv, root))
    baseline = min(taken[BASELINE]).cpu
    for name, found in taken.items():
        yield _row(name, found, f"{baseline / min(found).cpu:.2f}")


def pages(small: Path, large: Path, rounds: int) -> Iterator[str]:
    for name, root in (("of 1 MB", small), ("of all", large)):
        yield _row(f"`view`, first page {name}", [first_page(VIEW, root) for _ in range(rounds)], "")


def _row(name: str, found: list[Cost], ratio: str) -> str:
    best, most = min(found), max(one.memory for one in found)
    return f"| {name} | {best.cpu:.2f} s | {ratio} | {min(one.clock for one in found):.2f} s | {most:.1f} MB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="1 GB instead of 200 MB")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    root = Path(tempfile.mkdtemp(prefix="bench-transcripts-"))
    try:
        size = 1000 if given.large else 200
        small, large = place(root / "small", MB), place(root / "large", size * MB)
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; {size} MB, best of {given.rounds} rounds.\n")
        print(f"| what | processor | times as fast as the {BASELINE} | clock | memory |\n|---|---|---|---|---|")
        for line in (*pages(small, large, given.rounds), *rows(large, given.rounds)):
            print(line, flush=True)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
