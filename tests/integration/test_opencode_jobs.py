"""opencode through the commands people type, on a program that lists models and prints recorded streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from coordinator.runfiles import atomic
from tests.support.program import a_repository, environ, program
from tests.support.workers import until

RECORDINGS = Path(__file__).parents[1] / "recordings" / "opencode" / "1.18.33"
ZHIPU, ZAI, OTHER = "zhipuai-coding-plan/glm-5", "zai-coding-plan/glm-5", "zhipuai-coding-plan/glm-5.1"
SCRIPT = """#!/bin/sh
case "$1" in
--version) echo 1.18.33 ;;
models) echo asked >> "{folder}/asked"; cat "{folder}/models"; exit {listing} ;;
run)
    cat > /dev/null; echo "$@" > "{folder}/argv"
    until test -e "{gate}"; do sleep 0.1; done
    cat "{stream}"; exit {code} ;;
esac
"""


class Place:
    """A home, a repository and a folder for jobs, with an opencode that lists these models and ends like this."""

    def __init__(self, root: Path) -> None:
        self.root, self.tree, self.jobs = root, a_repository(root / "tree"), root / "jobs"
        (root / "bin").mkdir()
        (root / "prompt").write_text("do it")
        self.opencode()

    @property
    def path(self) -> str:
        return f"{self.root / 'bin'}:{os.environ['PATH']}"

    def opencode(
        self, *models: str, listing: int = 0, stream: str = "text", code: int = 0, gate: Path = Path("/")
    ) -> None:
        """It answers once the gate is there."""
        (self.root / "models").write_text("".join(f"{model}\n" for model in models))
        path = self.root / "bin" / "opencode"
        recorded = RECORDINGS / f"{stream}.jsonl"
        path.write_text(SCRIPT.format(folder=self.root, listing=listing, code=code, stream=recorded, gate=gate))
        path.chmod(0o755)

    def run(self, *argv: str, **environ: str) -> tuple[int, str, str]:
        ran = program(self.tree, "job", *argv, PATH=self.path, **{"ZHIPU_API_KEY": "k", **environ})
        return ran.returncode, ran.stdout, ran.stderr

    def preflight(self, **environ: str) -> tuple[int, str]:
        code, out, _ = self.run("preflight", "--provider", "opencode", "--json", **environ)
        return code, json.loads(out)["reason_code"]

    def start(self, *more: str, **environ: str) -> tuple[int, str]:
        code, _, err = self.run("start", "--beads", "bd-1", "--provider", "opencode", "--prompt-file",
                                str(self.root / "prompt"), "--log-dir", str(self.jobs), *more, **environ)  # fmt: skip
        return code, err

    def outcome(self, job: str = "bd-1") -> dict[str, str]:
        return dict(until(lambda: self.ended(job), "an outcome", 30))

    def ended(self, job: str) -> Mapping[str, str] | None:
        return atomic.read_pairs(str(self.jobs / f"{job}.outcome"))

    def report(self) -> dict[str, object]:
        _, out, _ = self.run("report", "--beads", "bd-1", "--format", "json", "--log-dir", str(self.jobs))
        found = json.loads(out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.req("P39", "C14")
def test_preflight_passes_with_exactly_the_two_models_of_the_defaults(place: Place) -> None:
    place.opencode(ZHIPU, ZAI)
    assert place.preflight() == (0, "")
    assert f"--model {ZHIPU}" in (place.root / "argv").read_text()


@pytest.mark.req("C14", "C89")
def test_preflight_passes_with_a_model_that_the_environment_allows(place: Place) -> None:
    place.opencode(OTHER)
    assert place.preflight(OPENCODE_ALLOWED_MODELS=OTHER) == (0, "")
    assert f"--model {OTHER}" in (place.root / "argv").read_text()


@pytest.mark.req("C34", "C103", "C35", "C36")
def test_preflight_tells_a_model_that_is_not_there_from_one_that_may_not_be_and_from_no_program(place: Place) -> None:
    place.opencode(OTHER)
    assert place.preflight() == (25, "opencode_model_unavailable")
    assert place.preflight(OPENCODE_MODEL=OTHER) == (21, "opencode_model_unsupported")
    (place.root / "bin" / "opencode").unlink()
    code, out, _ = place.run("preflight", "--provider", "opencode")
    assert (code, "npm install -g opencode-ai" in out) == (21, True)
    assert place.preflight() == (21, "opencode_binary_missing")


@pytest.mark.req("C60", "C61")
def test_a_job_records_the_model_it_was_given_and_no_reason_where_it_is_the_wanted_one(place: Place) -> None:
    place.opencode(ZHIPU, ZAI)
    assert place.start()[0] == 0
    ended = place.outcome()
    assert (ended["state"], ended["selected_model"], ended["fallback_reason"]) == ("success", ZHIPU, "none")


@pytest.mark.req("C60", "C61")
def test_a_job_records_the_model_that_stood_in_and_why(place: Place) -> None:
    place.opencode(ZAI)
    assert place.start()[0] == 0
    ended = place.outcome()
    assert (ended["selected_model"], ended["fallback_reason"]) == (ZAI, "opencode_model_unavailable")
    told = place.report()
    assert (told["selected_model"], told["fallback_reason"]) == (ZAI, "opencode_model_unavailable")
    assert f"--model {ZAI}" in (place.root / "argv").read_text()


@pytest.mark.req("C103", "C34")
def test_a_start_without_a_model_is_refused_with_its_own_code_and_leaves_a_failed_outcome(place: Place) -> None:
    place.opencode(OTHER)
    code, err = place.start()
    assert (code, "nothing was started" in err) == (25, True)
    assert (place.outcome()["state"], place.outcome()["reason_code"]) == ("failed", "opencode_model_unavailable")
    assert place.report()["next_action"] == "use_cc_glm_or_gemini"
    assert place.start("--model", OTHER)[0] == 21
    assert place.outcome()["reason_code"] == "opencode_model_unsupported"
    assert not (place.root / "argv").exists()


@pytest.mark.req("C37", "C38")
@pytest.mark.parametrize(("stream", "reason"), [
    ("401", "opencode_auth_blocked"), ("quota", "opencode_auth_blocked"), ("429", "opencode_rate_limited"),
])
def test_a_job_that_its_api_refuses_ends_with_the_class_of_the_refusal(place: Place, stream: str, reason: str) -> None:
    place.opencode(ZHIPU, stream=stream, code=1)
    assert place.start()[0] == 0
    assert (place.outcome()["state"], place.outcome()["reason_code"]) == ("failed", reason)
    if reason == "opencode_rate_limited":
        assert place.report()["next_action"] == "retry_backoff_or_switch_to_gemini_or_cc_glm"


GEMINI = """#!/bin/sh
cat > /dev/null; until test -e "{gate}"; do sleep 0.1; done
echo '{{"type":"init","session_id":"s","model":"m"}}'; echo '{{"type":"result","status":"success","stats":{{}}}}'
"""
FOUR = """
for job in opencode:bd-1 opencode:bd-2 gemini:bd-3 gemini:bd-4; do
    ("{python}" -m coordinator job start --provider ${{job%:*}} --beads ${{job#*:}} --prompt-file "{root}/prompt" \\
        --log-dir "{jobs}"; echo $? >> "{root}/codes") &
done
wait
"""


@pytest.mark.req("C30")
def test_four_starts_at_once_return_while_their_agents_work_and_each_comes_to_its_own_end(place: Place) -> None:
    gate = place.root / "gate"
    place.opencode(ZHIPU, gate=gate)
    (place.root / "bin" / "gemini").write_text(GEMINI.format(gate=gate))
    (place.root / "bin" / "gemini").chmod(0o755)
    script = FOUR.format(python=sys.executable, root=place.root, jobs=place.jobs)
    subprocess.run(["bash", "-c", script], cwd=place.tree, check=True, timeout=60, stdin=subprocess.DEVNULL,
                   env=environ(place.root, PATH=place.path, ZHIPU_API_KEY="k", GEMINI_API_KEY="k"))  # fmt: skip

    ids = ("bd-1", "bd-2", "bd-3", "bd-4")
    assert (place.root / "codes").read_text() == "0\n" * 4
    assert [(place.jobs / f"{one}.pid").exists() for one in ids] == [True] * 4
    assert [place.ended(one) for one in ids] == [None] * 4
    gate.touch()
    ended = [place.outcome(one) for one in ids]
    assert [one["state"] for one in ended] == ["success"] * 4
    assert [one["provider"] for one in ended] == ["opencode", "opencode", "gemini", "gemini"]
    assert len({one["run_instance"] for one in ended}) == 4


def test_the_list_is_asked_for_once_a_minute_and_an_old_one_stands_in_where_it_cannot_be_had(place: Place) -> None:
    place.opencode(ZAI)
    assert place.preflight() == (0, "")
    assert place.preflight() == (0, "")
    assert (place.root / "asked").read_text() == "asked\n"
    place.opencode(listing=1)
    for note in (place.root / ".local/state/coordinator/recent").iterdir():
        os.utime(note, (1, 1))
    code, out, _ = place.run("preflight", "--provider", "opencode")
    assert (code, f"model {ZAI} in place of {ZHIPU}" in out) == (0, True)
    assert (place.root / "asked").read_text() != "asked\n"
