"""The list of a batch: every form a person writes, and every slip with its line."""

from __future__ import annotations

import pytest

from coordinator.wording.batch_list import Entry, Fault, parse


@pytest.mark.req("A9")
def test_triples_are_read_in_order_comments_and_blank_lines_passed_over() -> None:
    text = "\ufeff# tonight\n\nbd-1:prompts/bd-1.md:widgets\r\n  bd.2 : /tmp/a b.prompt : /src/gadgets  \n#bd-3:x:y\n"
    text += "bd-4:a:b"
    entries, faults = parse(text)
    assert faults == ()
    assert entries == (
        Entry(3, "bd-1", "prompts/bd-1.md", "widgets"),
        Entry(4, "bd.2", "/tmp/a b.prompt", "/src/gadgets"),
        Entry(6, "bd-4", "a", "b"),
    )


def test_a_colon_in_the_middle_belongs_to_the_prompt() -> None:
    assert parse("bd-1:10:30.prompt:widgets")[0] == (Entry(1, "bd-1", "10:30.prompt", "widgets"),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bd-1", "is not id:prompt:repo"),
        ("bd-1:prompt", "is not id:prompt:repo"),
        ("bd-1::widgets", "is not id:prompt:repo"),
        ("bd-1:prompt:", "is not id:prompt:repo"),
        ("../x:prompt:widgets", "job id '../x'"),
        ("x" * 65 + ":prompt:widgets", "1 to 64 letters"),
        ("bd-1:a\x1b[2J:widgets", "control character"),
        ("bd-1:a\tb:widgets", "control character"),
    ],
)
def test_a_line_that_is_none_is_a_fault_of_its_own(line: str, words: str) -> None:
    entries, faults = parse(f"ok:a:b\n{line}\n")
    assert [entry.job for entry in entries] == ["ok"]
    assert [fault.line for fault in faults] == [2]
    assert words in faults[0].words


def test_an_id_that_stands_twice_names_the_line_it_stands_on_first() -> None:
    entries, faults = parse("bd-1:a:b\nbd-2:a:b\nbd-1:c:d\n")
    assert [entry.prompt for entry in entries] == ["a", "a"]
    assert faults == (Fault(3, "bd-1 stands on line 1 already"),)
