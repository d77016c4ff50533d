"""A storm in one batch: held by itself, let go on by one task and then by one wave, and told of in one comment."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.planning.batch.standing import GatePhase
from coordinator.wording.why import why
from tests.support.stories import go
from tests.support.yard import Yard, a_yard

LABEL, KEY = "batch:spring", "label:batch:spring"
BREAKS = """\
while not os.path.exists({go!r}): time.sleep(0.02)
sys.exit(f"Traceback: in {{os.getcwd()}}\\nModuleNotFoundError: No module named 'yaml' (pid {{os.getpid()}})")
"""
WORKS = "commit(); result()"
WAITS = "while not os.path.exists({sign!r}): time.sleep(0.02)\ncommit(); result()"
OUTAGE = """\
print(json.dumps({"type": "result", "subtype": "success", "is_error": True, "api_error_status": 529,
                  "result": "API Error: 529 overloaded"}), flush=True)
sys.exit(1)
"""
EACH_ITS_OWN = (
    "sys.exit('ModuleNotFoundError: no yaml')", "sys.exit('PermissionError: /x')", "sys.exit('SyntaxError: bad')",
    WORKS, WORKS,
)


def quick(yard: Yard) -> None:
    """All slots that a wave wants, and no question before the first run."""
    yard.engine.world.policy = replace(yard.engine.world.policy, max_workers=5)
    yard.engine.memory.confirmed = True


def wave(yard: Yard, scripts: tuple[str, ...], *needs: int) -> list[int]:
    """Issues of the batch; with `needs`, each waits for one of those."""
    return [
        yard.issue(f"Part {n}", script, f"Depends on #{needs[n % len(needs)]}\n" if needs else "", ("rpi-auto", LABEL))
        for n, script in enumerate(scripts)
    ]


def codes(yard: Yard, numbers: list[int]) -> set[str]:
    return {yard.plan.waits[f"gh-{number}"].code for number in numbers}


def states(yard: Yard, numbers: list[int]) -> list[str]:
    return [yard.state(number) for number in numbers]


def phase(yard: Yard) -> GatePhase | None:
    kept = json.loads(yard.engine.world.store.document("batches") or "{}")
    return GatePhase(kept[KEY]["phase"]) if KEY in kept else None


def ask(yard: Yard, kind: RequestKind, **args: str) -> None:
    world = yard.engine.world
    world.store.ask(kind, "", {"batch": LABEL, **args}, "cli", world.clock.now())


def board(yard: Yard) -> dict[str, object]:
    [row] = json.loads(yard.read(".coordinator/board.json"))["batches"]
    return row


def why_of(yard: Yard, number: int) -> tuple[str, ...]:
    """What `coordinator why` says, out of the board."""
    read = json.loads(yard.read(".coordinator/board.json"))
    [row] = [row for row in read["tasks"] if row["issue"] == number]
    return why(row, labels=read["labels"], now=datetime.now(UTC), local=lambda moment: moment).lines


@pytest.mark.req("N5", "W5")
@pytest.mark.timeout(180)
def test_waves_after_a_storm_are_held_until_one_task_and_then_one_wave_went_well(tmp_path: Path):
    with a_yard(tmp_path, settings={"retries": "0"}) as yard:
        quick(yard)
        umbrella = yard.issue("Spring cleaning", labels=(LABEL,))
        breaks = BREAKS.format(go=str(yard.folder / "go"))
        first = wave(yard, (breaks, breaks, breaks, WORKS, WORKS))
        broken, well = first[:3], first[3:]
        one, others = (WAITS.format(sign=str(yard.folder / name)) for name in ("one", "others"))
        second = wave(yard, (one, *(others,) * 4), *well)
        third = wave(yard, (WORKS,) * 5, *second)
        fourth = wave(yard, (WORKS,) * 5, *third)
        alone = yard.issue("Nothing to do with it", WORKS)

        yard.until(lambda: states(yard, [*well, alone]) == ["IN_REVIEW"] * 3, seconds=60)
        go(yard)
        yard.until(lambda: phase(yard) is GatePhase.HELD and not yard.engine.busy, seconds=40)
        assert states(yard, broken) == ["BLOCKED"] * 3
        for number in well:
            yard.ann.merge(yard.task(number).pr_number or 0)
        yard.until(lambda: states(yard, well) == ["DONE"] * 2)
        assert codes(yard, [*second, *third, *fourth]) == {"batch_held"}
        assert {yard.task(number).attempts for number in (*second, *third, *fourth)} == {0}

        [comment] = yard.comments(umbrella)
        assert "Batch `batch:spring` is held" in comment
        assert "3 of 5 (60%)" in comment
        assert "| `process_exit` | 60% |" in comment
        assert "coordinator batch resume --label batch:spring --canary" in comment
        metrics = json.loads(yard.read("adws/metrics.json"))["batches"][LABEL]
        assert (metrics["class"], metrics["cause"], metrics["phase"]) == ("systemic", "process_exit", "held")
        assert "ModuleNotFoundError" in metrics["words"]
        told = "\n".join(why_of(yard, fourth[0]))
        assert f"gh-{fourth[0]} is QUEUED" in told
        assert "batch_held: its batch batch:spring is held" in told
        assert "3 of 5 (60%) failed alike" in told
        assert "  coordinator batch resume --label batch:spring --canary" in told

        ask(yard, RequestKind.RESUME_BATCH, canary="1")
        canary, *rest = second
        yard.until(lambda: yard.state(canary) == "RUNNING", seconds=40)
        assert (board(yard)["phase"], board(yard)["canary"]) == ("canary", f"gh-{canary}")
        assert codes(yard, [*rest, *third, *fourth]) == {"batch_held"}
        assert {yard.task(number).attempts for number in rest} == {0}
        (yard.folder / "one").touch()
        yard.until(lambda: phase(yard) is GatePhase.WAVE and yard.state(canary) == "IN_REVIEW", seconds=40)
        yard.until(lambda: states(yard, rest) == ["RUNNING"] * 4, seconds=40)
        assert codes(yard, [*third, *fourth]) == {"batch_held"}

        (yard.folder / "others").touch()
        yard.until(lambda: phase(yard) is GatePhase.FREE, seconds=60)
        assert board(yard)["word"] == "healthy"
        assert set(states(yard, second)) <= {"IN_REVIEW", "PUBLISHING"}
        yard.tick()
        assert codes(yard, [*third, *fourth]) == {"depends"}
        assert len(yard.comments(umbrella)) == 1
        yard.until(lambda: states(yard, second) == ["IN_REVIEW"] * 5)


@pytest.mark.req("N5", "D66")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("scripts", [(OUTAGE, OUTAGE, OUTAGE, WORKS, WORKS), EACH_ITS_OWN], ids=["outage", "isolated"])
def test_an_outage_and_isolated_failures_trip_nothing(tmp_path: Path, scripts: tuple[str, ...]):
    with a_yard(tmp_path, settings={"retries": "0", "backoff": "20m"}) as yard:
        quick(yard)
        umbrella = yard.issue("Spring cleaning", labels=(LABEL,))
        first = wave(yard, scripts)
        later = wave(yard, (WORKS,), *first[3:])

        ended = {"BLOCKED", "BACKOFF", "QUEUED", "IN_REVIEW"}
        yard.until(lambda: all(yard.state(number) in ended for number in first)
                   and all(yard.task(number).attempts for number in first) and not yard.engine.busy, seconds=60)
        yard.tick()
        assert yard.state(first[3]) == str(TaskState.IN_REVIEW)
        assert phase(yard) is None
        assert codes(yard, later) == {"depends"}
        assert yard.comments(umbrella) == []
        row = board(yard)
        assert (row["word"], row["phase"], row["counts"]["good"]) == ("healthy", "", 2)
