"""Addresses told for real, by apprise to a server of our own; and the program with addresses that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator import app
from coordinator.adapters.notify import addresses
from coordinator.adapters.notify.addresses import AppriseNotifier
from coordinator.adapters.system.probe import SystemProbe
from coordinator.engine.runner import KeepOld
from tests.support.inbox import Inbox, an_inbox
from tests.support.program import a_repository, program

SECRET = "T0psecret-of-an-address"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with an_inbox() as made:
        yield made


def a_notifier() -> AppriseNotifier:
    return AppriseNotifier(SystemProbe({}), os.environ)


@pytest.mark.req("X15")
def test_every_address_gets_the_message_whole(inbox: Inbox) -> None:
    assert a_notifier().send([inbox.at("one"), inbox.at("two")], "Coordinator acme/widgets", "first\nsecond ü\n") == ""
    assert sorted(path for path, _ in inbox.got) == ["/one", "/two"]
    for _, body in inbox.got:
        assert (body["title"], body["message"].rstrip()) == ("Coordinator acme/widgets", "first\nsecond ü")


def test_an_address_that_refuses_is_named_without_its_secret_and_the_others_are_told(inbox: Inbox) -> None:
    words = a_notifier().send([inbox.at(f"no/{SECRET}"), inbox.at("one"), f"json://127.0.0.1:1/{SECRET}"], "t", "x")
    assert words == ("notify.urls, entry 1 of 3 (json://…) could not be reached, or refused (401); "
                     "notify.urls, entry 3 of 3 (json://…) could not be reached, or refused")
    assert "/one" in [path for path, _ in inbox.got]
    assert len(inbox.got) == 2, "nothing is sent twice"


def test_an_address_that_never_answers_is_left_behind(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "PATIENCE", 2.0)
    words = a_notifier().send([inbox.at("never"), inbox.at("one")], "t", "x")
    assert words == "notify.urls, entry 1 of 2 (json://…) did not answer within 2 s"
    assert "/one" in [path for path, _ in inbox.got]


def test_trying_an_address_tells_nobody(inbox: Inbox) -> None:
    assert a_notifier().wrong([inbox.at("one"), "mailto://me:pa55w0rd@example.org"]) == ""
    assert a_notifier().wrong([f"nobodyknows://{SECRET}", inbox.at("one")]) == (
        "notify.urls, entry 1 of 2 (nobodyknows://…) is no address that apprise knows")
    assert inbox.got == []


def test_other_processes_see_no_address() -> None:
    class Seen:
        def run(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: str, **_: Any) -> tuple[int, str, str]:
            assert SECRET in stdin
            assert SECRET not in repr((argv, env))
            return 1, "", f"Traceback: {SECRET}"

    seen: Any = Seen()
    notifier = AppriseNotifier(seen, {"COORDINATOR_NOTIFY_URLS": SECRET, "PATH": "/bin"})
    words = notifier.send([f"json://{SECRET}"], "t", "x")
    assert words.startswith("notify.urls could not be asked (exit 1)")
    assert SECRET not in words


@pytest.mark.parametrize("command", [("run", "--once"), ("config", "check"), ("job", "watchdog", "--once")])
def test_an_address_that_nobody_knows_ends_the_start_with_64_and_is_not_printed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    root = a_repository(tmp_path / "widgets")
    (root / "coordinator.toml").write_text(f'[notify]\nurls = ["json://example.org", "slak://{SECRET}"]\n')
    ran = program(root, *command, GITHUB_TOKEN="none")
    assert ran.returncode == 64
    assert "coordinator.toml: notify.urls, entry 2 of 2 (slak://…) is no address that apprise knows" in ran.stderr
    assert "apprise's documentation" in ran.stderr
    assert SECRET not in ran.stderr + ran.stdout


def test_config_show_masks_addresses(tmp_path: Path) -> None:
    root = a_repository(tmp_path / "widgets")
    for options in ((), ("--json",)):
        ran = program(root, "config", "show", *options, COORDINATOR_NOTIFY_URLS=f"slack://{SECRET}/a/b")
        assert ran.returncode == 0, ran.stderr
        assert "slack://***" in ran.stdout
        assert SECRET not in ran.stdout


@pytest.mark.req("A93")
def test_a_watch_of_jobs_that_fail_alike_calls_the_operator_once(tmp_path: Path, inbox: Inbox) -> None:
    root, jobs, told = a_repository(tmp_path / "widgets"), tmp_path / "jobs", tmp_path / "told"
    (root / "coordinator.toml").write_text(f'[notify]\ncommand = "tee -a {told}"\nurls = ["{inbox.at(SECRET)}"]\n')
    jobs.mkdir(mode=0o700)
    for number in range(6):
        meta = f"beads=bd-{number}\nprovider=claude\nstarted_at=2026-03-04T11:00:00Z\n"
        (jobs / f"bd-{number}.meta").write_text(meta)
        (jobs / f"bd-{number}.outcome").write_text(
            f"beads=bd-{number}\nstate=failed\nexit_code=1\nreason_code=process_exit\n"
            "completed_at=2026-03-04T11:05:00Z\nduration_sec=300\n")  # fmt: skip
        (jobs / f"bd-{number}.log").write_text("Traceback:\nModuleNotFoundError: No module named 'yaml'\n")
    for _ in range(2):
        ran = program(root, "batch", "watch", "--prefix", "bd-", "--log-dir", str(jobs), "--once",
                      XDG_STATE_HOME=str(tmp_path / "state"))  # fmt: skip
        assert SECRET not in ran.stdout + ran.stderr
    text = told.read_text()
    assert text.count("ESCALATE") == 1
    assert "several of its jobs fail alike: the same crash each time: all 6 that ended" in text
    assert "error patterns: 6 × process_exit (bd-0, bd-1, bd-2, bd-3, bd-4 and 1 more)" in text
    [(_, body)] = inbox.got
    assert body["message"].strip() == text.strip()


def test_a_plan_is_not_begun_while_nobody_could_be_told_of_it(tmp_path: Path) -> None:
    root = a_repository(tmp_path / "widgets")
    assert program(root, "plan", "new", "auth", "--tasks", "1").returncode == 0
    (root / "coordinator.toml").write_text(f'[notify]\nurls = ["slak://{SECRET}"]\n')
    ran = program(root, "plan", "run", "auth-plan.md", XDG_STATE_HOME=str(tmp_path / "state"))
    assert ran.returncode == 64, ran.stderr
    assert "notify.urls, entry 1 of 1 (slak://…)" in ran.stderr
    assert SECRET not in ran.stderr + ran.stdout
    assert not (tmp_path / "state").exists()


def test_read_anew_with_an_address_that_nobody_knows_the_old_settings_stay(tmp_path: Path) -> None:
    place = app.Place(a_repository(tmp_path / "widgets"))
    place.config.write_text(f'[notify]\nurls = ["slak://{SECRET}"]\n')
    with pytest.raises(KeepOld) as caught:
        app.reread(place, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, {})
    assert "(slak://…) is no address" in str(caught.value)
    assert SECRET not in str(caught.value)
