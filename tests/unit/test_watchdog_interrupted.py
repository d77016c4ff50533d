"""A restart in whose midst the watchdog died: the next one goes on with it, unless it is nobody's any more."""

from __future__ import annotations

import pytest

from coordinator.domain.worker import Exited
from tests.unit.test_watchdog import a_job, ago, kinds


@pytest.mark.req("N7")
@pytest.mark.parametrize(("outcome", "meta", "expected"), [
    ({}, {}, ["Restart"]),
    ({}, {"retries": "1"}, ["Block"]),
    ({}, {"no_auto_restart": "true"}, ["Block"]),
    ({}, {"blocked": "true"}, []),
    ({}, {"no_restart_of": "t"}, []),
    ({}, {"no_restart_of": "of an earlier run"}, ["Restart"]),
    ({}, {"owner": "coordinator"}, []),
    ({"reason_code": "manual_stop"}, {}, []),
    ({"survivors": "4711"}, {}, []),
    ({"ended_at": str(ago(90))}, {}, []),
    ({"ended_at": "?"}, {}, []),
])
def test_a_restart_in_whose_midst_the_watchdog_died_is_gone_on_with(outcome, meta, expected):
    ended = {"state": "killed", "reason_code": "stalled", "ended_at": str(ago(2)), **outcome}
    assert kinds(a_job(Exited(None, 15, "stalled"), ended, **meta)) == expected
