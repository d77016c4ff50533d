"""Commands that ask Slurm, and readers of their answers. Pure; a line that cannot be read is left out, never guessed.

Fields are parted by control characters, the free text of people comes last in a record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

FIELD, RECORD = "\x1f", "\x1e"
_ENV = ("env", "-u", "SQUEUE_STATES", "-u", "SQUEUE_PARTITION", "-u", "SQUEUE_ACCOUNT", "-u", "SQUEUE_QOS",
        "-u", "SQUEUE_NAMES", "-u", "SQUEUE_LICENSES", "-u", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT=%s", "LC_ALL=C")
"""People set these for their own eyes; times in Unix seconds need no time zone."""
_QUEUE = ("JobID", "JobArrayID", "State", "Reason", "exit_code", "RestartCnt", "NodeList", "StartTime", "EndTime",
          "Comment", "Name")
_ACCOUNT = ("JobID", "State", "ExitCode", "Start", "End", "MaxRSS", "ReqMem", "AllocCPUS", "NodeList", "JobName")
_LIVING = ("PENDING", "RUNNING", "SUSPENDED")
_ID = re.compile(r"\d+(_\d+|\+\d+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)([nc]?)")
_KB = {"": 1 / 1024, "K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30, "P": 1 << 40}


@dataclass(frozen=True)
class Row:
    """One job, or one task of an array, as squeue lists it. Times are Unix seconds, 0 where there is none."""

    id: str
    state: str
    reason: str
    exit_code: int
    signal: int
    restarts: int
    node: str
    start: float
    end: float
    comment: str
    name: str


@dataclass(frozen=True)
class Account:
    """One job as sacct keeps it, with what its batch step adds. `cancelled_by` is a user's number; `half`: its begin
    has not been written down yet, so that its name and memory are a stand-in's."""

    id: str
    state: str
    exit_code: int
    signal: int
    start: float
    end: float
    node: str
    name: str
    cancelled_by: int | None = None
    max_rss_kb: int = 0
    req_mem_kb: int = 0
    out_of_memory: bool = False
    step_signal: int = 0
    step_ended: bool = False
    half: bool = False

    @property
    def whole(self) -> bool:
        """Whether all is there that will be known of a job that ended: its parts come one by one."""
        return not self.half and (self.step_ended or not self.node)


def queue_argv() -> list[str]:
    """Asks for all jobs of this user, those that ended some minutes ago included: one call, however many."""
    parts = [f"{name}:{RECORD if name == _QUEUE[-1] else FIELD}" for name in _QUEUE]
    return [*_ENV, "squeue", "--me", "--all", "--array", "--noheader", "--states=all", f"--Format={','.join(parts)}"]


def known_argv(ids: Sequence[str]) -> list[str]:
    """Asks whether the controller knows these jobs, whoever's they are, and which tasks there are of their arrays."""
    whole = ",".join(dict.fromkeys(map(base_id, ids)))
    return [*_ENV, "squeue", "--all", "--array", "--noheader", "--states=all", f"--jobs={whole}",
            f"--Format=JobID:{FIELD},JobArrayID:{RECORD}"]


def account_argv(ids: Sequence[str]) -> list[str]:
    """Asks for these jobs of this user and their steps."""
    return [*_ENV, "sacct", "--noheader", "--parsable2", f"--delimiter={FIELD}", f"--jobs={','.join(ids)}",
            f"--format={','.join(_ACCOUNT)}"]


def rows(text: str) -> tuple[Row, ...]:
    """The answer to `queue_argv`."""
    found = (_row(record.lstrip("\n")) for record in text.split(RECORD))
    return tuple(row for row in found if row is not None)


def known(text: str) -> frozenset[str]:
    """The answer to `known_argv`: ids of jobs, of arrays, and of their tasks."""
    shown = {word.strip() for record in text.split(RECORD) for word in record.split(FIELD)}
    return frozenset(name for each in shown if _ID.fullmatch(each) for name in (each, base_id(each)))


def accounts(text: str) -> dict[str, Account]:
    """The answer to `account_argv`, by id. A job that was put back into the queue has its last line."""
    found: dict[str, Account] = {}
    for line in text.split("\n"):
        fields = line.split(FIELD, len(_ACCOUNT) - 1)
        if len(fields) != len(_ACCOUNT):
            continue
        whose, _, step = fields[0].partition(".")
        if not step and (account := _account(whose, fields)) is not None:
            found[whose] = account
        elif step and whose in found:
            found[whose] = _with_step(found[whose], fields)
    return found


def submitted(text: str) -> str:
    """The id in sbatch's answer, `123` or `123;cluster`, whatever a site prints around it; "" when there is none."""
    for line in reversed(text.split("\n")):
        if match := re.fullmatch(r"(\d+)(;[^;\s]+)?", line.strip()):
            return match[1]
    return ""


def base_id(job_id: str) -> str:
    """`12` of a task `12_3` of an array, or of a part `12+1` of a job of several."""
    return re.split(r"[_+]", job_id, maxsplit=1)[0]


def _row(record: str) -> Row | None:
    fields = record.split(FIELD, len(_QUEUE) - 1)
    if len(fields) != len(_QUEUE):
        return None
    whole, shown, state, reason, status, restarts, node, start, end, comment, name = fields
    job_id = shown if _ID.fullmatch(shown) else whole
    if not _ID.fullmatch(job_id) or not state:
        return None
    exit_code, signal = _wait_status(status)
    return Row(job_id, state, reason, exit_code, signal, _whole(restarts), _text(node), _moment(start), _moment(end),
               _text(comment), name)


def _account(job_id: str, fields: Sequence[str]) -> Account | None:
    _, state, status, start, end, _, req_mem, cpus, node, name = fields
    if not _ID.fullmatch(job_id) or not state:
        return None
    exit_code, signal = _exit(status)
    by = re.match(r"CANCELLED by (\d+)", state)
    return Account(
        job_id, state, exit_code, signal, _moment(start), _moment(end), "" if "assigned" in node else _text(node), name,
        cancelled_by=int(by[1]) if by else None, req_mem_kb=_size_kb(req_mem, _whole(cpus) or 1),
        out_of_memory=_starved(state, status), half=req_mem.endswith("?"),
    )


def _with_step(account: Account, fields: Sequence[str]) -> Account:
    rss = max(account.max_rss_kb, _size_kb(fields[5], 1))
    if not fields[0].endswith(".batch"):   # a step that the agent started by itself: its end is not the job's
        return replace(account, max_rss_kb=rss)
    return replace(account, max_rss_kb=rss, step_signal=_exit(fields[2])[1], step_ended=fields[1] not in _LIVING,
                   out_of_memory=account.out_of_memory or _starved(fields[1], fields[2]))


def _starved(state: str, status: str) -> bool:
    """0:125 is how Slurm writes down a kill by the memory cgroup, whatever the state says."""
    return state.startswith("OUT_OF_ME") or status == "0:125"


def _exit(text: str) -> tuple[int, int]:
    """`7:0` -> (7, 0); `0:9` -> (0, 9)."""
    code, _, signal = text.partition(":")
    return _whole(code), _whole(signal)


def _wait_status(text: str) -> tuple[int, int]:
    """squeue prints what wait() gave; newer ones `7:0` as sacct does."""
    if ":" in text:
        return _exit(text)
    status = _whole(text)
    return (0, status & 0x7F) if status & 0x7F else (status >> 8, 0)


def _size_kb(text: str, cpus: int) -> int:
    """`200M`, `1.5G`, and `100Mc` of older ones: that much for each processor."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return 0
    return int(float(match[1]) * _KB[match[2]] * (cpus if match[3] == "c" else 1))


def _moment(text: str) -> float:
    return float(text) if re.fullmatch(r"\d{1,11}", text) else 0.0


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,12}", text) else 0


def _text(text: str) -> str:
    return "" if text in {"(null)", "n/a", "N/A"} else text
