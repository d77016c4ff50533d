"""Builders for one command as a batch job of Slurm: submitted by the settings of `[slurm]`, recorded, not waited for.

The job has the node's own environment and of ours what every program needs: no token and no other variable goes along.
"""

from __future__ import annotations

import posixpath
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app import dispatching, hosts
from coordinator.domain.worker import SLURM
from coordinator.wording.hosts import command_on

if TYPE_CHECKING:
    from coordinator.adapters.executors.slurm.queue import Queue, Run
    from coordinator.adapters.executors.slurm.script import Order
    from coordinator.config import Config

NAME = "dispatch"
WRONG = "wrong"
_NOTHING = "Nothing was submitted."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Wish:
    """What a person adds to the settings: ids of jobs that must end well first, indices of an array, a name, and where
    it begins, "" for the home there."""

    after: tuple[str, ...] = ()
    array: str = ""
    name: str = NAME
    folder: str = ""


@dataclass(frozen=True)
class Submitted:
    """`output` is the file it writes, with a `*` for the indices of an array."""

    id: str
    name: str
    array: str
    after: tuple[str, ...]
    folder: str
    output: str


class NotSubmitted(Exception):
    """`how` as of an outcome, or WRONG: what was given cannot be used, and Slurm was not asked."""

    def __init__(self, how: str, words: str, cure: str = "") -> None:
        super().__init__(words)
        self.how, self.words, self.cure = how, words, cure


def submit(config: Config, words: Sequence[str], wish: Wish, environ: Mapping[str, str],
           say: Callable[[str], None]) -> Submitted:
    """`say` is given what people should know besides. Raises NotSubmitted, NotDone."""
    from coordinator.app import now

    _check(config, wish)
    login = config.slurm.login
    if closed := hosts.gates(config, environ)[login] if login else "":
        raise hosts.NotDone(closed, _NOTHING)
    line, began = dispatching.command_line(words), now()

    def keep(how: str, job_id: str = "") -> None:
        took = round((now() - began).total_seconds(), 3)
        address = config.hosts[login].address if login else ""
        dispatching.keep(dispatching.Outcome(began.isoformat(timespec="seconds"), SLURM, address, line, how, None, took,
                                             job_id), environ, say)

    try:
        made = _submitted(config, line, wish, environ)
    except NotSubmitted as error:
        if error.how != WRONG:
            keep(error.how)
        raise
    keep("submitted", made.id)
    return made


def _submitted(config: Config, line: str, wish: Wish, environ: Mapping[str, str]) -> Submitted:
    from coordinator.adapters.executors.slurm.before import unknown_of
    from coordinator.adapters.executors.ssh import NEVER_SENT
    from coordinator.app import executors
    from coordinator.ports import Away

    run = executors.commands(config, {name: value for name, value in environ.items() if name not in NEVER_SENT})
    queue = executors.queue_of(config, run)
    try:
        order = _order(config, run, line, wish)
        queue.find(order.token)   # who cannot ask cannot submit either
        forgotten = unknown_of(run, order.depends)
    except Away as away:
        raise NotSubmitted("unreachable", away.words, _NOTHING) from away
    if forgotten:
        words = f"--after: Slurm does not know {', '.join(forgotten)} any more, and would not wait"
        raise NotSubmitted("refused", words, f"If it ended well (sacct -j {forgotten[0]}), leave it out.")
    job_id = _handed_over(queue, order, _look(config, wish.name))
    output = posixpath.join(order.folder, f"slurm-{job_id}{'_*' if wish.array else ''}.out")
    return Submitted(job_id, wish.name, wish.array, order.depends, order.folder, output)


def _handed_over(queue: Queue, order: Order, look: str) -> str:
    """The id of the job. An answer that never came is asked for once more, by the job's comment."""
    from coordinator.ports import Away, LaunchFailed

    unknown = f"Whether it was submitted is not known. {look}"
    try:
        return queue.submit(order)
    except LaunchFailed as error:
        raise NotSubmitted("refused", error.words) from error
    except KeyboardInterrupt as error:
        raise NotSubmitted("interrupted", "interrupted while it was submitted", unknown) from error
    except Away as away:
        why = away.words
    try:
        found = queue.find(order.token)
    except Away as away:
        raise NotSubmitted("lost", why, unknown) from away
    if found is None:
        raise NotSubmitted("lost", why, f"Slurm shows no such job. {look}")
    return found


def _look(config: Config, name: str) -> str:
    asked = f"squeue --me --name={name}"
    return f"Before you submit it again: {command_on(config.slurm.login, asked) if config.slurm.login else asked}"


def _order(config: Config, run: Run, line: str, wish: Wish) -> Order:
    """Raises NotSubmitted, Away."""
    from coordinator.adapters.executors.slurm.before import NoFolder, folder_there
    from coordinator.adapters.executors.slurm.script import Order, commanded
    from coordinator.app.executors import wishes_of

    try:
        folder = folder_there(run, _absolute(config, wish.folder))
    except NoFolder as error:
        there = f"on {config.slurm.login}" if config.slurm.login else "here"
        words = f"--workdir: {wish.folder or 'the home'} cannot be entered {there} ({error})"
        raise NotSubmitted(WRONG, words, "Give a folder that the nodes see too.") from error
    return Order(
        wish.name, secrets.token_hex(8), folder, "", commanded(line), replace(wishes_of(config), warning=0),
        tuple(dict.fromkeys(wish.after)), wish.array)


def _absolute(config: Config, folder: str) -> str:
    """On this machine a folder is meant from where one stands."""
    if not folder or config.slurm.login or folder == "~" or folder.startswith("~/"):
        return folder
    return str(Path.cwd() / folder)


def _check(config: Config, wish: Wish) -> None:
    """Raises NotSubmitted."""
    from coordinator.adapters.executors.slurm.script import PREFIX, is_job_id, no_array

    for one in wish.after:
        if not is_job_id(one):
            raise NotSubmitted(WRONG, f"--after {one!r} is no id of a job",
                               "Give --after once for each job, with a number such as 4711 or 4711_3.")
    if wish.array and (why := no_array(wish.array)):
        raise NotSubmitted(WRONG, f"--array {wish.array!r}: {why}", "Give indices such as 0-7, 1,3,5 or 0-7%2.")
    if not _NAME.fullmatch(wish.name) or wish.name.startswith(PREFIX):
        raise NotSubmitted(WRONG, f"--name {wish.name!r} cannot be used",
                           "Give letters, digits, '.', '_' and '-', at most 64; those that begin with "
                           f"{PREFIX} are names of workers.")
    if _CONTROL.search(wish.folder):
        raise NotSubmitted(WRONG, f"--workdir {wish.folder!r} cannot be used", "Give a folder whose name is one line.")
    if config.slurm.login and wish.folder not in ("", "~") and not wish.folder.startswith(("/", "~/")):
        raise NotSubmitted(WRONG, f"--workdir {wish.folder!r} cannot be used",
                           f"Give a folder of {config.slurm.login} that begins with / or ~/.")
