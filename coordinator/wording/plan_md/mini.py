"""A plan for small work, without a file: an Approach and an Acceptance in the body of an issue or in notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.wording.escape import clean
from coordinator.wording.plan_md.values import code_span, is_nothing

LONGEST = 100_000
_PART = re.compile(
    r"[ \t]*(?:#{1,6}[ \t]+|[-*+][ \t]+)?(?:\*\*|__)?(?P<name>approach|acceptance(?: criteria)?)(?:[ \t]*:)?"
    r"(?:\*\*|__)?(?:[ \t]*:)?[ \t]*$", re.IGNORECASE,
)
_OTHER = re.compile(r"[ \t]{0,3}(?:#{1,6}[ \t]+\S|\*\*[^*\n]+\*\*[ \t]*(?::[ \t]*)?$)")
_BULLET = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+")
_BOX = re.compile(r"\[(?P<mark>[ xX])\][ \t]+")
_KEY = re.compile(
    r"(?:\*\*|__)?(?P<key>files?|changes?)(?:\*\*|__)?[ \t]*:(?:\*\*|__)?[ \t]*(?P<rest>.*)$", re.IGNORECASE
)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")


@dataclass(frozen=True)
class Step:
    """What is to be changed, and in which file ("" = the words do not say)."""

    file: str
    change: str


@dataclass(frozen=True)
class Criterion:
    """A box of the Acceptance, ticked or not."""

    words: str
    met: bool = False


@dataclass(frozen=True)
class MiniPlan:
    approach: tuple[Step, ...]
    acceptance: tuple[Criterion, ...]

    def __bool__(self) -> bool:
        return bool(self.approach or self.acceptance)


def mini_plan(text: str) -> MiniPlan:
    """The Approach and the Acceptance of a text; false when it has neither."""
    parts = _parts(clean(text[:LONGEST]))
    return MiniPlan(tuple(_steps(parts.get("approach", ()))), tuple(_criteria(parts.get("acceptance", ()))))


def told(plan: MiniPlan) -> str:
    """The plan in one form, however it was written."""
    lines = ["Approach:"] if plan.approach else []
    for step in plan.approach:
        lines += [f"- File: {step.file}"] if step.file else []
        lines += [f"{'  ' if step.file else '- '}Change: {step.change}"] if step.change else []
    lines += [*([""] if lines else []), "Acceptance:"] if plan.acceptance else []
    lines += [f"- [{'x' if one.met else ' '}] {one.words}" for one in plan.acceptance]
    return "\n".join(lines)


def _parts(text: str) -> dict[str, list[str]]:
    """The lines of each part, without code blocks; a heading of another name ends a part."""
    found: dict[str, list[str]] = {}
    part, bar = "", ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if fence or bar:
            bar = "" if fence and bar and fence[1].startswith(bar) else bar or (fence[1] if fence else "")
        elif named := _PART.match(line):
            part = named["name"].lower().partition(" ")[0]
        elif _OTHER.match(line):
            part = ""
        elif part and line.strip():
            found.setdefault(part, []).append(line)
    return found


def _steps(lines: list[str] | tuple[str, ...]) -> Iterator[Step]:
    """A File begins a step; what follows is its Change."""
    file, change = "", ""
    for line in lines:
        words = _BULLET.sub("", line, count=1).strip()
        keyed = _KEY.match(words)
        if keyed and keyed["key"].lower().startswith("file"):
            if file or change:
                yield Step(file, change)
            rest = keyed["rest"].strip()
            file, change = "" if is_nothing(rest) else code_span(rest) or rest, ""
        else:
            more = keyed["rest"].strip() if keyed else words
            change = f"{change} {more}".strip()
    if file or change:
        yield Step(file, change)


def _criteria(lines: list[str] | tuple[str, ...]) -> Iterator[Criterion]:
    """Each bullet is one, ticked or not; a line without one goes on with the one before."""
    words, met = "", False
    for line in lines:
        bullet = _BULLET.match(line)
        rest = line[bullet.end():] if bullet else line.strip()
        if words and not bullet:
            words = f"{words} {rest}"
            continue
        if words:
            yield Criterion(words, met)
        box = _BOX.match(rest)
        words, met = (rest[box.end():].strip(), box["mark"] in "xX") if box else (rest.strip(), False)
    if words:
        yield Criterion(words, met)
