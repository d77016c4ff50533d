"""git over HTTP: real `git http-backend` behind GitHub's rules of who may fetch and who may push."""

from __future__ import annotations

import subprocess
from urllib.parse import unquote

from . import bare, pulls
from .access import check, git_token
from .wire import Incoming, Reply
from .world import Refused, Repository, Token, World

SERVICES = ("info/refs", "git-upload-pack", "git-receive-pack")
PUSH = "git-receive-pack"


def parts(path: str) -> tuple[str, str] | None:
    """(full name, service) of a git address, with or without `.git`; None for any other address."""
    for service in SERVICES:
        if path.endswith(f"/{service}"):
            name = path[1 : -len(service) - 1].removesuffix(".git")
            return (name, service) if name.count("/") == 1 else None
    return None


def answer(world: World, request: Incoming) -> tuple[str | None, Reply]:
    """Answer one request of a git client; returns who asked, and the reply."""
    name, service = parts(unquote(request.path)) or ("", "")
    push = service == PUSH or f"service={PUSH}" in request.query
    login = None
    try:
        with world.lock:
            token = git_token(world, request.header("authorization"))
            login = token.login if token else None
            moved = world.former.get(name.lower())
            if moved is not None and name.lower() not in world.repositories:
                _allowed(world, moved.full_name, token, push)
                query = f"?{request.query}" if request.query else ""
                return login, Reply(301, b"", {"Location": f"/{moved.full_name}.git/{service}{query}"})
            repository = _allowed(world, name, token, push)
            before = bare.refs(repository.bare, "refs/heads/")
        reply = _backend(world, repository, service, request, login)
        if service == PUSH:
            with world.lock:
                pulls.follow_push(world, repository, before, login or "")
        return login, reply
    except Refused as refused:
        return login, _refusal(refused)


def _allowed(world: World, name: str, token: Token | None, push: bool) -> Repository:
    repository = world.repositories.get(name.lower())
    if token is None and (push or repository is None or repository.private):
        raise Refused(401, "Authentication required")
    if repository is None:
        raise Refused(404, "Repository not found.")
    try:
        check(world, repository, token, "write" if push else "read", ("contents", "write" if push else "read"))
    except Refused as refused:
        login = token.login if token else "anonymous"
        if refused.status == 403:
            raise Refused(403, f"Permission to {repository.full_name}.git denied to {login}.") from refused
        raise Refused(404, "Repository not found.") from refused
    return repository


def _refusal(refused: Refused) -> Reply:
    headers = {"Content-Type": "text/plain"}
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="GitHub"'
    return Reply(refused.status, f"{refused.message}\n".encode(), headers)


def _backend(world: World, repository: Repository, service: str, request: Incoming, login: str | None) -> Reply:
    surroundings = {
        **bare.environment(),
        "GIT_PROJECT_ROOT": str(world.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.bare.relative_to(world.root).as_posix()}/{service}",
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.header("content-type"),
        "CONTENT_LENGTH": str(len(request.content)),
        "HTTP_CONTENT_ENCODING": request.header("content-encoding"),
        "GIT_PROTOCOL": request.header("git-protocol"),
        "REMOTE_ADDR": "127.0.0.1",
        **({"REMOTE_USER": login} if login else {}),
    }
    done = subprocess.run(
        ["git", "http-backend"],
        input=request.content,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return _parse(done.stdout)


def _parse(output: bytes) -> Reply:
    """A CGI answer: header lines, an empty line, the body."""
    head, _, body = output.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\r\n") if line)
    headers = {name: value for name, _, value in lines}
    status = int(headers.pop("Status", "200" if head else "500").split()[0])
    return Reply(status, body, headers)
