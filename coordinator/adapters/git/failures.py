"""What git's words about a remote mean for the caller: it said no, or it could not be asked. Pure."""

from __future__ import annotations

import re

from coordinator.adapters.system.run import TIMED_OUT, Ran
from coordinator.ports import GitError, GitUnreachable

_NO_RIGHT = re.compile(
    r"returned error: 403|could not read (Username|Password)|Permission denied"
    r"|Permission to .* denied|Write access to repository not granted|403 Forbidden", re.IGNORECASE)
_BAD_TOKEN = re.compile(r"returned error: 401|Authentication failed", re.IGNORECASE)
_NOT_THERE = re.compile(r"repository '.*' not found|Repository not found|returned error: 404", re.IGNORECASE)
_REJECTED = re.compile(r"^!\t\S+\t(.*)$", re.MULTILINE)
_IN_TROUBLE = re.compile(r"\((internal server error|failure|remote failed to report status)\)", re.IGNORECASE)
"""Why a ref was not taken by a GitHub that is in trouble itself; the second goes with `fatal error in commit_refs`."""
_CROWDED = re.compile(r"directory file conflict|exists; cannot create", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"unable to access|Could not resolve|Failed to connect|Connection|timed out|Could not read from remote"
    r"|does not appear to be a git repository|does not exist|hung up|early EOF|RPC failed|unable to connect|index-pack"
    r"|Network is unreachable|returned error: (5\d\d|429)|HTTP (5\d\d|429)|Internal Server Error", re.IGNORECASE)


def failure(ran: Ran, what: str, said: str, refusal: type[GitError]) -> GitError:
    """The exception for a call that failed, with what it `said`: what the caller can do about it decides the class."""
    rejected = rejections(ran.out)
    if ran.code == TIMED_OUT or _IN_TROUBLE.search(rejected):
        return GitUnreachable(f"git {what}: {said}")
    if _CROWDED.search(rejected):
        return refusal(f"git {what}: {said} (a branch of the remote is named as this one begins: rename it there)")
    if "GH008" in ran.err:
        return refusal(f"git {what}: {said} (files of Git LFS are missing there: git lfs push --all origin BRANCH)")
    if rejected or _NO_RIGHT.search(ran.err):
        return refusal(f"git {what}: {said}")
    if _NOT_THERE.search(ran.err):
        return refusal(f"git {what}: {said} (or the token may not see it)")
    if _BAD_TOKEN.search(ran.err):
        return GitUnreachable(f"git {what}: {said} (the token is not accepted: set a valid GITHUB_TOKEN)")
    return (GitUnreachable if _UNREACHABLE.search(ran.err) else GitError)(f"git {what}: {said}")


def rejections(porcelain: str) -> str:
    """Why the remote did not take what was pushed, a line each ref; gitpush's --porcelain."""
    return "\n".join(_REJECTED.findall(porcelain))
