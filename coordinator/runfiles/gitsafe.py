"""Constants that keep git from running code out of a repository a worker may have written to.

Everything in `.git/config`, `.git/info`, the worktree and nested repositories counts as hostile; the
operator's global configuration and our own command line do not. This file only builds argv and environment:
it must not start git. How each way to run code is closed:

===========================  ==========================================================================
hooks                        core.hooksPath=/dev/null; hooks named in the configuration by `driver_env`
fsmonitor                    core.fsmonitor=false
filters, merge drivers       `driver_env`: what the repository's own configuration defines gets the
                             operator's value back, or is switched off; DRIVERS_QUERY asks for them
external diff, textconv      DIFF_ARGS on every diff, log and show
submodules, nested           DIFF_ARGS, STATUS_ARGS: in there git would start itself without our settings
ssh, askpass, editor, pager  environment variables, which beat the configuration
credential helpers           credential.helper= empties the list
ext::, fd:: and others       GIT_ALLOW_PROTOCOL, which beats the configuration
upload-pack, receive-pack    FETCH_ARGS, PUSH_ARGS; lazy fetches of missing objects are off
signatures                   switched off: gpg.program is configuration
line ends                    core.safecrlf=false: no code, but work that could never be committed
garbage collection           switched off, with its hooks; `coordinator clean` owns that
===========================  ==========================================================================

`url.*.insteadOf` and `http.*` can still send a push elsewhere: push from a git directory with a configuration
of its own (objects by GIT_ALTERNATE_OBJECT_DIRECTORIES) wherever a token travels with it.
"""

from __future__ import annotations

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HARDENED_ARGS: tuple[str, ...] = (
    "--no-pager",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.attributesFile=/dev/null",
    "-c", "core.alternateRefsCommand=:",
    "-c", "core.gitProxy=",
    "-c", "credential.helper=",
    "-c", "core.safecrlf=false",
    "-c", "commit.gpgSign=false",
    "-c", "tag.gpgSign=false",
    "-c", "push.gpgSign=false",
    "-c", "log.showSignature=false",
    "-c", "merge.verifySignatures=false",
    "-c", "diff.submodule=short",
    "-c", "diff.ignoreSubmodules=all",
    "-c", "status.submoduleSummary=false",
    "-c", "submodule.recurse=false",
    "-c", "fetch.recurseSubmodules=false",
    "-c", "push.recurseSubmodules=no",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "color.ui=false",
)
"""Between `git` and the subcommand, on every call."""

DIFF_ARGS: tuple[str, ...] = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=all")
"""After `diff`, `log` or `show`; `status` takes the last one only (STATUS_ARGS)."""

STATUS_ARGS: tuple[str, ...] = ("--ignore-submodules=all",)
FETCH_ARGS: tuple[str, ...] = ("--upload-pack=git-upload-pack", "--no-recurse-submodules", "--no-auto-gc")
PUSH_ARGS: tuple[str, ...] = ("--receive-pack=git-receive-pack", "--no-verify", "--no-signed")

_DRIVERS = r"^(filter|merge|hook)\."
DRIVERS_QUERY: tuple[str, ...] = ("config", "--null", "--includes", "--show-scope", "--get-regexp", _DRIVERS)
"""Asked in the repository; its output goes to `driver_env`. Reading the configuration runs no code."""

_KEPT = frozenset((
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE",
    "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_EXEC_PATH", "GIT_CONFIG_GLOBAL",
))
_OFF = {"clean": "", "smudge": "", "process": "", "required": "false", "driver": "false"}


def hardened_env(base: Mapping[str, str], *, file_remotes: bool = False) -> dict[str, str]:
    """The environment for every git call: `base` without what redirects git, plus what the configuration
    cannot beat. `file_remotes` allows a remote that is a path: only where the remote's address is known to be
    one, because for such a remote git runs the configured upload-pack here."""
    env = {key: value for key, value in base.items() if not key.startswith("GIT_") or key in _KEPT}
    env.update({
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_EDITOR": ":",
        "GIT_SEQUENCE_EDITOR": ":",
        "GIT_PAGER": "cat",
        "GIT_SSH_COMMAND": _ssh(base),
        "GIT_ALLOW_PROTOCOL": "http:https:ssh:file" if file_remotes else "http:https:ssh",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_MERGE_AUTOEDIT": "no",
        "LC_ALL": "C",
    })
    return env


def _ssh(base: Mapping[str, str]) -> str:
    """The operator's own ssh command when the environment names one; ours never waits for a keyboard."""
    if base.get("GIT_SSH_COMMAND"):
        return base["GIT_SSH_COMMAND"]
    program = base.get("GIT_SSH", "")
    return "'" + program.replace("'", "'\\''") + "'" if program else "ssh -o BatchMode=yes"


def driver_env(listing: str) -> dict[str, str]:
    """Variables that undo every filter, merge driver and hook defined in the repository's own configuration.

    `listing` is the output of DRIVERS_QUERY. A key that the operator's global configuration defines too gets
    that value; any other is switched off: a filter passes the bytes through, a merge driver reports a
    conflict. They travel by environment since `-c` cannot carry a name that holds an equals sign.
    """
    hostile, trusted = _by_scope(listing)
    pairs: list[tuple[str, str]] = []
    for key in sorted(hostile):
        last = key.rpartition(".")[2].lower()
        if key.startswith("hook."):
            pairs.append((key.rpartition(".")[0] + ".enabled", "false"))
        elif last in _OFF:
            pairs.append((key, trusted.get(key, _OFF[last])))
    for name in sorted({key.rpartition(".")[0] for key in hostile if key.startswith("filter.")}):
        if not any(key.startswith(name + ".") for key in trusted):
            pairs += [(name + ".process", ""), (name + ".required", "false")]
    return _numbered(pairs)


def _by_scope(listing: str) -> tuple[set[str], dict[str, str]]:
    """(keys the repository defines, key -> value of the operator's own)."""
    hostile: set[str] = set()
    trusted: dict[str, str] = {}
    fields = listing.split("\0")
    for at in range(0, len(fields) - 1, 2):
        scope = fields[at]
        key, _, value = fields[at + 1].partition("\n")
        if scope in ("global", "system", "command"):
            trusted[key] = value
        else:
            hostile.add(key)
    return hostile, trusted


def _numbered(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    env: dict[str, str] = {}
    count = 0
    for key, value in pairs:
        env[f"GIT_CONFIG_KEY_{count}"], env[f"GIT_CONFIG_VALUE_{count}"] = key, value
        count += 1
    if count:
        env["GIT_CONFIG_COUNT"] = str(count)
    return env
