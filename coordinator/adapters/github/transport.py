"""One request to GitHub and its answer: PyGithub's requester over a session of ours.

PyGithub would follow a moved repository in silence, sleep on a 202 and open a session for each connection, so
it is handed a connection that answers such cases itself. Nothing is retried here: the next tick asks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coordinator.ports import BadCredentials, TryLater

if TYPE_CHECKING:
    from github.Requester import Requester
    from requests import Session

API_VERSION = "2022-11-28"


@dataclass(frozen=True)
class Answer:
    """`headers` have lower-case names; `data` is None for an empty body."""

    status: int
    headers: Mapping[str, str]
    data: Any


@dataclass(frozen=True)
class Route:
    """How GitHub is reached. `ca_bundle` None = the usual authorities, `proxy` None = the environment's."""

    api_url: str
    timeout: float
    ca_bundle: str | None = None
    proxy: str | None = None


class Transport:
    """Sends requests; raises TryLater when no whole answer came, BadCredentials when there is no usable token. Several
    threads may use it."""

    def __init__(self, route: Route, token: Callable[[], str]) -> None:
        self._route = route
        self._token = token
        self._session: Session | None = None
        self._requester: Requester | None = None

    def __repr__(self) -> str:
        return f"Transport({self._route.api_url})"

    @property
    def graphql_url(self) -> str:
        """On a GitHub Enterprise server beside the REST interface, not below it."""
        below = self._route.api_url
        return f"{below.removesuffix('/v3')}/graphql" if below.endswith("/api/v3") else "/graphql"

    def send(self, verb: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """`url` is a path below the API's address, or a whole address of the same host (from a Link header)."""
        import requests

        sent = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION, **(headers or {})}
        connection = _Connection(self._open_session(), self._route, self._usable_token())
        as_theirs: Any = connection
        try:
            told, raw = self._asker().requestJson(verb, url, headers=sent, input=body, cnx=as_theirs)[1:]
            return Answer(connection.status, told, _decoded(connection.status, raw))
        except requests.RequestException as error:
            # Neither its text (a proxy's password may be in it) nor the error itself is passed on.
            raise TryLater(f"{verb} {_short(url)}: {_trouble(error)} ({self._route.api_url})") from None
        except json.JSONDecodeError:
            raise TryLater(f"{verb} {_short(url)}: the answer is no JSON; a proxy or a captive portal may stand "
                           f"between us and {self._route.api_url}") from None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _usable_token(self) -> str:
        token = self._token().strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise BadCredentials("the GitHub token is empty or holds a character no token has. "
                                 "Set GITHUB_TOKEN or log in with `gh auth login`")
        return token

    def _asker(self) -> Requester:
        if self._requester is None:
            import github

            self._requester = github.Github(
                base_url=self._route.api_url, timeout=max(1, round(self._route.timeout)), retry=None,
                seconds_between_requests=0, seconds_between_writes=0, user_agent="coordinator").requester
        return self._requester

    def _open_session(self) -> Session:
        if self._session is None:
            import requests

            session = requests.Session()
            session.auth = _no_netrc
            self._session = session   # whole before another thread sees it; two at the very first do no harm
        return self._session


class _Connection:
    """One request as PyGithub makes it. The token is added here, below the headers that PyGithub may log; the
    session with its open sockets is shared by all."""

    def __init__(self, session: Session, route: Route, token: str) -> None:
        self._session = session
        self._route = route
        self._token = token
        self._asked: tuple[str, str, Any, dict[str, str]] = ("", "", None, {})
        self.status = 0

    def request(self, verb: str, url: str, body: Any, headers: dict[str, str], _stream: Any) -> None:
        self._asked = (verb, url, body, {**headers, "Authorization": f"Bearer {self._token}"})

    def getresponse(self) -> _Response:
        verb, url, body, headers = self._asked
        host = urlsplit(self._route.api_url)
        proxy = self._route.proxy
        response = self._session.request(
            verb, f"{host.scheme}://{host.netloc}{url}", data=body, headers=headers, timeout=self._route.timeout,
            verify=self._route.ca_bundle or True, proxies={"http": proxy, "https": proxy} if proxy else None,
            allow_redirects=False)
        self.status = response.status_code
        text = response.content.decode("utf-8", "replace")
        return _Response(self.status, dict(response.headers), text)


@dataclass(frozen=True)
class _Response:
    """What PyGithub reads of an answer. It would act on two of them by itself, follow a redirect in silence and
    ask without end on a 202; those are shown to it as an answer it leaves alone."""

    code: int
    fields: dict[str, str]
    text: str

    @property
    def status(self) -> int:
        return 200 if self.code in {202, 301} else self.code

    def getheaders(self) -> Any:
        return self.fields.items()

    def read(self) -> str:
        return self.text


def _no_netrc(request: Any) -> Any:
    """A password for this host in ~/.netrc would otherwise replace our token."""
    return request


def _decoded(status: int, raw: str) -> Any:
    """JSON, or None. An error page need not be JSON: its status says enough."""
    try:
        return json.loads(raw) if raw.strip() else None
    except json.JSONDecodeError:
        if status >= 400:
            return None
        raise


def _short(url: str) -> str:
    return url.partition("?")[0]


def _trouble(error: Exception) -> str:
    import requests

    for kind, words in (
        (requests.exceptions.ProxyError, "the proxy could not be reached or refused"),
        (requests.exceptions.SSLError, "the certificate could not be verified (repository.ca_bundle names your CA's)"),
        (requests.exceptions.ConnectTimeout, "no connection in time"),
        (requests.exceptions.Timeout, "no answer in time"),
        (requests.exceptions.ChunkedEncodingError, "the answer was cut off"),
        (requests.exceptions.ContentDecodingError, "the answer was damaged"),
    ):
        if isinstance(error, kind):
            return words
    if "NameResolutionError" in repr(error):
        return "the host's name could not be resolved"
    if "refused" in repr(error):
        return "the connection was refused"
    return "the connection was cut" if isinstance(error, requests.ConnectionError) else "it could not be asked"
