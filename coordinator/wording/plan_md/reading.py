"""A plan file's text as a plan, with all that is wrong with the text itself, each with its line and its cure. It reads
no file and knows no repository: what needs those is found in planning/plans/checking.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import PurePosixPath

from coordinator.domain.finding import Finding
from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.wording.escape import clean, one_line
from coordinator.wording.plan_md import values
from coordinator.wording.plan_md.scan import KNOWN, Block, Field, Sheet, scan

REQUIRED = ("depends_on", "repo", "location", "description", "validation")
ENDING = "-plan.md"
_TITLE = re.compile(r"plan\s*[:：]\s*(?P<name>.*)$", re.IGNORECASE)
_TOPIC = re.compile(r"[^\W_](?:[\w-]|\.(?!\.))*")
_HOW = {
    "depends_on": "`- **depends_on**: []` for none, or the ids of tasks such as `[T1, T2]`",
    "repo": "`- **repo**: name`, the folder or owner/name of the repository it changes",
    "location": "`- **location**: [src/a.py, src/b.py]`, every file it may touch",
    "description": "`- **description**: what is to be done, and when it is done`",
    "validation": "`- **validation**:` and a command in backticks that must succeed",
}


@dataclass(frozen=True)
class Read:
    """A plan as far as it could be read. With a finding of level error it must not be run. `lines` are those of the
    fields, by task and name."""

    plan: PlanFile
    findings: tuple[Finding, ...]
    lines: Mapping[tuple[str, str], int]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")

    def placed(self, finding: Finding) -> Finding:
        """What was found about a field of the plan, on that field's line."""
        return replace(finding, line=self.lines.get((finding.task, finding.field), finding.line))


def read_plan(text: str, file_name: str) -> Read:
    """The plan in the text of a file with this name. Never raises: what cannot be read is a finding."""
    sheet = scan(text)
    every = sheet.blocks()
    blocks = tuple(block for block in every if block.id)
    tasks = tuple(_task(sheet, block) for block in blocks)
    title, name = _title(sheet)
    plan = PlanFile(plan_id(file_name), name, tasks, _overview(sheet))
    found = [
        *_file_findings(sheet, plan, file_name, title),
        *(finding for block in every for finding in _block_findings(sheet, block)),
        *_id_findings(sheet, blocks),
    ]
    lines = {(block.id, one.key): one.index + 1 for block in reversed(blocks) for one in reversed(block.fields)}
    return Read(plan, tuple(sorted(found, key=lambda finding: finding.line)), lines)


def plan_id(file_name: str) -> str:
    """The topic: `auth` of auth-plan.md in whatever folder; of another name all but its ending."""
    name = PurePosixPath(file_name.replace("\\", "/")).name
    if name.lower().endswith(ENDING) and len(name) > len(ENDING):
        return name[: -len(ENDING)]
    return PurePosixPath(name).stem


def valid_topic(topic: str) -> bool:
    """Whether a branch can be named by it."""
    return bool(_TOPIC.fullmatch(topic)) and not topic.endswith((".", ".lock")) and len(topic.encode()) <= 200


def _title(sheet: Sheet) -> tuple[int, str]:
    """The line of `# Plan: name` and the name; -1 for none."""
    for heading in sheet.headings:
        found = _TITLE.match(heading.text) if heading.level == 1 else None
        if found:
            return heading.index, one_line(found["name"])
    return -1, ""


def _overview(sheet: Sheet) -> str:
    section = sheet.section("overview")
    if section is None:
        return ""
    return clean("\n".join(sheet.lines[section[0].index + 1: section[1]])).strip()


def _task(sheet: Sheet, block: Block) -> PlanTask:
    def text(key: str) -> str:
        field = block.field(key)
        return clean(values.text_of(sheet, field)) if field else ""

    return PlanTask(
        id=block.id,
        name=one_line(block.name),
        line=block.index + 1,
        depends_on=values.ids(text("depends_on")),
        repo=next(iter(values.items(text("repo"))), ""),
        location=values.paths(text("location")),
        description="\n".join(part for part in (text("description"), *_others(sheet, block)) if part),
        validation="" if values.is_nothing(text("validation")) else values.visible(text("validation")),
        status=one_line(next(iter(values.entries(text("status"))), "").strip("_*")),
        log="\n".join(values.entries(text("log"))),
        files_edited=values.items(text("files edited")),
        beads=next(iter(values.items(text("beads"))), ""),
    )


def _others(sheet: Sheet, block: Block) -> Iterator[str]:
    """Fields that people add, such as acceptance, are part of what is to be done."""
    for field in block.fields:
        if field.key not in KNOWN:
            words = clean(values.text_of(sheet, field))
            yield f"{field.written}:{' ' if field.value.strip() else chr(10)}{words}"


def _file_findings(sheet: Sheet, plan: PlanFile, file_name: str, title: int) -> Iterator[Finding]:
    if "\0" in "".join(sheet.lines):
        yield Finding("error", 1, "", "this is no text: it holds zero bytes", "name a plan file, written in Markdown")
    if not valid_topic(plan.id):
        yield Finding("error", 0, "", f"no branch can be named feature-{plan.id}",
                      f"name the file <topic>{ENDING}, the topic in letters, digits and dashes")  # fmt: skip
    elif not file_name.lower().endswith(ENDING):
        yield Finding("warning", 0, "", f"plan files are named <topic>{ENDING}; this one counts as plan {plan.id!r}",
                      f"rename it to {plan.id}{ENDING}")  # fmt: skip
    if sheet.unclosed is not None:
        yield Finding("error", sheet.unclosed + 1, "", "the code fence or comment that opens here never ends",
                      "close it: what stands below it is not read")  # fmt: skip
    if title < 0 or not plan.name:
        yield Finding("error", max(title, 0) + 1, "", "the plan has no name", "let the file begin with `# Plan: name`")
    if not plan.overview:
        yield Finding("warning", max(title, 0) + 1, "", "there is no section `## Overview` with words in it",
                      "say there in a few lines what the plan is for")  # fmt: skip
    section = sheet.section("tasks")
    if section is None:
        yield Finding("error", len(sheet.lines), "", "there is no section `## Tasks`",
                      "add `## Tasks`, and below it `### T1: name` for each task")  # fmt: skip
    elif not plan.tasks:
        yield Finding("error", section[0].index + 1, "", "the section Tasks has no tasks",
                      "write each as `### T1: name`, with its fields below")  # fmt: skip


def _block_findings(sheet: Sheet, block: Block) -> Iterator[Finding]:
    if not block.id:
        yield Finding("warning", block.index + 1, "", f"the heading {one_line(block.title, 60)!r} names no task",
                      "if it is one, write `### T1: name`: an id without blanks, a colon, the name")  # fmt: skip
        return
    first: dict[str, Field] = {}
    for field in block.fields:
        if field.key in first and field.key in KNOWN:
            yield Finding("error", field.index + 1, block.id, f"{block.id} has the field {field.key} twice",
                          f"keep one of them; the first is on line {first[field.key].index + 1}")  # fmt: skip
        first.setdefault(field.key, field)
    for key in REQUIRED:
        yield from _required(sheet, block, key, first)
    depends = first.get("depends_on")
    if depends is not None and not values.bracketed(values.text_of(sheet, depends)):
        yield Finding("warning", depends.index + 1, block.id, f"the depends_on of {block.id} stands in no brackets",
                      "write `[]` for none, or `[T1, T2]`")  # fmt: skip


def _required(sheet: Sheet, block: Block, key: str, first: dict[str, Field]) -> Iterator[Finding]:
    field = first.get(key)
    if field is None:
        near = get_close_matches(key, [other for other in first if other not in KNOWN], 1)
        meant = f" (line {first[near[0]].index + 1} has {first[near[0]].written!r})" if near else ""
        yield Finding("error", block.index + 1, block.id, f"{block.id} has no field {key}{meant}", f"add {_HOW[key]}")
    elif key != "depends_on" and values.is_nothing(values.text_of(sheet, field)):
        yield Finding("error", field.index + 1, block.id, f"the field {key} of {block.id} is empty",
                      f"write {_HOW[key]}")  # fmt: skip


def _id_findings(sheet: Sheet, blocks: Iterable[Block]) -> Iterator[Finding]:
    seen: dict[str, Block] = {}
    for block in blocks:
        before = seen.setdefault(block.id.lower(), block)
        if before is not block:
            yield Finding("error", block.index + 1, block.id,
                          f"there is a second task {block.id}: {before.id} stands on line {before.index + 1}",
                          "give one of them another id, and look at who depends on it")  # fmt: skip
    ids = {block.id for block in seen.values()}
    for block in blocks:
        field = block.field("depends_on")
        for other in values.ids(values.text_of(sheet, field)) if field else ():
            if other not in ids and field:
                yield _unknown(block, field, other, seen)


def _unknown(block: Block, field: Field, other: str, seen: dict[str, Block]) -> Finding:
    near = get_close_matches(other.lower(), seen, 1)
    known = ", ".join(block.id for block in list(seen.values())[:12])
    cure = f"write {seen[near[0]].id}, or take it out" if near else f"take it out, or name one of {known}"
    return Finding("error", field.index + 1, block.id, f"{block.id} depends on {one_line(other, 60)}, which is no task",
                   cure)  # fmt: skip

