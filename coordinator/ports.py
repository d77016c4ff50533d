"""Every seam on one page: what the engine may ask of the world, what each promises, and how it fails.

Exceptions are named for what the caller does next. Adapters implement these; only app.py names adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from coordinator.domain.attempt import Attempt
from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.checkout import Found, Survey, Worktree
from coordinator.domain.hub import Budget, Listing, PullListing, RepoFacts
from coordinator.domain.issue import Comment, History, Issue, LabelEvent, PullRequest, Remarks, Vet
from coordinator.domain.job import Job
from coordinator.domain.outcome import Outcome, Usage, Work
from coordinator.domain.outward import Outward
from coordinator.domain.parcel import Inbound, Outbound
from coordinator.domain.remains import Remain
from coordinator.domain.request import Event, Request, RequestKind
from coordinator.domain.room import Room
from coordinator.domain.task import Task
from coordinator.domain.walls import Cell, Own, Walls
from coordinator.domain.worker import HostState, WorkerView


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""

    def local(self, moment: datetime) -> datetime:
        """The same moment in the host's time zone: "today" in tasks.md is the host's day."""


# --- GitHub -----------------------------------------------------------------------------------------


class GitHubError(Exception):
    """Base of all below; `words` are for people and hold no secret."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class TryLater(GitHubError):
    """Unreachable, timed out or 5xx: nothing is known, nothing may be concluded."""


class Limited(GitHubError):
    """A primary or secondary rate limit. `until` (aware UTC) is when it may be asked again."""

    def __init__(self, words: str, until: datetime) -> None:
        super().__init__(words)
        self.until = until


class Reserved(Limited):
    """Requests are left, but kept for people (poll.reserve): only what takes up new work waits."""


class BadCredentials(GitHubError):
    """401: the token is wrong, expired or revoked."""


class Forbidden(GitHubError):
    """403 without a limit: the token lacks a right, named in the words."""


class NotThere(GitHubError):
    """404 or 410: gone, or not visible to this token."""


class Refused(GitHubError):
    """422 or 409: GitHub understood and refused; the words are its own."""


class NotYet(Refused):
    """The same for what a push told it just now, which not all of its servers know yet."""


class NoDrafts(Refused):
    """The repository has no drafts, as a private one of a free plan."""


class GitHub(Protocol):
    """One repository on GitHub. Every method may raise TryLater, Limited, BadCredentials or Forbidden."""

    def facts(self) -> RepoFacts: ...

    def changed_issues(self, cursor: str | None) -> Listing:
        """None: all open issues. Else what was updated since, by one conditional request when idle."""

    def recent_pulls(self, known: Mapping[int, PullRequest], awaited: Collection[int] = ()) -> PullListing:
        """Pull requests that are not as known, newest updated first, until a page brings nothing new, then those of
        `awaited` on no page; one conditional request when idle. Compared whole: much happens in one second."""

    def issue(self, number: int) -> Issue:
        """Raises NotThere."""

    def label_events(self, number: int) -> tuple[LabelEvent, ...]:
        """Oldest first, all pages."""

    def history(self, number: int) -> History:
        """Who changed title and body, by GraphQL. Raises NotThere, Refused."""

    def remarks(self, number: int) -> Remarks:
        """The last 500 comments with who changed them, by GraphQL. Raises NotThere, Refused."""

    def permission(self, login: str) -> str:
        """admin, maintain, write, triage, read or none; remembered for ten minutes."""

    def blockers(self, number: int) -> tuple[int, ...]:
        """Numbers of GitHub's own blocked-by relation."""

    def pulls_of_branch(self, branch: str) -> tuple[PullRequest, ...]:
        """All states, newest first, head branch of this name in our head repository."""

    def pulls_with_commit(self, sha: str) -> tuple[PullRequest, ...]:
        """Pull requests that carry this commit; empty when GitHub does not know the commit."""

    def open_pull(self, *, branch: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        """Raises Refused, also when one is open already for this head."""

    def make_draft(self, number: int) -> None: ...

    def comments(self, number: int) -> tuple[Comment, ...]: ...

    def add_comment(self, number: int, body: str) -> Comment: ...

    def edit_comment(self, comment_id: int, body: str) -> None:
        """Raises NotThere when a person deleted it."""

    def add_labels(self, number: int, names: Sequence[str]) -> None: ...

    def remove_label(self, number: int, name: str) -> None:
        """A label that is not there is no error."""

    def create_label(self, name: str, color: str, description: str) -> bool:
        """False when it existed."""

    def label_exists(self, name: str) -> bool: ...

    def budget(self) -> Budget: ...


# --- git --------------------------------------------------------------------------------------------


class GitError(Exception):
    """git failed; `words` are its own, cut and masked."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class GitUnreachable(GitError):
    """The remote could not be reached or asked: try later."""


class GitBusy(GitError):
    """Somebody else works in the repository and holds one of git's locks: try later, nothing was changed."""


class PushRefused(GitError):
    """The remote said no: protected, not a fast-forward, hook declined, no right."""


class ClaimMoved(GitError):
    """The claim on the repository is not as it was expected: another coordinator moved it."""


class HeldBack(GitError):
    """Not pushed, for what the commits carry; `reason` is a reason code."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason

    @classmethod
    def judge(cls, cargo: Cargo) -> None:
        """Raises it for what no push carries, whatever the settings."""
        if cargo.never is not None:
            raise cls(*cargo.never)


class ForeignWorktree(GitError):
    """Something that is not ours stands where the worktree or its branch should be."""


class MergeConflict(GitError):
    """Two branches change the same lines of `files`; nothing was changed."""

    def __init__(self, words: str, files: tuple[str, ...]) -> None:
        super().__init__(words)
        self.files = files


class Repository(Protocol):
    """Git in one managed repository: one operation at a time, every call hardened, writes through the funnel."""

    def default_branch(self) -> str: ...

    def pack(self, task_id: str, branch: str, *, had: Sequence[str], extra: Sequence[str], repository: str) -> Outbound:
        """The worktree for a host that does not see it and has the commits `had`; the bundle is the caller's to remove.
        `extra` are files that go along though git ignores them. Raises GitError."""

    def unpack(self, task_id: str, branch: str, inbound: Inbound, attempt: int) -> None:
        """Makes the worktree and its branch what they were there; nothing else of the repository moves. What would be
        lost is rescued. Raises GitError for anything else than that in it."""

    def wall_in(self, task_id: str, token: str) -> Cell:
        """Git for a worker that does not see the repository's: made once for a token. Raises GitError."""

    def let_out(self, task_id: str, branch: str, attempt: int) -> None:
        """What was committed there becomes the worktree's and its branch's, and the cell is gone; files stay as they
        are, and nothing happens where there is none. Raises GitBusy, GitError; then the cell stays."""

    def held(self) -> AbstractContextManager[None]:
        """Alone with the repository, among threads and processes; may be entered again. Raises GitBusy, GitError."""

    def fetch(self) -> None:
        """Fetches the remote's branches. Raises GitUnreachable."""

    def ensure_worktree(self, task_id: str, branch: str, base: str, *, fresh: bool, attempt: int,
                        expect: str = "", onto: str = "") -> Worktree:
        """Idempotent. Makes, reuses or repairs; what would be lost gets refs/coordinator/rescue/<task>/<attempt>
        first. `base` is a branch on the remote; `expect` the last commit we pushed, so that a remote branch of ours is
        continued; `onto` a branch here to begin on in place of the base. Raises ForeignWorktree, GitError."""

    def work(self, task_id: str, branch: str, base_sha: str) -> Work | None:
        """None when there is no worktree. STOP and BLOCKED.md never count as work."""

    def note(self, task_id: str, name: str) -> str:
        """Text of STOP or BLOCKED.md in the worktree ("" when absent), at most 4,000 characters, following no link."""

    def forget_note(self, task_id: str, name: str) -> None: ...

    def commit_all(self, task_id: str, message: str) -> str | None:
        """Commits everything but STOP and BLOCKED.md on the branch; the new sha, None when nothing to do."""

    def put_back(self, task_id: str, attempt: int) -> tuple[tuple[str, ...], str]:
        """Agents' configuration becomes what the branch has; (paths that were otherwise, the ref that keeps them)."""

    def planted(self, task_id: str) -> Mapping[str, str]:
        """What in git's settings and folder here could make it run programs or go elsewhere: name -> digest. Our calls
        obey none of it. Empty without a worktree. Raises GitError."""

    def take_home(self, task_id: str, branch: str) -> bool:
        """Brings what the worktree's HEAD holds onto `branch`, files untouched, when an agent made a branch of its own
        on top of it; False when the two went apart and nothing was changed."""

    def rescue(self, task_id: str, attempt: int) -> str | None:
        """Uncommitted work to its own ref, worktree untouched; the ref's name, None when clean."""

    def push(self, branch: str, *, expect: str, search: Search, passes: Callable[[Cargo], None]) -> str:
        """The branch's sha. `expect` is what we pushed last ("" = the remote has none, or an ancestor). A secret, or
        too much to look through, raises HeldBack, as `passes` may. Raises PushRefused, GitUnreachable."""

    def cargo(self, head: str, search: Search) -> Cargo:
        """What a commit holds that the base, as this process fetched it, does not. Raises GitUnreachable, GitError."""

    def claim(self, known: str) -> tuple[str, str]:
        """(sha, words) of the claim where we push, ("", "") without one; of the sha `known` without the words, which
        are not asked for again. Raises GitUnreachable, PushRefused, GitError."""

    def put_claim(self, words: str, *, held: str) -> str:
        """Moves the claim from exactly `held` ("" = there must be none) to one that says `words`; its sha. Raises
        ClaimMoved, PushRefused, GitUnreachable, GitError."""

    def push_claimed(self, words: str, *, held: str, branch: str, expect: str, search: Search,
                     passes: Callable[[Cargo], None]) -> tuple[str, str]:
        """`push` and `put_claim` in one transaction, both or neither: (the claim's sha, the branch's)."""

    def standing(self, prefix: str) -> Mapping[str, str]:
        """Branches of this prefix where we push, with their tips, as they are now. Raises GitUnreachable."""

    def feature(self, branch: str, base: str, last: str = "") -> str:
        """The tip of a plan's branch; where there is none it is made from the remote's, else from `last`, what was
        merged into it last, else from the base. Raises ForeignWorktree when somebody has it checked out, GitError."""

    def merge(self, branch: str, head: str, message: str) -> str:
        """A merge commit of `head` onto the local branch, none where it is contained already; the branch's tip.
        Raises MergeConflict, ForeignWorktree, GitError."""

    def survey(self, base_sha: str, head: str, into: str = "") -> Survey:
        """What the commits of `head` hold that the base does not have, nor the branch `into` that it comes to."""

    def log(self, base_sha: str, head: str) -> tuple[str, ...]:
        """A line a commit of `head` that the base does not have, oldest first, the newest hundred."""

    def remote_tip(self, branch: str) -> str:
        """The remote's branch as last fetched; "" when it has none."""

    def contains(self, sha: str, branch: str) -> bool:
        """Whether the remote branch `branch`, as last fetched, contains the commit."""

    def summary(self, task_id: str, base_sha: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(one line a commit, oldest first; one line a changed file `M path`), each at most 100."""

    def worktrees(self) -> tuple[Found, ...]:
        """All under the worktree root that are ours."""

    def remove_worktree(self, task_id: str, unless: Callable[[], bool] = lambda: False) -> None:
        """Only a path under the root; rescues what is dirty first; the branch stays. Raises GitBusy where another
        attempt has begun, or `unless` says so, which is asked last, with the repository held; GitError."""

    def rescues(self) -> tuple[tuple[str, datetime], ...]:
        """(ref, when it was made) of every rescue, oldest first."""

    def expire_rescues(self, older_than: datetime, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Deletes rescue refs made before `older_than`, but none of the tasks in `keep`; those deleted."""

    def left_cells(self, drop: Collection[str] = ()) -> tuple[Remain, ...]:
        """Cells that stand aside with work that was never taken in; those named in `drop` go first. Raises OSError."""

    def run_hook(self, task_id: str, command: str, name: str, timeout: timedelta,
                 env: Mapping[str, str]) -> tuple[bool, str]:
        """Runs an operator's hook in the worktree; (ok, tail of its output)."""

    def copy_into(self, task_id: str, names: Sequence[str]) -> tuple[str, ...]:
        """Copies files of the main checkout into the worktree where absent; the names copied."""

    def hand(self, task_id: str, files: Mapping[str, str], drop: Sequence[str]) -> None:
        """Writes these files of the hand-off folder into the worktree, and removes those that the patterns `drop` name
        there. No link is followed, no commit gets them. Raises GitError."""

    def left(self, task_id: str, patterns: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        """By pattern, (path, text) of regular files in the worktree, at most 20 of 64 KB, no links. Raises GitError."""

    def worktree_path(self, task_id: str) -> Path: ...

    def identity(self) -> Mapping[str, str]:
        """GIT_AUTHOR_* and GIT_COMMITTER_* for a worker's commits; empty when git's configuration names nobody."""


# --- workers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Handle:
    """Names one run, to find it by: the job, its token and where it runs ("" here, a name of [hosts], `slurm`)."""

    provider: str
    job: str
    token: str
    host: str = ""


@dataclass(frozen=True)
class LaunchSpec:
    """All that a worker's start needs. `env` is the agent's whole environment; secrets live there only. `stdin` is
    "prompt" (the prompt file is fed) or "null". `timeout` is the run's limit, `grace` the time between polite stop,
    TERM and KILL. `stop_signal` is the provider's polite signal ("INT" or "TERM"). `speaks`: "claude" owes a result
    event, which decides; of "text" the exit code decides, and its stderr stands in the log; "either" is judged by a
    result event if it prints one. `spelling` is the name whose reason codes are written. `outbound` is the worktree for
    a host that does not see ours, `hooks` (name, command, seconds) what is run in it there before the start. `walls`
    are put up around the agent on this host."""

    handle: Handle
    worker_id: str
    attempt: int
    fence: int
    run_id: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prompt: str
    stdin: str
    timeout: timedelta
    grace: timedelta
    stop_signal: str = "TERM"
    meta: Mapping[str, str] = field(default_factory=dict)
    contract: Mapping[str, str] = field(default_factory=dict)
    speaks: str = "either"
    pty: bool = False
    watch_tree: bool = True
    spelling: str = ""
    outbound: Outbound | None = None
    hooks: tuple[tuple[str, str, float], ...] = ()
    walls: Walls | None = None


@dataclass(frozen=True)
class StopOrder:
    """Why a worker is to be stopped: a reason code, words for people, and whether to skip politeness. `exit_code` is
    recorded in place of the agent's own (`finalize --exit-code`)."""

    reason: str
    words: str
    hard: bool = False
    exit_code: int | None = None


class LaunchFailed(Exception):
    """Nothing was started; `reason` is a reason code."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words


class Away(Exception):
    """A host or a controller could not be asked: nothing is known, nothing may be concluded, try again."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True)
class Quarters:
    """Where a run will live, as its host names the places. `apart`: it does not see our files; `had` are commits that
    its clone `repository` has. A worker there inherits from `environ`; `probe` asks that host, None: it is this one."""

    cwd: Path
    prompt: Path
    probe: Probe | None = None
    environ: Mapping[str, str] | None = None
    as_root: bool | None = None
    apart: bool = False
    repository: str = ""
    had: tuple[str, ...] = ()
    executor: str = "local"


class Executor(Protocol):
    def submit(self, spec: LaunchSpec) -> int:
        """Starts the wrapper and returns its pid (0 where there is none), the recorded one if the run files show that
        this token ever started. Raises LaunchFailed when nothing was started, Away when that cannot be known."""

    def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
        """Where this run will live; `worktree` is its place here, `repository` a name for the clone there. Raises
        LaunchFailed when its host cannot take it, Away."""

    def fetch(self, handle: Handle) -> Inbound | None:
        """What an ended run left on a host that does not see our files; None where it worked in our own worktree, or
        what it left was taken in."""

    def taken_in(self, handle: Handle) -> None:
        """What was fetched is in our repository: it need not be kept."""

    def give_up(self, handle: Handle) -> None:
        """Its host was out of reach too long: it is nobody's worker from now on, and told so when it is met again."""

    def make_room(self, host: str, jobs: Sequence[str]) -> int:
        """What ended runs of these jobs, and of no other, left on a host goes; how many runs and worktrees. All they
        did is home. Raises Away, LaunchFailed."""

    def hosts(self) -> Mapping[str, HostState]:
        """Every other host that workers may run on."""

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
        """One call for all; never raises for one that could not be asked: that one is Unknown."""

    def stop(self, handle: Handle, order: StopOrder) -> None:
        """Asks the wrapper to stop the tree; returns at once. Repeating it is harmless."""

    def reap(self) -> tuple[tuple[int, int], ...]:
        """(pid, exit code) of known children that ended; never waits, never waits for any other child."""

    def log_tail(self, handle: Handle, limit: int = 65536) -> bytes:
        """The end of the run's own output and error files, raw."""

    def prompt_path(self, handle: Handle) -> Path:
        """Where the prompt file of the run lies, or will lie."""

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        """The raw log and err files of the current run."""

    def live(self) -> tuple[Handle, ...]:
        """Every handle whose wrapper or agent is alive here, known or not (leftovers)."""

    def sweep(self, handle: Handle) -> tuple[int, ...]:
        """Ends processes that carry the token of a dead wrapper; pids that would not die."""


class JobBusy(Exception):
    """Another process writes this job, or starts one in this folder, and did not let go in time."""


class JobFiles(Protocol):
    """The run files of all jobs in one folder, whoever wrote them. Reading changes nothing."""

    folder: Path

    def all(self) -> tuple[Job, ...]:
        """Every instance of every job, in one pass; a job that cannot be read is there with its faults."""

    def of(self, job_id: str) -> tuple[Job, ...]:
        """The instances of one job, one a provider."""

    def contract(self, job: Job) -> Mapping[str, str]:
        """What the running attempt was started with; {} when nothing was recorded."""

    def fence(self, provider: str, job_id: str) -> int:
        """The fence that stands, also where the job's other files are gone; 0 for none."""

    def note(self, job: Job, changes: Mapping[str, str]) -> None:
        """Sets keys of meta under the job's lock; the others stay. Raises JobBusy, OSError."""

    def record_end(self, job: Job, pairs: Mapping[str, str]) -> bool:
        """Writes the outcome of a run that left none, under the job's lock; False (nothing written) when it has one by
        now or another run has begun. Raises JobBusy, OSError."""

    def refuse(self, provider: str, job_id: str, pairs: Mapping[str, str]) -> None:
        """A start that was refused leaves this failed outcome; what an earlier run left steps aside. Nothing while the
        job's wrapper lives. Raises ForeignFolder, JobBusy, OSError."""

    def tail(self, job: Job, limit: int = 65536) -> bytes:
        """The end of the current log, then stderr's where it has a file of its own. Raw."""

    def remove(self, job: Job, kinds: Sequence[str]) -> None:
        """Removes these run files of a job whose worker does not live; absent ones are no error."""

    def one_start(self) -> AbstractContextManager[None]:
        """Held from looking whether a job lives until it is started: one start at a time. Raises JobBusy."""

    def one_watchdog(self) -> AbstractContextManager[None]:
        """Held by the folder's watchdog. Raises WatchdogRuns."""


class WatchdogRuns(Exception):
    """Another watchdog looks after this folder; `pid` is 0 when it left no name."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"a watchdog (pid {pid or 'unknown'}) looks after these jobs already")
        self.pid = pid


# --- providers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """A provider's settings from coordinator.toml and the template, already merged. The last two: where else a token
    for 1Password's CLI may lie, as a path, and as names of files in the user's systemd folder."""

    model: str = ""
    max_turns: int = 0
    args: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    binary: str = ""
    op_token_file: str = ""
    op_legacy_names: tuple[str, ...] = ()


class NotReady(LaunchFailed):
    """What a provider needs is not there: nothing may be started. `code` is the exit code."""

    def __init__(self, reason: str, words: str, cure: str, code: int = 10) -> None:
        super().__init__(reason, words)
        self.cure = cure
        self.code = code


class AuthUnresolved(NotReady):
    """No credentials. `code` is 10, or 11 when a token's file is to blame."""


class NoModel(NotReady):
    """No model that may be used is there (`code` 25), or another one was asked for than may be used (21)."""


@dataclass(frozen=True)
class Choice:
    """The model that a run asks for, "" leaves it to the CLI; `fallback_reason`: why it is not the one wanted first."""

    model: str = ""
    fallback_reason: str = ""


@dataclass(frozen=True)
class Credentials:
    """What an agent authenticates with. `source` names where it came from, `place` the file where there is one; `env`
    holds the secret and is never printed. `alone`: good for one job of the provider at a time."""

    source: str = ""
    mode: str = ""
    place: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    alone: bool = False


@dataclass(frozen=True)
class RunSpec:
    """One run as a provider sees it. `output_file` is where its output goes; `credentials` and the model in `settings`
    are its own answers, asked for before; `stream`: events are wanted, also of an agent whose habit is plain text."""

    task_id: str
    attempt: int
    prompt: str
    prompt_file: Path
    worktree: Path
    session_id: str
    settings: Settings
    environ: Mapping[str, str]
    as_root: bool = False
    credentials: Credentials = Credentials()
    stream: bool = False
    output_file: Path = Path("/dev/stdout")


@dataclass(frozen=True)
class Command:
    """How to start the agent. `env` is complete; `auth_source` names where the key came from, never the key.
    `speaks` as in LaunchSpec; `facts` go into the contract: auth_mode, base_url, timeout_ms where there are such;
    `fallback_reason` as in Choice; `own` is what it needs of its home behind walls."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    stdin: str
    stop_signal: str
    auth_source: str = ""
    model: str = ""
    speaks: str = "claude"
    facts: Mapping[str, str] = field(default_factory=dict)
    fallback_reason: str = ""
    own: Own = field(default_factory=Own)


@dataclass(frozen=True)
class Said:
    """One event in the normal form. `kind`: init, text, tool, tool_result, retry, note, error, limit, usage, result,
    unknown. `raw` is the event as a claude-shaped JSON object, for the transcript; empty when the event came
    out of the same object as the one before it, or when there is none."""

    kind: str
    text: str = ""
    tool: str = ""
    is_error: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A run that is over, for judging. `lines` iterates the raw stdout lines (bytes, torn last line allowed);
    `ended_at`, Unix seconds, is what times of day in them are counted from; `streamed`: events were asked for, also of
    an agent whose habit is plain text, so that none at its end is no good end."""

    code: int | None
    signal: int | None
    wrapper_reason: str
    lines: Iterable[bytes]
    stderr_tail: str
    work: Work | None
    ended_at: float | None = None
    streamed: bool = False


class Probe(Protocol):
    """What a provider's preflight may ask of the host."""

    def run(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None,
            cwd: Path | None = None, stdin: str = "", keep: float = 0.0) -> tuple[int, str, str]:
        """(exit code, stdout, stderr); 127 when the program is missing, 124 when it took too long. The same question
        again within `keep` seconds has the same answer, without the program being run."""

    def which(self, name: str) -> str | None: ...

    def stands(self, path: Path) -> str:
        """What stands there, links followed: file, folder, other; "" for nothing."""

    def read(self, path: Path) -> str | None: ...

    def environ(self) -> Mapping[str, str]: ...

    def scratch(self) -> Path:
        """A fresh empty folder."""

    def recent(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> str | None:
        """The output of a command that ended well, as it was at most a minute ago; what it was longer ago where it ends
        badly now; None where it never ended well."""

    def say(self, words: str) -> None:
        """One line for whoever started this, once for the same words; nothing where nobody listens."""


class Notifier(Protocol):
    """Reaches people at addresses. Raises nothing; its words hold no part of an address but its scheme."""

    def wrong(self, urls: Sequence[str]) -> str:
        """Which of them are no addresses; "" when all can be used. Tells nobody."""

    def send(self, urls: Sequence[str], title: str, text: str) -> str:
        """Tells each within a time limit; which of them could not be told and why, "" when all were."""


@dataclass(frozen=True)
class Readiness:
    """One line of preflight. `reason` is "" when ok; `cure` is a command that can be pasted; `code` is the exit code of
    a command that cannot go on for it. `alone` as in Credentials."""

    ok: bool
    words: str
    reason: str = ""
    cure: str = ""
    code: int = 21
    alone: bool = False


class Provider(Protocol):
    """Pure but for what is given a Probe: settings in, argv/env out; transcript in, events and an Outcome out."""

    name: str

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """What a run started now would authenticate with. Raises AuthUnresolved."""

    def choose(self, probe: Probe, settings: Settings) -> Choice:
        """The model that a run started now would ask for. Raises NoModel."""

    def command(self, spec: RunSpec) -> Command: ...

    def events(self, line: bytes) -> tuple[Said, ...]:
        """The events of one line of stdout; an unknown or torn line gives one `unknown`, never an error."""

    def judge(self, run: Finished) -> Outcome: ...

    def ready(self, probe: Probe, settings: Settings) -> Readiness:
        """Cheap: binary found, credentials resolvable. Asked before dispatch."""

    def preflight(self, probe: Probe, settings: Settings, *, live: bool) -> tuple[Readiness, ...]:
        """Binary, version, credentials and, when `live`, one proven non-interactive answer in a fresh folder."""


# --- transcripts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """One run's raw output files and the transcript that is made of them (`logs/gh-471.jsonl`)."""

    task_id: str
    provider: str
    attempt: int
    run_id: str
    log: Path
    err: Path
    target: Path


@dataclass(frozen=True)
class Signs:
    """What a run showed so far. `last` is one masked line for people; `unwritten` why no transcript could be made."""

    events: int = 0
    last: str = ""
    last_at: datetime | None = None
    usage: Usage = Usage()
    session_id: str = ""
    model: str = ""
    unwritten: str = ""


class Transcript(Protocol):
    """Keeps `target` in step with the raw output: one JSON object a line, claude's shape, masked."""

    def follow(self, run: Recording, now: datetime) -> Signs:
        """Appends what was printed since the last call, of very much a part; a torn last line waits. The first call of
        a process writes the file anew from the raw log; another run's is kept as `<task>.<attempt>.jsonl`."""

    def finish(self, run: Recording, now: datetime, ended: str) -> Signs:
        """Follows to the end, adds the lines of stderr that matter and how it ended (`ended`: words such as
        "exit 1" or "stopped"). Repeating it changes nothing."""


# --- memory -----------------------------------------------------------------------------------------


class Stale(Exception):
    """The task moved since it was read: drop what was planned and plan anew."""


class NewerSchema(Exception):
    """The file was written by a newer coordinator: refuse, touch nothing."""


class StoreError(Exception):
    """The memory could not be read or written and holds what it held before; `words` name the file and the cure."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class StoreDamaged(StoreError):
    """The file holds what no version of ours writes: nothing in it is to be believed any more."""


class Store(Protocol):
    """The memory. Every change of a task is one transaction with its event row."""

    def tasks(self) -> tuple[Task, ...]: ...

    def task(self, task_id: str) -> Task | None: ...

    def attempts(self) -> Mapping[str, tuple[Attempt, ...]]:
        """All attempts by task, oldest first."""

    def add(self, task: Task, event: Event) -> bool:
        """False (and nothing changed) when the id exists."""

    def save(self, task: Task, event: Event, *, was: int, attempt: Attempt | None = None,
             answer: tuple[int, str] | None = None) -> None:
        """Compare-and-swap on version `was`; the attempt row is inserted or replaced and the request answered
        in the same transaction. Raises Stale; ValueError for an event of another task, as do `add` and `record`."""

    def record(self, attempt: Attempt, event: Event) -> None:
        """Inserts or replaces the attempt's row with its event."""

    def log(self, event: Event) -> None: ...

    def events(self, task_id: str | None = None, kinds: Sequence[str] = ()) -> tuple[Event, ...]: ...

    def count(self, kind: str, since: datetime | None = None) -> int:
        """Events of a kind, at or after `since`."""

    def changes(self) -> int:
        """The number of the last event: it grows with every change of a task and is never taken back."""

    def ask(self, kind: RequestKind, task_id: str, args: Mapping[str, str], source: str, at: datetime) -> int: ...

    def take_edits(
        self,
        asks: Sequence[tuple[RequestKind, str, Mapping[str, str]]],
        documents: Mapping[str, str | None],
        at: datetime,
    ) -> None:
        """What a person edited in tasks.md becomes requests (source "ledger"), and the documents that say that
        the edit was seen are kept, in one transaction."""

    def requests(self) -> tuple[Request, ...]:
        """Unanswered, oldest first."""

    def answer(self, request_id: int, words: str) -> None: ...

    def answered(self, request_id: int) -> str | None: ...

    def issues(self) -> Mapping[int, Issue]: ...

    def keep_issues(self, issues: Sequence[Issue], cursor: str, *, full: bool) -> None:
        """Issues and cursor in one transaction; `full` forgets open issues that are not among them."""

    def cursor(self) -> str | None: ...

    def vets(self) -> Mapping[int, Vet]: ...

    def keep_vet(self, vet: Vet) -> None: ...

    def pulls(self) -> Mapping[int, PullRequest]: ...

    def keep_pulls(self, pulls: Sequence[PullRequest]) -> None: ...

    def outward(self) -> Mapping[str, Outward]: ...

    def keep_outward(self, outward: Outward) -> None: ...

    def document(self, name: str) -> str | None:
        """Small named texts: the tasks.md we wrote last, the paused flag, counters."""

    def keep_document(self, name: str, text: str | None) -> None: ...

    def close(self) -> None: ...


class Files(Protocol):
    """Files that people and other programs read in place."""

    def read(self, path: Path) -> str | None:
        """With its line ends as they are; None when absent; undecodable bytes are replaced."""

    def put(self, path: Path, text: str) -> None:
        """Atomically: temporary name in the same folder, fsync, replace. Raises OSError."""

    def exists(self, path: Path) -> bool:
        """Whether anything stands there, a broken link included."""

    def put_if_unchanged(self, path: Path, text: str, seen: str | None) -> bool:
        """As `put`, but False and nothing written when the file no longer holds what was seen."""

    def remove(self, path: Path) -> None:
        """A file that is not there is no error. Raises OSError."""

    def room(self, path: Path) -> Room:
        """What is left on the file system that holds path, and on this machine. Raises OSError."""


Wake = Callable[[str], None]
"""Called from any thread or signal handler with a word saying why: exit, poll, request, fact, timer."""

