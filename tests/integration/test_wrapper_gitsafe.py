"""A repository that a worker has filled with traps: each one springs under plain git, none under ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from coordinator.runfiles import gitsafe

TRAPS = {
    "core.fsmonitor": "touch {0}/fsmonitor",
    "diff.external": "touch {0}/external; true",
    "diff.trap.textconv": "touch {0}/textconv; cat",
    "filter.a=b.clean": "touch {0}/clean; cat",
    "filter.a=b.smudge": "touch {0}/smudge; cat",
    "merge.trap.driver": "touch {0}/merge; true",
    "credential.https://example.test.helper": "!touch {0}/credential",
    "core.sshCommand": "touch {0}/ssh; false",
    "protocol.ext.allow": "always",
    "gpg.program": "{0}/../gpg",
    "commit.gpgSign": "true",
    "core.pager": "touch {0}/pager; cat",
}
COMMANDS = (
    ("status", ("status", "--porcelain"), gitsafe.STATUS_ARGS),
    ("diff", ("diff",), gitsafe.DIFF_ARGS),
    ("log", ("log", "-p"), gitsafe.DIFF_ARGS),
    ("add", ("add", "-A"), ()),
    ("commit", ("commit", "-q", "-m", "more"), ()),
    ("checkout", ("checkout", "-q", "-f", "side"), ()),
    ("merge", ("merge", "-q", "-m", "m", "trunk"), ()),
    ("ls-remote ssh", ("ls-remote", "ssh://example.test/x"), ()),
    ("ls-remote ext", ("ls-remote", "ext::touch {0}/ext"), ()),
    ("credential", ("credential", "fill"), ()),
)


class Trapped:
    def __init__(self, root: Path) -> None:
        self.root, self.sprung = root / "r", root / "sprung"
        self.sprung.mkdir()
        (root / "gpg").write_text(f"#!/bin/sh\ntouch {self.sprung}/gpg\nexit 1\n")
        (root / "gpg").chmod(0o755)
        self.base = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_AUTHOR_NAME": "n",
                     "GIT_AUTHOR_EMAIL": "e@x", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "e@x",
                     "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_VARIANT": "simple"}
        subprocess.run(["git", "init", "-q", "-b", "trunk", str(self.root)], env=self.base, check=True)
        (self.root / ".gitattributes").write_text("*.txt filter=a=b diff=trap merge=trap\n")
        self._commit("one")
        self.plain("branch", "side")
        self._commit("two")
        self.plain("checkout", "-q", "side")
        self._commit("three")
        self.plain("checkout", "-q", "trunk")
        for hook in ("pre-commit", "post-checkout", "post-merge", "post-index-change"):
            path = self.root / ".git" / "hooks" / hook
            path.write_text(f"#!/bin/sh\ntouch {self.sprung}/hook-{hook}\n")
            path.chmod(0o755)
        for key, value in TRAPS.items():
            self.plain("config", key, value.format(self.sprung))
        (self.root / "f.txt").write_text("dirty\n")

    def _commit(self, words: str) -> None:
        (self.root / "f.txt").write_text(words + "\n")
        self.plain("add", "-A")
        self.plain("commit", "-q", "-m", words)

    def plain(self, *words: str) -> None:
        self._git(self.base, words)

    def hardened(self, *words: str) -> None:
        env = gitsafe.hardened_env(self.base)
        listing = self._git(env, (*gitsafe.HARDENED_ARGS, *gitsafe.DRIVERS_QUERY)).stdout
        self._git({**env, **gitsafe.driver_env(listing)}, (*gitsafe.HARDENED_ARGS, *words))

    def _git(self, env: Mapping[str, str], words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=self.root, env=dict(env), text=True, capture_output=True,
                              input="protocol=https\nhost=example.test\n\n", timeout=30, check=False)

    def run(self, how: str) -> set[str]:
        for _, words, more in COMMANDS:
            command, *rest = [word.format(self.sprung) for word in words]
            getattr(self, how)(command, *(more if how == "hardened" else ()), *rest)
        return {entry.name for entry in self.sprung.iterdir()}


def test_no_trap_springs_under_the_hardened_arguments_and_each_does_without(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Trapped(tmp_path / "a").run("hardened") == set()
    sprung = Trapped(tmp_path / "b").run("plain")
    assert sprung >= {"fsmonitor", "clean", "smudge", "ssh", "ext", "credential", "gpg", "external", "textconv"}


def test_a_filter_of_the_operator_s_own_configuration_keeps_its_value() -> None:
    listing = ("global\0filter.lfs.process\ngit-lfs filter-process\0global\0filter.lfs.required\ntrue\0"
               "local\0filter.lfs.process\nevil\0local\0hook.x.command\nevil\0")
    env = gitsafe.driver_env(listing)
    pairs = {env[f"GIT_CONFIG_KEY_{at}"]: env[f"GIT_CONFIG_VALUE_{at}"]
             for at in range(int(env["GIT_CONFIG_COUNT"]))}
    assert pairs == {"filter.lfs.process": "git-lfs filter-process", "hook.x.enabled": "false"}


@pytest.mark.parametrize(("base", "ssh"), [
    ({}, "ssh -o BatchMode=yes"), ({"GIT_SSH_COMMAND": "ssh -i k"}, "ssh -i k"),
    ({"GIT_SSH": "/a b/it's"}, "'/a b/it'\\''s'"),
])
def test_the_operator_s_own_ssh_is_kept(base: Mapping[str, str], ssh: str) -> None:
    assert gitsafe.hardened_env(base)["GIT_SSH_COMMAND"] == ssh


def test_what_redirects_git_is_taken_out_of_the_environment() -> None:
    base = {"GIT_DIR": "/x", "GIT_CONFIG_COUNT": "1", "GIT_EXTERNAL_DIFF": "evil", "GIT_AUTHOR_NAME": "me",
            "LANG": "de"}
    env = gitsafe.hardened_env(base)
    assert not {"GIT_DIR", "GIT_CONFIG_COUNT", "GIT_EXTERNAL_DIFF"} & set(env)
    assert (env["GIT_AUTHOR_NAME"], env["LANG"]) == ("me", "de")
