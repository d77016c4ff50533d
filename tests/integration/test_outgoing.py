"""What a push would publish is looked through: every commit of it, whatever a worker did to git to hide it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.adapters.git import network, outgoing
from coordinator.adapters.system import run
from coordinator.domain.cargo import Cargo, Search
from coordinator.ports import HeldBack
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/gh-1"
ALL = Search()
KEY = "ghp_" + "a1B2" * 9
SHAPES = {
    "GitHub Token": (KEY, "github_pat_" + "a1" * 11 + "_" + "b2C" * 19 + "de"),
    "AWS Access Key": ("AKIA" + "Q7" * 8,),
    "Private Key": ("-----BEGIN RSA " + "PRIVATE KEY-----",),
    "Slack Token": ("xoxb-" + "1234567890-" * 2 + "a1B2c3D4" * 3,),
    "Stripe Access Key": ("sk_live_" + "a1B2" * 6,),
    "Anthropic Token": ("sk-ant-api03-" + "a1B-" * 12,),
    "GitLab Token": ("glpat-" + "a1B2c" * 4,),
    "PyPI Token": ("pypi-AgEIcHlwaS5vcmc" + "a1B2" * 20,),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    made.repository().ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    return made


def held(world: World, search: Search = ALL, **options: object) -> HeldBack:
    """Why the push is held back; nothing of the branch is on the remote then."""
    before = git(world.remote, "for-each-ref")
    with pytest.raises(HeldBack) as caught:
        world.repository(**options).push(BRANCH, expect="", search=search)
    assert git(world.remote, "for-each-ref") == before
    return caught.value


def carried(world: World) -> Cargo:
    return world.repository().cargo(git(world.tree(), "rev-parse", "HEAD"), Search())


# --- shapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "secret"), [(kind, one) for kind, those in SHAPES.items() for one in those])
def test_a_secret_of_a_known_shape_holds_the_push_with_file_and_line(world: World, kind: str, secret: str) -> None:
    sha = commit(world.tree(), "settings.py", f"one = 1\n\nkey = '{secret}'\n")
    error = held(world)
    assert (error.reason, error.words) == ("secret_found", f"settings.py line 3 (commit {sha[:8]}): {kind}")


def test_what_only_looks_like_one_goes_out_and_is_told(world: World) -> None:
    text = "value = 'kJ8vXqZ2mN5bW7rT9yU3pL6sD4fG1hAe'\nurl = 'https://ann:pass" + "word@example.org/'\n"
    commit(world.tree(), "app.py", text)
    commit(world.tree(), "package-lock.json", '{"integrity": "sha512-kJ8vXqZ2mN5bW7rT9yU3pL6sD4fG1hAe"}\n')
    sha = world.repository().push(BRANCH, expect="")
    assert git(world.remote, "rev-parse", BRANCH) == sha
    told = {(one.path, one.line, one.kind) for one in carried(world).doubts}
    assert told == {("app.py", 1, "Base64 High Entropy String"), ("app.py", 2, "Basic Auth Credentials")}


@pytest.mark.parametrize("options", [{"token": lambda: "our-own-t0ken-of-many-letters"}, {}])
def test_values_that_we_know_count_whatever_their_shape(world: World, options: dict[str, object]) -> None:
    commit(world.tree(), "a.txt", "x our-own-t0ken-of-many-letters y\n")
    known = () if options else ("our-own-t0ken-of-many-letters", "short1")
    assert "a.txt line 1" in held(world, Search(known=known), **options).words


ODD = "".join(f"{number:04x}." for number in range(300))


@pytest.mark.parametrize(("value", "text", "line"), [
    (ODD[:1200], f"x\n{ODD[:1200]}\n", 2),
    (ODD[:300], f"{'x' * 750}{ODD[:300]} y\n", 1),
    (ODD[:40] + "\n" + ODD[40:80] + "\n", f"x\r\ny {ODD[:40]}\r\n{ODD[40:80]}\r\n", 2),
])
def test_values_that_we_know_are_found_whole_however_long_they_are(
    world: World, value: str, text: str, line: int
) -> None:
    commit(world.tree(), "a.txt", text)
    assert held(world, Search(known=(value,))).words.startswith(f"a.txt line {line} ")


def test_a_comment_of_the_worker_s_switches_nothing_off(world: World) -> None:
    commit(world.tree(), "a.py", f"key = '{KEY}'  # pragma: allowlist secret\n")
    assert held(world).reason == "secret_found"


# --- places -----------------------------------------------------------------------------------------


def removed_again(tree: Path) -> str:
    commit(tree, "a.py", f"{KEY}\n")
    commit(tree, "a.py", "clean\n")
    return "a.py line 1"


def in_a_message(tree: Path) -> str:
    commit(tree, "a.py", "x\n", f"work\n\nwith {KEY}")
    return "a commit message line 3"


def behind_the_end_of_a_message(tree: Path) -> str:
    text = git(tree, "cat-file", "commit", "HEAD") + f"\n\0{KEY}\n"
    (tree / "made").write_text(text)
    made = git(tree, "hash-object", "-w", "-t", "commit", "--literally", "made")
    git(tree, "update-ref", f"refs/heads/{BRANCH}", made)
    return "a commit message line 2"


def as_its_author(tree: Path) -> str:
    commit(tree, "a.py", "x\n")
    git(tree, "commit", "-q", "--amend", "--no-edit", f"--author={KEY} <ann@example.org>")
    return "the header of a commit line 3"


def in_a_name(tree: Path) -> str:
    commit(tree, f"{KEY}.txt", "x\n")
    return "the name of "


def in_the_name_of_an_empty_file(tree: Path) -> str:
    commit(tree, f"{KEY}.txt", "")
    return "the name of "


def in_the_name_of_a_submodule(tree: Path) -> str:
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{git(tree, 'rev-parse', 'HEAD')},{KEY}")
    git(tree, "commit", "-q", "-m", "vendor")
    return "the name of "


def in_a_strange_name(tree: Path) -> str:
    name = b'\xfc "q\n+++ b/x\n@@ -0,0 +1 @@\n.txt'
    (tree / "sub").mkdir()
    (tree / "sub" / os.fsdecode(name.replace(b"/", b"_"))).write_text(f"x\n{KEY}\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "odd")
    return "line 2"


def in_two_bytes_a_letter(tree: Path) -> str:
    (tree / "a.txt").write_bytes(f"x\r\n{KEY}\r\n".encode("utf-16"))
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "utf-16")
    return "a.txt line 2"


def in_what_is_no_text(tree: Path) -> str:
    (tree / "a.bin").write_bytes(bytes(range(256)) * 40 + KEY.encode() + b"\0\xff")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "binary")
    return "a.bin line"


def called_binary_by_attributes(tree: Path) -> str:
    (tree / ".gitattributes").write_text("*.py binary -diff\n")
    commit(tree, "a.py", f"{KEY}\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "attributes")
    return "a.py line 1"


def at_the_end_of_a_long_line(tree: Path) -> str:
    commit(tree, "a.min.js", "x" * 100_000 + f"='{KEY}';\n")
    return "a.min.js line 1"


def as_the_target_of_a_link(tree: Path) -> str:
    (tree / "link").symlink_to(KEY)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "link")
    return "link line 1"


def in_the_merge_alone(tree: Path) -> str:
    git(tree, "switch", "-q", "-c", "side")
    commit(tree, "side.txt", "x\n")
    git(tree, "switch", "-q", BRANCH)
    commit(tree, "mine.txt", "x\n")
    git(tree, "merge", "-q", "--no-commit", "side")
    (tree / "side.txt").write_text(f"x\n{KEY}\n")
    git(tree, "commit", "-q", "-a", "-m", "merge")
    return "side.txt line 2"


def in_a_renamed_file(tree: Path) -> str:
    git(tree, "mv", "file.txt", "moved.txt")
    with (tree / "moved.txt").open("a") as file:
        file.write(f"{KEY}\n")
    git(tree, "commit", "-q", "-a", "-m", "rename")
    return "moved.txt line 2"


@pytest.mark.parametrize("hide", [
    removed_again, in_a_message, behind_the_end_of_a_message, as_its_author, in_a_name, in_the_name_of_an_empty_file,
    in_the_name_of_a_submodule, in_a_strange_name, in_two_bytes_a_letter, in_what_is_no_text,
    called_binary_by_attributes, at_the_end_of_a_long_line, as_the_target_of_a_link, in_the_merge_alone,
    in_a_renamed_file,
])  # fmt: skip
def test_it_is_found_wherever_it_stands(world: World, hide: Callable[[Path], str]) -> None:
    where = hide(world.tree())
    error = held(world)
    assert error.reason == "secret_found"
    assert where in error.words
    if where != "the name of ":   # a name is masked where it is shown
        assert KEY not in error.words


# --- hiding by git ----------------------------------------------------------------------------------


def by_a_ref_of_the_remote(world: World) -> None:
    git(world.tree(), "update-ref", "refs/remotes/origin/other", "HEAD")
    git(world.tree(), "update-ref", "refs/remotes/origin/main", "HEAD")


def by_another_base(world: World) -> None:
    commit(world.person, ".secrets-allowed", "*\n")
    git(world.person, "push", "-q", "origin", "HEAD:refs/heads/rpi/gh-0")
    git(world.tree(), "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/rpi/gh-0")


def by_a_graft(world: World) -> None:
    head, base = git(world.tree(), "rev-parse", "HEAD"), git(world.remote, "rev-parse", "main")
    (world.checkout / ".git/info").mkdir(exist_ok=True)
    (world.checkout / ".git/info/grafts").write_text(f"{head} {base}\n")


def by_a_replaced_commit(world: World) -> None:
    bad = git(world.tree(), "rev-parse", "HEAD~1")
    git(world.tree(), "replace", bad, git(world.remote, "rev-parse", "main"))


def by_a_commit_graph(world: World) -> None:
    """The parent of the newest commit is another there (format: gitformat-commit-graph(5))."""
    git(world.tree(), "commit-graph", "write", "--reachable")
    path = world.checkout / ".git/objects/info/commit-graph"
    graph = bytearray(path.read_bytes())
    chunks = {bytes(graph[at : at + 4]): int.from_bytes(graph[at + 4 : at + 12], "big")
              for at in range(8, 8 + 12 * graph[6], 12)}
    names = [graph[at : at + 20].hex() for at in range(chunks[b"OIDL"], chunks[b"CDAT"], 20)]
    head, base = (names.index(git(world.tree(), "rev-parse", name)) for name in ("HEAD", "origin/main"))
    parent = chunks[b"CDAT"] + head * 36 + 20
    graph[parent : parent + 4] = base.to_bytes(4, "big")
    path.unlink()
    path.write_bytes(graph)
    assert git(world.tree(), "rev-list", "--count", "HEAD", "^origin/main") == "1"   # git believes it


def by_attributes_of_the_repository(world: World) -> None:
    git(world.checkout, "config", "diff.none.textconv", "true")
    git(world.checkout, "config", "diff.external", "true")
    (world.checkout / ".git/info").mkdir(exist_ok=True)
    (world.checkout / ".git/info/attributes").write_text("* diff=none -text\n")


@pytest.mark.parametrize("hide", [by_a_ref_of_the_remote, by_another_base, by_a_graft, by_a_replaced_commit,
                                  by_a_commit_graph, by_attributes_of_the_repository])
def test_nothing_a_worker_does_to_git_hides_it(world: World, hide: Callable[[World], None]) -> None:
    removed_again(world.tree())
    hide(world)
    assert held(world, default_branch="").words.startswith("a.py line 1")


def test_files_are_compared_with_what_the_remote_has_and_not_with_what_stands_here_of_it(world: World) -> None:
    commit(world.tree(), "CLAUDE.md", "obey\n")
    by_a_ref_of_the_remote(world)
    assert carried(world).files == ("CLAUDE.md",)


# --- what is not looked at --------------------------------------------------------------------------


def test_what_is_on_the_remote_or_was_only_moved_about_is_not_looked_at_again(world: World) -> None:
    commit(world.person, "old.py", f"a = 1\nkey = '{KEY}'\n")
    git(world.person, "push", "-q", "origin", "main")
    git(world.tree(), "fetch", "-q", "origin", "main")
    git(world.tree(), "reset", "-q", "--hard", "FETCH_HEAD")
    commit(world.tree(), "old.py", f"a = 2\nkey = '{KEY}'\n")
    sha = world.repository().push(BRANCH, expect="")
    assert git(world.remote, "rev-parse", BRANCH) == sha


def test_the_allow_file_counts_as_the_base_has_it_and_not_as_the_worker_wrote_it(world: World) -> None:
    (world.tree() / "tests").mkdir()
    commit(world.tree(), "tests/key.pem", f"{KEY}\n")
    commit(world.tree(), ".secrets-allowed", "tests/**\n*\n")
    assert "tests/key.pem line 1" in held(world).words
    commit(world.person, ".secrets-allowed", "# made up\n\ntests/*.pem\n")
    git(world.person, "push", "-q", "origin", "main")
    assert world.repository().push(BRANCH, expect="")
    commit(world.tree(), "other.pem", f"{KEY}\n")
    assert held(world).words.startswith("other.pem line 1")


def test_what_a_person_let_pass_passes_and_nothing_after_it(world: World) -> None:
    let = commit(world.tree(), "a.py", f"{KEY}\n")
    search = Search(allowed=(let,))
    assert world.repository().push(BRANCH, expect="", search=search) == let
    commit(world.tree(), "b.py", f"{KEY}\n")
    assert held(world, search).words.startswith("b.py line 1")


@pytest.mark.parametrize(("most", "words"), [("BYTES", "MB"), ("COMMITS", "commits"), ("CHANGES", "changes")])
def test_more_than_can_be_looked_through_is_held_and_said(
    world: World, most: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(world.tree(), "a.py", "x\n")
    commit(world.tree(), "b.py", "x\n")
    monkeypatch.setattr(outgoing, most, 1)
    error = held(world)
    assert error.reason == "not_scanned"
    assert words in error.words
    assert world.repository().push(BRANCH, expect="", search=Search(allowed=(git(world.tree(), "rev-parse", "HEAD"),)))


def test_a_name_that_passes_for_a_line_of_git_s_list_counts_nothing_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = world.tree()
    (tree / ":100644 100644 a\nb\nc\nd\ne\nf g").write_text("")
    (tree / "big").write_text("word\n" * 2000)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "big")
    monkeypatch.setattr(outgoing, "BYTES", 9000)
    assert held(world).reason == "not_scanned"


@pytest.mark.parametrize("alike", [True, False])
def test_links_that_say_more_than_is_read_are_held_and_not_read(
    world: World, alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        (world.tree() / f"link{number}").symlink_to("x" * 100 if alike else str(number) * 100)
    git(world.tree(), "add", "-A")
    git(world.tree(), "commit", "-q", "-m", "links")
    let = git(world.tree(), "rev-parse", "HEAD")
    monkeypatch.setattr(outgoing, "LINKS", 799)
    read = []
    monkeypatch.setattr(outgoing, "_contents", lambda ask, shas: read.append(shas) or {})
    error = held(world)
    assert (error.reason, error.words) == ("not_scanned", "the symbolic links have 0 MB, and 0 are read")
    with pytest.raises(outgoing.TooMuch):
        world.repository().cargo(let, Search(scan=False))
    assert read == []
    allowed = Search(allowed=(let,))
    assert len(world.repository().cargo(let, allowed).files) == 8
    assert world.repository().push(BRANCH, expect="", search=allowed) == let


def many_names(tree: Path) -> None:
    for number in range(30):
        (tree / f"{number}.txt").write_text("same\n" * 20)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "copies")


def there_and_back(tree: Path) -> None:
    for number in range(16):
        commit(tree, "a.txt", "same\n" * 20 if number % 2 else "x\n")


@pytest.mark.parametrize("repeat", [many_names, there_and_back])
def test_what_stands_there_many_times_counts_as_often_as_it_would_be_looked_through(
    world: World, repeat: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    repeat(world.tree())
    size = sum(len(git(world.tree(), "cat-file", "-p", sha)) for sha in
               git(world.tree(), "rev-list", "origin/main..HEAD").split())
    monkeypatch.setattr(outgoing, "BYTES", size + 1000)
    assert held(world).reason == "not_scanned"


def test_what_git_would_print_without_end_is_held_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    let = commit(world.tree(), "a.txt", "word\n" * 20_000)
    for module in (run, network):
        monkeypatch.setattr(module, "WHOLE", 1 << 16)
    assert held(world).reason == "not_scanned"
    assert world.repository().push(BRANCH, expect="", search=Search(allowed=(let,))) == let


# --- which files ------------------------------------------------------------------------------------


def test_files_are_told_with_both_names_links_submodules_and_what_is_gone(world: World) -> None:
    tree = world.tree()
    git(tree, "mv", "file.txt", "moved.txt")
    (tree / "CLAUDE.md").symlink_to("docs/agents.md")
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{git(tree, 'rev-parse', 'HEAD')},vendor")
    git(tree, "add", "CLAUDE.md")
    git(tree, "commit", "-q", "-m", "odd")
    world.advance()   # the base moves on meanwhile: that is not the worker's
    world.repository().fetch()
    cargo = carried(world)
    assert cargo.files == ("CLAUDE.md", "file.txt", "moved.txt", "vendor")
    assert cargo.links == (("CLAUDE.md", "docs/agents.md"),)


def test_what_an_allowed_commit_has_just_so_is_left_out_and_one_that_is_gone_lets_nothing_pass(world: World) -> None:
    let = commit(world.tree(), "CLAUDE.md", "one\n")
    head = commit(world.tree(), "AGENTS.md", "two\n")
    found = [world.repository().cargo(head, Search(allowed=allowed, scan=False)).files
             for allowed in (("1" * 40,), (let, "1" * 40))]
    assert found == [("AGENTS.md", "CLAUDE.md"), ("AGENTS.md",)]


def test_links_are_read_all_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, asking = [], network.Remote._asking

    def counted(self: network.Remote, scratch: Path) -> outgoing.Ask:
        ask = asking(self, scratch)
        return lambda *args, stdin="": asked.append(args[0]) or ask(*args, stdin=stdin)

    monkeypatch.setattr(network.Remote, "_asking", counted)
    counts = []
    for names in (["first"], [f"{number} of m\xfcch\nmore" for number in range(40)]):
        for name in names:
            (world.tree() / name).symlink_to(f"to/{name}\n")
        git(world.tree(), "add", "-A")
        git(world.tree(), "commit", "-q", "-m", "links")
        links = dict(carried(world).links)
        assert {name: links[name] for name in names} == {name: f"to/{name}\n" for name in names}
        counts.append(len(asked))
        asked.clear()
    assert counts[0] == counts[1]


def test_what_is_too_long_for_a_link_leads_nowhere(world: World) -> None:
    (world.tree() / "long").write_text("x" * 5000)
    made = git(world.tree(), "hash-object", "-w", "long")
    git(world.tree(), "update-index", "--add", "--cacheinfo", f"120000,{made},long")
    git(world.tree(), "commit", "-q", "-m", "link")
    assert carried(world).links == ()


# --- Git LFS ----------------------------------------------------------------------------------------


def pointer(digit: str, size: int = 9) -> str:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digit * 64}\nsize {size}\n"


def seen(world: World) -> Cargo:
    found: list[Cargo] = []
    world.repository().push(BRANCH, expect="", passes=found.append)
    return found[0]


def test_files_of_git_lfs_are_named_whether_they_are_new_or_changed(world: World) -> None:
    commit(world.tree(), "big.bin", pointer("a"))
    assert seen(world).pointers == ("big.bin",)
    commit(world.tree(), "big.bin", pointer("b"))
    assert seen(world).pointers == ("big.bin",)
    commit(world.tree(), "small.txt", "oid sha256:" + "c" * 64 + "\n")
    commit(world.tree(), "about.md", "# How\n\n" + pointer("d"))
    git(world.tree(), "commit", "-q", "--allow-empty", "-m", pointer("e"))
    assert seen(world).pointers == ()
