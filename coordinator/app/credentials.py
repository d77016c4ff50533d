"""Where the GitHub token comes from. No file of ours holds it, and no program that is started is given it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coordinator.runfiles import handed

FILE = "GITHUB_TOKEN_FILE"
NEVER_HANDED_ON = ("GITHUB_TOKEN", "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", FILE, handed.VARIABLE)


class NoToken(Exception):
    """No GitHub token was given, and `gh` gives none."""


def github_token(environ: Mapping[str, str]) -> tuple[str, str]:
    """(token, where it came from): what `take_in` put away, GITHUB_TOKEN, GH_TOKEN, where GH_HOST names an Enterprise
    server GH_ENTERPRISE_TOKEN and GITHUB_ENTERPRISE_TOKEN, the file that GITHUB_TOKEN_FILE names, or what `gh auth
    token` gives; the last two are read anew each time. Raises NoToken."""
    from coordinator.adapters.system.run import run
    from coordinator.adapters.system.surroundings import GH, needed
    from coordinator.adapters.system.vault import variables

    token, source = handed.read(environ)
    if token:
        return token, source
    for name in variables(environ):
        if environ.get(name, "").strip():
            return environ[name].strip(), name
    if path := environ.get(FILE, "").strip():
        return _token_in(Path(path)), FILE
    ran = run(["gh", "auth", "token"], env=needed(environ, GH), timeout=10)
    if ran.ok and ran.out.strip():
        return ran.out.strip(), "gh"
    raise NoToken("no GitHub token: set GITHUB_TOKEN, GH_TOKEN or GITHUB_TOKEN_FILE, or log in with `gh auth login`")


def take_in() -> None:
    """Before a command that holds the GitHub token: nobody may look into this process, and its environment holds the
    token no more. Raises NoToken, OSError."""
    from coordinator.adapters.system import vault

    try:
        vault.take_in()
    except vault.NotHanded as error:
        raise NoToken(str(error)) from error


def hide() -> None:
    """Before a command that lives long and has no need of the token, but of its caller's environment: that stays, and
    nobody else may see it. Raises OSError."""
    from coordinator.adapters.system import vault

    vault.hide()


def _token_in(path: Path) -> str:
    try:
        token = path.read_text("utf-8", "replace").partition("\n")[0].strip()
    except OSError as error:
        raise NoToken(f"{FILE}={path} cannot be read: {error.strerror}") from error
    if not token:
        raise NoToken(f"{FILE}={path}: its first line is empty")
    return token


def token_or_none(environ: Mapping[str, str]) -> str:
    """The GitHub token, "" without one."""
    try:
        return github_token(environ)[0]
    except NoToken:
        return ""


def without_tokens(environ: Mapping[str, str]) -> dict[str, str]:
    """What programs that we start may have of our environment."""
    return {name: value for name, value in environ.items() if name not in NEVER_HANDED_ON}
