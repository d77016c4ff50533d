"""`diagnose` through the real program: one private file with everything an escalation needs, and no secret in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.byhand import CC_GLM_JOB, Hand, Ran, hand
from tests.support.program import tree

__all__ = ["hand"]
KNOWN, SHAPED = "a-key-without-any-shape-0815", "ghp_" + "S3cret" * 6
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEcanary\n" * 60 + "-----END RSA PRIVATE KEY-----\n"
AGENT = f"""\
import sys
print("key " + {KNOWN!r})
print({KEY!r}, end="")
print("\\x1b]0;title\\x07the last words")
print("pushed with " + {SHAPED!r}, file=sys.stderr)
"""


def diagnose(hand: Hand, *options: str, name: str = CC_GLM_JOB, **more: str) -> Ran:
    return hand.run("diagnose", *options, name=name, MY_API_KEY=KNOWN, **more)


@pytest.fixture
def bundle(hand: Hand) -> str:
    """Two runs of bd-1 that printed secrets, and a broken bd-2, as one text."""
    hand.start(AGENT, "--repo", "https://x:{}@example.org/widgets".format("s3cretword"))
    hand.outcome()
    assert hand.run("restart", "--beads", "bd-1").returncode == 0
    hand.outcome()
    hand.run("set-override", "--beads", "bd-1", "--no-auto-restart", "true")
    hand.file("meta", "bd-2").write_bytes(b"beads=bd-2\nnote=" + SHAPED.encode() + b"\n\x1b[2Jgarbage")
    hand.file("outcome", "bd-2").write_bytes(b"")
    ran = diagnose(hand, "--output", str(hand.root / "bundle.txt"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{hand.root / 'bundle.txt'}\n"
    return (hand.root / "bundle.txt").read_text()


@pytest.mark.req("A96", "A97", "A98")
def test_the_bundle_is_one_private_file_with_tables_and_every_run_file_below_its_name(hand: Hand, bundle: str) -> None:
    assert (hand.root / "bundle.txt").stat().st_mode & 0o777 == 0o600
    parts = {part.partition(" ===\n")[0]: part.partition(" ===\n")[2] for part in bundle.split("=== ")[1:]}
    status, health = parts["status --no-ansi --show-overrides"], parts["health --no-ansi --show-overrides"]
    assert status.split("\n")[0].split() == [
        "bead", "pid", "state", "elapsed", "bytes", "last_update", "retry", "override", "outcome"]  # fmt: skip
    assert "no-restart" in status
    assert "exited_ok" in health
    assert "\x1b" not in bundle
    for name in ("bd-1.meta", "bd-1.contract", "bd-1.heartbeat", "bd-1.outcome", "bd-1.outcome.1"):
        assert "provider=command" in parts[f"command/{name}"], name
    assert "beads=bd-2" in parts["cc-glm/bd-2.meta"]
    assert "outcome: empty" in parts["faults of bd-2 (cc-glm)"]
    assert "bd-1.log.1" in parts["files of bd-1 (command)"]
    assert os.uname().nodename in parts["host"]
    assert parts["versions"].startswith("coordinator ")
    assert "git: git version" in parts["versions"]


@pytest.mark.req("A98")
def test_no_planted_secret_is_in_it_though_the_log_is(hand: Hand, bundle: str) -> None:
    raw = hand.file("log").read_text() + hand.file("err").read_text() + hand.file("meta").read_text()
    assert all(word in raw for word in (KNOWN, SHAPED, "s3cretword", "MIIEcanary"))
    assert "the last words" in bundle
    assert "pushed with ***" in bundle
    for word in (KNOWN, SHAPED, "s3cretword", "MIIEcanary", "S3cret"):
        assert word not in bundle, word


def test_the_ends_of_logs_are_forty_lines(hand: Hand) -> None:
    hand.start("for n in range(100): print('line', n)")
    hand.outcome()
    said = diagnose(hand).stdout.strip()
    text = Path(said).read_text()
    Path(said).unlink()
    assert "line 60\n" in text
    assert "line 59\n" not in text


def test_without_output_it_lies_in_the_temporary_folder_for_its_owner_alone(hand: Hand) -> None:
    hand.start("pass")
    hand.outcome()
    ran = diagnose(hand, TMPDIR=str(hand.folder("tmp")))
    [made] = (hand.root / "tmp").iterdir()
    assert ran.stdout == f"{made}\n"
    assert made.stat().st_mode & 0o777 == 0o600


def test_of_one_job_the_others_are_left_out_and_an_unknown_one_is_missing(hand: Hand) -> None:
    for job in ("bd-1", "bd-2"):
        hand.start("pass", job=job)
        hand.outcome(job)
    target = hand.root / "one.txt"
    diagnose(hand, "--beads", "bd-1", "--output", str(target))
    assert "bd-1" in target.read_text()
    assert "bd-2" not in target.read_text()
    unknown = diagnose(hand, "--beads", "bd-9", "--output", str(hand.root / "none.txt"))
    assert (unknown.returncode, "bd-9 is missing" in unknown.stderr) == (1, True)
    assert not (hand.root / "none.txt").exists()


def test_it_changes_no_job_and_follows_no_link_planted_in_its_place(hand: Hand) -> None:
    hand.start("pass")
    hand.outcome()
    victim, target = hand.root / "victim", hand.root / "bundle.txt"
    victim.write_text("mine\n")
    target.symlink_to(victim)
    before = tree(hand.jobs)
    assert diagnose(hand, "--output", str(target)).returncode == 0
    assert victim.read_text() == "mine\n"
    assert not target.is_symlink()
    assert {name: held for name, held in tree(hand.jobs).items() if name != ".siblings-told"} == before


def test_a_place_that_cannot_be_written_is_said(hand: Hand) -> None:
    ran = diagnose(hand, "--output", str(hand.root / "none" / "bundle.txt"))
    assert (ran.returncode, "bug" in ran.stderr) == (1, False)
    assert str(hand.root / "none") in ran.stderr
