"""A worker may write anything into the repository and its worktree: none of it runs when the coordinator calls git."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.ports import GitError
from tests.support.gitworld import World, commit, git, make_world

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


PLANTS = [hooks, hooks_path, fsmonitor, filters, process_filter, diff_drivers, programs, aliases, included,
          own_configuration, nested_repository, redirected, odd_refs]


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_a_worker_plants_is_run_by_any_call(plant: Callable[[World, str], None], tmp_path: Path) -> None:
    world = make_world(tmp_path)
    repo = world.repository()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    commit(world.tree(), "done.txt", "done\n")
    canary = tmp_path / "canary"
    plant(world, f"touch {canary}")
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
    (world.tree() / "half.txt").write_text("more\n")
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=True, attempt=2, expect=sha)
    repo.ensure_worktree("gh-2", "rpi/gh-2", "main", fresh=False, attempt=1)
    repo.expire_rescues(datetime.now(UTC) - timedelta(days=1))
    repo.remove_worktree("gh-2")
    assert (world.tree() / "file.txt").read_text() == "line 2\n"
    assert not canary.exists()


def test_the_plants_do_run_when_git_is_called_plainly(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.repository().ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    filters(world, f"touch {tmp_path / 'canary'}")
    (world.tree() / "half.txt").write_text("half\n")
    git(world.tree(), "add", "-A")
    assert (tmp_path / "canary").exists()


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
