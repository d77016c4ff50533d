"""Talking to the remote: fetch and push from a scratch git directory with a configuration of its own.

The repository's configuration is within a worker's reach and could send a token elsewhere (`url.*.insteadOf`,
`http.proxy`), so nothing of it is read here: the scratch directory borrows the objects and knows the refs it is
given. The token travels by an inherited descriptor and is offered to the one host only.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coordinator.adapters.git import failures, outgoing
from coordinator.adapters.git.funnel import Funnel, around
from coordinator.adapters.system.run import TOO_MUCH, WHOLE, Ran, run
from coordinator.adapters.system.seam import crossing
from coordinator.domain.cargo import Cargo, Search
from coordinator.ports import ClaimMoved, GitError, HeldBack, PushRefused
from coordinator.runfiles import atomic
from coordinator.runfiles.gitsafe import FETCH_ARGS, HARDENED_ARGS, PUSH_ARGS, hardened_env

TIMEOUT = 300.0
CLAIM_TIMEOUT = 60.0
"""Seconds for a question or an answer about the claim, a few hundred bytes."""
_HTTP = ("http", "https")
CLAIM = "refs/coordinator/claim"
"""Beside branches and tags: no list shows it and no check runs on it. GitHub takes any ref but refs/pull."""
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_WRITER = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Coordinator"), ("EMAIL", "coordinator@localhost"))}

_ASKED = re.compile(r"could not read (Username|Password)")
_BEHIND = re.compile(r"\((non-fast-forward|fetch first|stale info)\)")


class BaseGone(GitError):
    """The remote has no such branch any more: it may be called otherwise since."""

    def __init__(self, base: str) -> None:
        super().__init__(f"the base branch {base} is not on the remote: set [repository] base, or make it there again")


class Remote:
    """The remote repository at one address, pinned when this was made; what we push may go to another, a fork. `way` is
    the environment in which git finds there."""

    def __init__(self, funnel: Funnel, name: str, url: str, push_url: str, way: Mapping[str, str]) -> None:
        self._funnel = funnel
        self._way = way
        self.name = name
        self.url, login = _parted(_absolute(url, funnel.root))
        self._push_url, push_login = _parted(_absolute(push_url, funnel.root))
        self._logins = {self._push_url: push_login, self.url: login}
        self._fetched: dict[str, str] = {}
        self._asks: set[str] = set()

    def ref(self, branch: str) -> str:
        return f"refs/remotes/{self.name}/{branch}"

    def fetch(self) -> None:
        """All branches into refs/remotes/<name>/, the vanished pruned; no tags. Raises GitUnreachable, GitError."""
        known = self._known()
        with self._scratch(known) as scratch:
            wanted = f"+refs/heads/*:refs/remotes/{self.name}/*"
            args = ("fetch", "--quiet", "--prune", "--no-tags", *FETCH_ARGS, "--", self.url, wanted)
            with crossing("git", "fetch"):
                ran = self._talk(scratch, args, self.url)
                if not ran.ok:
                    raise self._failure(ran, "fetch", GitError)
            listed = run(["git", *HARDENED_ARGS, f"--git-dir={scratch}", "for-each-ref", _FORMAT],
                         env=self._env(self.url), cwd=scratch)
            self._bring_shallow(scratch)
            self._fetched = _refs(self._funnel.judged(listed, "for-each-ref"))   # refs here may become a worker's
            self._take(known, self._fetched)

    def dropped(self, branch: str) -> bool:
        """Whether the last fetch of this process found it gone."""
        return bool(self._fetched) and self.ref(branch) not in self._fetched

    def head(self) -> str:
        """The branch the remote's HEAD names, "" when it names none."""
        with self._scratch({}) as scratch:
            args = ("ls-remote", "--symref", "--upload-pack=git-upload-pack", self.url, "HEAD")
            ran = self._talk(scratch, args, self.url)
        if not ran.ok:
            raise self._failure(ran, "ls-remote", GitError)
        found = re.match(r"ref: refs/heads/(\S+)\tHEAD", ran.out)
        return found.group(1) if found else ""

    def cargo(self, sha: str, base: str, search: Search) -> Cargo:
        """What `sha` holds that the remote's `base`, as last fetched, does not. Raises BaseGone and as `fetch`."""
        if not self._fetched:   # refs here may be a worker's
            self.fetch()
        tip = self._fetched.get(self.ref(base), "")
        if not tip:
            raise BaseGone(base)
        with self._scratch({}) as scratch:
            return outgoing.look(self._asking(scratch), sha, base=tip, published=[tip], search=search)

    def push(self, branch: str, sha: str, expect: str, base: str, search: Search,
             passes: Callable[[Cargo], None]) -> None:
        """A plain push; forced only if it is behind and the remote still has exactly `expect`. One whose answer was
        lost is sent again by git itself and then refused, because it was done: what stands there decides. Nothing goes
        out that was not looked through here. Raises HeldBack for a secret, BaseGone, and what `passes` raises."""
        self._look_through(branch, sha, base, search, passes)
        ran = self._push_branch(branch, sha)
        if not ran.ok and expect and _BEHIND.search(ran.out):
            ran = self._push_branch(branch, sha, f"--force-with-lease=refs/heads/{branch}:{expect}")
        if not ran.ok and not self._stands(branch, sha):
            raise self._failure(ran, f"push {branch}", PushRefused)
        self._funnel.write("update-ref", self.ref(branch), sha)

    def _look_through(self, branch: str, sha: str, base: str, search: Search, passes: Callable[[Cargo], None]) -> None:
        cargo = self._leaving(branch, sha, base, search)
        HeldBack.judge(cargo)
        try:
            passes(cargo)
        except HeldBack:
            if not self._stands(branch, sha):   # a person pushed it: nothing more goes out
                raise

    def _leaving(self, branch: str, sha: str, base: str, search: Search) -> Cargo:
        """What the remote does not have yet. It is asked what it has: refs here may be a worker's."""
        heads = self._branches(branch, self.url)
        published = {*heads.values()}
        if self._push_url != self.url:
            published |= {*self._branches(branch, self._push_url).values()}
        tip = heads.get(f"refs/heads/{base}", "")
        if not tip:   # against nothing the whole tree would count as changed
            raise BaseGone(base)
        if self._funnel.ask("cat-file", "-e", f"{tip}^{{commit}}") is None:
            self.fetch()
        with self._scratch({}) as scratch:
            return outgoing.look(self._asking(scratch), sha, base=tip, published=published, search=search)

    def _branches(self, branch: str, url: str) -> dict[str, str]:
        with self._scratch({}) as scratch:
            ran = self._talk(scratch, ("ls-remote", "--heads", "--upload-pack=git-upload-pack", url), url)
        if not ran.ok:
            raise self._failure(ran, f"push {branch}", PushRefused)
        return {ref: sha for sha, _, ref in (line.partition("\t") for line in ran.out.splitlines())}

    def _asking(self, scratch: Path) -> outgoing.Ask:
        env = self._env(self.url)

        def ask(*args: str, stdin: str = "") -> str:
            ran = run(["git", *HARDENED_ARGS, "-c", "core.commitGraph=false", f"--git-dir={scratch}", *args], env=env,
                      cwd=scratch, stdin=stdin, timeout=TIMEOUT)
            if ran.code == TOO_MUCH:
                raise outgoing.TooMuch(f"git {args[0]} prints more than {WHOLE >> 20} MB of it")
            return self._funnel.judged(ran, args[0])

        return ask

    def _push_branch(self, branch: str, sha: str, *how: str) -> Ran:
        with self._scratch({}) as scratch, crossing("git", "push"):
            return self._push(scratch, [f"{sha}:refs/heads/{branch}"], *how)

    def _push(self, scratch: Path, what: Sequence[str], *how: str, alone: bool = False) -> Ran:
        args = ("push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no", *PUSH_ARGS, *how, "--",
                self._push_url, *what)
        return self._talk(scratch, args, self._push_url, alone=alone)

    # --- the claim ----------------------------------------------------------------------------------

    def claim(self, known: str) -> tuple[str, str]:
        """(sha, message) of the claim's commit, ("", "") without one; the message of `known` is not fetched."""
        sha = self._heads(CLAIM).get(CLAIM, "")
        if not sha or sha == known:
            return sha, ""
        with self._scratch({}, alone=True) as scratch:
            args = ("fetch", "--quiet", "--no-tags", "--depth=1", *FETCH_ARGS, "--", self._push_url,
                    f"+{CLAIM}:{CLAIM}")
            ran = self._talk(scratch, args, self._push_url, alone=True)
            if not ran.ok:
                raise self._failure(ran, "fetch the claim", PushRefused)
            said = self._beside(scratch, "for-each-ref", "--format=%(objectname) %(contents)", CLAIM)
        sha, _, words = self._funnel.judged(said, "for-each-ref").partition(" ")
        return sha, words.removesuffix("\n")

    def standing(self, prefix: str) -> dict[str, str]:
        """branch -> sha of the branches of this prefix where we push."""
        found = self._heads(f"refs/heads/{prefix}*")
        return {ref.removeprefix("refs/heads/"): sha for ref, sha in found.items()
                if ref.startswith(f"refs/heads/{prefix}")}   # git matches the end of a name too

    def push_claimed(self, words: str, held: str, branch: str, sha: str, expect: str, base: str, search: Search,
                     passes: Callable[[Cargo], None]) -> str:
        """As `push`, with the claim in one transaction; the claim's sha."""
        self._look_through(branch, sha, base, search, passes)
        return self._put(words, held, branch, sha, expect)

    def put_claim(self, words: str, held: str) -> str:
        """Compare-and-swap of the claim by the remote itself; the claim's sha."""
        return self._put(words, held)

    def _put(self, words: str, held: str, branch: str = "", sha: str = "", expect: str = "") -> str:
        """After a refusal or a lost answer what stands there decides, as in `push`."""
        with self._scratch({}, alone=not branch) as scratch, crossing("git", "push" if branch else "claim"):
            made = self._commit(scratch, words, alone=not branch)
            ran = self._push_claim(scratch, made, held, branch, sha)
            if not ran.ok and expect and _BEHIND.search(_of_ref(ran.out, f"refs/heads/{branch}")):
                lease = f"--force-with-lease=refs/heads/{branch}:{expect}"
                ran = self._push_claim(scratch, made, held, branch, sha, lease)
        if not ran.ok:
            self._after_refusal(ran, made, held, branch, sha)
        if branch:
            self._funnel.write("update-ref", self.ref(branch), sha)
        return made

    def _push_claim(self, scratch: Path, made: str, held: str, branch: str, sha: str, *how: str) -> Ran:
        work = [f"{sha}:refs/heads/{branch}"] if branch else []
        return self._push(scratch, [f"{made}:{CLAIM}", *work], "--atomic", f"--force-with-lease={CLAIM}:{held}", *how,
                          alone=not branch)

    def _after_refusal(self, ran: Ran, made: str, held: str, branch: str, sha: str) -> None:
        """Returns when it was done all the same."""
        what = f"push {branch} and the claim" if branch else "push the claim"
        failure = self._failure(ran, what, PushRefused)
        try:
            found = self._heads(CLAIM, *((f"refs/heads/{branch}",) if branch else ()))
        except GitError:
            raise failure from None
        if found.get(CLAIM, "") not in (held, made):
            raise ClaimMoved(f"git {what}: another coordinator moved {CLAIM}") from failure
        if found.get(CLAIM) != made or (branch and found.get(f"refs/heads/{branch}") != sha):
            raise failure

    def _commit(self, scratch: Path, words: str, *, alone: bool) -> str:
        """A commit of the empty tree without parents: what it replaces is kept by nobody."""
        tree = self._beside(scratch, "hash-object", "-w", "-t", "tree", "--stdin", alone=alone)
        self._funnel.judged(tree, "hash-object")
        made = self._beside(scratch, "commit-tree", _EMPTY_TREE, stdin=words, alone=alone)
        return self._funnel.judged(made, "commit-tree").strip()

    def _beside(self, scratch: Path, *args: str, stdin: str = "", alone: bool = True) -> Ran:
        """git on the scratch directory, whose configuration is ours."""
        env = {**self._env(self._push_url, scratch if alone else None), **_WRITER}
        return run(["git", *HARDENED_ARGS, f"--git-dir={scratch}", *args], env=env, cwd=scratch, stdin=stdin,
                   timeout=TIMEOUT)

    def _heads(self, *patterns: str) -> dict[str, str]:
        """ref -> sha of what stands where we push. Raises GitUnreachable, PushRefused, GitError."""
        args = ("ls-remote", "--upload-pack=git-upload-pack", self._push_url, *patterns)
        with self._scratch({}, alone=True) as scratch:
            ran = self._talk(scratch, args, self._push_url, alone=True)
        if not ran.ok:
            raise self._failure(ran, "ls-remote", PushRefused)
        return {ref: sha for sha, _, ref in (line.partition("\t") for line in ran.out.splitlines())}

    def _stands(self, branch: str, sha: str) -> bool:
        """Whether the branch is at this commit where we push; no when that cannot be asked."""
        ref = f"refs/heads/{branch}"
        args = ("ls-remote", "--upload-pack=git-upload-pack", self._push_url, ref)
        with self._scratch({}) as scratch:
            return f"{sha}\t{ref}" in self._talk(scratch, args, self._push_url).out.splitlines()

    def _known(self) -> dict[str, str]:
        return _refs(self._funnel.read("for-each-ref", _FORMAT, f"refs/remotes/{self.name}/"))

    def _take(self, old: dict[str, str], new: dict[str, str]) -> None:
        """Puts the fetched refs into the repository; the vanished go first, they may be a folder of new ones."""
        gone = "".join(f"delete {ref}\n" for ref in old if ref not in new)
        came = "".join(f"update {ref} {sha}\n" for ref, sha in new.items() if old.get(ref) != sha)
        for orders in (gone, came):
            if orders:
                self._funnel.write("update-ref", "--stdin", stdin=orders)

    @contextmanager
    def _scratch(self, refs: dict[str, str], *, alone: bool = False) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="coordinator-git-") as folder:
            scratch = Path(folder)
            for name in ("objects", "refs"):
                (scratch / name).mkdir()
            (scratch / "HEAD").write_text("ref: refs/heads/none\n")
            (scratch / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
            (scratch / "packed-refs").write_text("".join(f"{sha} {ref}\n" for ref, sha in refs.items()))
            shallow = self._funnel.common / "shallow"
            if shallow.is_file() and not alone:
                (scratch / "shallow").write_bytes(shallow.read_bytes())
            yield scratch

    def _bring_shallow(self, scratch: Path) -> None:
        """A shallow remote may have added edges of history: git needs them beside the objects."""
        edges, own = scratch / "shallow", self._funnel.common / "shallow"
        if edges.is_file() and (not own.is_file() or own.read_bytes() != edges.read_bytes()):
            with crossing("file", "shallow"):
                atomic.write(str(own), edges.read_bytes(), 0o644)

    def _env(self, url: str, alone: Path | None = None) -> dict[str, str]:
        """The repository's objects are used, unless the scratch directory is to be `alone` with its own."""
        local = url.startswith(("/", "file://"))
        env = {**hardened_env(around(os.environ), file_remotes=local), **self._way}
        return {**env, "GIT_OBJECT_DIRECTORY": str((alone or self._funnel.common) / "objects")}

    def _talk(self, scratch: Path, args: Sequence[str], url: str, *, alone: bool = False) -> Ran:
        """Reading is tried without a login first, until the remote asked for one once: with one that never asks, the
        login would stay in git's pipe for as long as it fetches."""
        answer = _answer(self._funnel, url, self._logins[url])
        known = url in self._asks or args[0] == "push"
        ran = self._spoken(scratch, args, url, answer if known else "", alone=alone)
        if answer and not known and _ASKED.search(ran.err):
            self._asks.add(url)
            ran = self._spoken(scratch, args, url, answer, alone=alone)
        return ran

    def _spoken(self, scratch: Path, args: Sequence[str], url: str, answer: str, *, alone: bool) -> Ran:
        with _offered(answer, url) as (helper, fds):
            env = self._env(url, scratch if alone else None)
            return run(["git", *HARDENED_ARGS, *helper, f"--git-dir={scratch}", *args], env=env,
                       cwd=scratch, timeout=CLAIM_TIMEOUT if alone else TIMEOUT, pass_fds=fds)

    def _failure(self, ran: Ran, what: str, refusal: type[GitError]) -> GitError:
        return failures.failure(ran, what, self._funnel.words(f"{ran.err}\n{failures.rejections(ran.out)}"), refusal)


def way(ca_bundle: str, proxy: str) -> dict[str, str]:
    """The environment for git where an authority or a proxy of this site is set ("" = none): they count before git's
    own configuration. What holds a password stands in no argument."""
    env = {"GIT_SSL_CAINFO": str(Path(ca_bundle).absolute())} if ca_bundle else {}
    if proxy:
        env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": proxy, "no_proxy": "",
                "NO_PROXY": ""}
    return env


_FORMAT = "--format=%(objectname) %(refname) %(symref)"


def _of_ref(porcelain: str, ref: str) -> str:
    """What was said of one ref that was refused."""
    return "\n".join(line for line in porcelain.splitlines() if line.startswith("!\t") and f":{ref}\t" in line)


def _refs(listing: str) -> dict[str, str]:
    """ref -> sha; symbolic ones (the remote's HEAD) are no branches."""
    parts = [line.split(" ") for line in listing.splitlines()]
    return {ref: sha for sha, ref, symbolic in parts if not symbolic}


def _absolute(url: str, root: Path) -> str:
    """A path is made absolute: git is not started in the checkout."""
    if "://" in url or re.match(r"[^/]+:", url):
        return url
    return str((root / Path(url).expanduser()).resolve())


def _parted(url: str) -> tuple[str, str]:
    """The address as all may see it in a list of processes, and the `user:password` that stood in it."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return (parts._replace(netloc=host).geturl(), login) if login and parts.scheme in _HTTP else (url, "")


def _answer(funnel: Funnel, url: str, login: str) -> str:
    """What git is told when it asks who we are: our token, else what stood in the address, else nothing."""
    if urlsplit(url).scheme not in _HTTP:
        return ""
    token = funnel.secret() if funnel.secret else ""
    user, _, password = login.partition(":")
    pair = ("x-access-token", token) if token else (unquote(user), unquote(password))
    return f"username={pair[0]}\npassword={pair[1]}\n" if (token or login) and "\n" not in "".join(pair) else ""


@contextmanager
def _offered(answer: str, url: str) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Arguments and descriptors that let git ask for the token: never in argv, environment or a file. The helper
    belongs to the address's own host, so a redirect elsewhere gets nothing. It is a pipe: git asks once, and whoever
    looks at its descriptors while it sends a large pack finds nothing."""
    if not answer:
        yield (), ()
        return
    fd, writing = os.pipe()
    try:
        os.write(writing, answer.encode())
        os.close(writing)
        host = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        script = f'!f() {{ test "$1" = get || exit 0; cat /proc/self/fd/{fd}; }}; f'
        yield ("-c", f"credential.{host}.helper={script}"), (fd,)
    finally:
        os.close(fd)
