"""The names people know are installed and do what the old guides' lines say, pasted as they stand."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import __version__
from coordinator.app.faces import CC_GLM_JOB, COORDINATOR, where
from tests.support.program import a_repository

SCRIPTS = Path(sys.executable).parent
NAMES = ("coordinator", "cc-glm-job", "cc-glm-job.sh", "cc-glm-headless", "cc-glm-headless.sh", "dx-runner",
         "wait-for-job", "dx-dispatch")  # fmt: skip
CLAUDE = """#!/bin/sh
prompt=$(cat)
echo "model $ANTHROPIC_DEFAULT_OPUS_MODEL at $ANTHROPIC_BASE_URL in $(pwd)"
echo "was told: $prompt"
case "$prompt" in *slow*) sleep 60;; *fail*) exit 3;; esac
"""


Ran = subprocess.CompletedProcess[str]


def run(script: str, *, cwd: Path, env: dict[str, str], prefix: tuple[str, ...] = ()) -> Ran:
    argv = [*prefix, "bash", "-euo", "pipefail", "-c", textwrap.dedent(script)]
    return subprocess.run(argv, cwd=cwd, env=env, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=50,
                          check=False)  # fmt: skip


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """PATH holds links to our names and a stand-in for claude, and nothing else of ours."""
    names = tmp_path / "bin"
    names.mkdir()
    for name in NAMES:
        (names / name).symlink_to(SCRIPTS / name)
    (names / "claude").write_text(CLAUDE, "utf-8")
    (names / "claude").chmod(0o755)
    (tmp_path / "home").mkdir()
    return {"PATH": f"{names}:/usr/bin:/bin", "HOME": str(tmp_path / "home"), "CC_GLM_AUTH_TOKEN": "planted-glm-token",
            "COLUMNS": "140", "LANG": "C.UTF-8"}  # fmt: skip


@pytest.mark.req("A2", "A3", "X14")
def test_every_name_is_found_by_path_alone_from_any_folder(tmp_path: Path, env: dict[str, str]) -> None:
    assert [name for name in NAMES if not (SCRIPTS / name).is_file()] == []
    for name in NAMES:
        ran = run(f"{name} --help", cwd=Path("/"), env=env)
        assert ran.returncode == 0, (name, ran.stderr)
        assert f"Usage: {name.removesuffix('.sh')} " in ran.stdout
    for name in ("cc-glm-job", "dx-runner"):
        told = run(f"{name} --version", cwd=tmp_path, env=env)
        assert told.stdout.split() == [name, __version__]


# --- the guides' lines ------------------------------------------------------------------------------


@pytest.fixture
def pasted(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Runs what follows with folders of its own in the place of the well-known ones in /tmp. One test at a time, as a
    mount point that one takes away is gone for the other too."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed: apt install bubblewrap")
    turn = os.open("/tmp", os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)
    known = ("/tmp/cc-glm-jobs", "/tmp/dx-runner", "/tmp/agents", "/tmp/prompts")
    there = [one for one in known if Path(one).exists()]
    binds: list[str] = []
    for one in known:
        own = tmp_path / Path(one).name
        own.mkdir(mode=0o700)
        binds += ["--bind", str(own), one]
    yield ("bwrap", "--dev-bind", "/", "/", *binds)
    for one in known:
        if one not in there and Path(one).is_dir():
            Path(one).rmdir()   # bubblewrap makes the mount points
    os.close(turn)


@pytest.mark.req("X11", "A5", "A6", "A7", "A8", "A47")
def test_the_lines_of_the_cc_glm_guide_run_when_pasted(
    tmp_path: Path, env: dict[str, str], pasted: tuple[str, ...]
) -> None:
    ran = run("""
        mkdir -p /tmp/agents/bd-1/widgets && echo 'do it' > /tmp/prompts/bd-1.prompt
        cc-glm-job.sh start --beads bd-1 --prompt-file /tmp/prompts/bd-1.prompt --repo widgets \
            --worktree /tmp/agents/bd-1/widgets --pty
        while cc-glm-job check --beads bd-1 | grep -qE 'starting|healthy'; do sleep 0.1; done
        cc-glm-job.sh status --no-ansi
        cc-glm-job.sh health
        cc-glm-job.sh check --beads bd-1 --stall-minutes 20
        cc-glm-job.sh tail --beads bd-1 --lines 20
        cc-glm-job.sh restart --beads bd-1 --pty
        cc-glm-job.sh watchdog --stall-minutes 20 --max-retries 1 --once
        cc-glm-job.sh set-override --beads bd-1 --no-auto-restart true
        cc-glm-job.sh set-override --beads bd-1
        cc-glm-job.sh stop --beads bd-1
        cat /tmp/cc-glm-jobs/bd-1.outcome /tmp/cc-glm-jobs/bd-1.contract
        ls /tmp/cc-glm-jobs
        """, cwd=tmp_path, env=env, prefix=pasted)  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert "model glm-5 at https://api.z.ai/api/anthropic in /tmp/agents/bd-1/widgets" in ran.stdout
    assert "was told: do it" in ran.stdout
    assert "success:0" in ran.stdout
    assert "no_auto_restart=true" in ran.stdout
    assert {"bd-1.log", "bd-1.log.1", "bd-1.meta", "bd-1.outcome", "bd-1.outcome.1", "bd-1.contract"} <= set(
        ran.stdout.split())  # fmt: skip
    assert "planted-glm-token" not in ran.stdout + ran.stderr
    kept = "".join(path.read_text("utf-8", "replace") for path in (tmp_path / "cc-glm-jobs").glob("bd-1.*"))
    assert "planted-glm-token" not in kept


@pytest.mark.req("X11", "C4", "C9", "C33", "C50", "B47")
def test_the_lines_of_the_dx_runner_guide_run_when_pasted(
    tmp_path: Path, env: dict[str, str], pasted: tuple[str, ...]
) -> None:
    here = a_repository(tmp_path / "widgets")
    ran = run("""
        echo 'do it' > good.prompt; echo 'fail now' > bad.prompt; echo 'slow one' > slow.prompt
        dx-runner start --beads bd-1 --provider cc-glm --prompt-file good.prompt
        dx-runner start --beads bd-2 --provider cc-glm --prompt-file bad.prompt
        dx-runner start --beads bd-3 --provider cc-glm --prompt-file slow.prompt
        dx-runner stop --beads bd-3
        for id in bd-1 bd-2 bd-3 bd-none; do
            while s=$(dx-runner check --beads "$id" --json 2>/dev/null | sed -n 's/.*"state": "\\(.*\\)".*/\\1/p');
                [ "$s" = healthy ] || [ "$s" = launching ]; do sleep 0.1; done
            echo "$id ended as $s"
        done
        dx-runner report --beads bd-2 --format markdown >/dev/null
        dx-runner finalize --beads bd-2
        dx-runner prune
        ls /tmp/dx-runner/cc-glm
        cc-glm-headless.sh --prompt-file good.prompt
        wait-for-job --check-cmd 'dx-runner check --beads bd-1' --success-regex exited_ok --quiet
        dx-runner status --json
        """, cwd=here, env=env, prefix=pasted)  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr
    for job, state in (("bd-1", "exited_ok"), ("bd-2", "exited_err"), ("bd-3", "exited_err"), ("bd-none", "missing")):
        assert f"{job} ended as {state}" in ran.stdout
    assert {"bd-1.outcome", "bd-2.outcome", "bd-3.outcome"} <= set(ran.stdout.split())
    listed = json.loads(ran.stdout[ran.stdout.index('{\n  "generated_at"'):])
    found = {job["beads"]: (job["state"], job["reason_code"]) for job in listed["jobs"]}
    assert found == {"bd-1": ("exited_ok", "process_exit"), "bd-2": ("exited_err", "process_exit"),
                     "bd-3": ("exited_err", "manual_stop")}  # fmt: skip


# --- whose folder -----------------------------------------------------------------------------------


@pytest.mark.req("X13")
def test_a_second_user_gets_a_folder_beside_it_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "cc-glm-jobs"
    taken.mkdir()
    face = type(CC_GLM_JOB)("cc-glm-job", str(taken), flat=True)
    assert where(face, "", {}).folder == taken
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)

    first = where(face, "", {})
    assert first.folder == tmp_path / f"cc-glm-jobs-{other}"
    assert f"belongs to user id {taken.stat().st_uid}" in first.notice
    first.folder.mkdir()
    assert where(face, "", {}).notice == ""


def test_where_jobs_lie_without_a_repository_and_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert where(COORDINATOR, "", {"HOME": "/h"}).folder == Path("/h/.local/state/coordinator/jobs")
    assert where(COORDINATOR, "", {"XDG_STATE_HOME": "/s"}).folder == Path("/s/coordinator/jobs")
    assert where(COORDINATOR, "", {"COORDINATOR_JOBS_DIR": "/elsewhere"}).folder == Path("/elsewhere")
    flat = where(COORDINATOR, "given", {"COORDINATOR_JOBS_DIR": "/elsewhere"})
    assert (flat.folder, flat.flat) == (tmp_path / "given", True)
    root = a_repository(tmp_path / "widgets")
    monkeypatch.chdir(root)
    assert where(COORDINATOR, "", {"HOME": "/h"}).folder == Path("/h/.local/state/coordinator/jobs")
    (root / "coordinator.toml").touch()
    assert where(COORDINATOR, "", {"HOME": "/h"}).folder == root / ".coordinator" / "jobs"
