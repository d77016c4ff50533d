"""The one map from Slurm's words to ours: states of jobs, reasons for waiting, texts of refusal. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from coordinator.adapters.executors.slurm.reading import Account, Row

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    NEVER = "never"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Standing:
    """What Slurm says of a job. `since` is when it was first seen to stand so; of an unknown one, when Slurm was first
    found away. `reason` is a reason code, "" where the job came to an end of its own; `words` are for people. NEVER
    will not begin (again) and must be cancelled; GONE: Slurm was asked and has forgotten it. `started_at` and
    `ended_at` are Unix seconds, 0 where they did not come yet; `suspended` are those that were begun and stand still.
    """

    kind: Kind
    reason: str = ""
    words: str = ""
    since: datetime = BEGINNING
    code: int | None = None
    signal: int | None = None
    node: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    max_rss_kb: int = 0
    state: str = ""
    name: str = ""
    token: str = ""
    suspended: bool = False

    def alike(self, other: Standing) -> bool:
        return (self.kind, self.state, self.reason) == (other.kind, other.state, other.reason)


_SHORT = {
    "BF": "BOOT_FAIL", "CA": "CANCELLED", "CD": "COMPLETED", "CF": "CONFIGURING", "CG": "COMPLETING", "DL": "DEADLINE",
    "EX": "EXPEDITING", "F": "FAILED", "LF": "LAUNCH_FAILED", "NF": "NODE_FAIL", "OOM": "OUT_OF_MEMORY",
    "PD": "PENDING", "PR": "PREEMPTED", "PU": "POWER_UP_NODE", "R": "RUNNING", "RD": "RESV_DEL_HOLD",
    "RF": "REQUEUE_FED", "RH": "REQUEUE_HOLD", "RQ": "REQUEUED", "RS": "RESIZING", "RV": "REVOKED", "S": "SUSPENDED",
    "SE": "SPECIAL_EXIT", "SI": "SIGNALING", "SO": "STAGE_OUT", "ST": "STOPPED", "TO": "TIMEOUT", "UD": "UPDATE_DB",
}
_W, _R, _E, _N, _U = Kind.WAITING, Kind.RUNNING, Kind.ENDED, Kind.NEVER, Kind.UNKNOWN
_AGAIN = "Slurm put the job back into its queue; a worker is not started twice"
STATES: dict[str, tuple[Kind, str, str]] = {
    "PENDING": (_W, "", "it waits in Slurm's queue"),
    "CONFIGURING": (_W, "", "Slurm makes its node ready"),
    "POWER_UP_NODE": (_W, "", "Slurm starts its node"),
    "EXPEDITING": (_W, "", "it waits in Slurm's queue"),
    "SUSPENDED": (_W, "", "Slurm has suspended it"),
    "STOPPED": (_W, "", "Slurm has stopped its processes"),
    "RUNNING": (_R, "", ""),
    "COMPLETING": (_R, "", "it is ending"),
    "RESIZING": (_R, "", ""),
    "SIGNALING": (_R, "", ""),
    "STAGE_OUT": (_R, "", "its files are copied out"),
    "UPDATE_DB": (_R, "", ""),
    "COMPLETED": (_E, "", "the job came to its end"),
    "FAILED": (_E, "", "the job failed"),
    "CANCELLED": (_E, "slurm_cancelled", "the job was cancelled"),
    "TIMEOUT": (_E, "slurm_timeout", "the job reached its time limit (slurm.time)"),
    "DEADLINE": (_E, "slurm_timeout", "the job reached its deadline (--deadline in slurm.args)"),
    "OUT_OF_MEMORY": (_E, "slurm_oom", "the job used more memory than it was given (slurm.mem)"),
    "NODE_FAIL": (_E, "slurm_node_fail", "the node of the job failed"),
    "BOOT_FAIL": (_E, "slurm_node_fail", "the node of the job could not be started"),
    "LAUNCH_FAILED": (_E, "slurm_node_fail", "the node could not start the job"),
    "RECONFIG_FAIL": (_E, "slurm_node_fail", "the node could not be set up for the job"),
    "PREEMPTED": (_E, "slurm_preempted", "a job of higher priority took its place"),
    "REQUEUED": (_N, "slurm_preempted", _AGAIN),
    "REQUEUE_HOLD": (_N, "slurm_preempted", _AGAIN),
    "REQUEUE_FED": (_N, "slurm_preempted", _AGAIN),
    "SPECIAL_EXIT": (_N, "slurm_preempted", _AGAIN),
    "RESV_DEL_HOLD": (_N, "slurm_never_runs", "its reservation was deleted: mend --reservation in slurm.args"),
    "REVOKED": (_U, "", "another cluster of the federation has taken the job over"),
}
_STILL = ("SUSPENDED", "STOPPED")

_NEVER: dict[str, str] = {
    r"PartitionTimeLimit|AssocMaxWallDurationPerJobLimit|QOSMaxWallDurationPerJobLimit":
        "its time limit is longer than is allowed: lower slurm.time",
    r"PartitionNodeLimit": "it asks for a number of nodes that the partition does not allow: mend slurm.args",
    r"PartitionConfig":
        "its partition cannot hold it: lower slurm.cpus, slurm.mem or slurm.time, or name another slurm.partition",
    r"DependencyNeverSatisfied": "a job that it depends on did not end well",
    r"BadConstraints|Constraints":
        "what it asks for can never be met: mend slurm.cpus, slurm.mem, slurm.gres or slurm.args",
    r"(Assoc|QOS)Max(Cpu|Node)PerJobLimit|(Assoc|QOS)MaxCpuPerNode":
        "it asks for more than one job may have: lower slurm.cpus",
    r"(Assoc|QOS)Max(Mem|Memory)Per(Job|Node)|MaxMemPerLimit":
        "it asks for more memory than one job may have: lower slurm.mem",
    r"(Assoc|QOS)Max(GRES|License|BB|Energy|Billing|Unknown)Per(Job|Node)":
        "it asks for more than one job may have: mend slurm.gres or slurm.args",
    r"(Assoc|QOS)Max\w*MinutesPerJob(Limit)?":
        "it asks for more time on its processors than one job may have: lower slurm.time or slurm.cpus",
    r"QOSMin\w+": "it asks for less than its QOS wants: raise slurm.cpus or slurm.mem, or name another slurm.qos",
    r"InvalidAccount|AccountNotAllowed": "its account is not allowed there: mend slurm.account",
    r"InvalidQOS|QOSNotAllowed": "its QOS is not allowed there: mend slurm.qos",
    r"ReservationDeleted|ReservationInvalid": "its reservation is not there: mend --reservation in slurm.args",
    r"DeadLine": "its deadline cannot be kept any more: mend --deadline in slurm.args",
    r"(?i)JobHoldMaxRequeue|\w+.failed.requeued.held|job.requeued.in.held.state": _AGAIN,
}
_WAITS: dict[str, str] = {
    r"Priority": "jobs of higher priority go first",
    r"Resources|None|": "it waits for room on the cluster",
    r"(?i)Nodes.required.for.job.are.DOWN.*|ReqNodeNotAvail.*|NodeDown":
        "nodes that it needs are down, drained or reserved",
    r"Dependency": "it waits for a job that it depends on",
    r"BeginTime": "its begin was set for later",
    r"Reservation|ReqResv": "it waits for its reservation",
    r"Licenses": "it waits for a licence",
    r"JobHeldUser": "somebody of yours holds it back: `scontrol release` lets it go",
    r"JobHeldAdmin": "an administrator holds it back",
    r"PartitionDown|PartitionInactive": "its partition takes no jobs now",
    r"JobArrayTaskLimit": "as many tasks of its array run as may",
    r"(Assoc|QOS)(Grp|MaxJobs|MaxSubmit)\w*|QOSMax\w+Per(User|Account)\w*|Max\w+PerAccount"
    r"|(QOS|Association)(Job|Resource|Time)Limit|QOSUsageThreshold|AccountingPolicy":
        "you or your group use as much as is allowed",
    r"Prolog|Cleaning|FrontEndDown|BurstBuffer\w*|Power\w*|SchedDefer|FedJobLock|WaitTime": "Slurm prepares it",
}

_REFUSALS = {
    r"account/partition|invalid account": "slurm.account or slurm.partition",
    r"partition": "slurm.partition",
    r"time limit|--time": "slurm.time",
    r"invalid qos|\bqos\b": "slurm.qos",
    r"memory|--mem": "slurm.mem",
    r"gres": "slurm.gres",
    r"CPU count|--cpus": "slurm.cpus",
    r"node configuration": "slurm.cpus, slurm.mem or slurm.gres",
    r"reservation|feature|license|option|specification|dependency": "slurm.args",
}
_AWAY = re.compile(
    r"unable to contact|unable to establish|timed? ?out|zero bytes|connection (refused|reset)|connect failure"
    r"|communication (connection )?(failure|error)|no route to host|in standby|temporarily un(able|available)"
    r"|controller not responding|slurmctld|no answer within|authentication|try again|dns|fetch.config", re.IGNORECASE)
_FULL = re.compile(r"(Assoc|QOS)\w*Submit\w*Limit|MaxSubmitJobsPerAccount|MaxJobCount|job submit limit")


def full_name(state: str) -> str:
    """The long form of a state; `CANCELLED by 0` is CANCELLED, `R` is RUNNING. What is not known stays as it is."""
    word = state.split(maxsplit=1)[0].rstrip("+") if state.split() else ""
    return _SHORT.get(word, word)


def of_row(row: Row) -> Standing:
    """What one line of squeue says."""
    state = full_name(row.state)
    found = _of_state(state)
    seen = replace(found, node=row.node, started_at=row.start, name=row.name, token=row.comment, state=state,
                   suspended=state in _STILL)
    if state == "PENDING":
        return _pending(seen, row)
    if found.kind is Kind.ENDED:
        return _ended(seen, code=row.exit_code, signal=row.signal, ended_at=row.end, restarts=row.restarts)
    if row.restarts and found.kind is Kind.RUNNING:
        return replace(seen, words=_AGAIN)
    return seen


def of_account(account: Account) -> Standing:
    """What sacct says of a job, its batch step included."""
    state = full_name(account.state)
    found = _of_state(state)
    seen = replace(found, node=account.node, started_at=account.start, name=account.name, state=state,
                   max_rss_kb=account.max_rss_kb, suspended=state in _STILL)
    if found.kind is not Kind.ENDED:
        return seen
    ended = _ended(seen, code=account.exit_code, signal=account.signal, ended_at=account.end)
    if _memory_kill(account):
        return replace(ended, reason="slurm_oom", words=STATES["OUT_OF_MEMORY"][2])
    if state == "CANCELLED" and account.cancelled_by is not None:
        return replace(ended, words=f"{ended.words} by the user with the number {account.cancelled_by}")
    return ended


def refusal(text: str) -> str:
    """The setting that Slurm's own words point at; "" for none."""
    return next((setting for pattern, setting in _REFUSALS.items() if re.search(pattern, text, re.IGNORECASE)), "")


def is_away(text: str) -> bool:
    """Whether these words of a Slurm command say that its controller could not be asked."""
    return _AWAY.search(text) is not None


def is_full(text: str) -> bool:
    """Whether these words say that no more jobs are taken for now."""
    return _FULL.search(text) is not None


def together(parts: list[Standing]) -> Standing:
    """An array as one: what its least finished task stands at, of ended ones the first that did not end well."""
    order = (Kind.UNKNOWN, Kind.RUNNING, Kind.WAITING, Kind.NEVER, Kind.GONE, Kind.ENDED)
    return min(parts, key=lambda part: (order.index(part.kind), part.kind is Kind.ENDED and part.code == 0))


def _of_state(state: str) -> Standing:
    kind, reason, words = STATES.get(state, (Kind.UNKNOWN, "", f"Slurm calls it {state}, which is not known here"))
    return Standing(kind, reason, words)


def _pending(seen: Standing, row: Row) -> Standing:
    if row.restarts:
        return replace(seen, kind=Kind.NEVER, reason="slurm_preempted", words=_AGAIN)
    said = "" if row.reason in {"", "None"} else f" (Slurm says {row.reason})"
    for pattern, words in _NEVER.items():
        if re.fullmatch(pattern, row.reason):
            reason = "slurm_preempted" if words is _AGAIN else "slurm_never_runs"
            return replace(seen, kind=Kind.NEVER, reason=reason, words=words + said)
    words = next((words for pattern, words in _WAITS.items() if re.fullmatch(pattern, row.reason)), seen.words)
    return replace(seen, words=words + said)


_NOT_OPENED = 53
"""Slurm's own exit "signal" of a job whose files it could not open on the node."""


def _ended(seen: Standing, *, code: int, signal: int, ended_at: float, restarts: int = 0) -> Standing:
    if restarts and not seen.reason:
        return replace(seen, reason="slurm_preempted", words=_AGAIN, ended_at=ended_at)
    if seen.state == "DEADLINE" and not seen.node:
        return replace(seen, reason="slurm_never_runs", ended_at=ended_at)
    if signal == _NOT_OPENED:
        return replace(seen, reason="launch_failed", ended_at=ended_at, words="Slurm could not begin the script on the "
                       "node; often the folder of its output is not there (slurm.workdir, slurm.shared)")
    return replace(seen, code=None if signal else code, signal=signal or None, ended_at=ended_at)


def _memory_kill(account: Account) -> bool:
    """Where a poll of Slurm's watches memory, and not a cgroup, the job is FAILED or CANCELLED by a KILL; only that its
    batch step had more than it was given tells why."""
    if account.out_of_memory:
        return True
    killed = account.signal == 9 or account.step_signal == 9
    return killed and 0 < account.req_mem_kb <= account.max_rss_kb
