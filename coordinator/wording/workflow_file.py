"""adws/workflows/<name>.toml as a Workflow; every error names the file, the key, the value and what is expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from coordinator.domain.workflow import COMMITS, HANDOFF, Gate, Stage, Workflow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DURATION = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KEYS = ("stages", "description")
_STAGE = ("name", "template", "provider", "model", "leaves", "gate", "retries", "sends_back_to", "sends_back")
_GATE = ("command", "timeout", "file", "approval")
MOST_STAGES = 20
MOST_TIMES = 20
"""Retries, and how often work is sent back: what comes round more often wants a person."""


class WorkflowError(Exception):
    """The workflow cannot be used; the words name the file, the key, the value and what is expected."""


def parse_workflow(name: str, text: str) -> Workflow:
    """The workflow of `adws/workflows/<name>.toml`. Raises WorkflowError."""
    place = f"adws/workflows/{name}.toml"
    if not _NAME.fullmatch(name):
        raise WorkflowError(f"{place}: {name!r} is no name; letters, digits, dot, dash and underscore are possible")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise WorkflowError(f"{place} is no TOML: {error}") from error
    _known(data, _KEYS, place)
    _text(data, "description", place)
    given = data.get("stages", [])
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise _wrong(place, "stages", given, "at least one table [[stages]]")
    if len(given) > MOST_STAGES:
        raise WorkflowError(f"{place}: {len(given)} stages; at most {MOST_STAGES} are possible")
    stages: list[Stage] = []
    for at, one in enumerate(given, start=1):
        stages.append(_stage(one, f"{place}, stage {at}", stages, last=at == len(given)))
    return Workflow(name, tuple(stages))


def _stage(data: Mapping[str, Any], place: str, before: Sequence[Stage], *, last: bool) -> Stage:
    _known(data, _STAGE, place)
    name = _text(data, "name", place)
    if not _NAME.fullmatch(name):
        raise _wrong(place, "name", name, "a name of letters, digits, dot, dash and underscore")
    if name in {stage.name for stage in before}:
        raise _wrong(place, "name", name, "a name that no stage before has")
    stage = Stage(
        name=name,
        template=_named(data, "template", place),
        provider=_named(data, "provider", place),
        model=_text(data, "model", place),
        leaves=_leaves(data, place),
        gate=_gate(data, place),
        retries=_times(data, "retries", place),
        sends_back_to=_text(data, "sends_back_to", place),
        sends_back=_times(data, "sends_back", place) or 0,
    )
    _check_loop(stage, data, place, before)
    if last and stage.gate.approval:
        raise _wrong(place, "gate.approval", True, "none at the last stage: there the pull request waits for a person")
    if last and COMMITS not in {one for each in (*before, stage) for one in each.leaves}:
        raise _wrong(place, "leaves", list(stage.leaves), f'"{COMMITS}" in this or an earlier stage')
    return stage


def _check_loop(stage: Stage, data: Mapping[str, Any], place: str, before: Sequence[Stage]) -> None:
    if not stage.sends_back_to:
        if stage.sends_back:
            raise _wrong(place, "sends_back", stage.sends_back, "sends_back_to beside it, the name of an earlier stage")
        return
    earlier = [one.name for one in before]
    if stage.sends_back_to not in earlier:
        known = " or ".join(f'"{one}"' for one in earlier) or "none: no stage comes before this one"
        raise _wrong(place, "sends_back_to", stage.sends_back_to, f"an earlier stage, {known}")
    if "sends_back" not in data or not stage.sends_back:
        raise _wrong(place, "sends_back", data.get("sends_back"), f"how often, 1 to {MOST_TIMES}")
    if not stage.files or set(stage.files[0]) & set("*?["):
        raise _wrong(place, "leaves", list(stage.leaves), f'the file of the verdict first, "{HANDOFF}/REVIEW.md" say')


def _gate(data: Mapping[str, Any], place: str) -> Gate:
    given = data.get("gate", {})
    if not isinstance(given, dict):
        raise _wrong(place, "gate", given, 'a table such as { command = "make test", timeout = "10m" }')
    _known(given, _GATE, f"{place}, gate")
    approval = given.get("approval", False)
    if not isinstance(approval, bool):
        raise _wrong(place, "gate.approval", approval, "true or false")
    command, file = _text(given, "command", f"{place}, gate"), _text(given, "file", f"{place}, gate")
    if "timeout" in given and not command:
        raise _wrong(place, "gate.timeout", given["timeout"], "a command beside it")
    if file:
        _pattern(file, place, "gate.file")
    limit = _duration(given, place) if "timeout" in given else Gate().timeout
    return Gate(command=command, timeout=limit, file=file, approval=approval)


def _duration(given: Mapping[str, Any], place: str) -> timedelta:
    text = given["timeout"]
    parts = _DURATION.findall(text) if isinstance(text, str) else []
    span = timedelta(seconds=min(sum(int(number) * _UNITS[unit] for number, unit in parts[:4]), 10 * _UNITS["d"]))
    if "".join(number + unit for number, unit in parts[:4]) != text or not span:
        raise _wrong(place, "gate.timeout", text, 'a duration such as "90s" or "1h30m"')
    return span


def _leaves(data: Mapping[str, Any], place: str) -> tuple[str, ...]:
    value = data.get("leaves", [COMMITS])
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
        raise _wrong(place, "leaves", value, f'a list such as ["{COMMITS}"] or ["{HANDOFF}/PLAN.md"]')
    for one in value:
        _pattern(one, place, "leaves")
    return tuple(dict.fromkeys(value))


def _pattern(text: str, place: str, key: str) -> None:
    parts = text.split("/")
    if text.startswith(("/", "~")) or ".." in parts or "" in parts or ".git" in parts or not text.isprintable():
        raise _wrong(place, key, text, "a path or pattern inside the worktree, without ..")
    if any("**" in part and part != "**" for part in parts):
        raise _wrong(place, key, text, "** as a whole part of the path")


def _named(data: Mapping[str, Any], key: str, place: str) -> str:
    value = _text(data, key, place)
    if value and not _NAME.fullmatch(value):
        raise _wrong(place, key, value, "a name of letters, digits, dot, dash and underscore")
    return value


def _text(data: Mapping[str, Any], key: str, place: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str) or "\0" in value:
        raise _wrong(place, key, value, "a text in quotes")
    return value


def _times(data: Mapping[str, Any], key: str, place: str) -> int | None:
    value = data.get(key)
    if value is not None and (type(value) is not int or not 0 <= value <= MOST_TIMES):
        raise _wrong(place, key, value, f"a number from 0 to {MOST_TIMES}")
    return value


def _known(data: Mapping[str, Any], keys: Collection[str], place: str) -> None:
    unknown = sorted(set(data) - set(keys))
    if unknown:
        raise WorkflowError(f"{place}: unknown key {unknown[0]!r}; known are {', '.join(keys)}")


def _wrong(place: str, key: str, value: object, expected: str) -> WorkflowError:
    shown = "nothing" if value in (None, "", []) else repr(value)[:200]
    return WorkflowError(f"{place}: {key} = {shown}; expected is {expected}")
