"""The prompt of a worker, rendered from its template. The issue's words enter as data: nothing in them is
executed, and no fence they could write ends the block they stand in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError
from jinja2 import Template as Compiled
from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coordinator.domain.attempt import Attempt
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import Task
from coordinator.wording.escape import fenced_words, one_line
from coordinator.wording.plan_md.mini import mini_plan, told
from coordinator.wording.shown import left_out, shown, shown_title

BODY_LIMIT = 50_000
"""Characters of an issue's text that enter a prompt."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")
_STOP = (
    "A person may stop you at any time by a file named STOP in the root of this worktree. Look for it before "
    "each major step and after each tool use. When it is there: say so, commit what is useful with the message "
    "`WIP: Stopped by user` (never the STOP file itself), and end."
)


class TemplateError(Exception):
    """The template cannot be used; the words name the file, the key or line, and what is expected."""


@dataclass(frozen=True)
class Template:
    """A worker template. "" , 0, () and None mean: as coordinator.toml has it."""

    name: str
    prompt: str
    provider: str = ""
    model: str = ""
    timeout: timedelta | None = None
    max_turns: int = 0
    tools: tuple[str, ...] = ()


def parse_template(name: str, toml_text: str, prompt_text: str) -> Template:
    """The template of `worker_templates/<name>/`. Raises TemplateError."""
    place = f"worker_templates/{name}/template.toml"
    try:
        data = tomllib.loads(toml_text)
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(f"{place} is no TOML: {error}") from error
    unknown = sorted(set(data) - {"provider", "model", "timeout", "max_turns", "tools"})
    if unknown:
        known = "provider, model, timeout, max_turns, tools"
        raise TemplateError(f"{place}: unknown key {unknown[0]!r}; known are {known}")
    if not prompt_text.strip():
        raise TemplateError(f"worker_templates/{name}/prompt.md is empty: the agent would have nothing to do")
    return Template(
        name=name,
        prompt=prompt_text,
        provider=_typed(data, "provider", str, "", place),
        model=_typed(data, "model", str, "", place),
        timeout=_duration(data, place),
        max_turns=_typed(data, "max_turns", int, 0, place),
        tools=_words(data, place),
    )


def _typed(data: Mapping[str, Any], key: str, kind: type, default: Any, place: str) -> Any:
    value = data.get(key, default)
    if type(value) is not kind or (isinstance(value, int) and value < 0):
        expected = "a text in quotes" if kind is str else "a number, 0 or more"
        raise TemplateError(f"{place}: {key} = {value!r}; expected is {expected}")
    return value


def _duration(data: Mapping[str, Any], place: str) -> timedelta | None:
    text = _typed(data, "timeout", str, "", place)
    if not text:
        return None
    parts = _DURATION.findall(text)
    span = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts[:9]))
    if "".join(number + unit for number, unit in parts) != text or not span:
        raise TemplateError(f'{place}: timeout = {text!r}; expected is a duration such as "90m" or "1h30m"')
    return span


def _words(data: Mapping[str, Any], place: str) -> tuple[str, ...]:
    value = data.get("tools", [])
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise TemplateError(f'{place}: tools = {value!r}; expected is a list such as ["Bash", "Edit"]')
    return tuple(value)


def render_prompt(
    template: Template, task: Task, attempt: Attempt, previous: Attempt | None, *, base: str, repository: str,
    url: str = "", plan: Mapping[str, object] | None = None,
) -> str:
    """The prompt of this attempt, from the pinned words of the issue and what was heard with it alone. `url` is the
    issue's own address as GitHub tells it, `plan` what is said of the plan that the task stands in. Raises
    TemplateError."""
    place = f"worker_templates/{template.name}/prompt.md"
    try:
        return _compiled(template.prompt).render(
            issue=_issue(task, attempt, url),
            plan=plan,
            task=task.id,
            repository=repository,
            branch=task.branch,
            base=base,
            attempt=attempt.number,
            last=_last(previous, attempt),
            stop=_STOP,
        )
    except TemplateSyntaxError as error:
        raise TemplateError(f"{place}, line {error.lineno}: {error.message}") from error
    except (JinjaError, TypeError, ValueError, ArithmeticError, OverflowError) as error:
        raise TemplateError(f"{place}: {error}") from error


@lru_cache(maxsize=16)
def _compiled(prompt: str) -> Compiled:
    """Raises TemplateSyntaxError."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    return environment.from_string(prompt)


def _issue(task: Task, attempt: Attempt, url: str) -> dict[str, object]:
    """`text` is title and body as GitHub shows them, what was left out of them, and what was heard in comments."""
    title, body = shown_title(task.pin.title), shown(task.pin.body, BODY_LIMIT)
    small = mini_plan(body.text)
    told_of = left_out({"title": title, "text": body})
    parts = (fenced_words(f"{title.text}\n\n{body.text}".strip()), told_of.rstrip(), attempt.heard)
    return {
        "number": task.issue,
        "title": title.text,
        "body": body.text,
        "url": one_line(url),
        "text": "\n\n".join(part for part in parts if part),
        "small_plan": fenced_words(told(small)) if small else "",
    }


def _last(previous: Attempt | None, attempt: Attempt) -> str:
    """What the last attempt ended with, in words; "" for the first."""
    if previous is None:
        return ""
    known = REASONS.get(previous.reason)
    meaning = known.meaning if known else previous.reason or "unknown"
    detail = one_line(previous.detail, 500)
    told = f"attempt {previous.number} ended: {meaning}" + (f" ({detail})" if detail else "")
    if attempt.provider == previous.provider:
        return told
    return f"{told}. It was another agent's ({previous.provider}): you take over its worktree as it left it"
