"""What ssh complained of, as a cause and a cure. Pure: text in, text out."""

from __future__ import annotations

_CAUSES = (
    ("HOST IDENTIFICATION HAS CHANGED", "its host key is another than before",
     "ask who runs it whether the key was changed; only then: ssh-keygen -R {host}, and {ssh} once by hand"),
    ("Host key verification failed", "its host key is not known here",
     "connect once by hand and compare the key: {ssh}"),
    ("Permission denied", "it refuses our key", "{ssh} true; keys in the agent: ssh-add -l"),
    ("Too many authentication failures", "it refuses our keys",
     "name one with IdentityFile in ~/.ssh/config: {ssh} true"),
    ("Could not resolve hostname", "its name is not found", "look at `address` in [hosts], and at {ssh} true"),
    ("Connection timed out", "it does not answer", "is it up, and the VPN? {ssh} true"),
    ("Operation timed out", "it does not answer", "is it up, and the VPN? {ssh} true"),
    ("No route to host", "there is no way to it", "is it up, and the VPN? {ssh} true"),
    ("Network is unreachable", "there is no way to it", "is the network up, and the VPN? {ssh} true"),
    ("Connection refused", "nothing takes connections there", "is sshd running there, and the port right? {ssh} true"),
    ("Bad configuration option", "our ssh configuration cannot be read", "mend ~/.ssh/config: {ssh} -G"),
    ("Bad owner or permissions", "our ssh configuration may not be used", "mend ~/.ssh/config: {ssh} -G"),
    ("is not installed here", "there is no ssh here", "install it, or set `ssh` in [hosts]"),
)  # fmt: skip


def cause(said: str, *, begun: bool, timed_out: bool) -> tuple[str, str]:
    """(why, cure) for what ssh said; the cure may hold {ssh}, the command by hand, and {host}."""
    if begun:
        if timed_out:
            return "the command did not end in time", "look there: {ssh}"
        return "the connection was lost while the command ran", "it may run on there; look: {ssh}"
    for words, why, cure in _CAUSES:
        if words in said:
            return why, cure
    if timed_out:
        return "it does not answer", "is it up, and the VPN? {ssh} true"
    return "no command can be run there", "{ssh} true"


def told(address: str, why: str, said: str) -> str:
    """One line: who, why, what was said last."""
    lines = [line.strip() for line in said.splitlines() if line.strip(" @")]
    last = f" ({lines[-1][:300]})" if lines else ""
    return f"{address} cannot be reached: {why}{last}"
