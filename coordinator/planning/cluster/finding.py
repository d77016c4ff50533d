"""Which jobs of which cluster a person means: what was typed, what is configured, what was found around. Pure.

Each answer says where it comes from. What cannot be known is asked for, never guessed: a wrong guess would end the jobs
of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.planning.batch.scope import HERE

JOB_ID = re.compile(r"\d{1,12}(_\d{1,9})?")
_ADDRESS = re.compile(r"[A-Za-z0-9_\[]\S*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?")


class Unclear(Exception):
    """`words` say what cannot be known, `option` what to give, `offer` what may be meant ("" = nothing)."""

    def __init__(self, words: str, option: str, offer: str = "") -> None:
        super().__init__(words)
        self.words, self.option, self.offer = words, option, offer


class Wrong(ValueError):
    """An option that cannot mean anything."""


@dataclass(frozen=True)
class Fact:
    """A value with where it comes from."""

    value: str
    source: str


@dataclass(frozen=True)
class Typed:
    """What a person gave; "" = nothing."""

    prefix: str = ""
    jobs: str = ""
    user: str = ""
    host: str = ""
    project: str = ""


@dataclass(frozen=True)
class Around:
    """What is configured and found. `hosts` are addresses by name; `login` and `default` names of them. `user` is the
    configured cluster user, `reads` whether squeue is on PATH here."""

    cwd: str
    root: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    login: str = ""
    default: str = ""
    user: str = ""
    reads: bool = False


def project_of(typed: Typed, around: Around) -> Fact:
    """Raises Unclear outside a repository."""
    if typed.project:
        return Fact(typed.project, "--project")
    if around.root:
        return Fact(around.root.rstrip("/").rpartition("/")[2], "the name of the repository")
    raise Unclear(f"{around.cwd} is in no repository, so the project has no name", "--project",
                  around.cwd.rstrip("/").rpartition("/")[2])


def host_of(typed: Typed, around: Around) -> Fact:
    """A name of [hosts], an address, or "" for this machine. Raises Unclear and Wrong."""
    if typed.host and not _ADDRESS.fullmatch(typed.host):
        raise Wrong(f"{typed.host!r} is neither a name of [hosts] nor an address that ssh takes")
    if typed.host:
        return Fact("" if typed.host == HERE else typed.host, "--host")
    if around.login:
        return Fact(around.login, "slurm.login")
    if around.reads:
        return Fact("", "squeue is on PATH here")
    if len(around.hosts) == 1:
        raise Unclear("there is no squeue here, and slurm.login names no host", "--host", next(iter(around.hosts)))
    raise Unclear("there is no squeue here, and slurm.login names no host", "--host", around.default)


def user_of(typed: Typed, around: Around, address: str, asked: str) -> Fact:
    """`address` is that of the login host, "" here; `asked` what `id -un` said there. Raises Unclear, Wrong."""
    if typed.user:
        return Fact(_checked(typed.user), "--user")
    if around.user:
        return Fact(_checked(around.user), "slurm.user")
    before = address.rpartition("@")[0].rpartition("://")[2]
    if before:
        return Fact(before, "the address of the host")
    if asked:
        return Fact(asked, "who one is there")
    raise Unclear("nobody says which user's jobs are meant", "--user")


def _checked(user: str) -> str:
    if not _USER.fullmatch(user):
        raise Wrong(f"{user!r} is no user's name")
    return user


def jobs_of(typed: Typed, project: str) -> tuple[str, tuple[str, ...], str]:
    """(prefix, ids, source); nothing of both where a user alone was given. Raises Unclear, Wrong."""
    if typed.prefix and typed.jobs:
        raise Wrong("--prefix and --jobs are both given: one says which jobs are meant")
    if typed.jobs:
        return "", ids_of(typed.jobs), "--jobs"
    if typed.prefix:
        return typed.prefix, (), "--prefix"
    if typed.user:
        return "", (), "all of the user's"
    raise Unclear("nobody says which jobs are meant", "--prefix", f"{project}-")


def ids_of(text: str) -> tuple[str, ...]:
    """Raises Wrong."""
    found = tuple(dict.fromkeys(one for one in re.split(r"[,\s]+", text) if one))
    for one in found:
        if not JOB_ID.fullmatch(one):
            raise Wrong(f"{one!r} is no id of a Slurm job: 123, or 123_4 for one of an array")
    if not found:
        raise Wrong("--jobs holds no id")
    return found


NAMES = {
    "project_name": "project", "project_root": "root", "branch": "branch", "cwd": "run from", "cluster_host": "cluster",
    "cluster_user": "user", "job_prefix": "jobs named", "job_ids": "jobs", "via": "by way of", "tools": "tools",
    "missing": "missing",
}  # fmt: skip
"""What is confirmed before anything else, in this order, with the words people read."""


def told(facts: Mapping[str, Fact]) -> list[str]:
    """A line for each that is known."""
    return [f"{NAMES[name]}: {one.value}" + (f" ({one.source})" if one.source else "")
            for name in NAMES if (one := facts.get(name)) is not None and one.value]


def plain(facts: Mapping[str, Fact]) -> dict[str, str]:
    """As they are written down with the batch."""
    return {name: facts[name].value for name in NAMES if name in facts}
