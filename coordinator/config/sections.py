"""Every key of coordinator.toml with its kind and default, as frozen values. Reads nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

from coordinator.config import kinds
from coordinator.config.kinds import Kind

T = TypeVar("T")

_URL = (r"https?://[^\s/@]+(/\S*)?", "address that begins with http:// or https:// and holds no password")
_REPOSITORY = (r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", 'repository; write "owner/name"')
_LABEL = (r"[^,\n\t]{1,50}", "label; GitHub allows 1 to 50 characters, and a comma separates labels")
_NAME = (r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "name; letters, digits, dot, dash and underscore are possible")
_VARIABLE = (r"[A-Za-z_][A-Za-z0-9_]*\*?", "environment variable; a * at its end stands for any rest")
_HOST_PATH = (r"(/|~/).*[^/]", "path of a file; begin with / or ~/")
_PLACE = (r"(/|~/)[^/].*", "file or folder; begin with / or ~/")
_NETWORK = (r"on|off|http://[A-Za-z0-9.-]+:[0-9]{1,5}", 'way to the network; write "on", "off" or http://proxy:3128')
_FOLDER = (r"(/|~/).+", "folder; begin with / or ~/")
_FILE_NAME = (r"(?!\.{1,2}$)[^/]+", "file name; it lies in ~/.config/systemd/user")
_ADDRESS = (r"[A-Za-z0-9_\[][^\s]*", "address as ssh takes it: host, user@host or an alias of your ssh configuration")
_PROGRAM = (r"[^\s-][^\n]*", "program; begin with / or ~/, or name one that stands in PATH")
_SLURM_WORD = (r"[^\s,;\"'\\]+", "single word as sbatch takes it")
_SLURM_TIME = (r"(\d+-)?\d+(:\d+){0,2}", "time as sbatch takes it: minutes, H:M:S or D-H:M:S")
_SLURM_ARGUMENT = (r"--[a-z][a-z-]*(=[^\n]*)?", "long option of sbatch; write --name or --name=value")
_LOGIN = (r"[A-Za-z0-9][A-Za-z0-9-]*(\[bot\])?", "GitHub login")


def _key(kind: Kind[T], default: object) -> T:
    """A field that remembers its kind; `default` is written as in TOML and read by the kind itself."""
    return field(default_factory=lambda: kind.read(default), metadata={"kind": kind})


def _optional(pattern: tuple[str, str]) -> str:
    return _key(kinds.text(*pattern, empty=True), "")


@dataclass(frozen=True, slots=True)
class Repository:
    """Which repository, and how GitHub is reached. "" = found out: from the remote, from GitHub, none. `claim`: one
    coordinator at a time, wherever they run; renewed, left to others and looked at this often."""

    name: str = _optional(_REPOSITORY)
    base: str = _key(kinds.text(r"[^\s~^:?*\[\\]+", "branch name", empty=True), "")
    api_url: str = _optional(_URL)
    ca_bundle: str = _key(kinds.text(empty=True), "")
    proxy: str = _key(kinds.proxy(), "")
    fork: str = _optional(_REPOSITORY)
    claim: bool = _key(kinds.flag(), True)
    claim_renew: timedelta = _key(kinds.duration("100ms"), "20m")
    claim_lease: timedelta = _key(kinds.duration("1s", "1d"), "1h")
    claim_watch: timedelta = _key(kinds.duration("100ms"), "3m")


@dataclass(frozen=True, slots=True)
class Poll:
    """How often GitHub is asked, and how many requests of its hourly limit are left to people."""

    interval: timedelta = _key(kinds.duration("1s"), "15s")
    jitter: timedelta = _key(kinds.duration(), "3s")
    reserve: int = _key(kinds.number(0), 500)


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers, of what kind, where, and how long each may take, be silent, or stay after a stop. `lease`: how
    long the host of a running worker may be out of reach before the worker is given up. `sandbox_read` and
    `sandbox_write` are shown behind walls besides."""

    max: int = _key(kinds.number(1, 1000), 3)
    provider: str = _key(kinds.text(*_NAME), "claude")
    template: str = _key(kinds.text(*_NAME), "default")
    workflow: str = _key(kinds.text(*_NAME), "build")
    timeout: timedelta = _key(kinds.duration("1s"), "2h")
    grace: timedelta = _key(kinds.duration(), "5m")
    stall: timedelta = _key(kinds.duration("1s"), "20m")
    no_mutation: timedelta = _key(kinds.duration("1s"), "30m")
    idle_cpu: float = _key(kinds.share(), 0.02)
    stop_grace: timedelta = _key(kinds.duration("100ms"), "2s")
    executor: str = _key(kinds.choice("local", "ssh", "slurm"), "local")
    lease: timedelta = _key(kinds.duration("1s"), "10m")
    sandbox: str = _key(kinds.choice("auto", "bwrap", "off"), "auto")
    network: str = _key(kinds.text(*_NETWORK), "on")
    sandbox_read: tuple[str, ...] = _key(kinds.words(*_PLACE), [])
    sandbox_write: tuple[str, ...] = _key(kinds.words(*_PLACE), [])


@dataclass(frozen=True, slots=True)
class Worktree:
    """Where worktrees stand, what makes a fresh one buildable, and whether unfinished work is pushed."""

    root: str = _key(kinds.inner_path(), "trees")
    copy: tuple[str, ...] = _key(kinds.words(r"(?!/)(?!(.*/)?\.\.(/|$)).+", "path inside the repository"), [])
    after_create: str = _key(kinds.text(empty=True), "")
    before_run: str = _key(kinds.text(empty=True), "")
    after_run: str = _key(kinds.text(empty=True), "")
    before_remove: str = _key(kinds.text(empty=True), "")
    hook_timeout: timedelta = _key(kinds.duration("1s"), "1m")
    push_wip: bool = _key(kinds.flag(), True)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed run is begun again, and after what wait (doubled each time up to the most)."""

    max: int = _key(kinds.number(0, 100), 1)
    backoff: timedelta = _key(kinds.duration(), "60s")
    backoff_max: timedelta = _key(kinds.duration(), "30m")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose label and words are obeyed: a permission, or a name on a list."""

    users: tuple[str, ...] = _key(kinds.words(*_LOGIN), [])
    bots: tuple[str, ...] = _key(kinds.words(*_LOGIN), [])
    permission: str = _key(kinds.choice("write", "maintain", "admin"), "write")
    respect_assignee: bool = _key(kinds.flag(), True)


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of all labels; `mode` minimal writes only `blocked`, full all of ours."""

    mode: str = _key(kinds.choice("minimal", "full"), "minimal")
    auto: str = _key(kinds.text(*_LABEL), "rpi-auto")
    pause: str = _key(kinds.text(*_LABEL), "rpi-pause")
    retry: str = _key(kinds.text(*_LABEL), "rpi-retry")
    approved: str = _key(kinds.text(*_LABEL), "rpi-approved")
    protected: str = _key(kinds.text(*_LABEL), "rpi:protected")
    queued: str = _key(kinds.text(*_LABEL), "rpi:queued")
    running: str = _key(kinds.text(*_LABEL), "rpi:running")
    in_review: str = _key(kinds.text(*_LABEL), "rpi:in-review")
    blocked: str = _key(kinds.text(*_LABEL), "rpi:blocked")
    failed: str = _key(kinds.text(*_LABEL), "rpi:failed")
    done: str = _key(kinds.text(*_LABEL), "rpi:done")


@dataclass(frozen=True, slots=True)
class ProviderSection:
    """One agent CLI. `environment` names what a worker may inherit, `tools` what it may use; `max` 0 = no
    cap of its own; `argv` is the whole command of the provider `command`; `binary` "" = the usual one. The last two
    say where this site keeps the token that 1Password's CLI signs in with."""

    model: str = _key(kinds.text(empty=True), "")
    max_turns: int = _key(kinds.number(0, 100_000), 0)
    args: tuple[str, ...] = _key(kinds.words(), [])
    argv: tuple[str, ...] = _key(kinds.words(), [])
    environment: tuple[str, ...] = _key(kinds.words(*_VARIABLE), [])
    tools: tuple[str, ...] = _key(kinds.words(), [])
    binary: str = _key(kinds.text(empty=True), "")
    max: int = _key(kinds.number(0, 1000), 0)
    op_token_file: str = _optional(_HOST_PATH)
    op_legacy_names: tuple[str, ...] = _key(kinds.words(*_FILE_NAME), [])


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that workers run on by ssh. `ssh` are the words before the address; tasks whose issue carries one of
    `labels` run there and nowhere else; `path` are folders put before its PATH. `shared`: our files lie at the same
    paths there. One that is not `enabled` takes work once its gate was passed and recorded; `gate` is a command run
    there, `gate_doc` where it is explained."""

    address: str = _optional(_ADDRESS)
    ssh: tuple[str, ...] = _key(kinds.words(), ["ssh"])
    slots: int = _key(kinds.number(1, 10_000), 2)
    labels: tuple[str, ...] = _key(kinds.words(*_LABEL), [])
    workdir: str = _key(kinds.text(*_FOLDER), "~/coordinator")
    python: str = _key(kinds.text(*_PROGRAM), "python3")
    path: tuple[str, ...] = _key(kinds.words(*_FOLDER), [])
    shared: bool = _key(kinds.flag(), False)
    enabled: bool = _key(kinds.flag(), True)
    gate: str = _key(kinds.text(empty=True), "")
    gate_doc: str = _key(kinds.text(empty=True), "")
    purpose: str = _key(kinds.text(empty=True), "")
    default: bool = _key(kinds.flag(), False)


@dataclass(frozen=True, slots=True)
class Slurm:
    """How workers are given to Slurm: on this machine, or by way of `login`, a name of [hosts]. "" leaves a value to
    the cluster. `max` caps jobs in its queue, `poll` is how often it is asked, `warning` how long before the time
    limit a worker is told; tasks whose issue carries one of `labels` run there. `user` is whose jobs are watched."""

    partition: str = _optional(_SLURM_WORD)
    account: str = _optional(_SLURM_WORD)
    qos: str = _optional(_SLURM_WORD)
    time: str = _key(kinds.text(*_SLURM_TIME, empty=True), "")
    mem: str = _optional(_SLURM_WORD)
    cpus: int = _key(kinds.number(0, 100_000), 0)
    gres: str = _optional((r"[^\s;\"'\\]+", "list of resources as sbatch takes it"))
    args: tuple[str, ...] = _key(kinds.words(*_SLURM_ARGUMENT), [])
    login: str = _optional(_NAME)
    workdir: str = _key(kinds.text(r"((/|~/).+)?", "folder; begin with / or ~/", empty=True), "")
    python: str = _key(kinds.text(*_PROGRAM, empty=True), "")
    path: tuple[str, ...] = _key(kinds.words(*_FOLDER), [])
    shared: bool = _key(kinds.flag(), True)
    max: int = _key(kinds.number(1, 100_000), 100)
    labels: tuple[str, ...] = _key(kinds.words(*_LABEL), [])
    poll: timedelta = _key(kinds.duration("1s"), "15s")
    warning: timedelta = _key(kinds.duration("1s"), "2m")
    user: str = _optional((r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?", "user's name on the cluster"))


@dataclass(frozen=True, slots=True)
class Caps:
    """Ceilings on sessions, tokens and US dollars, 0 = none; `labels` caps how many tasks with a label run at once."""

    sessions_per_task: int = _key(kinds.number(0), 6)
    tokens_per_task: int = _key(kinds.number(0, 1_000_000_000_000), 0)
    money_per_task: float = _key(kinds.money(), 0)
    sessions_per_day: int = _key(kinds.number(0), 50)
    money_per_day: float = _key(kinds.money(), 0)
    labels: Mapping[str, int] = _key(kinds.counts(), {})


@dataclass(frozen=True, slots=True)
class Floors:
    """Room that must be left wherever a worker is to be started: on the file system it writes to, as an amount or as
    "5%" of it, and in memory. `load` is the most of one minute for each core. 0 = off."""

    disk: kinds.Floor = _key(kinds.floor(kinds.size()), "5GB")
    inodes: kinds.Floor = _key(kinds.floor(kinds.number(0)), 50_000)
    memory: int = _key(kinds.size(), "1GB")
    load: float = _key(kinds.load(), 0)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is no longer needed is kept."""

    transcripts: timedelta = _key(kinds.duration(), "30d")
    run_files: timedelta = _key(kinds.duration(), "30d")
    rescue: timedelta = _key(kinds.duration("1h"), "30d")
    worktrees_after_merge: timedelta = _key(kinds.duration(), "1d")


@dataclass(frozen=True, slots=True)
class Batch:
    """When tasks that are judged together stand badly: shares of those that ended, and how many there must be. Issues
    whose label begins with `label` are one batch each. Of batches of Slurm's jobs: `via` are the words of the project's
    own wrapper, put before squeue and its like; `expect` are files that each job leaves, `sync` folders that are
    brought here."""

    watch: float = _key(kinds.share(), 0.10)
    systemic: float = _key(kinds.share(), 0.15)
    min_ended: int = _key(kinds.number(1, 100_000), 5)
    min_same: int = _key(kinds.number(1, 100_000), 3)
    label: str = _key(kinds.text(*_LABEL), "batch:")
    via: tuple[str, ...] = _key(kinds.words(), [])
    expect: tuple[str, ...] = _key(kinds.words(), [])
    sync: tuple[str, ...] = _key(kinds.words(r".+:.+", "REMOTE:LOCAL; a folder on the cluster, and one here"), [])


@dataclass(frozen=True, slots=True)
class Plans:
    """Plan files: where their worktrees stand, how long a validation may take, and what becomes of commits that touch
    other files than the task names, lack their trailers, or were pushed by the agent."""

    worktrees: str = _key(kinds.text(*_FOLDER), "/tmp/agents")  # noqa: S108 - the place known to its users; another user's is refused
    validation_timeout: timedelta = _key(kinds.duration("1s"), "15m")
    outside: str = _key(kinds.choice("warn", "refuse"), "warn")
    trailers: str = _key(kinds.choice("warn", "refuse"), "warn")
    pushed: str = _key(kinds.choice("warn", "refuse"), "warn")


_PROTECTED = [
    ".github/workflows/**", ".github/actions/**", "CODEOWNERS",
    ".claude/", ".mcp.json", "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "AGENTS.override.md", ".codex/", ".gemini/",
    "GEMINI.md", "opencode.json", "opencode.jsonc", ".opencode/", ".gitattributes", ".gitmodules", ".secrets-allowed",
]


@dataclass(frozen=True, slots=True)
class Protect:
    """Files that an agent should not change unseen, as patterns, and what becomes of work that does."""

    paths: tuple[str, ...] = _key(kinds.words(), _PROTECTED)
    mode: str = _key(kinds.choice("draft", "block", "off"), "draft")


_AGES = {"HELD": "1d", "QUEUED": "1d", "PREPARING": "30m", "RUNNING": "6h", "PUBLISHING": "1h", "IN_REVIEW": "7d",
         "BACKOFF": "12h", "BLOCKED": "3d", "FAILED": "3d", "CANCELLED": "7d", "DONE": "7d"}


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told, once for each cause that wants a person: a command ("" = none), and addresses as apprise knows them.
    `ages` is how long a labelled issue may stand in each state; 0s = without limit."""

    command: str = _key(kinds.text(empty=True), "")
    urls: tuple[str, ...] = field(default=(), repr=False, metadata={"kind": kinds.addresses()})
    ages: Mapping[str, timedelta] = _key(kinds.spans(_AGES), {})


LADDER: Kind[tuple[str, ...]] = kinds.words(*_NAME)
"""What stands behind a provider's name in [fallback]."""


def _none() -> Mapping[str, ProviderSection]:
    return MappingProxyType({})


def _no_hosts() -> Mapping[str, Host]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. `fallback` names for a provider those that may stand in for it, in order; `origins` tells for each
    dotted key where its value came from."""

    repository: Repository = field(default_factory=Repository)
    poll: Poll = field(default_factory=Poll)
    workers: Workers = field(default_factory=Workers)
    worktree: Worktree = field(default_factory=Worktree)
    retry: Retry = field(default_factory=Retry)
    trust: Trust = field(default_factory=Trust)
    labels: Labels = field(default_factory=Labels)
    caps: Caps = field(default_factory=Caps)
    floors: Floors = field(default_factory=Floors)
    retention: Retention = field(default_factory=Retention)
    batch: Batch = field(default_factory=Batch)
    plans: Plans = field(default_factory=Plans)
    protect: Protect = field(default_factory=Protect)
    notify: Notify = field(default_factory=Notify)
    slurm: Slurm = field(default_factory=Slurm)
    fallback: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    providers: Mapping[str, ProviderSection] = field(default_factory=_none)
    hosts: Mapping[str, Host] = field(default_factory=_no_hosts)
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def label_names(self) -> frozenset[str]:
        """Every label that anything here names."""
        own = (value for key, value in asdict(self.labels).items() if key != "mode")
        hosts = (label for host in self.hosts.values() for label in host.labels)
        return frozenset((*own, *hosts, *self.slurm.labels, *self.caps.labels))

    def provider(self, name: str) -> ProviderSection:
        """The section of this provider, all defaults when the file has none."""
        return self.providers.get(name, ProviderSection())
