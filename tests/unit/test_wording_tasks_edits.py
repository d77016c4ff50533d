"""tasks.md as people's hand: what each change of the file asks for, and that nobody's line is lost."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.wording.entries import Entry, Section
from coordinator.wording.tasks_edits import AddEdit, CancelEdit, Edit, RetryEdit, merge, rewrite
from coordinator.wording.tasks_md import render

PENDING = Entry(id="gh-1", title="One", section=Section.PENDING)
ACTIVE = Entry(id="gh-450", title="Parse dates", section=Section.ACTIVE, worker="w-abc123", pid=77)
DONE = Entry(id="gh-3", title="Three", section=Section.COMPLETED, sha="abc1234", pr_number=5)
FAILED = Entry(id="gh-4", title="Four", section=Section.FAILED, worker="w-abc125", reason="lost: gone")
BLOCKED = Entry(id="gh-5", title="Five", section=Section.BLOCKED, reason="needs_human: why?")
ALL = (PENDING, ACTIVE, DONE, FAILED, BLOCKED)
BASE = render(ALL)


def moved(text: str, task_id: str, to: Section, *new_lines: str) -> str:
    """The text after a person cut the task's first line and pasted `new_lines` (or it) elsewhere."""
    rows = text.split("\n")
    at = next(n for n, row in enumerate(rows) if f"] {task_id}: " in row)
    cut = rows.pop(at)
    heading = rows.index(f"## {to}")
    return "\n".join([*rows[: heading + 2], *(new_lines or (cut,)), *rows[heading + 2 :]])


def bare(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    return tuple(replace(edit, key="") for edit in edits)


def test_an_untouched_file_asks_for_nothing_and_stays_as_it_is() -> None:
    assert rewrite(ALL, BASE, BASE) == (BASE, ())


@pytest.mark.req("E18", "P53")
def test_a_line_put_under_failed_cancels_the_task_with_its_reason() -> None:
    line = "[❌ w-abc123] gh-450: User cancelled"
    text = moved(BASE, "gh-450", Section.FAILED, line, "- Reason: wrong approach")
    assert bare(merge(ALL, text, BASE)) == (CancelEdit("gh-450", "wrong approach", ""),)


@pytest.mark.req("E18")
def test_the_words_in_place_of_the_title_are_the_reason_when_none_is_given() -> None:
    text = moved(BASE, "gh-450", Section.FAILED, "[❌ w-abc123] gh-450: User cancelled")
    assert bare(merge(ALL, text, BASE)) == (CancelEdit("gh-450", "User cancelled", ""),)


@pytest.mark.parametrize("line", ["", "[🟡 w-abc123, t] gh-450: Parse dates", "[] gh-450: Parse dates"])
def test_a_line_moved_to_failed_with_any_mark_cancels(line: str) -> None:
    text = moved(BASE, "gh-450", Section.FAILED, *([line] if line else []))
    assert bare(merge(ALL, text, BASE)) == (CancelEdit("gh-450", "cancelled by an edit of tasks.md", ""),)


def test_a_mark_changed_in_place_is_a_move_too() -> None:
    text = BASE.replace("[🟡 w-abc123, trees/gh-450]", "[❌ w-abc123]")
    assert [type(edit) for edit in merge(ALL, text, BASE)] == [CancelEdit]


def test_a_line_copied_to_failed_and_left_where_it_was_cancels() -> None:
    text = BASE.replace("## Failed\n", "## Failed\n\n[❌ w-abc123] gh-450: Parse dates\n")
    assert [type(edit) for edit in merge(ALL, text, BASE)] == [CancelEdit]


@pytest.mark.parametrize("task_id", ["gh-4", "gh-5"])
def test_a_line_moved_to_pending_is_tried_again(task_id: str) -> None:
    assert bare(merge(ALL, moved(BASE, task_id, Section.PENDING), BASE)) == (RetryEdit(task_id, ""),)


@pytest.mark.parametrize(("task_id", "to", "words"), [
    ("gh-450", Section.PENDING, "it is being worked on"),
    ("gh-5", Section.FAILED, "a blocked task does not run"),
    ("gh-3", Section.PENDING, "it has a pull request"),
    ("gh-1", Section.ACTIVE, "only the coordinator"),
    ("gh-4", Section.COMPLETED, "only the coordinator"),
])
def test_a_move_that_means_nothing_is_put_back_with_a_note(task_id: str, to: Section, words: str) -> None:
    text, edits = rewrite(ALL, moved(BASE, task_id, to), BASE)
    assert edits == ()
    assert f"<!-- coordinator: {task_id} was put back: {words}" in text


def test_a_move_that_already_happened_asks_for_nothing() -> None:
    now = (PENDING, replace(ACTIVE, section=Section.FAILED), DONE, FAILED, BLOCKED)
    assert merge(now, moved(BASE, "gh-450", Section.FAILED), BASE) == ()


@pytest.mark.parametrize(("line", "title", "priority", "task_id"), [
    ("[] Write the docs {p0}", "Write the docs", 0, ""),
    ("[ ] Write the docs", "Write the docs", 2, ""),
    ("[] Note: tidy up {P3}", "Note: tidy up", 3, ""),
    ("[] bd-12: tidy up", "tidy up", 2, "bd-12"),
])
def test_a_new_line_is_a_task_of_its_own(line: str, title: str, priority: int, task_id: str) -> None:
    text, edits = rewrite(ALL, BASE + line + "\n", BASE)
    assert bare(edits) == (AddEdit(title, priority, "", task_id),)
    assert line not in text


def test_the_same_edit_seen_again_before_the_file_was_written_has_the_same_key() -> None:
    text = moved(BASE, "gh-450", Section.FAILED) + "[] new\n[] new\n"
    first, again = merge(ALL, text, BASE), merge(ALL, text, BASE)
    assert first == again
    assert len({edit.key for edit in first}) == 3
    assert not {edit.key for edit in first} & {edit.key for edit in merge(ALL, text, BASE + "\n")}


def test_a_line_that_was_taken_up_with_the_text_we_know_is_not_taken_up_again() -> None:
    known = BASE + "[] new\n"
    assert merge(ALL, known, known) == ()
    assert len(merge(ALL, known + "[] new\n", known)) == 1


def test_a_deleted_line_comes_back_with_a_note_that_stays_until_the_task_moves() -> None:
    text, edits = rewrite(ALL, BASE.replace("[] gh-1: One {p2}\n", ""), BASE)
    note = "<!-- coordinator: gh-1 was put back: to cancel it, move its line to Failed -->"
    assert edits == ()
    assert f"[] gh-1: One {{p2}}\n{note}\n" in text
    assert rewrite(ALL, text, text) == (text, ())
    assert note not in rewrite((replace(PENDING, section=Section.ACTIVE), *ALL[1:]), text, text).text


@pytest.mark.parametrize("line", [
    "[x] done by hand", "[] {p1}", "[🟡 w-1] what", "[❌ w-abc123] gh-77: who", "[] gh-77: x",
])
def test_a_line_that_cannot_be_read_is_kept_in_place_and_pointed_out_once(line: str) -> None:
    text, edits = rewrite(ALL, BASE.replace("[] gh-1:", f"{line}\n[] gh-1:"), BASE)
    assert edits == ()
    assert text.index(line) < text.index("<!-- coordinator: ") < text.index("[] gh-1:")
    again = rewrite(ALL, text, text)
    assert again == (text, ())
    assert again.text.count("<!-- coordinator: ") == 1


FOREIGN = """Our list. Ask Ann first.

## Notes

- [ ] a checklist item
[a link](https://example.org)
```
# Failed tests
[] an example in a fence
```

## Pending

remember the milk

[] gh-1: One {p2}
- Hint: look at the parser

## Later

<!--
[] commented out
-->
"""


def test_peoples_own_lines_stay_where_they_stand() -> None:
    text, edits = rewrite(ALL, FOREIGN, BASE)
    assert edits == ()
    assert text.startswith(FOREIGN.replace("gh-1: One\n", "gh-1: One {p2}\n") + "\n## Active\n")
    assert rewrite(ALL, text, text) == (text, ())


def test_a_foreign_line_below_a_task_that_moved_on_is_kept() -> None:
    text = rewrite(ALL, FOREIGN, BASE).text
    later = rewrite(ALL[1:], text, text).text
    assert "gh-1: One" not in later
    assert "remember the milk" in later
    assert "- Hint: look at the parser" in later


@pytest.mark.req("N11")
@pytest.mark.parametrize("gone", [None, "", " \n"])
def test_a_deleted_file_is_rebuilt_byte_for_byte(gone: str | None) -> None:
    base = rewrite(ALL, FOREIGN, BASE).text
    assert rewrite(ALL, gone, base) == (base, ())
    assert rewrite(ALL, gone, None) == (BASE, ())


def test_a_file_we_never_wrote_may_cancel_and_add_but_neither_delete_nor_retry() -> None:
    text = moved(moved(BASE, "gh-450", Section.FAILED), "gh-4", Section.PENDING) + "[] new\n"
    result = rewrite(ALL, text.replace("[] gh-1: One {p2}\n", ""), None)
    assert [type(edit) for edit in result.edits] == [CancelEdit, AddEdit]
    assert "gh-1 was put back" not in result.text
    assert "gh-4 was put back" in result.text


def test_a_changed_title_or_priority_is_said_not_to_count() -> None:
    text, edits = rewrite(ALL, BASE.replace("One {p2}", "One {p0}"), BASE)
    assert edits == ()
    assert "<!-- coordinator: gh-1: this change was not taken over" in text
    assert rewrite(ALL, text, text).text == text


@pytest.mark.parametrize("opener", ["```", "~~~", "<!--"])
def test_what_was_left_open_does_not_swallow_the_tasks_below_it(opener: str) -> None:
    text, edits = rewrite(ALL, f"{opener}\n{BASE}\n{opener}\n", BASE)
    assert edits == ()
    assert "was put back" not in text


rows = st.one_of(
    st.sampled_from(BASE.split("\n")),
    st.text(max_size=40).map(lambda words: words.replace("\n", " ")),
    st.sampled_from(["[] new {p0}", "[x] y", "[]", "```", "<!--", "-->", "## Failed", "## Pending", "# Other",
                     "- x", "[❌ w-1] gh-1: stop", "- Reason: z", "[] gh-450: again", "[🟡 w-9, t] gh-9: q"]),
)


@given(st.lists(rows, max_size=30).map("\n".join))
def test_whatever_a_person_leaves_every_task_stands_once_and_a_second_look_asks_for_nothing(text: str) -> None:
    first, _ = rewrite(ALL, text, BASE)
    second, edits = rewrite(ALL, first, first)
    assert edits == ()
    for entry in ALL:
        line = render((entry,)).split(f"## {entry.section}\n\n")[1].split("\n")[0]
        assert second.split("\n").count(line) == 1


words_of_people = st.text(alphabet="ab -*>|#!`", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(words_of_people, max_size=8))
def test_no_foreign_line_is_ever_lost(words: list[str]) -> None:
    text = rewrite(ALL, BASE.replace("## Active\n", "## Active\n" + "\n".join(words) + "\n"), BASE).text
    left = text.split("\n")
    for word in words:
        left.remove(word)


def test_a_file_of_a_megabyte_is_read_in_linear_time() -> None:
    began = time.process_time()
    long = "[" * 300_000 + "\n[] " + "x " * 200_000 + "{p1}\n" + "#" * 100_000 + " y" * 90_000
    rewrite(ALL, BASE + long, BASE)
    assert time.process_time() - began < 5
