"""The options that name jobs of a cluster, and the batch they mean: what is unclear is asked on a terminal, and what
was found is shown before anything else."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from coordinator.cli.jobs.reading import shown
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app.batches import Batch, Member
    from coordinator.app.slurm_watch import ClusterBatch, Patience, Unclear
    from coordinator.app.slurm_watch_sync import Sync

UNREACHABLE, LEFT_BEHIND = 26, 3
SHORT, LONG = timedelta(seconds=30), timedelta(minutes=15)
"""How long one question is tried again: while somebody waits for the answer, and while a watch goes on for hours."""


@dataclass(frozen=True)
class Given:
    """As it was typed; "" = not."""

    slurm: Annotated[bool, typer.Option("--slurm", help="Jobs of a cluster, whoever submitted them.")] = False
    jobs: Annotated[str, typer.Option("--jobs", metavar="IDS", help="With --slurm: ids, parted by commas.")] = ""
    user: Annotated[str, typer.Option("--user", metavar="U", help="With --slurm: whose jobs; else slurm.user, or who "
                                      "one is there.")] = ""
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="With --slurm: the login host, a name of [hosts] "
                                      "or an address; `here` is this machine.")] = ""
    project: Annotated[str, typer.Option("--project", metavar="NAME", help="With --slurm: the project; else the "
                                         "repository's name.")] = ""
    via: Annotated[str, typer.Option("--via", metavar="CMD", help="With --slurm: the project's own wrapper, put before "
                                     "squeue and its like; else batch.via.")] = ""
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="With --slurm: jobs that ended longer "
                                       "before the first look are not counted; else 24h.")] = ""
    patience: Annotated[str, typer.Option("--patience", metavar="DURATION", help="With --slurm: how long a cluster "
                                          "that does not answer is asked again; else 30s, in a watch 15m.")] = ""
    expect: tuple[str, ...] = ()


NOWHERE = Given()
_NAMES = tuple(one.name for one in fields(Given) if one.name != "expect")
Expect = Annotated[list[str] | None, typer.Option("--expect", metavar="PATTERN", help="With --slurm: files that each "
                   "job leaves, with {id}, {name}, {index}; repeatable; else batch.expect.")]


def with_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of `Given` beside its own; it is handed them as `cluster`."""
    hints = get_type_hints(Given, include_extras=True)
    ours = [inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
            for one in fields(Given) if one.name in _NAMES]

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        cluster = Given(**{name: given.pop(name) for name in _NAMES})
        return command(**given, cluster=cluster)

    own = get_type_hints(command, include_extras=True)
    kept = [one.replace(annotation=own[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for one in inspect.signature(command).parameters.values() if one.name != "cluster"]
    positional = [one for one in kept if one.name in ("batch", "text")]
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*positional, *(one for one in kept if one not in positional), *ours])
    called.__annotations__ = {one.name: one.annotation for one in [*kept, *ours]}
    del called.__wrapped__
    return called


def refuse_without(cluster: Given) -> None:
    """Raises Trouble where an option is given that means nothing to other batches."""
    alone = [f"--{name}" for name in (*_NAMES[1:], "expect") if getattr(cluster, name)]
    if alone and not cluster.slurm:
        raise Trouble(f"{', '.join(alone)} means nothing without --slurm",
                      "Jobs and tasks of ours: --prefix, --label or --plan.", code=USAGE)


def opened(cluster: Given, prefix: str, *, aside: bool, patience: timedelta) -> ClusterBatch:
    """The batch, its scope shown first (`aside`: on stderr, as stdout is for a program). Raises Trouble."""
    from coordinator.app import jobs, slurm_watch
    from coordinator.cli.batches.looking import duration

    config = jobs.configuration(os.environ)
    since = duration("--since", cluster.since or "24h")
    limit = duration("--patience", cluster.patience) if cluster.patience else patience
    typed = slurm_watch.Typed(prefix, cluster.jobs, cluster.user, cluster.host, cluster.project)
    tries = slurm_watch.Patience(limit, lambda span: time.sleep(span.total_seconds()), _beside)
    choice = slurm_watch.Choice(typed, tuple(shlex.split(cluster.via)))
    try:
        settled = slurm_watch.settle(choice, config, os.environ, _answer, tries)
    except slurm_watch.Wrong as wrong:
        raise Trouble(str(wrong), code=USAGE) from wrong
    except slurm_watch.NoTools as missing:
        raise Trouble(str(missing), "--host names the login host, --via the project's own wrapper.") from missing
    except slurm_watch.Blocked as blocked:
        raise _blocked(blocked.words) from blocked
    for line in slurm_watch.told(settled.facts):
        print(shown(line), file=sys.stderr if aside else sys.stdout, flush=True)
    try:
        made = slurm_watch.batch_of(settled, config, os.environ, tries, since, _beside, cluster.expect)
    except slurm_watch.Wrong as wrong:
        raise Trouble(str(wrong), code=USAGE) from wrong
    made = replace(made, scope=replace(made.scope, more=_again(cluster)))
    return replace(made, find=_answering(made, tries))


def _again(cluster: Given) -> str:
    """What was given besides which jobs, as it is typed: a command that is shown can be pasted."""
    pairs = ((f"--{name}", getattr(cluster, name)) for name in ("project", "via", "since"))
    return " ".join(f"{name} {shlex.quote(value)}" for name, value in pairs if value)


def _answering(made: Batch, tries: Patience) -> Callable[[Mapping[str, Any]], Sequence[Member]]:
    """`find` in the words of the command line. What was overcome on the way is written down."""
    def find(before: Mapping[str, Any]) -> Sequence[Member]:
        with in_words(made):
            found = made.find(before)
        for words in tries.taken():
            made.note("trouble", f"overcome: {words}")
        return found

    return find


@contextmanager
def in_words(made: Batch) -> Iterator[None]:
    """What a cluster cannot or will not do, as people read it; that it could not be asked is written down."""
    from coordinator.app import slurm_watch

    try:
        yield
    except slurm_watch.Blocked as blocked:
        made.note("trouble", blocked.words)
        raise _blocked(blocked.words) from blocked
    except slurm_watch.Refused as refused:
        raise Trouble(f"Slurm refuses: {refused.words}", "`--jobs` and `--user` say what is asked.") from refused
    except slurm_watch.NoJobs as none:
        raise Trouble(f"no job of {made.scope.name} is known to Slurm",
                      "`squeue --me` lists yours; --since 7d looks further back.") from none


class Homecoming:
    """What a watch of a cluster does besides looking: outputs are brought here as jobs end, and where Slurm soon
    forgets it looks often enough. Of other batches it does nothing."""

    def __init__(self, made: ClusterBatch | None = None, sync: Sync | None = None, *, quiet: bool = False) -> None:
        self._made, self._sync, self._quiet = made, sync, quiet

    def news(self) -> list[str]:
        found = self._sync.run() if self._sync is not None else []
        return [one.words for one in found if not (one.ok and self._quiet)]

    def within(self, pause: timedelta) -> timedelta:
        from coordinator.app.slurm_watch_poll import SURELY_KEPT

        forgets = self._made is not None and self._made.ask.books is None
        return min(pause, SURELY_KEPT) if forgets else pause

    def end(self) -> int:
        """What was not brought in the end is tried some times more. The exit code that this is worth."""
        for wait in (5, 15, 30):
            if self._sync is None or not self._sync.left:
                return 0
            time.sleep(wait)
            for line in self.news():
                print(shown(line), flush=True)
        left = self._sync.left if self._sync is not None else []
        if left:
            print(f"outputs of {len(left)} jobs are not here: {', '.join(left[:8])}; the same command tries again",
                  file=sys.stderr)  # fmt: skip
        return LEFT_BEHIND if left else 0


def homecoming(made: Batch, sync: Sequence[str], *, quiet: bool) -> Homecoming:
    """Raises Trouble for a rule that cannot be read."""
    if made.scope.cluster is None:   # other batches need not load how a cluster is reached
        return Homecoming()
    from coordinator.app import jobs, slurm_watch
    from coordinator.app.slurm_watch_sync import sync_of

    assert isinstance(made, slurm_watch.ClusterBatch)

    try:
        rules = slurm_watch.rules_of(sync, jobs.configuration(os.environ))
    except slurm_watch.Wrong as wrong:
        raise Trouble(str(wrong), "Such as --sync 'out/{name}:results/{name}'.", code=USAGE) from wrong
    here = Path.cwd() if sync else Path(made.scope.place)
    return Homecoming(made, sync_of(made, rules, here, os.environ) if rules else None, quiet=quiet)


def _blocked(words: str) -> Trouble:
    return Trouble(f"blocked: the cluster {words}", "Nothing was ended or changed. Start it again once it answers; it "
                   "goes on from what was seen.", code=UNREACHABLE)  # fmt: skip


def _answer(unclear: Unclear) -> str:
    """Raises Trouble where nobody can be asked."""
    cure = f"Give {unclear.option} {unclear.offer or 'VALUE'}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Trouble(unclear.words, f"{cure}.", code=USAGE)
    offer = f" [{unclear.offer}]" if unclear.offer else ""
    print(f"{unclear.words}\n{unclear.option}{offer}: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip() or unclear.offer
    if not answer:
        raise Trouble(unclear.words, f"{cure}.", code=USAGE)
    return answer


def _beside(line: str) -> None:
    print(shown(line), file=sys.stderr, flush=True)
