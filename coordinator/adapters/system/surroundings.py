"""What a program that we start for ourselves gets of our environment. While it runs, others of the same user can read
that in /proc: no agent's key is in it, and nothing else that it has no need of.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

_COMMON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR", "XDG_*",
           "*_proxy", "*_PROXY", "SSL_CERT_*", "CURL_*", "KRB5*", "LD_LIBRARY_PATH", "NIX_*")
GIT = ("GIT_*", "SSH_AUTH_SOCK")
GH = ("GH_CONFIG_DIR", "GH_HOST", "DBUS_SESSION_BUS_ADDRESS")
"""Where its login lies, the keyring of the session included."""
SSH = ("SSH*", "DBUS_SESSION_BUS_ADDRESS", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE",
       "CLOUDSDK_CONFIG")  # fmt: skip
"""Its agent, and where a `ProxyCommand` of the usual clouds finds its own login."""


def needed(environ: Mapping[str, str], own: tuple[str, ...]) -> dict[str, str]:
    """What all programs work with, and what matches this one's `own` patterns."""
    return {name: value for name, value in environ.items()
            if any(fnmatchcase(name, pattern) for pattern in (*_COMMON, *own))}
