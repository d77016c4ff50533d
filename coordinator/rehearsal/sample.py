"""The repository and the six issues of the rehearsal, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

FULL_NAME = "acme/widgets"
STOP_REASON = "The demo stops this one: the wrong approach."

FILES = {
    "README.md": "# widgets\n\nA package small enough to read in one breath.\n",
    "pyproject.toml": '[project]\nname = "widgets"\nversion = "0.1.0"\n',
    "widgets/__init__.py": '"""Widgets."""\n',
    "widgets/price.py": ('"""Prices in cents."""\n\n\ndef total(cents: list[int]) -> int:\n    return sum(cents)\n'),
    "tests/test_price.py": ("from widgets.price import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"),
}


@dataclass(frozen=True)
class Case:
    """One issue: what its agent does, and how its task must end."""

    number: int
    title: str
    script: str
    expected: str
    note: str = ""

    @property
    def body(self) -> str:
        return f"Please add a note.\n\n{self.note}script: {self.script}\n"


CASES = (
    Case(1, "Add the first note", "succeed", "pull request merged"),
    Case(2, "Add a note, at the second try", "fail-once", "pull request after one failed attempt"),
    Case(3, "Look, and find nothing to do", "nothing", "failed: nothing committed"),
    Case(4, "Wait for what never comes", "stall", "blocked after one restart"),
    Case(5, "Work without end", "loop-until-stop", "stopped by a person, work kept"),
    Case(
        6,
        "Build on the first note",
        "succeed",
        "pull request, begun after the first was merged",
        "Depends on #1\n\n",
    ),
)
