"""Where the run files of a job lie and what they are called. Touches the disk only to make the folder."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Optional, Tuple

KINDS = (
    "pid", "log", "err", "meta", "outcome", "contract", "heartbeat", "prompt",
    "lock", "fence", "spec", "stop", "env",
    "seen", "parcel", "bundle",
)
ROTATED = ("log", "err", "outcome")

TOKEN_VARIABLE = "COORDINATOR_TOKEN"  # noqa: S105 - the name of a variable, not a secret
RUN_VARIABLE = "COORDINATOR_RUN"

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_REST = _FIRST | frozenset("._-")


class ForeignFolder(Exception):
    """The job folder belongs to another user or is no folder: nothing of ours may be put there."""


def check_name(name: str, what: str = "job") -> str:
    """The name itself. Raises ValueError unless it is `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`."""
    if not name or len(name) > 64 or name[0] not in _FIRST or not _REST.issuperset(name):
        raise ValueError(
            "%s id %r: 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or a digit"
            % (what, name[:80]))
    return name


def path(folder: str, job: str, kind: str) -> str:
    return "%s/%s.%s" % (folder, job, kind)


def job_of(name: str) -> Optional[Tuple[str, str]]:
    """(job, kind) of a run file's name, a rotated one included; None for any other name."""
    stem, _, kind = name.rpartition(".")
    if kind.isdigit():
        stem, _, kind = stem.rpartition(".")
        if kind not in ROTATED:
            return None
    if kind not in KINDS or not stem or stem[0] not in _FIRST:
        return None
    return stem, kind


def make_folder(folder: str) -> None:
    """Makes the folder and those above it, 0700; one of ours that is open to others is closed.
    Raises ForeignFolder when another user owns it, OSError when it cannot be made."""
    if not os.path.isdir(folder):
        above = os.path.dirname(folder)
        if above and not os.path.isdir(above):
            make_folder(above)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass   # made by another just now; it is looked at below
    seen = os.stat(folder)
    if not stat.S_ISDIR(seen.st_mode):
        raise ForeignFolder("%s is no folder: move it away or choose another job folder" % folder)
    if seen.st_uid != os.geteuid():
        raise ForeignFolder(
            "%s belongs to user id %d, not to %d: give it back (chown) or move it away"
            % (folder, seen.st_uid, os.geteuid()))
    if seen.st_mode & 0o077:
        os.chmod(folder, 0o700)
