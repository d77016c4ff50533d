"""Builders for one command on another host: run with its output streamed, ended with us, its outcome recorded.

The far command has the host's own environment and nothing of ours: no token, no variable goes with it.
"""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.app import hosts
from coordinator.app.faces import state_home

if TYPE_CHECKING:
    from coordinator.adapters.executors.one_off import Ended
    from coordinator.config import Config

MOST = 500
"""Outcomes that are kept."""
_LONGEST = 2000
_SIGNALLED = 128


@dataclass(frozen=True)
class Outcome:
    """One line of the record. `how` is ended (`exit_code` is the command's own), unreachable (it never began), lost
    (nobody knows whether it began or runs on), interrupted, or of a batch job submitted (as `id`) or refused;
    `command` is without secrets."""

    at: str
    host: str
    address: str
    command: str
    how: str
    exit_code: int | None
    seconds: float
    id: str = ""


def command_line(words: Sequence[str]) -> str:
    """One word is a line for the far shell as it is; several are the words of a command, each kept as one."""
    return words[0] if len(words) == 1 else shlex.join(words)


def dispatch(
    config: Config, name: str, words: Sequence[str], environ: Mapping[str, str], show: Callable[[bytes], None],
    say: Callable[[str], None],
) -> int:
    """Runs it; `show` is given what it writes on stderr, `say` what people should know besides. Its exit code, or 128
    and a signal's number when we were ended. Raises NoHost, NotDone."""
    from coordinator.adapters.executors.one_off import run_one
    from coordinator.app import now

    host, line = hosts.host_of(config, name), command_line(words)
    if closed := hosts.gates(config, environ)[name]:
        raise hosts.NotDone(closed, "Nothing was run.")
    began = now()
    ended = run_one(hosts.reach(host, environ), host.path, line, show)
    outcome = Outcome(began.isoformat(timespec="seconds"), name, host.address, line, _how(ended), ended.code,
                      round((now() - began).total_seconds(), 3))
    keep(outcome, environ, say)
    return _code(name, ended, say)


def keep(outcome: Outcome, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Records it, secrets in its command hidden; `say` is told where that cannot be done."""
    try:
        _record(replace(outcome, command=_masked(outcome.command, environ)), environ)
    except OSError as error:
        say(f"the outcome could not be recorded in {_place(environ)}: {error.strerror}")


def recorded(environ: Mapping[str, str]) -> list[Outcome]:
    """The oldest first; lines that are none of ours are passed over. Raises OSError."""
    from coordinator.adapters.system.notebook import Notebook

    return [one for line in _lines(Notebook(_place(environ)).read()) if (one := _read(line)) is not None]


def _how(ended: Ended) -> str:
    if ended.signal:
        return "interrupted"
    if ended.trouble is None:
        return "ended"
    return "lost" if ended.trouble.begun else "unreachable"


def _code(name: str, ended: Ended, say: Callable[[str], None]) -> int:
    if ended.signal == signal.SIGPIPE and ended.trouble is None:
        return _SIGNALLED + ended.signal   # as of any program whose reader has enough: no words
    if ended.signal:
        say(f"it may run on there, for the host could not be asked to end it: {ended.trouble.words}" if ended.trouble
            else f"the command on {name} was ended")
        return _SIGNALLED + ended.signal
    if ended.trouble is not None:
        raise hosts.NotDone(f"{name}: {ended.trouble.what}", ended.trouble.cure)
    return ended.code or 0


def _record(outcome: Outcome, environ: Mapping[str, str]) -> None:
    from coordinator.adapters.system.notebook import Notebook

    line = json.dumps(asdict(outcome), ensure_ascii=False)
    Notebook(_place(environ)).change(lambda raw: "".join(f"{one}\n" for one in [*_lines(raw)[1 - MOST:], line]))


def _lines(raw: bytes | None) -> list[str]:
    return (raw or b"").decode("utf-8", "replace").splitlines()


def _read(line: str) -> Outcome | None:
    try:
        found: Any = json.loads(line)
        return Outcome(**found)
    except (ValueError, TypeError):
        return None


def _masked(line: str, environ: Mapping[str, str]) -> str:
    from coordinator.runfiles.masking import Masker, secrets_in

    return Masker(secrets_in(environ)).text(line)[:_LONGEST]


def _place(environ: Mapping[str, str]) -> Path:
    return state_home(environ) / "coordinator" / "dispatches.jsonl"
