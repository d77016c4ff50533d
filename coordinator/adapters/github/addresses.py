"""Where git reaches a repository whose REST address is known. Pure: a request for it could fail when git must not."""

from __future__ import annotations

from urllib.parse import urlsplit


def clone_url(api_url: str, full_name: str) -> str:
    """The http(s) address of owner/name: github.com for api.github.com (and `host` for `api.host`), else the host
    that serves the API itself, as an Enterprise server does."""
    parts = urlsplit(api_url)
    host = parts.netloc.removeprefix("api.")
    return f"{parts.scheme}://{host}/{full_name}.git"
