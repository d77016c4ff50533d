"""One normal form for all agents: a recorded session of each becomes a transcript as its golden file has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.providers import provider
from coordinator.adapters.providers.transcript import Transcriber
from coordinator.ports import Recording, Signs
from coordinator.runfiles.masking import Masker
from tests.recordings.record import recorded, runs
from tests.support.conformance import PROVIDERS

GOLDEN = Path(__file__).parents[1] / "golden" / "transcripts"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "planted-token-of-nobody"
COMMITS = {name: list(run.lines) for name, version, row, run in runs()
           if row == "commit" and version == recorded(name)}  # fmt: skip
ODD = {"type": "hologram", "beam": [1, {"text": SECRET}], "part": 7}


def transcript(name: str, lines: list[bytes], folder: Path) -> tuple[Signs, list[dict[str, Any]]]:
    run = Recording("gh-1", name, 1, "20260102030405", folder / "log", folder / "err", folder / "logs" / "gh-1.jsonl")
    run.log.write_bytes(b"".join(lines))
    signs = Transcriber(provider, Masker([SECRET])).finish(run, NOW, "exit 0")
    return signs, [json.loads(line) for line in run.target.read_text("utf-8").splitlines()]


def in_short(lines: list[dict[str, Any]]) -> str:
    """A line each: what people and scripts read out of a transcript; claude's own lines hold much more."""
    return "".join(f"{line}\n" for body in lines for line in _parts(body))


def _parts(body: dict[str, Any]) -> list[str]:
    kind = "/".join(str(body[key]) for key in ("type", "subtype") if key in body)
    content = body.get("message", {}).get("content") if isinstance(body.get("message"), dict) else None
    if isinstance(content, list):
        return [f"{kind} {_block(block)}" for block in content] or [kind]
    if kind.startswith("result"):
        return [f"{kind} error={body['is_error']}"]
    return [kind]


def _block(block: dict[str, Any]) -> str:
    told = {"text": "text", "tool_use": "name", "tool_result": "is_error"}.get(block["type"], "")
    return f"{block['type']} {block.get(told, '')}".rstrip()


@pytest.mark.req("N12")
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_recorded_session_reads_as_its_golden_file_and_sums_to_the_cli_s_own_totals(
    name: str, tmp_path: Path
) -> None:
    signs, lines = transcript(name, COMMITS[name], tmp_path)
    golden = GOLDEN / f"{name}.txt"
    assert in_short(lines) == golden.read_text("utf-8")
    assert (signs.usage.tokens_in, signs.usage.tokens_out) == (200, 20)


@pytest.mark.req("N12", "W25")
@pytest.mark.parametrize("name", PROVIDERS)
def test_an_unknown_event_is_kept_word_for_word_and_a_planted_token_never_appears(name: str, tmp_path: Path) -> None:
    first, *rest = COMMITS[name]
    said = json.dumps(ODD).encode() + b"\n"
    _, lines = transcript(name, [first, said, SECRET.encode() + b"\n", *rest], tmp_path)
    masked = json.loads(json.dumps(ODD).replace(SECRET, "***"))
    [kept] = [body for body in lines if body.get("type") == "hologram"]
    assert {key: kept[key] for key in ODD} == masked
    assert SECRET not in json.dumps(lines)
    assert in_short([body for body in lines if body.get("type") == "result"]) == "result/success error=False\n"
