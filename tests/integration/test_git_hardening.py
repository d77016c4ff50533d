"""A worker may write anything into the repository and its worktree: none of it runs when the coordinator calls git."""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from coordinator import app
from coordinator.config import load
from coordinator.domain.cargo import Search
from coordinator.ports import GitError, GitUnreachable, MergeConflict
from tests.support.figures import count
from tests.support.gitworld import World, commit, git, make_world
from tests.support.serving import serving

BRANCH = "rpi/gh-1"
HOOKS = ("pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "pre-push", "post-checkout",
         "post-index-change", "reference-transaction", "post-merge", "pre-auto-gc", "post-rewrite",
         "sendemail-validate")


def setting(world: World, name: str, value: str) -> None:
    git(world.checkout, "config", name, value)


def hooks(world: World, canary: str) -> None:
    for name in HOOKS:
        hook = world.checkout / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{canary}\n")
        hook.chmod(0o755)


def hooks_path(world: World, canary: str) -> None:
    hooks(world, canary)
    (world.checkout / ".git/hooks").rename(world.checkout / ".git/other")
    setting(world, "core.hooksPath", str(world.checkout / ".git/other"))


def fsmonitor(world: World, canary: str) -> None:
    setting(world, "core.fsmonitor", f"{canary}; false")


def filters(world: World, canary: str) -> None:
    for kind in ("clean", "smudge"):
        setting(world, f"filter.evil.{kind}", f"{canary}; cat")
    setting(world, "filter.evil.required", "true")
    (world.tree() / ".gitattributes").write_text("* filter=evil\n")
    (world.checkout / ".git/info/attributes").write_text("* filter=evil\n")


def process_filter(world: World, canary: str) -> None:
    setting(world, "filter.a=b.process", canary)
    (world.tree() / ".gitattributes").write_text("* filter=a=b\n")
    (world.checkout / ".git/info/attributes").write_text("* filter=a=b\n")


def diff_drivers(world: World, canary: str) -> None:
    setting(world, "diff.external", f"{canary}; true")
    setting(world, "diff.evil.textconv", f"{canary}; cat")
    setting(world, "diff.evil.command", f"{canary}; true")
    (world.checkout / ".git/info/attributes").write_text("* diff=evil merge=evil\n")
    setting(world, "merge.evil.driver", f"{canary}; true")


def programs(world: World, canary: str) -> None:
    for name in ("core.sshCommand", "core.editor", "core.pager", "core.askPass", "gpg.program", "sequence.editor",
                 "core.gitProxy", "core.alternateRefsCommand", "uploadpack.packObjectsHook",
                 "remote.origin.receivepack", "remote.origin.uploadpack", "credential.helper"):
        setting(world, name, f"!{canary}" if name == "credential.helper" else f"{canary};")
    setting(world, "commit.gpgSign", "true")


def aliases(world: World, canary: str) -> None:
    for name in ("status", "commit", "push", "fetch", "worktree", "rev-parse", "for-each-ref", "update-ref"):
        setting(world, f"alias.{name}", f"!{canary}")


def included(world: World, canary: str) -> None:
    (world.tree() / "evil.config").write_text(
        f'[core]\n\tfsmonitor = "{canary}; false"\n[filter "evil"]\n\tclean = "{canary}; cat"\n'
        f'\tsmudge = "{canary}; cat"\n')
    setting(world, "include.path", str(world.tree() / "evil.config"))
    (world.checkout / ".git/info/attributes").write_text("* filter=evil\n")


def own_configuration(world: World, canary: str) -> None:
    setting(world, "extensions.worktreeConfig", "true")
    (world.checkout / ".git/worktrees/gh-1/config.worktree").write_text(
        f'[core]\n\tfsmonitor = "{canary}; false"\n[filter "evil"]\n\tclean = "{canary}; cat"\n')
    (world.tree() / ".gitattributes").write_text("* filter=evil\n")


def nested_repository(world: World, canary: str) -> None:
    git(world.tree(), "init", "-q", "inner")
    commit(world.tree() / "inner", "x", "x\n")
    git(world.tree() / "inner", "config", "core.fsmonitor", f"{canary}; false")


def redirected(world: World, canary: str) -> None:
    setting(world, f"url.ext::sh -c '{canary}' .insteadOf", f"file://{world.remote}")
    setting(world, "protocol.ext.allow", "always")


def odd_refs(world: World, canary: str) -> None:
    sha = git(world.checkout, "rev-parse", "HEAD")
    named = f"refs/heads/$({canary.replace(' ', '${IFS}')})"
    for name in (named, "refs/remotes/origin/--upload-pack=touch", "refs/heads/é;id"):
        git(world.checkout, "update-ref", name, sha)


def included_for_us(world: World, canary: str) -> None:
    (world.tree() / "evil.config").write_text(f'[core]\n\tfsmonitor = "{canary}; false"\n')
    for condition in ("gitdir:**", "onbranch:**"):
        setting(world, f"includeIf.{condition}.path", str(world.tree() / "evil.config"))


def alternates(world: World, canary: str) -> None:
    evil = world.checkout.parent / "evil"
    git(evil.parent, "init", "-q", str(evil))
    git(evil, "config", "core.fsmonitor", f"{canary}; false")
    (world.checkout / ".git/objects/info/alternates").write_text(f"{evil}/.git/objects\n")
    setting(world, "core.alternateRefsCommand", f"{canary};")


def submodules(world: World, canary: str) -> None:
    (world.tree() / ".gitmodules").write_text(
        f'[submodule "evil"]\n\tpath = vendor\n\turl = ext::sh -c "{canary}"\n\tupdate = !{canary}\n')
    git(world.tree(), "init", "-q", "vendor")
    sha = commit(world.tree() / "vendor", "x", "x\n")
    git(world.tree() / "vendor", "config", "core.fsmonitor", f"{canary}; false")
    git(world.tree(), "update-index", "--add", "--cacheinfo", f"160000,{sha},vendor")
    git(world.tree(), "add", ".gitmodules")
    git(world.tree(), "commit", "-q", "-m", "a submodule")
    for name, value in (("url", f"ext::sh -c '{canary}'"), ("update", f"!{canary}"), ("active", "true")):
        setting(world, f"submodule.evil.{name}", value)
    for name in ("submodule.recurse", "fetch.recurseSubmodules", "status.submoduleSummary"):
        setting(world, name, "true")
    setting(world, "diff.submodule", "log")


def links_out_of_the_tree(world: World, canary: str) -> None:
    outside = world.checkout.parent / "outside"
    outside.mkdir()
    (outside / ".gitattributes").write_text("* filter=evil\n")
    (world.tree() / "out").symlink_to(outside)
    (world.tree() / "passwd").symlink_to("/etc/passwd")
    (world.tree() / ".gitattributes").symlink_to(outside / ".gitattributes")
    setting(world, "filter.evil.clean", f"{canary}; cat")


def replaced(world: World, canary: str) -> None:
    del canary
    git(world.tree(), "replace", git(world.tree(), "rev-parse", "HEAD"), git(world.tree(), "rev-parse", "HEAD~1"))
    (world.checkout / ".git/info").mkdir(exist_ok=True)
    (world.checkout / ".git/info/grafts").write_text(git(world.tree(), "rev-parse", "HEAD~1") + "\n")


def partial_clone(world: World, canary: str) -> None:
    setting(world, "extensions.partialClone", "evil")
    setting(world, "remote.evil.promisor", "true")
    setting(world, "remote.evil.url", f"ext::sh -c '{canary}'")


def other_programs(world: World, canary: str) -> None:
    for name in ("interactive.diffFilter", "mergetool.evil.cmd", "difftool.evil.cmd", "trailer.sign.command",
                 "tar.tgz.command", "browser.evil.cmd", "man.evil.cmd", "pager.log", "pager.diff", "core.gitProxy",
                 "gpg.ssh.program", "gpg.x509.program", "diff.tool", "merge.tool", "remote.origin.vcs"):
        setting(world, name, f"{canary};")
    setting(world, "trailer.sign.ifMissing", "add")
    setting(world, "log.showSignature", "true")
    setting(world, "merge.verifySignatures", "true")


def attributes_elsewhere(world: World, canary: str) -> None:
    (world.tree() / "evil.attributes").write_text("* filter=evil merge=evil diff=evil\n")
    setting(world, "core.attributesFile", str(world.tree() / "evil.attributes"))
    setting(world, "filter.evil.clean", f"{canary}; cat")
    setting(world, "core.worktree", str(world.tree()))


PLANTS = {
    hooks: ".git/hooks/pre-push", hooks_path: "core.hookspath in .git/config",
    fsmonitor: "core.fsmonitor in .git/config", filters: "filter.evil.clean in .git/config",
    process_filter: "filter.a=b.process in .git/config", diff_drivers: "diff.evil.textconv in .git/config",
    programs: "core.sshcommand in .git/config", aliases: "alias.push in .git/config",
    included: "core.fsmonitor in trees/gh-1/evil.config",
    own_configuration: "core.fsmonitor in .git/worktrees/gh-1/config.worktree", nested_repository: "",
    redirected: "protocol.ext.allow in .git/config", odd_refs: "ref refs/heads/é;id",
    included_for_us: "includeif.gitdir:**.path in .git/config", alternates: ".git/objects/info/alternates",
    submodules: "submodule.evil.update in .git/config", links_out_of_the_tree: "filter.evil.clean in .git/config",
    replaced: ".git/info/grafts", partial_clone: "remote.evil.url in .git/config",
    other_programs: "trailer.sign.command in .git/config",
    attributes_elsewhere: "core.attributesfile in .git/config",
}  # fmt: skip
"""How each is told; nothing of what only the worktree holds, since no git is led there."""


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_a_worker_plants_is_run_by_any_call(plant: Callable[[World, str], None], tmp_path: Path) -> None:
    count("things planted in git, none of them run")
    world = make_world(tmp_path)
    repo = world.repository()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    commit(world.tree(), "done.txt", "done\n")
    canary = tmp_path / "canary"
    known = repo.planted("gh-1")
    plant(world, f"touch {canary}")
    new = {name for name, digest in repo.planted("gh-1").items() if known.get(name) != digest}
    assert PLANTS[plant] in (new or {""}), new
    canary.unlink(missing_ok=True)   # git itself, run by hand above, may have obeyed
    (world.tree() / "half.txt").write_text("half\n")
    (world.tree() / "file.txt").write_text("changed\n")
    work = repo.work("gh-1", BRANCH, git(world.remote, "rev-parse", "main"))
    assert work is not None
    assert {"half.txt", "file.txt"} <= set(work.dirty)
    repo.rescue("gh-1", 1)
    assert repo.commit_all("gh-1", "all of it")
    repo.summary("gh-1", work.base_sha)
    repo.fetch()
    sha = repo.push(BRANCH, expect="")
    assert git(world.remote, "rev-parse", BRANCH) == sha
    repo.worktrees()
    repo.contains(sha, BRANCH)
    repo.put_back("gh-1", 1)
    repo.cargo(sha, Search())
    repo.survey(work.base_sha, sha)
    repo.feature("feature-x", "main")
    world.advance("file.txt")
    repo.fetch()
    repo.feature("feature-y", "main")
    with suppress(MergeConflict):   # a merge driver would be asked here
        repo.merge("feature-y", sha, "together")
    repo.pack("gh-1", BRANCH, had=[], extra=[], repository="x")
    repo.note("gh-1", "STOP")
    (world.tree() / "half.txt").write_text("more\n")
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=True, attempt=2, expect=sha)
    repo.ensure_worktree("gh-2", "rpi/gh-2", "main", fresh=False, attempt=1)
    repo.expire_rescues(datetime.now(UTC) - timedelta(days=1))
    repo.remove_worktree("gh-2")
    assert (world.tree() / "file.txt").read_text() == "more\n"
    assert not canary.exists()


def test_the_plants_do_run_when_git_is_called_plainly(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.repository().ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    filters(world, f"touch {tmp_path / 'canary'}")
    (world.tree() / "half.txt").write_text("half\n")
    git(world.tree(), "add", "-A")
    assert (tmp_path / "canary").exists()


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command line of git, as others on the host may see it, in a file; `refuse` beside it makes one fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shim = folder / "git"
    shim.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
                    f'case "$*" in *"$(cat {folder}/refuse 2>/dev/null || echo none)"*) exit 128;; esac\n'
                    f'exec {shutil.which("git")} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "calls"


class Asked(BaseHTTPRequestHandler):
    """Asks who is there and keeps the answer."""

    def do_GET(self) -> None:
        told = self.headers.get("Authorization", "")
        self.server.told.append(told)  # type: ignore[attr-defined]
        self.send_response(404 if told else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def host() -> Iterator[HTTPServer]:
    with serving(Asked) as server:
        server.told = []  # type: ignore[attr-defined]
        yield server


@pytest.mark.parametrize(("token", "sent"), [("", "ann:old pass word"), ("tok-123456", "x-access-token:tok-123456")])
def test_a_login_in_the_remote_s_address_is_used_but_stands_in_no_command_line(
    tmp_path: Path, calls: Path, host: HTTPServer, token: str, sent: str
) -> None:
    address = f"http://ann:old%20pass%20word@127.0.0.1:{host.server_port}/acme/widgets.git"
    world = make_world(tmp_path)
    repo = world.repository(url=address, token=(lambda: token) if token else None)
    with pytest.raises(GitError, match="not found"):
        repo.fetch()
    assert host.told[-1] == "Basic " + b64encode(sent.encode()).decode()  # type: ignore[attr-defined]
    assert repo.full_name == "acme/widgets"
    assert "pass" not in calls.read_text().replace("password=", "")


def test_a_remote_that_a_worker_pointed_elsewhere_is_not_offered_the_token(
    tmp_path: Path, calls: Path, host: HTTPServer
) -> None:
    world = make_world(tmp_path)
    setting(world, "remote.origin.url", f"http://127.0.0.1:{host.server_port}/acme/widgets.git")
    config = load(None, {"COORDINATOR_REPOSITORY_API_URL": "http://127.0.0.1:9"})
    repo = app.git_repository(app.Place(world.checkout), config, lambda: "tok-123456")
    with pytest.raises(GitUnreachable):
        repo.fetch()
    assert not host.told  # type: ignore[attr-defined]
    assert "http://127.0.0.1:9/acme/widgets.git" in calls.read_text()


def test_nothing_is_called_while_it_cannot_be_asked_which_drivers_are_configured(tmp_path: Path, calls: Path) -> None:
    world = make_world(tmp_path)
    repo = world.repository()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    filters(world, f"touch {tmp_path / 'canary'}")
    (world.tree() / "half.txt").write_text("half\n")
    calls.with_name("refuse").write_text("--get-regexp")
    with pytest.raises(GitError):
        repo.commit_all("gh-1", "x")
    assert not (tmp_path / "canary").exists()


def test_no_link_leads_a_write_out_of_the_git_directory(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    for name in ("info/exclude.coordinator", "shallow.coordinator"):
        (world.checkout / ".git/info").mkdir(exist_ok=True)
        (world.checkout / ".git" / name).symlink_to(outside)
    world.repository().exclude(["/trees/"])
    assert outside.read_text() == "mine\n"
    assert "/trees/" in (world.checkout / ".git/info/exclude").read_text()


@pytest.mark.parametrize("by_link", [False, True])
def test_a_git_file_that_points_elsewhere_is_detected_and_not_used(tmp_path: Path, by_link: bool) -> None:
    world = make_world(tmp_path)
    repo = world.repository()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    evil = tmp_path / "evil"
    git(tmp_path, "init", "-q", str(evil))
    git(evil, "config", "core.fsmonitor", f"touch {tmp_path / 'canary'}; false")
    link = world.tree() / ".git"
    link.unlink()
    if by_link:
        link.symlink_to(evil / ".git")
    else:
        link.write_text(f"gitdir: {evil / '.git'}\n")
    for call in (lambda: repo.work("gh-1", BRANCH, ""), lambda: repo.commit_all("gh-1", "x"),
                 lambda: repo.rescue("gh-1", 1), lambda: repo.remove_worktree("gh-1"),
                 lambda: repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=2)):
        with pytest.raises(GitError, match="was changed"):
            call()
    assert [found.dirty for found in repo.worktrees()] == [True]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["refs/heads/rpi/gh-1", "HEAD", "config", "packed-refs", "logs/refs/heads/main",
                                  "worktrees/gh-1/HEAD", "info/exclude"])
@pytest.mark.parametrize("by_link", [False, True])
def test_a_pipe_where_git_reads_a_file_is_named_and_nobody_waits_for_it(
    tmp_path: Path, name: str, by_link: bool
) -> None:
    world = make_world(tmp_path)
    repo = world.repository()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    place = world.checkout / ".git" / name
    place.parent.mkdir(exist_ok=True)
    kept = place.read_bytes() if place.exists() else None
    place.unlink(missing_ok=True)
    if by_link:
        place.symlink_to("/dev/zero")
    else:
        os.mkfifo(place)
    for call in (lambda: repo.push(BRANCH, expect=""), lambda: repo.work("gh-1", BRANCH, ""),
                 lambda: repo.contains("a" * 40, "main"), world.repository):
        with pytest.raises(GitError, match=f"{place} is no file, and git would wait for it"):
            call()
    place.unlink()
    if kept is not None:
        place.write_bytes(kept)
    assert repo.work("gh-1", BRANCH, "") is not None


def test_a_pipe_in_the_place_of_a_worktree_s_ignore_file_goes_and_no_other(tmp_path: Path) -> None:
    """No commit can hold it, and one look at the worktree would last as long as we let it."""
    world = make_world(tmp_path)
    repo = world.repository()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    (world.tree() / "sub").mkdir()
    names = (".gitignore", "sub/.gitattributes", "sub/pipe")
    for name in names:
        os.mkfifo(world.tree() / name)
    (world.tree() / "sub/work.txt").write_text("work\n")
    assert repo.commit_all("gh-1", "all of it")
    assert git(world.tree(), "show", "--format=", "--name-only", "HEAD") == "sub/work.txt"
    assert [name for name in names if (world.tree() / name).exists()] == ["sub/pipe"]
