"""Money and tokens: counted while agents run, shown where people look, and capped."""

from __future__ import annotations

import json

import pytest

from tests.support.yard import a_yard

USES = """\
usage = {{"input_tokens": {tokens}, "output_tokens": 100}}
print(json.dumps({{"type": "assistant", "message": {{"id": "m1", "model": "glm-5", "usage": usage,
                   "content": [{{"type": "text", "text": "thinking"}}]}}}}), flush=True)
"""
MODEL = 'print(json.dumps({"type": "system", "subtype": "init", "model": "glm-5"}), flush=True)\n'
RUNS_ON = "time.sleep(600)\n"


@pytest.mark.req("W6")
def test_an_agent_that_uses_too_much_is_stopped_in_the_middle_and_the_issue_says_which_cap(tmp_path):
    with a_yard(tmp_path, more="[caps]\ntokens_per_task = 5000\n") as yard:
        number = yard.issue(script="commit(); write('more.txt', 'half')\n" + USES.format(tokens=6000) + RUNS_ON)

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert (task.reason, task.retries_used, task.attempts) == ("cap_reached", 0, 1)
        words = "caps.tokens_per_task: 6,100 tokens were used on it, 5,000 are allowed"
        assert task.detail == words
        yard.until(lambda: any(words in body for body in yard.comments(number)))
        assert any("Raise the cap named below" in body for body in yard.comments(number))
        yard.until(lambda: yard.repository.branch(task.branch) is not None)
        assert {f"gh-{number}.txt", "more.txt"} <= set(yard.repository.files(task.branch))
        metrics = json.loads(yard.read("adws/metrics.json"))
        assert (metrics["workers_failed"], metrics["reasons"]) == (0, {})
        assert yard.engine.world.store.document("parked") is None


@pytest.mark.req("W6")
def test_the_days_money_stops_what_runs_and_holds_what_waits(tmp_path):
    with a_yard(tmp_path, more="[caps]\nmoney_per_day = 0.5\n") as yard:
        script = MODEL + USES.format(tokens=600_000) + RUNS_ON
        spender = yard.issue(script=script)

        task = yard.until_state(spender, "BLOCKED", seconds=40)

        assert task.detail == "caps.money_per_day: $0.60 were spent today, $0.50 are allowed"
        other = yard.issue("Another", body="x")
        yard.until(lambda: f"gh-{other}" in yard.plan.waits)
        assert yard.plan.waits[f"gh-{other}"].code == "money_per_day"
        assert yard.task(other).attempts == 0


def test_what_was_used_stands_in_store_board_metrics_and_the_last_comment(tmp_path):
    with a_yard(tmp_path, more="[caps]\nmoney_per_day = 20\n") as yard:
        ended = 'print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "done"}))\n'
        number = yard.issue(script=MODEL + USES.format(tokens=250_000) + "commit()\n" + ended)

        task = yard.until_state(number, "IN_REVIEW")

        [attempt] = yard.engine.world.store.attempts()[task.id]
        assert (attempt.usage.tokens_in, attempt.usage.tokens_out) == (250_000, 100)
        assert attempt.usage.cost_usd == pytest.approx(0.25032)
        assert any("Used: 1 session, 250,100 tokens, $0.25." in body for body in yard.comments(number))
        board = json.loads(yard.read(".coordinator/board.json"))
        [row] = board["tasks"]
        assert (row["tokens"], row["cost"]) == (250_100, pytest.approx(0.25032))
        assert (row["attempts"][0]["tokens"], row["attempts"][0]["cost"]) == (250_100, pytest.approx(0.25032))
        assert board["money"] == {"today": 0.2503, "cap": 20.0}
        metrics = json.loads(yard.read("adws/metrics.json"))
        sums = {"sessions": 1, "tokens_in": 250_000, "tokens_out": 100, "cost_usd": 0.25032}
        assert metrics["by_provider"] == {"command": sums}
        assert list(metrics["by_day"].values()) == [sums]


LIMIT = """\
print(json.dumps({"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429,
                  "result": "usage limit reached"}), flush=True)
sys.exit(1)
"""
SAYS = """\
print(json.dumps({"type": "assistant", "message": {"id": "m1", "content": [{"type": "text", "text": "on it"}]}}))
"""


@pytest.mark.parametrize(("before", "today"), [("", 0), (SAYS, 1)])
def test_a_session_that_meets_a_limit_counts_for_the_day_once_its_model_had_answered(tmp_path, before, today):
    """Also where its stream told no tokens by then."""
    with a_yard(tmp_path) as yard:
        number = yard.issue(script=before + LIMIT)

        yard.until(lambda: yard.task(number).reason == "command_usage_limited")

        yard.until(lambda: json.loads(yard.read(".coordinator/board.json"))["parked"])
        assert json.loads(yard.read(".coordinator/board.json"))["sessions"] == {"today": today, "cap": 50}
        [attempt] = yard.engine.world.store.attempts()[f"gh-{number}"]
        assert (attempt.answered, attempt.usage.tokens_out) == (bool(today), None)


def test_a_model_without_a_price_is_named_on_the_board_with_the_cap_that_does_not_see_it(tmp_path):
    with a_yard(tmp_path, more="[caps]\nmoney_per_day = 20\n") as yard:
        ended = 'print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "done"}))\n'
        script = (MODEL + USES.format(tokens=250_000) + "commit()\n" + ended).replace("glm-5", "new-1")
        number = yard.issue(script=script)

        yard.until_state(number, "IN_REVIEW")

        board = json.loads(yard.read(".coordinator/board.json"))
        assert board["unmetered"]["unpriced"] == ["new-1"]
        [gate] = board["unmetered"]["blind"]
        assert "caps.money_per_day" in gate["words"]
        assert board["money"] == {"today": 0.0, "cap": 20.0}


def test_a_cap_holds_while_no_transcript_can_be_written(tmp_path):
    with a_yard(tmp_path, more="[caps]\ntokens_per_task = 5000\n") as yard:
        (yard.clone / "logs").write_text("a file in the place of the folder")
        number = yard.issue(script=USES.format(tokens=6000) + RUNS_ON)

        attempts = yard.engine.world.store.attempts
        yard.until(lambda: [one.stop_reason for one in attempts().get(f"gh-{number}", ())] == ["cap_reached"],
                   seconds=40)

        assert [line for line in yard.lines if "the transcript cannot be written" in line]
        (yard.clone / "logs").unlink()
        assert yard.until_state(number, "BLOCKED", seconds=40).reason == "cap_reached"
