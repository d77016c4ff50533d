"""A secret that 1Password keeps, read by its own CLI: which token `op` signs in with, and what its answer is worth.

The token goes into op's environment alone. It must never say a secret: words quote op's stderr, masked, and nothing
that it printed as an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from coordinator.adapters.providers.environment import COMMON
from coordinator.ports import Probe, Settings
from coordinator.runfiles.masking import Masker

Debug = Callable[[str], None]

PREFIX = "op://"
TOKEN, TOKEN_FILE = "OP_SERVICE_ACCOUNT_TOKEN", "OP_SERVICE_ACCOUNT_TOKEN_FILE"
INSTALL = (
    "Install 1Password's CLI (macOS: brew install 1password-cli; Linux: the package 1password-cli of 1Password's apt or"
    " yum repository)"
)
READ_LIMIT, WHO_LIMIT = 20.0, 10.0
"""Seconds: op unlocks, asks its server and may wait for a person's thumb."""
KEPT = 300.0
"""Seconds for which an answer holds: one start asks several times, and accounts are limited in reads an hour."""

_SYSTEMD = Path(".config/systemd/user")
_HOSTNAME = Path("/proc/sys/kernel/hostname")
_OWN = ("OP_*", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY")
_ADDRESS = re.compile(r"op://[^/\x00-\x1f\x7f]+/[^/\x00-\x1f\x7f]+/[^\x00-\x1f\x7f]+")
_SECRET = re.compile(r"[!-;=?-~]{8,4096}")   # no blank, and none of the angle brackets of an error page
_LOCKED = re.compile(r"(?i)not (?:currently )?signed in|no account|session expired|op signin|authorization prompt")
_NOBODY = "op's own login"


class Unusable(Exception):
    """A place that a key should come from and does not: why not, the cure, the exit code (11 for a token's file)."""

    def __init__(self, words: str, cure: str, code: int = 10) -> None:
        super().__init__(words)
        self.words = words
        self.cure = cure
        self.code = code


@dataclass(frozen=True)
class Account:
    """What op signs in with: `source` names it, `token` is "" where op has a login of its own."""

    source: str
    token: str = ""


def secret(probe: Probe, uri: str, settings: Settings, tell: Debug) -> str:
    """What is kept at an op:// address. Raises Unusable."""
    if not _ADDRESS.fullmatch(uri):
        raise Unusable("it is no address in 1Password", "Write it as op://vault/item/field.")
    program = probe.which("op")
    if program is None:
        raise Unusable(f"op CLI not found, which would open {uri}", INSTALL)
    account = sign_in(probe, settings, tell)
    env = _env(probe.environ(), account.token)
    tell(f"op read {quoted(uri)}, signed in with {account.source}, at most {READ_LIMIT:g} s")
    code, out, err = probe.run([program, "read", uri], timeout=READ_LIMIT, env=env, keep=KEPT)
    tell(f"op ended with {code}")
    if code != 0:
        raise _refused(probe, program, uri, account, (code, err), env)
    return _plausible(out, uri)


def _plausible(out: str, uri: str) -> str:
    text = out.strip("\r\n")
    if not text.strip():
        what = "an empty answer"
    elif "\n" in text or "\r" in text:
        what = "more than one line"
    elif not _SECRET.fullmatch(text):
        what = "an answer that is no key"
    else:
        return text
    raise Unusable(f"op gave {what} for {uri}", f"op read {quoted(uri)}   # must print the key alone")


def _refused(
    probe: Probe, program: str, uri: str, account: Account, ended: tuple[int, str], env: Mapping[str, str]
) -> Unusable:
    code, err = ended
    again = f"then see that it works: op read {quoted(uri)}"
    if code == 124:
        words = f"op gave no answer within {READ_LIMIT:g} s for {uri}: it is locked or slow"
        return Unusable(words, f'eval "$(op signin)"; {again}')
    said = " ".join(Masker((account.token,)).text(err).split())[-300:]
    words = f"op could not read {uri} (exit {code}){': ' if said else ''}{said}"
    if account.token:
        return Unusable(f"{words}; it signed in with {account.source}",
                        f"See that the service account may read this vault, and its token is valid; {again}")
    if _LOCKED.search(err) or not _known(probe, program, env):
        return Unusable(f"{words}; nobody is signed in to 1Password", f'eval "$(op signin)"; {again}')
    return Unusable(words, f"Somebody is signed in, so the address or a right is wrong; {again}")


def _known(probe: Probe, program: str, env: Mapping[str, str]) -> bool:
    return probe.run([program, "user", "get", "--me"], timeout=WHO_LIMIT, env=env, keep=KEPT)[0] == 0


def quoted(uri: str) -> str:
    """The address for a command to be pasted: what could leave its quotes is not repeated."""
    return f"'{uri}'" if re.fullmatch(r"[ -~]+", uri) and not set(uri) & set("'\"`$\\") else "op://..."


def _env(environ: Mapping[str, str], token: str) -> dict[str, str]:
    """What op needs and nothing of any provider's; an empty token would be taken for one."""
    wanted = (*COMMON, *_OWN)
    own = {name: value for name, value in environ.items() if any(fnmatchcase(name, one) for one in wanted)}
    own.pop(TOKEN_FILE, None)
    own.pop(TOKEN, None)
    return {**own, TOKEN: token} if token else own


# --- the account ------------------------------------------------------------------------------------


def sign_in(probe: Probe, settings: Settings, tell: Debug) -> Account:
    """The service account's token: of the environment, of a file the environment names, of the first file that stands
    where tokens are kept; without any op's own login. Raises Unusable for what is named or stands and holds none."""
    environ = probe.environ()
    if environ.get(TOKEN, "").strip():
        return Account(TOKEN, environ[TOKEN].strip())
    named = environ.get(TOKEN_FILE, "").strip()
    if named:
        return Account(TOKEN_FILE, token_of(probe, at_home(environ, named), TOKEN_FILE))
    for path in _places(probe, settings):
        stands = probe.stands(path)
        tell(f"a token of 1Password at {path}: {stands or 'nothing there'}")
        if stands:
            return Account(str(path), token_of(probe, path, "1Password's service account"))
    return Account(_NOBODY)


def _places(probe: Probe, settings: Settings) -> Iterator[Path]:
    environ = probe.environ()
    if settings.op_token_file:
        yield at_home(environ, settings.op_token_file)
    host = (probe.read(_HOSTNAME) or environ.get("HOSTNAME", "")).strip()
    names = [f"op-{host}-token"] if re.fullmatch(r"[\w.-]+", host) else []
    for name in (*names, *settings.op_legacy_names):
        yield Path(environ.get("HOME") or "/") / _SYSTEMD / name


def at_home(environ: Mapping[str, str], text: str) -> Path:
    """A path; its `~` is the environment's own HOME, since a quoted one is left to us by the shell."""
    return Path(environ.get("HOME", ""), text[2:]) if text.startswith("~/") else Path(text)


def token_of(probe: Probe, path: Path, what: str) -> str:
    """The token in a file, alone on its line. Raises Unusable, code 11."""
    stands = probe.stands(path)
    cure = f"Write the token into {path}, alone on one line (chmod 600), or unset what names the file"
    if not stands:
        raise Unusable(f"Token file not found: {path} ({what})", cure, 11)
    if stands != "file":
        kind = "a folder" if stands == "folder" else "no regular file"
        raise Unusable(f"Token file {path} ({what}) is {kind}", cure, 11)
    text = probe.read(path)
    if text is None:
        raise Unusable(f"Token file {path} ({what}) cannot be read", f"chmod u+r {path}", 11)
    if not text.strip():
        raise Unusable(f"Token file {path} ({what}) is empty", cure, 11)
    if not re.fullmatch(r"[!-~]+", text.strip()) and not text.startswith(PREFIX):
        words = f"Token file {path} ({what}) holds a line break, a blank or a control character"
        raise Unusable(words, "Give the token alone, on one line", 11)
    return text.strip()
