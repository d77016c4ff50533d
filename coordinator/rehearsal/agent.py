"""A scripted agent: prompt on stdin, claude's stream on stdout, real edits and commits in its folder.

What it does is chosen by a line `script: NAME` in the prompt (succeed, fail-once, nothing, stall,
loop-until-stop), so an issue's body decides. It must load fast and needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = re.compile(r"^[>\s]*script:\s*([a-z-]+)\s*$", re.MULTILINE)
ISSUE = re.compile(r"#(\d+)\b")
MODEL = "rehearsal-1"
PRICE = 0.0015
IDENTITY = {"AUTHOR_NAME": "Rehearsal", "AUTHOR_EMAIL": "rehearsal@example.invalid"}


class Stream:
    """Prints one claude-shaped line an event and keeps count of turns and tokens."""

    def __init__(self) -> None:
        self.session = f"{os.urandom(4).hex()}-{os.urandom(2).hex()}-4{os.urandom(2).hex()[1:]}"
        self.turns = 0
        self.began = time.monotonic()

    def say(self, kind: str, **body: Any) -> None:
        print(json.dumps({"type": kind, **body, "session_id": self.session}), flush=True)

    def start(self) -> None:
        tools = ["Bash", "Edit", "Read", "Write"]
        self.say("system", subtype="init", cwd=str(Path.cwd()), tools=tools, model=MODEL)

    def text(self, words: str) -> None:
        self._assistant({"type": "text", "text": words})

    def tool(self, name: str, given: dict[str, str], answer: str, *, failed: bool = False) -> None:
        self.turns += 1
        call = f"toolu_{self.turns:06d}"
        self._assistant({"type": "tool_use", "id": call, "name": name, "input": given})
        result = {"tool_use_id": call, "type": "tool_result", "content": answer, "is_error": failed}
        self.say("user", message={"role": "user", "content": [result]})

    def _assistant(self, part: dict[str, Any]) -> None:
        usage = {"input_tokens": 100, "output_tokens": 20}
        message = {"type": "message", "role": "assistant", "model": MODEL, "content": [part], "usage": usage}
        self.say("assistant", message={"id": f"msg_{self.turns:06d}", **message})

    def end(self, words: str, *, failed: bool = False) -> int:
        """The last line of a run; returns the exit code that goes with it."""
        self.say(
            "result",
            subtype="error_during_execution" if failed else "success",
            is_error=failed,
            duration_ms=int((time.monotonic() - self.began) * 1000),
            num_turns=self.turns + 1,
            result=words,
            total_cost_usd=PRICE,
            usage={"input_tokens": 100 * (self.turns + 1), "output_tokens": 20 * (self.turns + 1)},
            permission_denials=[],
        )
        return int(failed)


def write(stream: Stream, path: str, text: str) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    stream.tool("Write", {"file_path": str(target.resolve()), "content": text}, f"wrote {path}")


def commit(stream: Stream, path: str, message: str) -> None:
    git("add", "--", path)
    said = git("commit", "-q", "-m", message)
    stream.tool("Bash", {"command": f"git add {path} && git commit -m {message!r}"}, said)


def git(*arguments: str) -> str:
    given = {f"GIT_{name}": value for name, value in IDENTITY.items()}
    given |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in given.items()}
    done = subprocess.run(["git", *arguments], env={**given, **os.environ}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def succeed(stream: Stream, name: str) -> int:
    stream.text(f"I will add a note for {name} and commit it.")
    write(stream, f"notes/{name}.md", f"# {name}\n\nDone by the rehearsal.\n")
    commit(stream, f"notes/{name}.md", f"Add a note for {name}")
    return stream.end(f"Added notes/{name}.md and committed it.")


def fail(stream: Stream, name: str) -> int:
    stream.text(f"I will look at {name} first.")
    stream.tool("Bash", {"command": "false"}, "exit status 1", failed=True)
    return stream.end("The first try went wrong, as the script wants.", failed=True)


def nothing(stream: Stream, name: str) -> int:
    stream.text(f"I looked at {name}; there is nothing to change.")
    return stream.end("Nothing to change.")


def stall(stream: Stream, name: str) -> int:
    stream.text(f"I will wait for something about {name} that never comes.")
    while True:
        signal.pause()


def loop(stream: Stream, name: str) -> int:
    """Work that never ends: the one who started it must stop it."""
    for step in range(1, sys.maxsize):
        path = f"notes/{name}-{step}.md"
        write(stream, path, f"step {step}\n")
        if step == 1:
            commit(stream, path, f"Begin the long work of {name}")
        time.sleep(0.3)
    return stream.end("Out of numbers.")


SCRIPTS: dict[str, Callable[[Stream, str], int]] = {
    "succeed": succeed,
    "nothing": nothing,
    "stall": stall,
    "loop-until-stop": loop,
}


def chosen(prompt: str, attempt: int) -> Callable[[Stream, str], int]:
    """The behaviour a prompt asks for; `fail-once` fails at the first attempt only."""
    found = SCRIPT.search(prompt)
    name = found[1] if found else "succeed"
    if name == "fail-once":
        return fail if attempt <= 1 else succeed
    if name not in SCRIPTS:
        raise SystemExit(f"no script {name!r}: fail-once, {', '.join(SCRIPTS)} are known")
    return SCRIPTS[name]


def main(arguments: list[str]) -> int:
    """`--attempt N`, or COORDINATOR_ATTEMPT, tells which try this is; 1 when nobody says."""
    told = arguments[1] if arguments[:1] == ["--attempt"] else os.environ.get("COORDINATOR_ATTEMPT", "1")
    prompt = sys.stdin.read()
    act = chosen(prompt, int(told))
    issue = ISSUE.search(prompt)
    stream = Stream()
    stream.start()
    return act(stream, f"issue-{issue[1]}" if issue else "task")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
