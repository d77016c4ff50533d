"""What a push would publish, looked through before it goes. Read in a git directory of our own that borrows objects:
neither grafts, replaced objects, attributes nor drivers of the repository, which a worker can write, stand between what
is seen here and what is sent from there.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Protocol

from coordinator.adapters.git.scanning import Scanner
from coordinator.domain.cargo import ALLOW_FILE, Cargo, Search, Spotted
from coordinator.domain.patterns import matches
from coordinator.ports import GitError

COMMITS = 2000
BYTES = 16 << 20
"""What is looked through at most, of files before and after in each commit: some five seconds of one core."""
LONGEST_LINK = 4096
"""Bytes; PATH_MAX of Linux (limits.h)."""
MESSAGE, HEADER = "a commit message", "the header of a commit"

_LINK, _SUBMODULE = "120000", "160000"
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HUNK = re.compile(r"(@@+) .*?\+(\d+)(?:,\d+)? @@+")
_ESCAPED = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


class TooMuch(GitError):
    """git prints more than is ever read of one call."""


class Ask(Protocol):
    """git in that directory: its output, what it says decoded with surrogateescape. Raises TooMuch, GitError."""

    def __call__(self, *args: str, stdin: str = "") -> str: ...


def look(ask: Ask, head: str, *, base: str, published: Collection[str], search: Search) -> Cargo:
    """What `head` holds that none of the commits `published` does, nor those a person let pass; against the commit
    `base` ("" where there is none) which files changed. Raises GitError."""
    files, links = _changed(ask, base, head), _links(ask, base, head)
    if not search.scan:
        for sha in _standing(ask, search.allowed):
            moved = {*_split(ask("diff-tree", "-r", "-z", "--no-renames", "--name-only", sha, head))}
            files = tuple(path for path in files if path in moved)
        return Cargo(head, files=files, links=links)
    allowed = _allowed(ask, base)
    secrets: list[Spotted] = []
    doubts: list[Spotted] = []
    try:
        commits = _commits(ask, head, (*published, *search.allowed))
        unread = _too_much(ask, commits)
        for sure, one in () if unread else _spotted(ask, commits, allowed, Scanner(search.known)):
            (secrets if sure else doubts).append(one)
    except TooMuch as error:
        unread = error.words
    return Cargo(head, tuple(secrets), tuple(doubts), files, links, unread)


def _spotted(ask: Ask, commits: Sequence[str], allowed: Sequence[str],
             scanner: Scanner) -> Iterator[tuple[bool, Spotted]]:
    """Whether it is sure, and where it stands."""
    for commit, path, lines in chain(_added(ask, commits), _messages(ask, commits)):
        if path in (MESSAGE, HEADER) or not any(matches(path, pattern) for pattern in allowed):
            for line, kind, sure in scanner.find(path, [(0, path), *lines]):
                yield sure, Spotted(path, line, kind, commit)


def _allowed(ask: Ask, base: str) -> tuple[str, ...]:
    """Out of the base alone: what a worker's own commits allow counts for nothing."""
    if not base or not ask("ls-tree", base, "--", ALLOW_FILE):
        return ()
    lines = (line.strip() for line in ask("cat-file", "blob", f"{base}:{ALLOW_FILE}").split("\n"))
    return tuple(line for line in lines if line and not line.startswith("#"))


def _standing(ask: Ask, shas: Sequence[str]) -> tuple[str, ...]:
    """Those that are there: what a person let pass long ago may be gone since, and lets nothing pass then."""
    said = ask("cat-file", "--batch-check=%(objectname)", stdin=_lines(shas)).split("\n") if shas else []
    return tuple(sha for sha, line in zip(shas, said, strict=False) if line == sha)


def _commits(ask: Ask, head: str, published: Collection[str]) -> tuple[str, ...]:
    """Newest first, one more than may be at most."""
    orders = "\n".join((head, *(f"^{sha}" for sha in published)))
    return tuple(ask("rev-list", "--ignore-missing", f"--max-count={COMMITS + 1}", "--stdin", stdin=orders).split())


def _too_much(ask: Ask, commits: Sequence[str]) -> str:
    """Why they are not looked through, "" when they can be."""
    if len(commits) > COMMITS:
        return f"more than {COMMITS} commits would be published"
    raw = ask("diff-tree", *_EACH, "--raw", "--no-abbrev", "-z", stdin=_lines(commits))
    found = Counter(chain(commits, *(_blobs(fact) for fact in raw.split("\0") if fact.startswith(":"))))
    sizes = ask("cat-file", "--batch-check=%(objectsize)", stdin=_lines([*found])).split("\n")
    total = sum(int(size) * times for size, times in zip(sizes, found.values(), strict=False) if size.isdigit())
    return f"the changed files have {total / (1 << 20):.0f} MB, and {BYTES >> 20} are looked through" \
        if total > BYTES else ""


_EACH = ("--stdin", "-r", "-c", "--root", "--no-renames", "--no-ext-diff", "--no-textconv")
"""Every commit against its parent; of a merge what it changes against all of them."""


def _blobs(fact: str) -> Iterator[str]:
    """The objects of a line of --raw, before and after; a submodule's commit is in another repository."""
    colons = len(fact) - len(fact.lstrip(":"))
    words = fact.lstrip(":").split(" ")
    modes, shas = words[: colons + 1], words[colons + 1 : 2 * colons + 2]
    if modes[-1] != "000000":
        yield from (sha for mode, sha in zip(modes, shas, strict=False) if mode not in ("000000", _SUBMODULE))


Added = tuple[str, str, list[tuple[int, str]]]
"""(commit, path, the lines it adds)."""


def _added(ask: Ask, commits: Sequence[str]) -> Iterator[Added]:
    patch = ask("diff-tree", *_EACH, "--patch", "--unified=0", "--text", "--irreversible-delete",
                "--src-prefix=a/", "--dst-prefix=b/", stdin=_lines(commits))
    commit = path = ""
    parents, number = 0, 0
    lines: list[tuple[int, str]] = []
    for row in patch.split("\n"):
        if _SHA.fullmatch(row) or row.startswith("diff "):
            yield from _whole(commit, path, lines)
            commit = row if _SHA.fullmatch(row) else commit
            path, parents, lines = "", 0, []
        elif row.startswith("@@") and (hunk := _HUNK.match(row)):
            parents, number = len(hunk[1]) - 1, int(hunk[2])
        elif not parents and row.startswith("+++ "):
            path = _named(row[4:])
        elif parents and "-" not in row[:parents] and row[:1] in ("+", " "):
            if row[:parents] == "+" * parents:
                lines.append((number, row[parents:]))
            number += 1
    yield from _whole(commit, path, lines)


def _whole(commit: str, path: str, lines: list[tuple[int, str]]) -> Iterator[Added]:
    if commit and path:
        yield commit, path, lines


def _named(word: str) -> str:
    """The path in a line `+++ b/...`, which git quotes as C does; "" for none."""
    word = word.removesuffix("\t")
    if word == "/dev/null":
        return ""
    if word.startswith('"'):
        codes = _ESCAPED.sub(lambda one: chr(int(one[1], 8) if one[1].isdigit() else _LETTERS[one[1]]), word[1:-1])
        word = codes.encode("latin-1", "surrogateescape").decode("utf-8", "surrogateescape")
    return word.removeprefix("b/")


def _messages(ask: Ask, commits: Sequence[str]) -> Iterator[Added]:
    """As the object has them: a header may hold anything beside names, and what is shown of a message ends at a NUL."""
    for commit, text in _contents(ask, commits).items():
        header, _, message = text.partition("\n\n")
        yield commit, HEADER, [*enumerate(header.split("\n"), 1)]
        yield commit, MESSAGE, [*enumerate(message.split("\n"), 1)]


def _changed(ask: Ask, base: str, head: str) -> tuple[str, ...]:
    """Paths that differ since the two went apart, links, submodules and what is gone included."""
    if not base:
        return _split(ask("ls-tree", "-r", "-z", "--name-only", "--full-tree", head))
    words = ("diff-tree", "-r", "-z", "--no-renames", "--name-only")
    try:
        return _split(ask(*words, "--merge-base", base, head))
    except GitError:   # they have no common past, or it lies beyond a shallow clone's edge
        return _split(ask(*words, base, head))


def _links(ask: Ask, base: str, head: str) -> tuple[tuple[str, str], ...]:
    """(name, where it leads from the root) of every symbolic link of both trees that can be one."""
    found: dict[str, str] = {}
    for tree in filter(None, (base, head)):
        for entry in _split(ask("ls-tree", "-r", "-z", "--full-tree", tree)):
            fact, _, path = entry.partition("\t")
            if fact.startswith(_LINK):
                found[path] = fact.split(" ")[2]
    targets = _targets(ask, sorted({*found.values()})) if found else {}
    return tuple((path, posixpath.normpath(posixpath.join(posixpath.dirname(path), targets[sha])))
                 for path, sha in sorted(found.items()) if sha in targets)


def _targets(ask: Ask, shas: Sequence[str]) -> dict[str, str]:
    """What the links of these objects say, but for those that are longer than any link."""
    sizes = ask("cat-file", "--batch-check=%(objectsize)", stdin=_lines(shas)).split("\n")
    short = [sha for sha, size in zip(shas, sizes, strict=False) if size.isdigit() and int(size) <= LONGEST_LINK]
    return _contents(ask, short)


def _contents(ask: Ask, shas: Sequence[str]) -> dict[str, str]:
    """All of these objects at once; they must be there."""
    raw = ask("cat-file", "--batch=%(objectsize)", stdin=_lines(shas)).encode("utf-8", "surrogateescape")
    found, at = {}, 0
    for sha in shas:
        begin = raw.index(b"\n", at) + 1
        end = begin + int(raw[at : begin - 1])
        found[sha], at = raw[begin:end].decode("utf-8", "surrogateescape"), end + 1
    return found


def _split(listing: str) -> tuple[str, ...]:
    return tuple(name for name in listing.split("\0") if name)


def _lines(words: Sequence[str]) -> str:
    return "".join(f"{word}\n" for word in words)
