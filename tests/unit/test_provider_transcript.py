"""The transcript that grows beside a run: in step, in one shape, masked, and whole after any crash."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.providers import provider
from coordinator.adapters.providers.transcript import Transcriber
from coordinator.adapters.system import seam
from coordinator.ports import Finished, Recording
from coordinator.runfiles.masking import Masker

RECORDINGS = Path(__file__).parents[1] / "recordings" / "claude"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "hunter2-hunter2"


def transcriber() -> Transcriber:
    return Transcriber(provider, Masker([SECRET]))


@pytest.fixture
def run(tmp_path: Path) -> Recording:
    return Recording(
        "gh-1",
        "claude",
        1,
        "20260102030405",
        tmp_path / "gh-1.log",
        tmp_path / "gh-1.err",
        tmp_path / "logs" / "gh-1.jsonl",
    )


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def recorded(run: Recording, name: str, ended: str = "exit 0") -> list[dict[str, Any]]:
    run.log.write_bytes((RECORDINGS / f"{name}.jsonl").read_bytes())
    transcriber().finish(run, NOW, ended)
    return objects(run.target)


def texts(lines: list[dict[str, Any]]) -> list[str]:
    """select(.type=="assistant") | .message.content[] | select(.type=="text").text"""
    return [
        b["text"] for o in lines if o["type"] == "assistant" for b in o["message"]["content"] if b["type"] == "text"
    ]


def tools(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(
        b["name"] for o in lines if o["type"] == "assistant" for b in o["message"]["content"] if b["type"] == "tool_use"
    )


def errors(lines: list[dict[str, Any]]) -> list[str]:
    return [o["error"]["message"] for o in lines if o["type"] == "error"]


@pytest.mark.req("E7", "E8")
def test_the_three_questions_of_the_guide_are_answered_by_a_claude_transcript(run: Recording) -> None:
    lines = recorded(run, "max-turns", "exit 1")
    assert tools(lines) == {"Bash": 3}
    assert errors(lines)
    assert texts(recorded(replace(run, run_id="2"), "stream")) == ["I will do it. ", "All done. "]


@pytest.mark.req("E7", "E8")
def test_the_three_questions_are_answered_for_a_program_of_plain_text_too(run: Recording) -> None:
    run.log.write_text("reading\n\nwriting\n")
    run.err.write_text("note: fine\nfatal: it broke\n")
    transcriber().finish(replace(run, provider="command"), NOW, "exit 2")
    lines = objects(run.target)
    assert texts(lines) == ["reading", "writing"]
    assert errors(lines) == ["fatal: it broke"]


@pytest.mark.req("E8")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize(
    ("query", "name", "printed"),
    [
        ('select(.type=="assistant") | .message.content[] | select(.type=="text").text', "stream", "I will do it."),
        ('select(.type=="assistant") | .message.content[] | select(.type=="tool_use").name', "stream", "Bash"),
        ('select(.type=="error")', "e401", "authentication_failed"),
    ],
)
def test_jq_itself_prints_what_the_guide_promises(run: Recording, query: str, name: str, printed: str) -> None:
    recorded(run, name)
    out = subprocess.run(["jq", "-r", query, str(run.target)], capture_output=True, text=True, check=True).stdout
    assert printed in out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("e429once", ["rate limit (429), waits 2.0 s (attempt 1 of 2)"]),
        ("e400credit", ["Credit balance is too low"]),
        ("hook-stop", ["refused tool: Bash"]),
        ("max-turns", ["error_max_turns, max_turns"]),
    ],
)
def test_each_failure_has_an_error_line_and_only_one(run: Recording, name: str, words: list[str]) -> None:
    assert errors(recorded(run, name)) == words


@pytest.mark.req("P55")
def test_stderr_enters_the_transcript_as_masked_json_and_in_no_other_way(run: Recording) -> None:
    run.err.write_text(f"progress 10%\nError: token {SECRET} refused\n")
    lines = recorded(run, "stream", "exit 1")
    assert errors(lines) == ["Error: token *** refused"]
    assert "progress" not in run.target.read_text()
    assert lines[-1]["how"] == "exit 1"


@pytest.mark.req("P55")
@pytest.mark.parametrize("within_a_second", [False, True])
def test_the_next_attempt_keeps_the_transcript_of_the_one_before(run: Recording, *, within_a_second: bool) -> None:
    first = recorded(run, "e401")
    second = recorded(replace(run, attempt=2, run_id=run.run_id if within_a_second else "later"), "stream")
    assert objects(run.target.with_name("gh-1.1.jsonl")) == first
    assert second[0]["attempt"] == 2


def test_secrets_of_the_environment_and_of_known_makers_are_masked_everywhere(run: Recording) -> None:
    token = "ghp_" + "b2" * 18
    call = {"type": "tool_use", "name": "Bash", "input": {"command": f"curl -u {SECRET}", token: "x"}}
    body = {"type": "assistant", "message": {"content": [{"type": "text", "text": f"use {token}"}, call]}}
    run.log.write_text(json.dumps(body) + "\n")
    signs = transcriber().follow(run, NOW)
    assert SECRET not in run.target.read_text() + signs.last
    assert token not in run.target.read_text()
    assert "***" in run.target.read_text()


def test_a_transcript_is_its_owner_s_alone_and_no_link_in_its_place_is_written_through(run: Recording) -> None:
    whole = (RECORDINGS / "stream.jsonl").read_bytes()
    cut = whole.index(b"\n") + 1
    follower = transcriber()
    run.log.write_bytes(whole[:cut])
    follower.follow(run, NOW)
    assert run.target.stat().st_mode & 0o777 == 0o600
    outside = run.log.with_name("outside")
    outside.write_bytes(b"mine\n")
    run.target.unlink()
    run.target.symlink_to(outside)
    run.log.write_bytes(whole)
    follower.follow(run, NOW)
    assert outside.read_bytes() == b"mine\n"
    assert (run.target.is_symlink(), len(objects(run.target))) == (False, 7)
    run.target.unlink()
    os.mkfifo(run.target)
    assert transcriber().finish(run, NOW, "exit 0").events == 6
    assert len(objects(run.target)) == 8


def test_a_torn_last_line_waits_until_it_is_whole(run: Recording) -> None:
    whole = (RECORDINGS / "stream.jsonl").read_bytes()
    cut = whole.index(b"\n") + 50
    follower = transcriber()
    run.log.write_bytes(whole[:cut])
    assert follower.follow(run, NOW).events == 1
    assert len(objects(run.target)) == 2
    run.log.write_bytes(whole)
    signs = follower.follow(run, NOW)
    assert len(objects(run.target)) == 7
    assert (signs.events, signs.usage.tokens_in, signs.session_id[:8]) == (6, 200, "f9ec2ff0")


@given(
    cuts=st.lists(st.integers(0, 6000), max_size=6),
    restarts=st.sets(st.integers(0, 6)),
    name=st.sampled_from(["stream", "e429", "sigint-tool"]),
)
def test_however_it_was_followed_and_interrupted_the_transcript_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], restarts: set[int], name: str
) -> None:
    folder = tmp_path_factory.mktemp("run")
    run = Recording("gh-1", "claude", 1, "r", folder / "log", folder / "err", folder / "logs" / "gh-1.jsonl")
    whole = (RECORDINGS / f"{name}.jsonl").read_bytes()
    follower = transcriber()
    for index, cut in enumerate(sorted(cuts)):
        run.log.write_bytes(whole[:cut])
        follower.follow(run, NOW)
        if index in restarts:
            follower = transcriber()
            with run.target.open("ab") as torn:
                torn.write(b'{"type":"assi')
    run.log.write_bytes(whole)
    follower.finish(run, NOW, "exit 0")
    follower.finish(run, NOW, "exit 0")
    other = replace(run, target=folder / "other" / "gh-1.jsonl")
    transcriber().finish(other, NOW, "exit 0")
    assert run.target.read_bytes() == other.target.read_bytes()


def test_a_new_process_keeps_the_times_at_which_lines_were_seen(run: Recording) -> None:
    recorded(run, "stream")
    before = run.target.read_bytes()
    transcriber().follow(run, NOW + timedelta(days=1))
    assert run.target.read_bytes() == before


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_run_uses_is_known_while_no_transcript_can_be_written_at_all(run: Recording) -> None:
    """The caps hold by it: a full disk must not let an agent spend without end."""
    follower, lines = transcriber(), (RECORDINGS / "stream.jsonl").read_bytes().splitlines(keepends=True)
    known = []
    for count in (1, 3, len(lines)):
        run.log.write_bytes(b"".join(lines[:count]))
        with no_file_longer_than(0):
            signs = follower.follow(run, NOW)
        known.append((signs.events, signs.usage.tokens_in, bool(signs.unwritten)))
    assert known == [(1, None, True), (3, 100, True), (6, 200, True)]
    assert not run.target.exists()
    signs = follower.follow(run, NOW)
    assert (signs.events, signs.unwritten, len(objects(run.target))) == (6, "", 7)


@pytest.mark.parametrize("room", [0, 10])
@pytest.mark.parametrize("ends", [False, True])
def test_a_disk_that_fills_up_midway_costs_no_line_once_there_is_room_again(
    run: Recording, room: int, ends: bool
) -> None:
    follower = transcriber()
    look = partial(follower.finish, run, NOW, "exit 0") if ends else partial(follower.follow, run, NOW)
    refused = pytest.raises(OSError, match="too large") if ends else nullcontext()
    whole = (RECORDINGS / "stream.jsonl").read_bytes()
    run.log.write_bytes(whole[: whole.index(b"\n") + 1])
    follower.follow(run, NOW)
    run.log.write_bytes(whole)
    with no_file_longer_than(run.target.stat().st_size + room):
        with refused:
            signs = look()
        assert ends or ("too large" in signs.unwritten, signs.events, signs.usage.tokens_out) == (True, 6, 20)
    signs = look()
    assert (signs.events, signs.unwritten) == (6, "")
    assert len(objects(run.target)) == 7 + ends


def test_every_write_of_a_transcript_passes_the_seam_and_an_idle_look_writes_nothing(run: Recording) -> None:
    crossed: list[tuple[str, str, str]] = []
    stop = seam.watch(lambda *what: crossed.append(what))
    try:
        follower = transcriber()
        run.log.write_bytes(b'{"type":"error","error":"one"}\n')
        for _ in range(3):
            follower.follow(run, NOW)
        assert [kind for when, kind, _ in crossed if when == "before"] == ["file", "file"]
        run.log.write_bytes(run.log.read_bytes() * 2)
        follower.follow(run, NOW)
        assert crossed[-1] == ("after", "file", "transcript gh-1.jsonl")
        assert len(crossed) == 6
    finally:
        stop()


def test_what_prints_faster_than_it_can_be_followed_is_taken_in_by_parts_and_whole_at_its_end(
    run: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.adapters.providers.transcript.MOST_A_LOOK", 100)
    run.log.write_bytes(b"")
    trans = transcriber()
    trans.follow(run, NOW)
    with run.log.open("ab") as log:
        log.writelines(b"%09d\n" % number for number in range(95))
    seen = []
    for _ in range(3):
        trans.follow(run, NOW)
        seen.append(len(objects(run.target)) - 1)
    assert seen == [10, 20, 30]
    trans.finish(run, NOW, "exit 0")
    said = [one["content"] for one in objects(run.target) if one.get("subtype") == "output"]
    assert said == [f"{number:09}" for number in range(95)]


def test_a_transcript_outlives_its_raw_log(run: Recording) -> None:
    lines = recorded(run, "stream")
    run.log.unlink()
    transcriber().follow(run, NOW)
    assert objects(run.target) == lines


def test_a_line_without_end_is_left_out_with_words(run: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.adapters.providers.rawlog.LONGEST_LINE", 100)
    run.log.write_bytes(b"x" * 1000 + b"\n" + b'{"type":"error","error":"short"}\n')
    transcriber().finish(run, NOW, "exit 1")
    assert len(errors(objects(run.target)[:2])) == 1
    assert objects(run.target)[2]["error"] == "short"


def test_a_line_that_never_ends_is_told_once_and_not_read_anew_at_each_look(
    run: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.adapters.providers.rawlog.LONGEST_LINE", 100)
    trans, seen = transcriber(), []
    for piece in (b"", b"first\n" + b"x" * 1000, b"y" * 1000, b"", b"z" * 10 + b"\nlast\n"):
        with run.log.open("ab") as log:
            log.write(piece)
        trans.follow(run, NOW)
        if piece:   # what was seen of it is not looked at again: it may be gigabytes
            with run.log.open("r+b") as log:
                log.write(b"?" * (run.log.stat().st_size - 1))
        seen.append([one.get("content") or one["error"]["message"] for one in objects(run.target)[1:]])
    assert [len(words) for words in seen] == [0, 2, 2, 2, 3]
    assert (seen[-1][0], seen[-1][2]) == ("first", "last")


def test_the_last_sign_is_what_the_agent_does_now(run: Recording) -> None:
    run.log.write_bytes(b"".join((RECORDINGS / "stream.jsonl").read_bytes().splitlines(keepends=True)[:3]))
    signs = transcriber().follow(run, NOW)
    assert signs.last.startswith("Bash echo hi > f && git add f")
    assert signs.last_at == NOW


@pytest.mark.parametrize("name", ["claude", "codex", "command", "gemini", "opencode"])
@pytest.mark.parametrize("body", [
    '{"type":"user","message":{"content":[{"type":"tool_result","content":%s}]}}',
    '{"type":"assistant","message":{"content":[{"type":"tool_use","name":"x","input":%s}]}}',
    '{"type":"tool_use","tool_name":"x","parameters":%s,"part":{"state":{"status":"completed","output":%s}}}',
    '{"type":"item.completed","item":{"type":"mcp_tool_call","arguments":%s,"result":%s}}',
])  # fmt: skip
def test_an_object_nested_without_end_ends_neither_the_transcript_nor_the_judgement(
    run: Recording, name: str, body: str
) -> None:
    for opening, inner, closing in ("[", "1", "]"), ('{"a":', "1", "}"):
        for depth in 90, 400, 960, 5000:
            line = body.replace("%s", opening * depth + inner + closing * depth).encode() + b"\n"
            run.log.write_bytes(line)
            transcriber().finish(replace(run, provider=name, run_id=f"{opening}{depth}"), NOW, "exit 1")
            assert objects(run.target)[-1]["how"] == "exit 1"
            provider(name).judge(Finished(1, None, "process_exit", [line], "", None))
