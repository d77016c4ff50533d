"""What ssh's last words mean: above all whether a command may have begun."""

from __future__ import annotations

import pytest

from coordinator.adapters.executors.ssh_words import cause, told

# As OpenSSH 9.2 says them.
BEFORE = [
    ("ssh: Could not resolve hostname epyc13: Name or service not known", "its name is not found"),
    ("ssh: connect to host epyc12 port 22: Connection refused", "nothing takes connections there"),
    ("ssh: connect to host epyc12 port 22: Connection timed out", "it does not answer"),
    ("ssh: connect to host epyc12 port 22: Operation timed out", "it does not answer"),
    ("ssh: connect to host epyc12 port 22: No route to host", "there is no way to it"),
    ("ssh: connect to host epyc12 port 22: Network is unreachable", "there is no way to it"),
    ("Connection timed out during banner exchange\nConnection to ::1 port 22 timed out", "it does not answer"),
    ("kex_exchange_identification: read: Connection reset by peer\nConnection reset by ::1 port 22", "no ssh server"),
    ("No ED25519 host key is known for epyc12.\nHost key verification failed.", "its host key is not known here"),
    ("ops@epyc12: Permission denied (publickey).", "it refuses our key"),
    ("Received disconnect from ::1 port 22:2: Too many authentication failures", "it refuses our keys"),
    ("/home/me/.ssh/config: line 3: Bad configuration option: foo", "our ssh configuration cannot be used"),
]
UNCLEAR = [
    "",
    "client_loop: send disconnect: Broken pipe",
    "Timeout, server epyc12 not responding.",
    "Connection to epyc12 closed by remote host.",
    "Read from remote host epyc12: Connection reset by peer",
    "client_loop: send disconnect: Connection timed out",
    "mux_client_request_session: read from master failed: Broken pipe",
    "Connection closed by ::1 port 22",
    "Control socket connect(/run/x): Permission denied\nTimeout, server epyc12 not responding.",
]


@pytest.mark.parametrize(("said", "why"), BEFORE)
def test_these_words_come_before_any_command(said: str, why: str) -> None:
    found = cause(said, begun=False, own_end=False, timed_out=False)
    assert why in found.why
    assert not found.begun
    assert told("epyc12", found, said).startswith("epyc12 cannot be reached: ")


@pytest.mark.parametrize("said", UNCLEAR)
@pytest.mark.parametrize("timed_out", [False, True])
def test_all_others_leave_open_whether_it_began(said: str, timed_out: bool) -> None:
    found = cause(said, begun=False, own_end=False, timed_out=timed_out)
    assert found.begun
    assert "not known" in found.why


@pytest.mark.parametrize("said", [*UNCLEAR, *(words for words, _ in BEFORE)])
def test_a_command_that_was_heard_began_whatever_came_then(said: str) -> None:
    assert cause(said, begun=True, own_end=False, timed_out=False).begun
    assert "did not end in time" in cause(said, begun=True, own_end=False, timed_out=True).why


def test_an_exit_code_without_a_mark_is_a_shell_that_runs_nothing() -> None:
    assert not cause("This account is currently not available.", begun=False, own_end=True, timed_out=False).begun
