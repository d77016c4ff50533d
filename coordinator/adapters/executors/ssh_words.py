"""What ssh complained of, as a cause and a cure, and whether it says that nothing can have begun. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Each of these ends ssh before a command could be asked for: who meets one may be sure that nothing began there.
_BEFORE = (
    (r"HOST IDENTIFICATION HAS CHANGED", "its host key is another than before",
     "ask who runs it whether the key was changed; only then: ssh-keygen -R {host}, and {ssh} once by hand"),
    (r"Host key verification failed", "its host key is not known here",
     "connect once by hand and compare the key: {ssh}"),
    (r"Permission denied \(", "it refuses our key", "{ssh} true; keys in the agent: ssh-add -l"),
    (r"Too many authentication failures", "it refuses our keys",
     "name one with IdentityFile in ~/.ssh/config: {ssh} true"),
    (r"Could not resolve hostname", "its name is not found", "look at `address` in [hosts], and at {ssh} true"),
    (r"connect to .*: Connection refused", "nothing takes connections there",
     "is sshd running there, and the port right? {ssh} true"),
    (r"connect to .*: .*timed out", "it does not answer", "is it up, and the VPN? {ssh} true"),
    (r"connect to .*: (No route to host|Network is unreachable|Host is down)", "there is no way to it",
     "is it up, and the VPN? {ssh} true"),
    (r"during banner exchange", "it does not answer", "is it up, and the VPN? {ssh} true"),
    (r"kex_exchange_identification", "what answers there is no ssh server, or refuses us", "{ssh} true"),
    (r"Bad configuration option|Bad owner or permissions", "our ssh configuration cannot be used",
     "mend ~/.ssh/config: {ssh} -G"),
    (r"is not installed here", "there is no ssh here", "install it, or set `ssh` in [hosts]"),
)  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """`cure` may hold {ssh}, the command by hand, and {host}. `begun`: the command began there, or may have."""

    why: str
    cure: str
    begun: bool


def cause(said: str, *, begun: bool, own_end: bool, timed_out: bool) -> Cause:
    """`said` came from ssh; `begun`: the far shell was heard; `own_end`: the far side gave an exit code, `timed_out`:
    we ended ssh."""
    if begun and timed_out:
        return Cause("the command did not end in time", "look there: {ssh}", begun=True)
    if begun:
        return Cause("the connection was lost while the command ran", "it may run on there; look: {ssh}", begun=True)
    for words, why, cure in _BEFORE:
        if re.search(words, said):
            return Cause(why, cure, begun=False)
    if own_end:
        return Cause("no command can be run there", "{ssh} true", begun=False)
    return Cause("the connection was lost, or none came about; whether the command began is not known",
                 "is it up, and the VPN? {ssh} true", begun=True)


def told(address: str, one: Cause, said: str) -> str:
    """One line: who, why, what was said last."""
    lines = [line.strip() for line in said.splitlines() if line.strip(" @")]
    last = f" ({lines[-1][:300]})" if lines else ""
    return f"{address}: {one.why}{last}" if one.begun else f"{address} cannot be reached: {one.why}{last}"
