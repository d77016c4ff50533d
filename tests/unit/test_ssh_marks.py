"""The marks around a far command: found however its stderr comes, and never shown."""

from __future__ import annotations

import pytest

from coordinator.adapters.executors.ssh_marks import Heard, Marks, Sieve, with_path

MARKS = Marks("n0")
SAID = b"banner\n<begun n0 4711>err <ended of nothing>\n<ended n0 3>late"


def sieved(pieces: list[bytes]) -> tuple[bytes, Sieve]:
    sieve = Sieve(Marks("n0"))
    return b"".join([*map(sieve.feed, pieces), sieve.rest()]), sieve


@pytest.mark.parametrize("at", range(len(SAID) + 1))
def test_marks_are_taken_out_wherever_the_pieces_part(at: int) -> None:
    shown, sieve = sieved([SAID[:at], SAID[at:]])
    assert (shown, sieve.leader, sieve.code) == (b"banner\nerr <ended of nothing>\nlate", 4711, 3)


def test_marks_are_taken_out_byte_by_byte_and_all_else_comes_at_once() -> None:
    shown, sieve = sieved([bytes([one]) for one in SAID])
    assert (shown, sieve.leader, sieve.code) == (b"banner\nerr <ended of nothing>\nlate", 4711, 3)
    early = Sieve(Marks("n0"))
    assert early.feed(b"<begun n0 1>line\n") == b"line\n"
    assert early.feed(b"a < b <e") == b"a < b "
    assert early.feed(b"lse") == b"<else"


def test_what_comes_before_the_command_began_is_kept_for_the_error() -> None:
    sieve = Sieve(Marks("n0"))
    assert sieve.feed(b"ssh: no route\n") == b""
    assert (sieve.leader, sieve.code, sieve.rest()) == (0, None, b"ssh: no route\n")


@pytest.mark.parametrize(("err", "heard"), [
    ("", Heard("", None, 0)),
    ("ssh: no\n", Heard("ssh: no\n", None, 0)),
    ("<begun n0 12>", Heard("", None, 12)),
    ("hi <begun n0 12>there", Heard("hi there", None, 12)),
    ("<begun n0 12>a<ended n0 0>", Heard("a", 0, 12)),
    ("<begun n0 12>a<ended n0 255>b", Heard("ab", 255, 12)),
    ("<begun n0 12>a<ended n0 ", Heard("a", None, 12)),
    ("<begun n1 12>a<ended n1 0>", Heard("<begun n1 12>a<ended n1 0>", None, 0)),
])  # fmt: skip
def test_the_end_of_a_command_is_known_by_its_mark_alone(err: str, heard: Heard) -> None:
    assert MARKS.read(err) == heard


def test_a_line_without_folders_is_left_alone() -> None:
    assert with_path((), "echo hi") == "echo hi"
    assert '"$HOME"/' in with_path(("~/a b",), "echo hi")
