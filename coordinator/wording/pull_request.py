"""The title and body of a pull request. Its one closing keyword is ours; the agent's words are quoted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import Task
from coordinator.wording.escape import GITHUB_LIMIT, code, cut, fence, one_line, quote, unclosing
from coordinator.wording.spending import spent, stage_lines

TITLE_LIMIT = 250
"""GitHub refuses a title above 256 characters."""

_CLOSING = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)[\s:]{1,5}"
                      r"((?:[\w.-]{1,100}/[\w.-]{1,100})?#\d{1,9})\b", re.IGNORECASE)

SUMMARY_LIMIT = 4000
LISTED = 50


def pull_title(task: Task, attempt: Attempt) -> str:
    """The issue's title on one line; names the task when nothing of it can be seen."""
    return one_line(unclosing(one_line(task.title, TITLE_LIMIT)), TITLE_LIMIT) or f"{task.id}: attempt {attempt.number}"


def pull_body(task: Task, attempts: Sequence[Attempt], commits: Sequence[str], files: Sequence[str],
              warnings: Sequence[str] = ()) -> str:
    """Our own lines first, so that nothing in the agent's words can swallow `Closes #N`."""
    parts = [f"Closes #{task.issue}" if task.issue is not None else f"Task {code(task.id)}"]
    others = closes_too(commits, task.issue)
    if others:
        parts.append("**Look at the commit messages before merging**: by the closing keywords in them GitHub would "
                     f"also end {', '.join(code(other) for other in others)}.")
    if task.pr_draft:
        parts.append("**Draft**: a person should look at this before it counts as finished.")
    parts += warnings
    summary = author(attempts).summary if attempts else ""
    if summary.strip():
        parts += ["What the agent says it did and how it checked it:", quote(cut(summary, SUMMARY_LIMIT))]
    elif commits:
        parts += ["What was done, by its commits:", _listed(commits)]
    parts.append(_facts(attempts, commits if summary.strip() else (), files))
    return cut("\n\n".join(parts), GITHUB_LIMIT - 100) + "\n"


def author(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt whose words tell of the work: of several stages the last one that committed."""
    if len({one.stage for one in attempts}) < 2:
        return attempts[-1]
    moved = [one for before, one in pairwise((None, *attempts))
             if one is not None and one.commits and (before is None or one.head_sha != before.head_sha)]
    return moved[-1] if moved else attempts[-1]


def closes_too(commits: Sequence[str], issue: int | None) -> tuple[str, ...]:
    """Issues that a merge would close by words in these commits, but for the one that the work is for."""
    found = dict.fromkeys(match[1] for line in commits for match in _CLOSING.finditer(line))
    return tuple(name for name in found if name != f"#{issue}")


def _listed(lines: Sequence[str]) -> str:
    more = [f"… and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return fence("\n".join([*(one_line(line) for line in lines[:LISTED]), *more]))


def _facts(attempts: Sequence[Attempt], commits: Sequence[str], files: Sequence[str]) -> str:
    rows = [fact_line(attempts)] if attempts else []
    stages = stage_lines([spent(one) for one in attempts])
    rows += ["\n".join(f"- stage {line}" for line in stages)] if stages else []
    if commits:
        rows += ["Commits, oldest first:", _listed(commits)]
    if files:
        rows += ["Files:", _listed(files)]
    body = "\n\n".join(rows) or "none recorded"
    return f"<details><summary>Facts</summary>\n\n{body}\n\n</details>"


def fact_line(attempts: Sequence[Attempt]) -> str:
    """Agent, model, attempts, time, tokens, cost and commit range, as far as they are known."""
    last = attempts[-1]
    tokens_in = sum(one.usage.tokens_in or 0 for one in attempts)
    tokens_out = sum(one.usage.tokens_out or 0 for one in attempts)
    cost = sum(one.usage.cost_usd or 0.0 for one in attempts)
    minutes, seconds = divmod(int(sum(one.duration_sec for one in attempts)), 60)
    span = f"{last.base_sha[:7]}..{last.head_sha[:7]}"
    facts = [
        f"agent {code(last.provider)}",
        f"model {code(last.model)}" if last.model else "",
        f"{len(attempts)} attempt{'s' if len(attempts) != 1 else ''}",
        f"{minutes}m {seconds:02d}s",
        f"{tokens_in:,} tokens in, {tokens_out:,} out" if tokens_in or tokens_out else "",
        f"${cost:.2f}" if cost else "",
        f"commits {code(span)}" if last.base_sha and last.head_sha else "",
    ]
    return " · ".join(fact for fact in facts if fact)
