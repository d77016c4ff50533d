"""What a push would publish, looked through before it goes. Read in a git directory of our own that borrows objects:
neither grafts, replaced objects, attributes nor drivers of the repository, which a worker can write, stand between what
is seen here and what is sent from there.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol

from coordinator.adapters.git.scanning import Scanner
from coordinator.domain.cargo import ALLOW_FILE, Cargo, Search, Spotted
from coordinator.domain.patterns import matches
from coordinator.ports import GitError

COMMITS, CHANGES = 2000, 100_000
BYTES = 16 << 20
"""What is looked through at most, names in each commit, and of files before and after: some five seconds of one core
each."""
LONGEST_LINK = 4096
"""Bytes; PATH_MAX of Linux (limits.h)."""
LINKS = 4 << 20
"""Bytes that all links of both trees may say together, each counted under each of its names."""
MESSAGE, HEADER = "a commit message", "the header of a commit"

_NONE, _LINK, _SUBMODULE = "000000", "120000", "160000"
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HUNK = re.compile(r"(@@+) .*?\+(\d+)(?:,\d+)? @@+")
_OID = re.compile(r"oid sha256:[0-9a-f]{64}")
_ESCAPED = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


Change = tuple[str, str, str]
"""(commit, line of --raw, path); gitdiff's RAW OUTPUT FORMAT."""
Added = tuple[str, str, list[tuple[int, str]]]
"""(commit, path, the lines it adds)."""


class TooMuch(GitError):
    """There is more than is ever read at once."""


class Ask(Protocol):
    """git in that directory: its output, what it says decoded with surrogateescape. Raises TooMuch, GitError."""

    def __call__(self, *args: str, stdin: str = "") -> str: ...


def look(ask: Ask, head: str, *, base: str, published: Collection[str], search: Search) -> Cargo:
    """What `head` holds that none of the commits `published` does, nor those a person let pass; against the commit
    `base` ("" where there is none) which files changed. Raises GitError, and TooMuch where it is not to scan."""
    files: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    unread = ""
    try:
        files = _changed(ask, base, head)
        links, modules = _links(ask, base, head)
    except TooMuch as error:
        if not search.scan:
            raise
        unread = error.words
    if not search.scan:
        for sha in _standing(ask, search.allowed):
            moved = {*_split(ask("diff-tree", "-r", "-z", "--no-renames", "--name-only", sha, head))}
            files = tuple(path for path in files if path in moved)
        return Cargo(head, files=files, links=links, modules=modules)
    allowed = _allowed(ask, base)
    secrets: list[Spotted] = []
    doubts: list[Spotted] = []
    pointers: set[str] = set()
    try:
        commits = _commits(ask, head, (*published, *search.allowed))
        changes = _changes(ask, commits)
        unread = (unread if commits else "") or _too_much(ask, commits, changes)
        for sure, one in () if unread else _spotted(ask, commits, changes, allowed, Scanner(search.known), pointers):
            (secrets if sure else doubts).append(one)
    except TooMuch as error:
        unread = error.words
    return Cargo(head, tuple(secrets), tuple(doubts), files, links, modules, (), tuple(sorted(pointers)), unread)


def _spotted(ask: Ask, commits: Sequence[str], changes: Sequence[Change], allowed: Sequence[str],
             scanner: Scanner, pointers: set[str]) -> Iterator[tuple[bool, Spotted]]:
    """Whether it is sure, and where it stands. Paths of Git LFS come into `pointers` on the way."""
    for commit, path, lines in chain(_names(changes), _added(ask, commits), _messages(ask, commits)):
        if path not in (MESSAGE, HEADER) and _points(lines):
            pointers.add(path)
        if path in (MESSAGE, HEADER) or not any(matches(path, pattern) for pattern in allowed):
            for line, kind, sure in scanner.find(path, lines):
                yield sure, Spotted(path, line, kind, commit)


def _points(lines: Sequence[tuple[int, str]]) -> bool:
    """Whether these added lines make a file a pointer of Git LFS, or another one, as its specification writes them."""
    return len(lines) <= 3 and any(number == 2 and _OID.fullmatch(line) for number, line in lines)


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


def _too_much(ask: Ask, commits: Sequence[str], changes: Sequence[Change]) -> str:
    """Why they are not looked through, "" when they can be."""
    found = Counter(chain(commits, *(_blobs(fact) for _, fact, _ in changes)))
    sizes = _sizes(ask, [*found])
    total = sum(size * found[sha] for sha, size in sizes.items())
    return f"the changed files have {total / (1 << 20):.0f} MB, and {BYTES >> 20} are looked through" \
        if total > BYTES else ""


_EACH = ("--stdin", "-r", "-c", "--root", "--no-renames", "--no-ext-diff", "--no-textconv")
"""Every commit against its parent; of a merge what it changes against all of them."""


def _changes(ask: Ask, commits: Sequence[str]) -> tuple[Change, ...]:
    """Raises TooMuch."""
    if len(commits) > COMMITS:
        raise TooMuch(f"more than {COMMITS} commits would be published")
    raw = ask("diff-tree", *_EACH, "--raw", "--no-abbrev", "-z", stdin=_lines(commits))
    if raw.count("\0") > 2 * CHANGES + len(commits):
        raise TooMuch(f"more than {CHANGES} changes of files would be published")
    words = iter(raw.split("\0"))
    found, commit = [], ""
    for word in words:
        if word.startswith(":"):
            found.append((commit, word, next(words)))
        else:
            commit = word
    return tuple(found)


def _names(changes: Sequence[Change]) -> Iterator[Added]:
    """Of all that is there afterwards: of an empty file the patch names no path."""
    return ((commit, path, [(0, path)]) for commit, fact, path in changes if _modes(fact)[-1] != _NONE)


def _blobs(fact: str) -> Iterator[str]:
    """The objects before and after; a submodule's commit is in another repository."""
    modes = _modes(fact)
    shas = fact.lstrip(":").split(" ")[len(modes) : 2 * len(modes)]
    if modes[-1] != _NONE:
        yield from (sha for mode, sha in zip(modes, shas, strict=False) if mode not in (_NONE, _SUBMODULE))


def _modes(fact: str) -> list[str]:
    """One for each parent, then that of the commit."""
    words = fact.lstrip(":")
    return words.split(" ")[: len(fact) - len(words) + 1]


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


Pairs = tuple[tuple[str, str], ...]


def _links(ask: Ask, base: str, head: str) -> tuple[Pairs, Pairs]:
    """(name, where it leads from the root) of every symbolic link of both trees that can be one; (path, commit) of each
    submodule that `head` has otherwise."""
    found: dict[str, str] = {}
    before: set[tuple[str, str]] = set()
    modules: set[tuple[str, str]] = set()
    for tree in filter(None, (base, head)):
        before, modules = modules, set()
        for entry in _split(ask("ls-tree", "-r", "-z", "--full-tree", tree)):
            fact, _, path = entry.partition("\t")
            if fact.startswith(_LINK):
                found[path] = fact.split(" ")[2]
            elif fact.startswith(_SUBMODULE):
                modules.add((path, fact.split(" ")[2]))
    targets = _targets(ask, Counter(found.values())) if found else {}
    links = tuple((path, posixpath.normpath(posixpath.join(posixpath.dirname(path), targets[sha])))
                  for path, sha in sorted(found.items()) if sha in targets)
    return links, tuple(sorted(modules - before))


def _targets(ask: Ask, times: Mapping[str, int]) -> dict[str, str]:
    """What the links of these objects say, but for those that are longer than any link. Raises TooMuch."""
    short = {sha: size for sha, size in _sizes(ask, sorted(times)).items() if size <= LONGEST_LINK}
    total = sum(size * times[sha] for sha, size in short.items())
    if total > LINKS:
        raise TooMuch(f"the symbolic links have {total / (1 << 20):.0f} MB, and {LINKS >> 20} are read")
    return _contents(ask, [*short])


def _sizes(ask: Ask, shas: Sequence[str]) -> dict[str, int]:
    """In bytes, of those that are there."""
    sizes = ask("cat-file", "--batch-check=%(objectsize)", stdin=_lines(shas)).split("\n")
    return {sha: int(size) for sha, size in zip(shas, sizes, strict=False) if size.isdigit()}


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
