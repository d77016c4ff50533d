"""Where GLM's key comes from: five places in a fixed order, the first that is set decides. It must never put a key, or
what may be one, into words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from coordinator.adapters.providers import onepassword
from coordinator.adapters.providers.onepassword import Debug, Unusable
from coordinator.ports import AuthUnresolved, Credentials, Probe, Settings

DIRECT, FILE, KEY, URI = "CC_GLM_AUTH_TOKEN", "CC_GLM_TOKEN_FILE", "ZAI_API_KEY", "CC_GLM_OP_URI"
"""Where a key may come from, the first that is set goes; the last names a secret that 1Password keeps."""
DEFAULT = "default-op-uri"
STRICT, BYPASS, DEBUG, VAULT = "CC_GLM_STRICT_AUTH", "CC_GLM_ALLOW_FALLBACK", "CC_GLM_DEBUG", "CC_GLM_OP_VAULT"
OWN_LOGIN = "claude's-own-login"
OPTIONS = (
    f"Any of these gives a key: (A, advised) a 1Password service account, see docs/glm.md; (B) export {DIRECT}=...;"
    f" (C) export {FILE}=/path/of/a/file; (D) export {URI}=op://vault/item/field. {DEBUG}=1 tells each step."
)

_VISIBLE = re.compile(r"[!-~]+")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
Open = Callable[[], Credentials]


def resolve(probe: Probe, settings: Settings) -> Credentials:
    """Raises AuthUnresolved. A place that is set and gives no key is an error at once; with CC_GLM_STRICT_AUTH=0 it is
    passed over, and said."""
    environ = probe.environ()
    strict, failed = environ.get(STRICT, "").strip().lower() not in _NO, list[Unusable]()
    for source, opened in _places(probe, settings):
        try:
            found = opened()
        except Unusable as error:
            failed.append(error)
            if strict:
                break
            probe.say(f"cc-glm: {source} is passed over ({STRICT}=0): {error.words}")
        else:
            _tell(probe)(f"the key is from {source}")
            return found
    return _without(probe, failed)


def _without(probe: Probe, failed: list[Unusable]) -> Credentials:
    """No key: an error, unless the user allowed claude to be run with a login of its own."""
    environ, words = probe.environ(), "; ".join(error.words for error in failed)
    if not any(environ.get(name, "").strip() for name in (DIRECT, FILE, KEY, URI)):
        words = f"{DIRECT}, {FILE}, {KEY} and {URI} are unset, and {words}"
    if environ.get(BYPASS, "").strip().lower() in _YES:
        probe.say(f"WARNING: cc-glm has no key of its own ({words}). {BYPASS}=1: claude is run with whatever login it"
                  " has, perhaps with another maker's model and at another's cost.")
        return Credentials(OWN_LOGIN, "fallback", alone=True)
    first = failed[0]
    raise AuthUnresolved("cc_glm_auth_missing", f"cc-glm: AUTH TOKEN RESOLUTION FAILED: {words}",
                         f"{first.cure}. {OPTIONS}", first.code)


def _places(probe: Probe, settings: Settings) -> Iterator[tuple[str, Open]]:
    """Those that are set, in order; the default address last."""
    environ, tell = probe.environ(), _tell(probe)

    def set_to(name: str) -> str:
        return environ.get(name, "").strip()

    def opened(source: str, mode: str, text: str, place: str = "") -> Credentials:
        return _found(source, mode, text, place, lambda uri: onepassword.secret(probe, uri, settings, tell))

    for name in (DIRECT, FILE, KEY, URI):
        tell(f"{name} is {'set' if set_to(name) else 'unset'}")
    if set_to(DIRECT):
        yield DIRECT, lambda: opened(DIRECT, "token", set_to(DIRECT))
    if set_to(FILE):
        path = onepassword.at_home(environ, set_to(FILE))
        yield FILE, lambda: opened(FILE, "token_file", onepassword.token_of(probe, path, FILE), str(path))
    if set_to(KEY):
        yield KEY, lambda: opened(KEY, "key", set_to(KEY))
    if set_to(URI):
        yield URI, lambda: opened(URI, "op", _address(set_to(URI)))
    yield DEFAULT, lambda: opened(DEFAULT, "op", default_uri(environ))


def default_uri(environ: Mapping[str, str]) -> str:
    return f"op://{environ.get(VAULT, '').strip() or 'dev'}/Agent-Secrets-Production/ZAI_API_KEY"


def _address(text: str) -> str:
    if not text.startswith(onepassword.PREFIX):   # it may be a key, so it is not repeated
        raise Unusable(f"{URI} is no address in 1Password", f"export {URI}=op://vault/item/field")
    return text


def _found(source: str, mode: str, text: str, place: str, secret: Callable[[str], str]) -> Credentials:
    """An address in 1Password is opened, wherever it stands."""
    if text.startswith(onepassword.PREFIX):
        try:
            token, mode, place = secret(text), "op", text
        except Unusable as error:
            raise Unusable(f"{source}: {error.words}", error.cure, error.code) from error
    else:
        token = text
    if not _VISIBLE.fullmatch(token):
        words = f"the token of {source} holds a line break, a blank or a control character"
        raise Unusable(words, "Give the token alone, on one line")
    return Credentials(source, mode, place, {"ANTHROPIC_AUTH_TOKEN": token, "ANTHROPIC_API_KEY": token})


def _tell(probe: Probe) -> Debug:
    """Debug lines, where they are wanted."""
    wanted = probe.environ().get(DEBUG, "").strip().lower() in _YES
    return (lambda words: probe.say(f"debug: cc-glm: {words}")) if wanted else (lambda _: None)
