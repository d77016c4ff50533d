"""A gated batch over the whole engine: what is kept of it, what people read, and that a death changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from coordinator.adapters.system.seam import watch
from coordinator.app.batches import members_of_rows
from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.engine import gates
from coordinator.engine.memory import Memory
from coordinator.engine.tick import AtOnce, Engine
from coordinator.planning.batch.cohort import as_data, judge
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.policy import Policy
from coordinator.ports import Forbidden, NotYet, Readiness
from coordinator.wording.batch_notice import held_notice
from coordinator.wording.escape import GITHUB_LIMIT
from tests.factories import NOW
from tests.support.fakes import ROOT, Outside, Script, an_outside
from tests.support.memory_store import MemoryStore

_K = RequestKind
LABEL, KEY = "batch:spring", "label:batch:spring"
UMBRELLA = 40
BAD = Script(ending=Ending.FAILED, reason="push_refused", commits=0)


class Death(BaseException):
    """The coordinator dies here."""


def an_engine(outside: Outside) -> Engine:
    policy = Policy(provider="command", login="bot", max_workers=20, retry_max=0)
    engine = Engine(outside.world(policy), AtOnce(), lambda why: None, Memory())
    engine.memory.confirmed = True
    return engine


def ticking(outside: Outside, engine: Engine, ticks: int = 4) -> None:
    for _ in range(ticks):
        engine.memory.poll_due = True
        engine.tick()
        outside.clock.pass_by(10)


def storm(later: int = 2) -> Outside:
    """Issues 1 to 5, of which three fail alike, and some that depend on the fifth; an umbrella issue."""
    outside = an_outside()
    outside.github.person_opens(UMBRELLA, LABEL)
    for number in range(1, 6 + later):
        body = "Depends on #5" if number > 5 else ""
        outside.github.person_opens(number, "rpi-auto", LABEL, body=body)
    outside.executor.scripts = lambda spec: BAD if spec.handle.job in ("gh-1", "gh-2", "gh-3") else Script()
    return outside


def ask(outside: Outside, kind: RequestKind, **args: str) -> int:
    return outside.store.ask(kind, "", {"batch": LABEL, **args}, "cli", outside.clock.now())


def phase(outside: Outside) -> GatePhase:
    return gates.standings(outside.store)[KEY].phase


def told(outside: Outside) -> list[str]:
    return [comment.body for comment in outside.github.comments(UMBRELLA)]


def free_wave(outside: Outside) -> None:
    """What the second wave waits for is closed."""
    outside.github.person_edits(5, state="closed")


@pytest.mark.req("N5")
def test_a_hold_is_kept_told_once_and_read_by_people_and_programs():
    outside = storm()
    ticking(outside, an_engine(outside))
    free_wave(outside)
    ticking(outside, an_engine(outside))   # another process: all it knows is in the store
    assert phase(outside) is GatePhase.HELD
    assert len(told(outside)) == 1
    [line] = [line for line in outside.lines if line.startswith("batch batch:spring is held")]
    assert "Mend the cause, then `coordinator batch resume --label batch:spring --canary` tries one task." in line
    read = json.loads(outside.files.texts[ROOT / ".coordinator" / "board.json"])
    [row] = read["batches"]
    assert (row["key"], row["name"], row["phase"], row["word"], row["cause"], row["holds"], row["umbrella"]) == (
        KEY, LABEL, "held", "systemic", "push_refused", 1, UMBRELLA)
    waits = {one["id"]: one["wait"]["code"] for one in read["tasks"]}
    assert (waits["gh-6"], waits["gh-7"]) == ("batch_held", "batch_held")
    by_rows = judge(members_of_rows(read["tasks"], "label", LABEL))   # as `coordinator batch status` sees it
    assert (str(by_rows.word), [as_data(by_rows)[key] for key in ("causes", "counts")]) == (
        row["word"], [row["causes"], row["counts"]])
    assert {one["id"]: one["batch"]["wave"] for one in read["tasks"]}["gh-6"] == 2
    metrics = json.loads(outside.files.texts[ROOT / "adws" / "metrics.json"])["batches"][LABEL]
    assert [metrics[key] for key in ("class", "cause", "ended", "failed")] == ["systemic", "push_refused", 5, 3]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_beside_the_comment_leaves_one_comment(moment):
    outside = storm()

    def dies(when: str, kind: str, what: str) -> None:
        if (when, kind, what) == (moment, "github", f"comment on {UMBRELLA}"):
            raise Death

    unwatch = watch(dies)
    try:
        with pytest.raises(Death):
            ticking(outside, an_engine(outside))
    finally:
        unwatch()
    ticking(outside, an_engine(outside))
    assert len(told(outside)) == 1
    assert gates.standings(outside.store)[KEY].told == 1


def test_a_hold_whose_comment_is_refused_for_its_haste_is_said_later():
    outside = storm()
    refused = []

    def hurried(what: str) -> None:
        if what == f"comment on {UMBRELLA}" and not refused:
            refused.append(what)
            raise NotYet("422: was submitted too quickly")

    outside.github.trouble = hurried
    ticking(outside, an_engine(outside))
    assert (len(refused), len(told(outside))) == (1, 1)


def test_where_the_umbrella_issue_may_not_be_written_on_the_log_says_so_once():
    outside = storm()

    def forbids(what: str) -> None:
        if what == f"comment on {UMBRELLA}":
            raise Forbidden("403: no right")

    outside.github.trouble = forbids
    ticking(outside, an_engine(outside))
    assert [line for line in outside.lines if "403: no right" in line] == [
        f"#{UMBRELLA}: the hold of {LABEL} cannot be said there: 403: no right"]


def test_without_an_umbrella_issue_the_log_alone_tells_of_it():
    outside = storm()
    outside.github.person_edits(UMBRELLA, state="closed")
    ticking(outside, an_engine(outside))
    assert told(outside) == []
    assert sum(line.startswith("batch batch:spring is held") for line in outside.lines) == 1


@pytest.mark.req("N5")
def test_a_canary_opens_the_gate_for_its_wave_and_the_wave_for_the_rest():
    outside = storm(later=7)
    engine = an_engine(outside)
    ticking(outside, engine)
    free_wave(outside)
    ticking(outside, engine, 1)
    number = ask(outside, _K.RESUME_BATCH, canary="1")
    ticking(outside, engine, 1)
    assert phase(outside) is GatePhase.CANARY
    assert {worker.handle.job for worker in outside.executor.workers if worker.alive} == {"gh-6"}
    assert "gh-6 is tried alone" in outside.store.answered(number)
    ticking(outside, engine, 6)
    assert phase(outside) is GatePhase.FREE
    assert [str(outside.store.task(f"gh-{n}").state) for n in range(6, 13)] == ["IN_REVIEW"] * 7
    assert len(told(outside)) == 1


def test_a_failing_canary_holds_the_batch_again_with_a_comment_of_its_own():
    outside = storm()
    engine = an_engine(outside)
    ticking(outside, engine)
    free_wave(outside)
    ticking(outside, engine, 1)
    outside.executor.scripts = lambda spec: BAD
    ask(outside, _K.RESUME_BATCH, canary="1")
    ticking(outside, engine, 6)
    assert (phase(outside), gates.standings(outside.store)[KEY].number) == (GatePhase.HELD, 2)
    assert outside.store.task("gh-7").attempts == 0
    assert len(told(outside)) == 2
    assert gates.standings(outside.store)[KEY].why == "its canary gh-6 failed: push_refused"
    assert "failed: push_refused" in told(outside)[1]


def test_a_batch_is_cancelled_whole_and_says_what_became_of_it():
    outside = storm()
    outside.executor.scripts = lambda spec: Script(silent=True)
    engine = an_engine(outside)
    outside.github.person_opens(30, "rpi-auto")
    ticking(outside, engine, 3)
    number = ask(outside, _K.CANCEL_BATCH, reason="the wrong model")
    ticking(outside, engine, 4)
    states = {task.id: task.state for task in outside.store.tasks()}
    assert states.pop("gh-30") is TaskState.RUNNING
    assert set(states.values()) == {TaskState.CANCELLED}
    assert outside.store.answered(number).startswith("batch batch:spring: ")


@pytest.mark.req("C11")
def test_the_provider_is_looked_at_before_each_wave():
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto", LABEL)
    outside.github.person_opens(2, "rpi-auto", LABEL, body="Depends on #1")
    engine = an_engine(outside)
    ticking(outside, engine, 3)
    outside.provider.readiness = Readiness(False, "not on PATH", "command_binary_missing")
    outside.clock.pass_by(60)
    outside.github.person_edits(1, state="closed")
    ticking(outside, engine)
    assert engine.tick().waits["gh-2"].code == "command_binary_missing"
    assert outside.store.task("gh-2").attempts == 0
    outside.provider.readiness = Readiness(True, "ready")
    outside.clock.pass_by(60)
    ticking(outside, engine)
    assert outside.store.task("gh-2").attempts == 1


def test_where_a_gate_stands_is_read_back_as_it_was_kept():
    store = MemoryStore()
    full = Standing(GatePhase.CANARY, NOW, 3, 2, "why", "lost", 0.6, ("a", "b"), "ann", "gh-1", 2, 4,
                    NOW - timedelta(hours=1))
    gates.keep(store, KEY, full)
    gates.keep(store, "plan:auth", Standing())
    assert gates.standings(store) == {KEY: full, "plan:auth": Standing()}


def test_strangers_words_in_the_comment_ping_nobody_and_cannot_forge_its_mark():
    evil = "@everyone closes #1 <!-- coordinator:batch:x:held2 -->\n```\n# big"
    notice = held_notice("batch:a`b --><b>", "--label x", 2, evil, [evil, "x" * 9_000] * 40, cause="lost", share=0.5)
    first, _, rest = notice.body.partition("\n")
    assert first == "<!-- coordinator:batch:batch:a%60b%20--%3e%3cb%3e:held2 -->"
    assert "<!-- coordinator" not in rest
    quoted = rest.partition("```")[0]
    assert "@everyone" not in quoted
    assert "closes #1" not in quoted
    assert len(notice.body) <= GITHUB_LIMIT
    assert held_notice("b", "--label b", 1, "", ()).marker != notice.marker
