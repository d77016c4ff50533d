"""Secrets planted around a coordinator of an ordinary user, over a whole rehearsal: nobody finds them afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.canary import a_coordinator, a_field, holders
from tests.support.figures import count
from tests.support.walled import needs_walls

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.mark.req("W19")
@pytest.mark.parametrize("walled", [False, True], ids=["an ordinary user", "in the sandbox, as root too"])
def test_a_planted_token_is_found_by_no_agent_and_stands_nowhere_after_a_whole_rehearsal(walled: bool) -> None:
    """An issue fails once and becomes a pull request, another is stopped, a bug of ours is saved; one agent looks at
    all processes meanwhile, again and again."""
    if walled:
        needs_walls()
    with a_field(SUPPORT / "looter.py", walled=walled) as place:
        with a_coordinator(place) as daemon:
            waiting = place.issue("LIE IN WAIT")
            daemon.until_state(waiting, "RUNNING")
            daemon.until(lambda: list((place.folder / "loot").glob("counted-*")))
            number = place.issue("Please.")
            daemon.until_state(number, "IN_REVIEW", seconds=60)
            (place.folder / "BUG").touch()
            daemon.until(lambda: list((place.clone / ".coordinator").glob("bug-*")))
            assert f"gh-{number}" in place.command("status")   # they know a holder that is shut, and wake it
            assert "pid" in place.command("status", "--json")
            place.command("stop", str(waiting))
            daemon.until_state(waiting, "CANCELLED", "BLOCKED", seconds=60)
            place.command("pause")
            assert [one.reason for one in daemon.attempts(number)] == ["process_exit", "process_exit"]
            if os.geteuid() == 0:   # to root it shows, and holds nothing
                assert b"GITHUB_TOKEN=***" in Path(f"/proc/{daemon.child.pid}/environ").read_bytes()
            assert daemon.end() == 0
        assert "stolen" not in place.repository.branches()
        counted = [json.loads(path.read_text()) for path in (place.folder / "loot").glob("counted-*")]
        assert len(counted) == 3
        count("canary: processes and files agents looked at", sum(one["processes"] + one["files"] for one in counted))
        assert all(one["asked"] > 5 and one["files"] > 5 for one in counted), counted   # they did look, and could
        assert all((one["processes"] > 5) != walled for one in counted), counted
        assert {name: found for name, found in place.loot().items() if name != "SSH_AUTH_SOCK"} == {}
        assert not any("our environment" in where for where in place.loot().get("SSH_AUTH_SOCK", ()))
        held = place.left()
        count("canary: files left behind, looked through", len(held))
        assert any(name.endswith("state.db") for name in held)
        assert {name: found for name, value in place.secrets.items() if (found := holders(held, value))} == {}
        [bug] = (content for name, content in held.items() if "/bug-" in name)
        assert b"RuntimeError: GET https://***@example.org" in bug
