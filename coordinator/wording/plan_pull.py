"""The pull request of a plan in one repository: its title, and a body that says task by task what came together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordinator.domain.attempt import Attempt
from coordinator.domain.planfile import Delivery, Undertaking
from coordinator.wording.escape import GITHUB_LIMIT, code, cut, defuse, fence, one_line, unclosing
from coordinator.wording.pull_request import TITLE_LIMIT, closes_too, fact_line

MOST_COMMITS = 100


def plan_title(under: Undertaking) -> str:
    """`<id>: <name>`."""
    return one_line(unclosing(f"{under.id}: {one_line(under.plan.name)}"), TITLE_LIMIT)


def plan_body(
    under: Undertaking, delivery: Delivery, commits: Sequence[str], attempts: Mapping[str, Sequence[Attempt]],
    warnings: Sequence[str] = (),
) -> str:
    """What each task of this repository brought, how it was validated and what was odd about it; then the commits
    that a reviewer goes through, oldest first (`git log --oneline`)."""
    parts = [cut(defuse(under.plan.overview.strip()), 4000) or f"Plan {code(under.id)}."]
    if others := closes_too(commits, None):
        parts.append("**Look at the commit messages before merging**: by the closing keywords in them GitHub would "
                     f"end {', '.join(code(other) for other in others)}.")
    parts += warnings
    parts += ["\n".join(_task(under, one.id, attempts) for one in under.plan.tasks if one.repo == delivery.name)]
    lines = [one_line(line) for line in commits[-MOST_COMMITS:]]
    parts.append("<details><summary>Commits, oldest first</summary>\n\n" + fence("\n".join(lines)) + "\n\n</details>")
    parts.append("Merge it with a merge commit: each task is one merge of its own, so that it can be taken back alone.")
    return cut("\n\n".join(parts), GITHUB_LIMIT - 100) + "\n"


def _task(under: Undertaking, task_id: str, attempts: Mapping[str, Sequence[Attempt]]) -> str:
    one, result = under.plan.task(task_id), under.results.get(task_id)
    if one is None:
        return ""
    history = attempts.get(under.key(one), ())
    rows = [f"- **{code(one.id)} {defuse(one_line(one.name))}**"]
    if result is not None:
        files = f"{len(result.files)} file{'s' if len(result.files) != 1 else ''}"
        rows.append(f"  - {result.commits} commit{'s' if result.commits != 1 else ''}, {files}")
        rows += [f"  - validation: {defuse(one_line(result.validation, 500))}"] if result.validation else []
        rows += [f"  - note: {defuse(one_line(note, 500))}" for note in result.notes]
    rows += [f"  - {fact_line(history)}"] if history else []
    return "\n".join(rows)
