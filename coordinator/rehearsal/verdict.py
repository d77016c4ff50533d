"""How each of the six issues must end, read from the stand-in and the files the coordinator writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .sample import CASES, STOP_REASON, Case
from .stage import Stage, branch_of, pull_of, read

BLOCKED = "rpi:blocked"


@dataclass(frozen=True)
class Seen:
    """What became of one case. `missing` lists what should be there and is not; empty is well."""

    case: Case
    seen: str
    missing: tuple[str, ...]

    @property
    def well(self) -> bool:
        return not self.missing


def judge(stage: Stage) -> tuple[Seen, ...]:
    """Each case against what the stand-in and the files hold now."""
    return tuple(_seen(stage, case) for case in CASES)


def _seen(stage: Stage, case: Case) -> Seen:
    wanted = CHECKS[case.number](stage)
    missing = tuple(words for words, there in wanted.items() if not there)
    return Seen(case, case.expected if not missing else "not: " + "; ".join(missing), missing)


def _words(stage: Stage, number: int) -> str:
    return "\n".join(comment.body for comment in stage.repository.issue(number).comments)


def _attempts(stage: Stage, number: int) -> int:
    """How many times a worker was started for an issue, by the board."""
    rows = stage.board().get("tasks", [])
    return next((len(row["attempts"]) for row in rows if row.get("id") == f"gh-{number}"), 0)


def _section(stage: Stage, name: str) -> str:
    """The part of tasks.md under the heading that begins with `name`."""
    parts = read(stage.clone / "tasks.md").split("\n## ")
    return next((part for part in parts if part.startswith(name)), "")


def _delivered(stage: Stage, number: int) -> dict[str, bool]:
    pull = pull_of(stage, number)
    said = f"✅ Completed! See PR #{pull.number}" if pull else "✅ Completed!"
    return {"a pull request": pull is not None, f'the comment "{said}"': said in _words(stage, number)}


def _first(stage: Stage) -> dict[str, bool]:
    pull = pull_of(stage, 1)
    merged = pull is not None and pull.the_pull().merged_at is not None
    closed = stage.repository.issue(1).state == "closed"
    return {**_delivered(stage, 1), "the merge": merged, "the issue closed by it": closed}


def _second(stage: Stage) -> dict[str, bool]:
    return {**_delivered(stage, 2), "two attempts": _attempts(stage, 2) == 2}


def _third(stage: Stage) -> dict[str, bool]:
    return {
        'the comment "Worker exited without creating PR"': "Worker exited without creating PR" in _words(stage, 3),
        "a line under Failed": "gh-3:" in _section(stage, "Failed"),
        "no pull request": pull_of(stage, 3) is None,
    }


def _fourth(stage: Stage) -> dict[str, bool]:
    labels = stage.repository.issue(4).labels
    return {f"the label {BLOCKED}": BLOCKED in labels, "two attempts": _attempts(stage, 4) == 2}


def _fifth(stage: Stage) -> dict[str, bool]:
    branch = branch_of(5)
    pushed = stage.repository.branch(branch) is not None
    messages = stage.repository.messages(branch) if pushed else []
    kept = any(text.startswith("WIP: Stopped by user") for text in messages)
    return {
        "the branch pushed": pushed,
        'a commit "WIP: Stopped by user"': kept,
        "no STOP in it": pushed and "STOP" not in stage.repository.files(branch),
        "the reason in a comment": STOP_REASON in _words(stage, 5),
        "a line under Failed": "gh-5:" in _section(stage, "Failed"),
        "no pull request": pull_of(stage, 5) is None,
    }


def _sixth(stage: Stage) -> dict[str, bool]:
    waited = "merged 1" in stage.history
    return {**_delivered(stage, 6), "a start only after the first was merged": waited}


CHECKS: dict[int, Callable[[Stage], dict[str, bool]]] = {
    1: _first, 2: _second, 3: _third, 4: _fourth, 5: _fifth, 6: _sixth,
}  # fmt: skip
