"""What a person sees of a transcript, whatever stands in it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.view import ViewOptions, task_of, transcript_path, view
from coordinator.cli.views.frame import duration, short
from coordinator.cli.views.harmless import harmless

Body = dict[str, Any]


def at(second: int, body: Body) -> Body:
    return {**body, "timestamp": f"2026-01-02T14:{5 + second // 60:02d}:{second % 60:02d}.000Z"}


def said(second: int, *blocks: Body | str, **fields: Any) -> Body:
    content = [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks]
    return at(second, {"type": "assistant", "message": {"id": f"m{second}", "content": content}, **fields})


def call(name: str, number: int = 1, **given: Any) -> Body:
    return {"type": "tool_use", "id": f"t{number}", "name": name, "input": given}


def returned(second: int, text: str, number: int = 1, *, failed: bool = False) -> Body:
    block = {"type": "tool_result", "tool_use_id": f"t{number}", "content": text, "is_error": failed}
    return at(second, {"type": "user", "message": {"content": [block]}})


STARTED = at(
    0, {"type": "system", "subtype": "coordinator_started", "task": "gh-471", "provider": "claude", "attempt": 1}
)
INIT = at(
    0,
    {"type": "system", "subtype": "init", "model": "claude-x", "session_id": "5f0c", "claude_code_version": "2.1.197"},
)
RESULT = at(
    729,
    {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "done",
        "total_cost_usd": 0.61,
        "usage": {"input_tokens": 212_000, "output_tokens": 9_000},
        "permission_denials": [],
    },
)
ENDED = at(729, {"type": "system", "subtype": "coordinator_ended", "how": "exit 0"})

STORY = [
    STARTED,
    INIT,
    said(3, "I'll look at the parser\nand its tests first."),
    said(5, call("Read", 1, file_path="src/parse.py")),
    returned(6, "code", 1),
    said(20, call("Bash", 2, command="pytest -q", timeout=600)),
    returned(24, "Exit code 1\n..F\n2 failed, 31 passed", 2, failed=True),
    said(51, call("Edit", 3, file_path="src/parse.py", old_string="a\nb", new_string="a\nb\nc")),
    returned(52, "ok", 3),
    said(60, call("Grep", 4, pattern="def parse", path="src")),
    returned(61, "src/parse.py", 4),
    at(
        273,
        {
            "type": "system",
            "subtype": "api_retry",
            "attempt": 1,
            "max_retries": 10,
            "retry_delay_ms": 31000,
            "error_status": 429,
            "error": "rate_limit",
        },
    ),
    at(
        273,
        {
            "type": "error",
            "error": {"type": "rate_limit", "message": "rate limit (429), waits 31.0 s (attempt 1 of 10)"},
        },
    ),
    said(400, "All done."),
    RESULT,
    ENDED,
]


def shown(tmp_path: Path, bodies: list[Any], **options: bool) -> list[str]:
    path = tmp_path / "gh-471.jsonl"
    path.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in bodies))
    out, err = io.StringIO(), io.StringIO()
    assert view(path, ViewOptions(**options), out, err, zone=UTC) == 0
    assert err.getvalue() == ""
    return out.getvalue().splitlines()


@pytest.mark.req("E1", "E3", "E4", "E5", "E6", "F12")
def test_a_run_reads_as_a_conversation(tmp_path: Path) -> None:
    assert shown(tmp_path, STORY) == [
        "gh-471 · claude 2.1.197 · claude-x · session 5f0c · 14:05:00 → 14:17:09 (12m 09s) · exit 0",
        "14:05:03  💬  I'll look at the parser",
        "              and its tests first.",
        "14:05:05  📖  Read src/parse.py   ✓ 1.0 s",
        '14:05:20  🔧  Bash pytest -q   ✗ exit 1 · 4.0 s   "2 failed, 31 passed"',
        "14:05:51  ✏️  Edit src/parse.py +3 −2   ✓ 1.0 s",
        "14:06:00  🔎  Grep def parse in src   ✓ 1.0 s",
        "14:09:33  ⚠️  rate limit (429), waits 31.0 s (attempt 1 of 10)",
        "14:11:40  💬  All done.",
        "2 messages · 4 tool uses (1 Read, 1 Bash, 1 Edit, 1 Grep) · 212k in / 9k out · $0.61 · 0 denied",
    ]


def test_tokens_that_nobody_told_are_no_zero(tmp_path: Path) -> None:
    ended = {"type": "result", "subtype": "success", "is_error": False, "result": "ok"}
    assert shown(tmp_path, [ended])[-1].split(" · ")[2] == "no tokens told"


@pytest.mark.req("E2")
def test_detailed_shows_every_parameter_and_result_whole(tmp_path: Path) -> None:
    lines = [line.strip() for line in shown(tmp_path, STORY, detailed=True)]
    for wanted in ("timeout: 600", "old_string: a", "new_string: a", "│ 2 failed, 31 passed", "pattern: def parse"):
        assert wanted in lines


def test_tools_and_errors_narrow_what_is_shown(tmp_path: Path) -> None:
    tools, errors = shown(tmp_path, STORY, tools=True), shown(tmp_path, STORY, errors=True)
    assert [line[10:18].split()[1] for line in tools[1:-1]] == ["Read", "Bash", "Edit", "Grep"]
    assert len(errors) == 4
    assert "2 failed" in errors[1]
    assert "rate limit" in errors[2]


def test_json_prints_the_objects_one_a_line(tmp_path: Path) -> None:
    assert [json.loads(line) for line in shown(tmp_path, [*STORY, b'{"torn', b"\n"], as_json=True)] == STORY
    assert len(shown(tmp_path, STORY, as_json=True, tools=True)) == 8
    assert len(shown(tmp_path, STORY, as_json=True, errors=True)) == 1


@pytest.mark.req("P66")
def test_string_content_and_lines_that_are_no_objects_do_no_harm(tmp_path: Path) -> None:
    plain = at(1, {"type": "assistant", "message": {"content": "plain words"}})
    lines = shown(tmp_path, [plain, b"[1, 2]\n", b"7\n", b"\xff\xfe\n", {"type": "new"}, b'{"type":"assist'])
    assert "plain words" in lines[1]
    assert "5 unknown lines" in lines[-1]


@pytest.mark.req("P66")
def test_errors_and_a_bad_result_are_shown(tmp_path: Path) -> None:
    bad = at(
        9,
        {
            "type": "result",
            "subtype": "error_max_turns",
            "is_error": True,
            "permission_denials": [{"tool_name": "Bash"}],
        },
    )
    lines = shown(tmp_path, [said(8, "no credit", error="billing_error"), bad])
    assert lines[0].endswith("failed")
    assert [line[10:] for line in lines[1:-1]] == ["❌  no credit", "🚫  refused tool: Bash", "❌  error_max_turns"]
    assert "1 denied" in lines[-1]


@pytest.mark.req("P66")
def test_without_a_transcript_it_names_the_file_it_looked_for_and_fails(tmp_path: Path) -> None:
    (tmp_path / "gh-9.jsonl").touch()
    out, err = io.StringIO(), io.StringIO()
    assert view(tmp_path / "gh-471.jsonl", ViewOptions(), out, err) == 1
    assert out.getvalue() == ""
    assert str(tmp_path / "gh-471.jsonl") in err.getvalue()
    assert "There are: gh-9.jsonl" in err.getvalue()


def test_a_torn_last_line_and_an_empty_file_do_no_harm(tmp_path: Path) -> None:
    assert "I'll look" in "\n".join(shown(tmp_path, [*STORY[:3], json.dumps(STORY[3]).encode()[:40]]))
    assert shown(tmp_path, [])[-1].startswith("0 messages · 0 tool uses")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07shown", "shown"),
        ("\x1b]8;;http://evil\x1b\\link", "link"),
        ("back\x08\x08", "back\\u0008\\u0008"),
        ("over\rwrite", "over\\u000dwrite"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\x9b31m", "\\u009b31m"),
        ("tag\U000e0041", "tag\\ue0041"),
        ("lone\ud800", "lone\\ud800"),
        ("two\r\nlines\tand 👩‍💻 ü", "two\nlines   and 👩‍💻 ü"),
    ],
)
def test_foreign_text_cannot_move_the_cursor_or_reorder_words(text: str, plain: str) -> None:
    assert harmless(text) == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
KEYS = (
    "message",
    "content",
    "error",
    "result",
    "subtype",
    "timestamp",
    "usage",
    "permission_denials",
    "level",
    "total_cost_usd",
    "retry_delay_ms",
)
SUBTYPES = st.sampled_from(["init", "api_retry", "informational", "output", "coordinator_started", "success"])
BODIES = st.builds(
    lambda kind, subtype, rest: {**rest, "type": kind, **({"subtype": subtype} if subtype else {})},
    st.sampled_from(["assistant", "user", "system", "result", "error", "other"]) | JSON,
    st.none() | SUBTYPES,
    st.dictionaries(st.sampled_from(KEYS), JSON | st.fixed_dictionaries({"content": JSON, "usage": JSON, "id": JSON})),
)


@given(st.lists(BODIES | JSON, max_size=8), st.booleans())
def test_no_json_whatever_breaks_the_view(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[Any], detailed: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = "\n".join(shown(folder, bodies, detailed=detailed))
    assert "\x1b" not in text
    shown(folder, bodies, as_json=True)


def test_a_live_run_is_followed_to_its_end_and_results_follow_their_calls(tmp_path: Path) -> None:
    path = tmp_path / "gh-471.jsonl"
    rest = [json.dumps(one).encode() + b"\n" for one in STORY]
    path.write_bytes(b"".join(rest[:4]) + rest[4][:30])
    written = [rest[4][30:], *rest[5:]]
    out = io.StringIO()

    def pause(_: float) -> None:
        with path.open("ab") as grown:
            grown.write(written.pop(0))

    assert view(path, ViewOptions(follow=True), out, io.StringIO(), zone=UTC, pause=pause) == 0
    lines = out.getvalue().splitlines()
    assert "still running" in lines[0]
    assert lines[3:5] == ["14:05:05  📖  Read src/parse.py", "14:05:06  ↳  Read src/parse.py  ✓ 1.0 s"]
    assert written == []


def test_following_goes_on_when_the_transcript_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "gh-471.jsonl"
    rest = [json.dumps(one).encode() + b"\n" for one in STORY]
    path.write_bytes(b"".join(rest[:5]))
    out = io.StringIO()

    def pause(_: float) -> None:
        anew = tmp_path / "anew"
        anew.write_bytes(b"".join(rest))
        anew.replace(path)

    assert view(path, ViewOptions(follow=True), out, io.StringIO(), zone=UTC, pause=pause) == 0
    assert out.getvalue().count("Read src/parse.py") == 2
    assert "All done." in out.getvalue()


def test_a_call_whose_result_never_comes_holds_back_no_more_than_a_page(tmp_path: Path) -> None:
    lines = shown(tmp_path, [said(1, call("Bash", 1, command="sleep")), *(said(2, f"word {n}") for n in range(500))])
    assert lines[1].endswith("Bash sleep")
    assert len(lines) == 503


def test_the_first_page_of_a_huge_transcript_stands_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gh-471.jsonl"
    with path.open("wb") as out:
        out.write(b"".join(json.dumps(one).encode() + b"\n" for one in STORY[:4]))
        out.truncate(1 << 30)

    class Page(io.StringIO):
        def write(self, text: str) -> int:
            if "I'll look" in text:
                raise BrokenPipeError
            return super().write(text)

        def fileno(self) -> int:
            return spare.fileno()

    with (tmp_path / "spare").open("wb") as spare:
        page = Page()
        assert view(path, ViewOptions(), page, io.StringIO(), zone=UTC) == 0
    assert page.getvalue().startswith("gh-471 · claude")


def test_an_attempt_that_was_moved_aside_is_found_by_its_number(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "gh-471.1.jsonl").touch()
    (logs / "gh-471.jsonl").write_text(json.dumps({**STARTED, "attempt": 2}) + "\n")
    assert transcript_path(tmp_path, "gh-471").name == "gh-471.jsonl"
    assert transcript_path(tmp_path, "gh-471", 1).name == "gh-471.1.jsonl"
    assert transcript_path(tmp_path, "gh-471", 2).name == "gh-471.jsonl"
    assert transcript_path(tmp_path, "gh-471", 3).name == "gh-471.3.jsonl"


@pytest.mark.parametrize(
    ("given", "task"), [("471", "gh-471"), ("#471", "gh-471"), ("gh-471", "gh-471"), ("m-3", "m-3")]
)
def test_an_issue_is_named_as_people_name_it(given: str, task: str) -> None:
    assert task_of(given) == task


@pytest.mark.parametrize("given", ["../../etc/passwd", "", "a b", ".hidden"])
def test_a_name_that_is_no_task_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="Give a number such as 471"):
        task_of(given)


def test_sizes_and_times_are_for_people() -> None:
    assert [short(n) for n in (950, 9_400, 212_000, 2_100_000)] == ["950", "9k", "212k", "2.1M"]
    assert [duration(n) for n in (9, 729, 3_725)] == ["9s", "12m 09s", "1h 02m"]


@pytest.mark.req("F12")
def test_reading_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys, coordinator.cli.view; print([n for n in sys.modules if n.split('.')[0] in "
        "('rich', 'typer', 'msgspec', 'sqlalchemy', 'github', 'git', 'apscheduler', 'psutil')])"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
