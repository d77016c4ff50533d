"""What `doctor` asks, one question a function: each answers with lines, none raises for what the world is like.

Everything is read or asked; the one thing written is the note of an agent's last answer (proving.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.adapters.system.files import SystemFiles
from coordinator.adapters.system.proving import proven
from coordinator.domain.claim import Claim
from coordinator.domain.room import OF_A_FOLDER, Floors, levels
from coordinator.domain.worker import Running
from coordinator.ports import (
    BadCredentials,
    Executor,
    GitError,
    GitHub,
    GitHubError,
    Handle,
    NotThere,
    Probe,
    Provider,
    Readiness,
    Settings,
)
from coordinator.runfiles import identity

LEAST_GIT = (2, 36)
"""`git worktree list -z` came with it; all else we ask is older."""
FOR_PLANS = (2, 38)
"""`git merge-tree --write-tree` came with it."""
SKEW = timedelta(seconds=60)
NEEDED_SCOPE = "repo"


@dataclass(frozen=True)
class Check:
    """One line. `level` is ok, warn or fail; `cure` a command that can be pasted, "" when all is well."""

    level: str
    words: str
    cure: str = ""


def git_version(probe: Probe) -> Check:
    code, out, _ = probe.run(["git", "--version"], timeout=10)
    found = re.search(r"(\d+)\.(\d+)(\.\d+)?", out)
    if code != 0 or found is None:
        return Check("fail", "git is not installed or not on PATH", "apt install git")
    least = ".".join(str(part) for part in LEAST_GIT)
    if (int(found[1]), int(found[2])) < LEAST_GIT:
        return Check("fail", f"git {found[0]} is too old, {least} is needed", "apt install git")
    if (int(found[1]), int(found[2])) < FOR_PLANS:
        return Check("warn", f"git {found[0]}: plan files need 2.38, all else goes", "apt install git")
    return Check("ok", f"git {found[0]}")


def room(root: Path, floors: Floors) -> Iterator[Check]:
    """What is left here against its floors; what cannot be measured is said, for it holds nothing."""
    try:
        found = SystemFiles().room(root)
    except OSError as error:
        yield Check("fail", f"{root}: {error.strerror}", f"ls -ld '{root}'")
        return
    for one in levels(found, floors):
        cure = "coordinator clean --dry-run" if one.code in OF_A_FOLDER else "coordinator config show"
        yield Check("fail", one.words, cure) if one.short else Check("ok", one.words)


def writable(root: Path, home: Path) -> Check:
    target = home if home.exists() else root
    if os.access(target, os.W_OK | os.X_OK):
        return Check("ok", f"{target} can be written")
    return Check("fail", f"{target} cannot be written by user id {os.geteuid()}", f"ls -ld '{target}'")


# --- GitHub --------------------------------------------------------------------------------------------


Lacking = Callable[[int | None], Sequence[tuple[str, str]]]
"""(path, why) of what the token may not write, tried with requests that change nothing; comments on the issue of this
number."""


def github_ready(github: GitHub, lacking: Lacking, name: str, label: str, token_from: str, now: datetime,
                 fork: GitHub | None = None) -> Iterator[Check]:
    """Token, rights, label and clock; without an answer only the line that says so. With a `fork` branches go there."""
    try:
        facts = github.facts()
    except BadCredentials as error:
        yield Check("fail", f"GitHub refuses the token from {token_from}: {error.words}", "gh auth login")
        return
    except NotThere as error:
        yield Check("fail", f"{name} is not there, or the token from {token_from} may not see it: {error.words}",
                    "gh auth status; coordinator config show")
        return
    except GitHubError as error:
        yield Check("fail", f"GitHub cannot be asked: {error.words}", "coordinator doctor")
        return
    who = f"as {facts.login} " if facts.login else ""
    yield Check("ok", f"GitHub {facts.full_name}: reachable {who}(token from {token_from})")
    yield from _scopes(github, lacking, facts.scopes, forked=fork is not None)
    yield _push(facts.can_push, name) if fork is None else _push_to(fork)
    yield _label(github, name, label)
    if facts.server_time is not None:
        yield _clock(facts.server_time, now)


def _scopes(github: GitHub, lacking: Lacking, scopes: Sequence[str] | None, *, forked: bool) -> Iterator[Check]:
    if scopes is None:
        yield from _tried(github, lacking, forked=forked)
    elif NEEDED_SCOPE in scopes or "public_repo" in scopes:
        yield Check("ok", f"token scopes: {', '.join(scopes)}")
    else:
        yield Check("fail", f"the token's scopes are {', '.join(scopes) or 'none'}; {NEEDED_SCOPE} is needed",
                    f"gh auth refresh -s {NEEDED_SCOPE}")


def _tried(github: GitHub, lacking: Lacking, *, forked: bool) -> Iterator[Check]:
    """A fine-grained token shows no scopes. Whoever works from a fork need not be able to label and comment."""
    cure = "give it: issues, pull requests and contents, read and write"
    try:
        issues = github.changed_issues(None).issues
        github.recent_pulls({})
    except GitHubError as error:
        yield Check("fail", f"the token may not read issues or pull requests: {error.words}", cure)
        return
    try:
        missing = lacking(next((issue.number for issue in issues), None))
    except GitHubError as error:
        yield Check("warn", f"what the token may write cannot be asked: {error.words}", "coordinator doctor")
        return
    for path, words in missing:
        yield Check("warn" if forked and path != "pulls" else "fail", f"the token may not write: {words}", cure)
    if not missing:
        untried = "" if issues else ", but for comments: there is no issue to try them on"
        yield Check("ok", "the token shows no scopes (fine-grained); issues and pull requests can be read and written"
                    f"{untried}")


def _push_to(fork: GitHub) -> Check:
    try:
        facts = fork.facts()
    except GitHubError as error:
        return Check("fail", f"the fork that branches go to cannot be asked: {error.words}", "coordinator config show")
    return _push(facts.can_push, facts.full_name)


def _push(can_push: bool, name: str) -> Check:
    if can_push:
        return Check("ok", f"{name} may be pushed to")
    return Check("fail", f"no right to push to {name}: contents, read and write, is needed",
                 "gh auth login, or set repository.fork in coordinator.toml")


def _label(github: GitHub, name: str, label: str) -> Check:
    try:
        there = github.label_exists(label)
    except GitHubError as error:
        return Check("warn", f"the labels of {name} cannot be asked: {error.words}", "coordinator doctor")
    if there:
        return Check("ok", f"label {label} is there")
    return Check("fail", f"label {label} is missing in {name}", "coordinator init")


def _clock(server: datetime, now: datetime) -> Check:
    off = abs(server - now)
    if off <= SKEW:
        return Check("ok", f"the clock is within {SKEW.seconds} s of GitHub's")
    return Check("warn", f"the clock is {int(off.total_seconds())} s away from GitHub's", "timedatectl set-ntp true")


def token_in_a_file(token_from: str) -> Iterator[Check]:
    """A token that lies where its user can read it lies open to agents that no sandbox holds."""
    if token_from in ("gh", "GITHUB_TOKEN_FILE"):
        yield Check("warn", f"the token from {token_from} lies in a file of your user: agents without a sandbox can "
                    "read it",
                    "hand it over by a descriptor (COORDINATOR_GITHUB_TOKEN_FD=3), or in GITHUB_TOKEN")


# --- agents --------------------------------------------------------------------------------------------


def provider_ready(
    provider: Provider, probe: Probe, settings: Settings, note: Path, now: datetime, *, live: bool
) -> Iterator[Check]:
    """The agent's own preflight with its proof, an answer of the last day or, when `live`, of now."""
    yield from (_line(one) for one in proven(provider, probe, settings, note, now, live=live))


def _line(one: Readiness) -> Check:
    return Check("ok", one.words) if one.ok else Check("fail", one.words, one.cure or "coordinator doctor --live")


# --- what earlier runs left ----------------------------------------------------------------------------


def leftovers(executor: Executor, active: frozenset[str]) -> Check:
    """Workers that live though no active task owns them."""
    strays = [handle for handle in executor.live() if handle.job not in active]
    if not strays:
        return Check("ok", "no leftover workers")
    names = ", ".join(f"{handle.job} ({handle.provider})" for handle in strays)
    return Check("fail", f"workers live that no active task owns: {names}", f"kill {_pids(executor, strays)}")


def _pids(executor: Executor, strays: Sequence[Handle]) -> str:
    """Whom to end: a wrapper ends its whole tree politely; without one, whatever carries the run's token."""
    views = executor.look(strays)
    found = [
        [view.pid] if isinstance(view := views.get(handle), Running)
        else [proc.pid for proc in identity.with_token(handle.token)]
        for handle in strays
    ]
    return " ".join(str(pid) for pids in found for pid in pids)


def instance(pid: int, board: Path, now: datetime, poll: timedelta) -> Check:
    """The coordinator of this repository, and whether it writes."""
    try:
        at = datetime.fromtimestamp(board.stat().st_mtime, now.tzinfo)
    except OSError:
        at = None
    if not pid:
        return Check("ok", "no coordinator runs here, no stale lock")
    limit = max(timedelta(seconds=90), 4 * poll)
    if at is None or now - at > limit:
        since = f"since {at:%H:%M:%S} UTC" if at is not None else "ever"
        return Check("warn", f"the coordinator (pid {pid}) lives, but wrote no board {since}",
                     f"kill -USR1 {pid}; coordinator status")
    return Check("ok", f"the coordinator runs (pid {pid})")


def claim(fork: str, ask: Callable[[], Claim | None], us: str) -> Check:
    """Who holds the repository among all coordinators wherever they run; `us` is the name of this memory."""
    where = f" in {fork}, for coordinators that push there alone" if fork else ""
    try:
        found = ask()
    except GitError as error:
        return Check("warn", f"who holds the repository{where} cannot be asked: {error.words}",
                     "mend the remote or the token, or set repository.claim = false")
    if found is None or found.released:
        return Check("ok", f"no coordinator holds the repository{where}")
    if found.holder == us:
        return Check("ok", f"the claim on the repository{where} is ours (generation {found.generation})")
    return Check("warn", f"{found.who} holds the repository{where}: nothing is started here",
                 "end that coordinator, or, when it is surely dead: coordinator run --take-over")


def checkout(lacks: tuple[str, str]) -> Check:
    """Whether the clone is whole: (what it lacks, what mends it)."""
    words, cure = lacks
    return Check("warn", words, cure) if words else Check("ok", "the clone is whole")


def branches(branch: str, ask: Callable[[], tuple[str, str]]) -> Iterator[Check]:
    """Whether tasks' branches can be made: git has none beside one that is named as they begin."""
    try:
        here, there = ask()
    except GitError as error:
        yield Check("warn", f"the branches of the remote cannot be asked: {error.words}", "git ls-remote --heads")
        return
    if here:
        yield Check("fail", f"a branch {here} is here: git makes no {branch} beside it", f"git branch -m {here} NAME")
    if there:
        yield Check("fail", f"a branch {there} is on the remote: git makes no {branch} beside it",
                    f"git push origin origin/{there}:refs/heads/NAME && git push origin --delete {there}")


def rights(euid: int, words: str, missing: str, cure: str) -> Iterator[Check]:
    """What agents may do here, said plainly: `words` as the start line has them, `missing` why there are no walls."""
    if euid == 0:
        without = " that have no walls" if not missing else ""
        yield Check("warn", f"this runs as root: nothing hides from root, agents{without} included",
                    "use an ordinary user")
    if missing:
        yield Check("warn", f"sandbox off: agents run with your rights on this host ({missing})", cure)
    else:
        yield Check("ok", f"{words}: tried just now")
