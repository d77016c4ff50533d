"""What git says of a remote that refused, and of one that is in trouble."""

from __future__ import annotations

import pytest

from coordinator.adapters.git.failures import failure
from coordinator.adapters.system.run import TIMED_OUT, Ran
from coordinator.ports import GitError, GitUnreachable, PushRefused

REF = "!\tabc:refs/heads/rpi/gh-1\t"
LOST = f"{REF}[remote rejected] (atomic transaction failed)\n"


@pytest.mark.parametrize(("out", "err", "kind"), [
    (f"{REF}[remote rejected] (Internal Server Error)", "remote: Internal Server Error", GitUnreachable),
    (f"{LOST}{REF}[remote rejected] (Internal Server Error)", "remote: Internal Server Error", GitUnreachable),
    (f"{REF}[remote rejected] (failure)", "remote: fatal error in commit_refs", GitUnreachable),
    (f"{REF}[remote failure] (remote failed to report status)", "", GitUnreachable),
    ("", "remote: Internal Server Error", GitUnreachable),
    ("", "error: RPC failed; HTTP 500 curl 22 The requested URL returned error: 500", GitUnreachable),
    ("", "fatal: unexpected answer: HTTP 502", GitUnreachable),
    ("", "fatal: unable to access 'https://x/': The requested URL returned error: 503", GitUnreachable),
    ("", "fatal: unable to access 'https://x/': The requested URL returned error: 429", GitUnreachable),
    ("", "fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF", GitUnreachable),
    ("", "fatal: unable to access 'https://x/': The requested URL returned error: 403", PushRefused),
    ("", "fatal: repository 'https://x/' not found", PushRefused),
    ("", "fatal: Authentication failed for 'https://x/'", GitUnreachable),
    (f"{REF}[remote rejected] (pre-receive hook declined)", "remote: Internal Server Error", PushRefused),
    (f"{REF}[rejected] (fetch first)", "", PushRefused),
    ("", "fatal: bad object", GitError),
])  # fmt: skip
def test_a_remote_that_is_in_trouble_has_refused_nothing(out: str, err: str, kind: type) -> None:
    told = failure(Ran(1, out, err), "push rpi/gh-1", "said", PushRefused)
    assert (type(told), told.words[:23]) == (kind, "git push rpi/gh-1: said")


@pytest.mark.parametrize("why", [
    "directory file conflict",
    "cannot lock ref 'refs/heads/rpi/gh-1': 'refs/heads/rpi' exists; cannot create 'refs/heads/rpi/gh-1'",
])  # fmt: skip
def test_a_branch_that_is_named_as_ours_begins_is_said(why: str) -> None:
    told = failure(Ran(1, f"{REF}[remote rejected] ({why})", ""), "push rpi/gh-1", "said", PushRefused)
    assert type(told) is PushRefused
    assert "a branch of the remote is named as this one begins: rename it there" in told.words


def test_missing_files_of_git_lfs_are_said_with_what_uploads_them() -> None:
    said = "remote: error: GH008: Your push referenced at least 1 unknown Git LFS object:"
    told = failure(Ran(1, f"{REF}[remote rejected] (pre-receive hook declined)", said), "push", "said", PushRefused)
    assert "git lfs push --all origin BRANCH" in told.words
    assert type(told) is PushRefused


def test_one_that_took_too_long_was_not_asked() -> None:
    assert type(failure(Ran(TIMED_OUT, REF, ""), "push", "said", PushRefused)) is GitUnreachable
