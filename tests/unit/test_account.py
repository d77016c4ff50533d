"""What a transcript comes to, told fast, is what a plain slow reading of it tells: for whatever bytes."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.cli import events
from coordinator.cli.summing import BLOCK, LONGEST_LINE, account_of
from coordinator.cli.views.account import Account, as_data, lines
from coordinator.cli.views.conversation import moment
from coordinator.cli.views.frame import Facts
from coordinator.cli.views.names import LONGEST_NAME, MOST_NAMES, OTHERS, Names
from coordinator.runfiles.tongues import tongue
from coordinator.runfiles.verdict.lines import parse
from coordinator.runfiles.verdict.reading import read
from coordinator.runfiles.verdict.tally import REMEMBERED, Tally

Body = dict[str, Any]
RECORDINGS = Path(__file__).parents[1] / "recordings"
AGENTS = sorted(one for one in RECORDINGS.rglob("*.jsonl") if one.relative_to(RECORDINGS).parts[0] != "github")


def told(*bodies: Body | bytes) -> Body:
    return as_data(Facts("gh-471"), account(*bodies))


def account(*bodies: Body | bytes) -> Account:
    whole = b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in bodies)
    return account_of(io.BytesIO(whole))


def said(*blocks: Body, ident: str = "m1", **usage: Any) -> Body:
    return {"type": "assistant", "message": {"id": ident, "content": list(blocks), "usage": usage}}


def call(ident: str, name: str = "Bash") -> Body:
    return {"type": "tool_use", "id": ident, "name": name, "input": {"command": "x" * 50}}


def back(ident: str, *, bad: bool) -> Body:
    block = {"type": "tool_result", "tool_use_id": ident, "content": "…", "is_error": bad}
    return {"type": "user", "message": {"content": [block]}}


TEXT = {"type": "text", "text": "words"}
RESULT = {
    "type": "result", "is_error": False, "total_cost_usd": 0.25, "permission_denials": [{"tool_name": "Bash"}],
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 5, "output_tokens": 7},
}  # fmt: skip


@pytest.mark.parametrize(("bodies", "facts"), [
    ((), {"events": 0, "tokens_in": None, "tokens_out": None, "cost_usd": None, "first": None, "tools": {}}),
    ((said(TEXT, input_tokens=3), said(TEXT, input_tokens=3, output_tokens=9)),
     {"events": 2, "messages": 2, "tokens_in": 3, "tokens_out": 9, "cost_usd": None}),
    ((said(output_tokens=1), said(output_tokens=2, ident="m2"), said(output_tokens=4)), {"tokens_out": 6}),
    ((said(output_tokens=99), RESULT), {"tokens_in": 35, "tokens_out": 7, "cost_usd": 0.25, "denied": 1}),
    ((said(call("a"), call("b", "Read")), back("b", bad=True), back("a", bad=False)),
     {"tools": {"Bash": {"calls": 1, "failed": 0}, "Read": {"calls": 1, "failed": 1}}}),
    ((back("of-nobody", bad=True),), {"tools": {"?": {"calls": 0, "failed": 1}}}),
    (({"type": "system", "subtype": "api_retry"},
      {"type": "error", "error": {"type": "rate_limit", "message": "m"}}, {"type": "error", "error": "plain"}),
     {"retries": 1, "errors": {"rate_limit": 1, "?": 1}}),
    (({"type": "stream_event"}, {"type": "stream_event"}, {"type": 7}, {"type": "system", "subtype": "output"}),
     {"unknown": {"stream_event": 2, "?": 1, "output": 1}, "events": 4}),
    (({"type": "rate_limit_event"}, {"type": "system", "subtype": "init"}), {"events": 2, "unknown": {}}),
    (({"type": "assistant", "error": "billing_error", "message": {"content": [TEXT]}},), {"messages": 0}),
    (({"type": "assistant", "message": "plain"}, {"type": "assistant", "message": {"content": ["one", "two"]}}),
     {"messages": 3}),
    (({"timestamp": "2026-01-02T03:04:05Z"}, {"timestamp": "soon"}, {"timestamp": "2026-01-02T04:00:00+00:00"}),
     {"first": "2026-01-02T03:04:05+00:00", "last": "2026-01-02T04:00:00+00:00"}),
])  # fmt: skip
@pytest.mark.req("N12")
def test_an_account_tells(bodies: tuple[Body, ...], facts: Body) -> None:
    found = told(*bodies)
    assert {key: found[key] for key in facts} == facts


GOOD = json.dumps(said(call("a"), input_tokens=1)).encode()


@pytest.mark.parametrize(("line", "events_of", "unreadable"), [
    (b"", 0, 0),
    (b" \t\r\n\n", 0, 0),
    (GOOD, 1, 0),
    (GOOD + b"\r\n", 1, 0),
    (b"  " + GOOD + b"\n", 1, 0),
    (GOOD[:-5], 0, 1),
    (GOOD[:40] + GOOD + b"\n" + GOOD, 1, 1),
    (b"Error: ENOENT\n    at main.js:1\n" + GOOD, 1, 2),
    (b"\0" * 5000 + b"\n" + GOOD, 1, 1),
    (GOOD.replace(b"xxx", b"x\0x") + b"\n" + GOOD, 1, 1),
    (GOOD.replace(b"xxx", b"\xff\xfe\xc3"), 1, 0),
    (GOOD.replace(b"Bash", b"B\xffsh"), 1, 0),
    (GOOD.replace(b"xxx", rb"\ud800"), 1, 0),
    (b'[1,2]\n7\nnull\n"text"\n{}', 1, 4),
    (b"\xef\xbb\xbf" + GOOD, 0, 1),
    (b'{"a":' * 100_000, 0, 1),
    (b'{"type":"x","a":' + b"[" * 100_000, 0, 1),
    (b"x" * (LONGEST_LINE + BLOCK) + b"\n" + GOOD + b"\n" + b"{" * (LONGEST_LINE + 1), 1, 2),
    (b'{"type":"user","a":"' + b"x" * (10 << 20) + b'"}\n' + GOOD, 2, 0),
])  # fmt: skip
def test_hostile_lines_are_passed_over_and_counted(line: bytes, events_of: int, unreadable: int) -> None:
    found = account(line)
    assert (found.events, found.unreadable) == (events_of, unreadable)


class Slow:
    """The same account by the book: whole lines, the standard library's JSON, everything remembered."""

    def __init__(self, whole: bytes) -> None:
        self.usage: dict[Any, tuple[int, int]] = {}
        self.total: tuple[int | None, int | None, float | None] = (None, None, None)
        self.calls: dict[Any, str] = {}
        self.counts: Counter[str] = Counter()
        self.tools, self.failed, self.errors, self.unknown = (Counter[str]() for _ in range(4))
        self.times: list[str] = []
        *ended, torn = whole.split(b"\n")
        for line in (*ended, torn):
            if line.strip():
                body = parse(line)
                if body is None and self.times and line is not torn and quiet(line):
                    body = {"type": "user"}   # by its first and its last bytes
                self.counts["unreadable" if body is None else "events"] += 1
                self._feed({"type": "rate_limit_event"} if body is None else body)

    def _feed(self, body: Body) -> None:
        at = moment(body.get("timestamp"))
        self.times += [at.isoformat()] if at else []
        message = body.get("message")
        content = message.get("content") if isinstance(message, dict) else message
        words = [content] if isinstance(content, str) else content if isinstance(content, list) else []
        blocks = [one if isinstance(one, dict) else {"type": "text"} for one in words]
        match body.get("type"):
            case "assistant":
                self._assistant(body, message if isinstance(message, dict) else {}, blocks)
            case "user":
                for block in blocks:
                    if block.get("type") == "tool_result" and block.get("is_error"):
                        self.failed[self.calls.get(key(block.get("tool_use_id")), "?")] += 1
            case "system":
                self.counts["retries"] += body.get("subtype") == "api_retry"
                self.unknown.update(["output"] * (body.get("subtype") == "output"))
            case "error":
                error = body.get("error")
                self.errors[name(error.get("type") if isinstance(error, dict) else None)] += 1
            case "result":
                usage, denied = body.get("usage"), body.get("permission_denials")
                cost = body.get("total_cost_usd")
                fine = isinstance(cost, int | float) and not isinstance(cost, bool) and abs(cost) < 1e300
                self.total = (*(tokens(usage) if isinstance(usage, dict) else (None, None)), cost if fine else None)
                self.counts["denied"] = len(denied) if isinstance(denied, list) else 0
            case "rate_limit_event":
                pass
            case other:
                self.unknown[name(other)] += 1

    def _assistant(self, body: Body, message: Body, blocks: list[Body]) -> None:
        if isinstance(message.get("usage"), dict):
            was, now = self.usage.get(key(message.get("id")), (0, 0)), tokens(message["usage"])
            self.usage[key(message.get("id"))] = (max(was[0], now[0]), max(was[1], now[1]))
        for block in blocks:
            if block.get("type") == "tool_use":
                self.tools[name(block.get("name"))] += 1
                self.calls[key(block.get("id"))] = name(block.get("name"))
            elif block.get("type") == "text":
                self.counts["messages"] += not (body.get("error") or isinstance(body.get("error"), dict))

    def facts(self) -> Body:
        got, gave, cost = self.total
        if got is None and self.usage:
            got, gave = (sum(one[at] for one in self.usage.values()) for at in (0, 1))
        both = {**self.tools, **self.failed}
        return {
            **{key: self.counts[key] for key in ("events", "unreadable", "messages", "retries", "denied")},
            "tokens_in": got, "tokens_out": gave, "cost_usd": cost,
            "tools": {one: {"calls": self.tools[one], "failed": self.failed[one]} for one in both},
            "errors": dict(self.errors), "unknown": dict(self.unknown),
            "first": self.times[0] if self.times else None, "last": self.times[-1] if self.times else None,
        }  # fmt: skip


def quiet(line: bytes) -> bool:
    fine = line.count(b'"is_error":false') == line.count(b'"is_error"')
    return fine and line.startswith(b'{"type":"user",') and line.endswith(b"}")


def key(ident: object) -> object:
    return ident if isinstance(ident, str | int) else 0


def name(value: object) -> str:
    return value[:LONGEST_NAME] if isinstance(value, str) and value else "?"


def tokens(usage: Body) -> tuple[int, int]:
    def whole(value: object) -> int:
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**50
        return int(value) if good else 0   # type: ignore[call-overload]

    cached = whole(usage.get("cache_creation_input_tokens")) + whole(usage.get("cache_read_input_tokens"))
    return whole(usage.get("input_tokens")) + cached, whole(usage.get("output_tokens"))


LEAF = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5)
JSON = st.recursive(LEAF, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=3), one, max_size=3),
                    max_leaves=5)  # fmt: skip
IDS = st.sampled_from(["a", "b", "c"]) | JSON
COUNTS = st.integers(0, 1000) | JSON
USAGE = st.fixed_dictionaries({}, optional={
    "input_tokens": COUNTS, "output_tokens": COUNTS, "cache_read_input_tokens": COUNTS, "other": JSON,
}) | JSON  # fmt: skip
BLOCKS = st.fixed_dictionaries({}, optional={
    "type": st.sampled_from(["text", "tool_use", "tool_result"]) | JSON, "id": IDS, "tool_use_id": IDS,
    "name": st.sampled_from(["Bash", "Read"]) | JSON, "is_error": st.booleans() | JSON, "content": JSON, "text": JSON,
}) | JSON  # fmt: skip
MESSAGES = st.fixed_dictionaries({}, optional={
    "id": IDS, "content": st.lists(BLOCKS, max_size=3) | JSON, "usage": USAGE, "model": JSON,
}) | JSON  # fmt: skip
KINDS = ["assistant", "user", "system", "result", "error", "rate_limit_event", "assistant", "user"]
BODIES = st.fixed_dictionaries({"type": st.sampled_from(KINDS) | JSON}, optional={
    "message": MESSAGES, "subtype": st.sampled_from(["api_retry", "output", "init"]) | JSON, "usage": USAGE,
    "error": JSON | st.fixed_dictionaries({"type": JSON}), "permission_denials": JSON, "total_cost_usd": JSON,
    "timestamp": st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:06.123+01:00", "soon"]) | JSON,
})  # fmt: skip
USERS = st.builds(lambda stamp, bad, text: {"type": "user", "message": {"content": [
    {"type": "tool_result", "tool_use_id": "a", "content": text, "is_error": bad}]}, "timestamp": stamp},
    st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:09Z", "soon"]), st.sampled_from([True, False, 0, 1]),
    st.sampled_from(["", '"is_error":true', "}"]))  # fmt: skip
WRITTEN = st.builds(
    lambda body, plain, gap: json.dumps(body, ensure_ascii=plain, separators=gap).encode("utf-8", "surrogatepass"),
    BODIES | USERS | JSON, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]),
)
HURT = st.builds(lambda line, at, put: line[: at % (len(line) + 1)] + put + line[at % (len(line) + 1):],
                 WRITTEN, st.integers(0, 10_000),
                 st.sampled_from([b"\n", b"\0", b"\xff", b'"', b"}", b"{", b"\\", b",", b" ", b"Error: ENOENT\n"]))
TORN = st.builds(lambda line, at: line[: at % (len(line) + 1)], WRITTEN, st.integers(0, 10_000))
STREAMS = st.lists(WRITTEN | WRITTEN | HURT | TORN | st.binary(max_size=20), max_size=6).map(b"\n".join)


@given(STREAMS)
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":"2026-01-02T03:04:07Z"}\n{"type":"x"}\n{')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":}\n{"type":"user","a":[{}\n')
@example(b'{"type":"result","total_cost_usd":1E400,"usage":{"input_tokens":1e3}}')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":"2026-01-02T03:04:07Z"}\n{"type":"x"}\n{')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":}\n{"type":"user","a":[{}\n')
@example(b'{"type":"assistant","message":{"id":1,"usage":{"input_tokens":18446744073709551616,"output_tokens":-5}}}')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":"2026-01-02T03:04:07Z"}\n{"type":"x"}\n{')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":}\n{"type":"user","a":[{}\n')
@example(b'{"type":"user","type":"assistant","message":{"content":[{"type":"text"}]},"message":null}')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":"2026-01-02T03:04:07Z"}\n{"type":"x"}\n{')
@example(b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"type":"user","timestamp":}\n{"type":"user","a":[{}\n')
@example(b'{"ty\\u0070e":"stream_event"}')
@pytest.mark.req("N12")
def test_the_fast_account_is_that_of_a_slow_reading_whatever_the_bytes(whole: bytes) -> None:
    found, slow = told(whole), Slow(whole).facts()
    assert {key: found[key] for key in slow} == slow
    assert "\x1b" not in "\n".join(lines(Facts("gh-471"), account(whole), UTC))


@given(st.lists(WRITTEN, max_size=5).map(b"\n".join), st.integers(1, 40))
def test_where_the_blocks_of_a_file_end_does_not_matter(whole: bytes, size: int) -> None:
    class Dribble(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(memoryview(buffer)[:size])

    assert as_data(Facts(""), account_of(Dribble(whole))) == as_data(Facts(""), account_of(io.BytesIO(whole)))


def test_of_a_long_line_of_another_shape_the_kind_and_the_time_count_alone() -> None:
    def line(filler: int) -> bytes:
        usage = b'"usage":{"input_tokens":1.5}'
        return b'{"type":"assistant","message":{"content":"' + b"x" * filler + b'",' + usage + b"}}"

    short, long = told(line(10)), told(line(events.LONGEST_SLOW))
    assert (short["events"], short["messages"], short["tokens_in"]) == (1, 1, 1)
    assert (long["events"], long["messages"], long["tokens_in"]) == (1, 1, None)


@pytest.mark.parametrize("recording", AGENTS, ids=lambda one: str(one.relative_to(RECORDINGS)))
@pytest.mark.req("N12")
def test_the_account_and_the_verdict_agree_on_every_recording(recording: Path) -> None:
    speaks = recording.relative_to(RECORDINGS).parts[0]
    raw = recording.read_bytes().splitlines()
    bodies = [one for line in raw if (body := parse(line)) for one in tongue(speaks)(body)]
    found = told(*(dict(one) for one in bodies))
    assert (found["tokens_in"], found["tokens_out"], found["cost_usd"]) == read(raw, speaks).tally.use


@pytest.mark.parametrize("recording", sorted((RECORDINGS / "claude").rglob("*.jsonl")), ids=lambda one: one.stem)
@pytest.mark.req("N12")
def test_tokens_and_cost_are_claude_s_own_totals_where_it_gives_them(recording: Path) -> None:
    results = [body for line in recording.read_bytes().splitlines() if (body := parse(line) or {})["type"] == "result"]
    found = told(recording.read_bytes())
    for last in results[-1:]:
        own = last["modelUsage"].values()
        assert found["cost_usd"] == last["total_cost_usd"] == pytest.approx(sum(one["costUSD"] for one in own))
        if last["subtype"] == "error_max_budget_usd":
            continue   # the message that went over it is in the cost and in the models' own tokens alone
        cached = sum(one["cacheReadInputTokens"] + one["cacheCreationInputTokens"] for one in own)
        assert found["tokens_in"] == sum(one["inputTokens"] for one in own) + cached
        assert found["tokens_out"] == sum(one["outputTokens"] for one in own)


@pytest.mark.req("N12")
def test_the_sum_over_messages_is_the_result_s_own_where_both_are_told() -> None:
    kept, printed = (told((RECORDINGS / "claude" / name).read_bytes()) for name in ("session.jsonl", "stream.jsonl"))
    assert kept["cost_usd"] is None, "the session as claude keeps it has no result: its messages are summed"
    assert (kept["tokens_in"], kept["tokens_out"]) == (printed["tokens_in"], printed["tokens_out"]) == (200, 20)


def test_names_without_end_take_a_page_and_lose_no_count() -> None:
    names = Names()
    for number in range(10_000):
        names.add(f"{number}" * 100)
    assert len(names.counts) == MOST_NAMES + 1
    assert (names.total, names.ranked()[0][0]) == (10_000, OTHERS)
    assert max(map(len, names.counts)) <= LONGEST_NAME


def test_a_message_is_counted_once_though_as_many_others_as_are_remembered_come_between_its_lines() -> None:
    tally = Tally()
    for ident in ("first", *range(REMEMBERED - 1), "first"):
        tally.spent(ident, 1, 2)
    assert tally.use == (REMEMBERED, 2 * REMEMBERED, None)


def test_the_account_reads_well() -> None:
    wild = {"type": "new\x1b[31m\nkind"}
    stamped = {"type": "system", "timestamp": "2026-01-02T03:04:05Z"}
    found = account(stamped, said(call("a"), call("b"), TEXT), back("b", bad=True), back("x", bad=True), wild,
                    {"type": "error", "error": {"type": "overloaded"}}, RESULT, b"torn")  # fmt: skip
    assert list(lines(Facts("gh-471"), found, UTC)) == [
        "gh-471 · claude",
        "tokens      35 in · 7 out · $0.25",
        "events      7 · 2026-01-02 03:04:05 → 2026-01-02 03:04:05",
        "messages    1",
        "tools       2 · 2 failed",
        "                    2  Bash · 1 failed",
        "                       1 failed, of no call that is known",
        "errors      1",
        "                    1  overloaded",
        "retries     0",
        "denied      1",
        "unknown     1",
        "                    1  new kind",
        "unreadable  1 lines",
    ]
