"""What we write on an issue: one living comment, edited when the task moves, and the few new ones that mail.

Each body begins with a hidden marker by which it is found again; words of strangers are defused in escape.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.domain.attempt import Attempt
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import Task, TaskState
from coordinator.domain.workflow import BUILD
from coordinator.wording.escape import GITHUB_LIMIT, code, cut, defuse, fence, marker, one_line, quote, tail

TAIL_LINES = 20
DETAIL_LIMIT = 2000
AGAIN = 3
"""New comments for refusals that followed one another in one attempt: another bot may answer each word of ours."""

_S = TaskState


@dataclass(frozen=True)
class Words:
    """The names of the labels that the cures speak of."""

    auto: str = "rpi-auto"
    retry: str = "rpi-retry"
    approved: str = "rpi-approved"


class LabelNames(Protocol):
    @property
    def auto(self) -> str: ...
    @property
    def retry(self) -> str: ...
    @property
    def approved(self) -> str: ...


@dataclass(frozen=True)
class Said:
    """The living comment as it should stand. `key` changes exactly when the body should be written anew."""

    key: str
    marker: str
    body: str


@dataclass(frozen=True)
class Notice:
    """A comment that is written once: never two with one `key` (or `marker`)."""

    key: str
    marker: str
    body: str


def desired_living(task: Task, attempt: Attempt | None, names: LabelNames = Words()) -> Said | None:
    """None until a worker of the task first ran; the last words stay while a task waits for its next turn."""
    if task.issue is None or attempt is None or not _ever_ran(task, attempt):
        return None
    mark = marker(task.id, "status")
    key = f"{task.state}:{attempt.number}:{task.reason}:{task.pr_number or ''}"
    return Said(key, mark, _fit(mark, _living_words(task, attempt, names)))


def desired_notices(
    task: Task, attempt: Attempt | None, attempts: Sequence[Attempt], names: LabelNames = Words()
) -> tuple[Notice, ...]:
    """Its pull request is there; a person is needed, to mend or to approve: once an attempt, and once more for each of
    the first AGAIN times that what it has is refused again."""
    if task.issue is None:
        return ()
    again = min(task.revived, AGAIN)
    which = f"{attempt.number if attempt is not None else 0}{f'.{again}' if again else ''}"
    notices = []
    if task.pr_number is not None and task.completed_at is not None and task.state in {_S.IN_REVIEW, _S.DONE}:
        words = "\n".join(part for part in (completed_words(task), account_words(attempts)) if part)
        notices.append(_notice(task, "completed", f"pr{task.pr_number}", words))
    if task.state in {_S.BLOCKED, _S.FAILED}:
        words = trouble_words(task, attempt, attempts, names)
        notices.append(_notice(task, task.state.lower(), which, words))
    elif task.state is _S.QUEUED and task.reason == "approval":
        notices.append(_notice(task, "approval", which, approval_words(task, attempt, names)))
    elif task.state is _S.CANCELLED and task.reason == "manual_stop":
        notices.append(_notice(task, "stopped", which, stopped_words(task, attempt, names)))
    if task.withheld:
        notices.append(_notice(task, "withheld", which, withheld_words(task)))
    return tuple(notices)


def held_notice(task_id: str, key: str, words: str, cure: str) -> Notice:
    """Why an issue is not worked on. It is said once, however often that changes; nobody is pinged."""
    mark = marker(task_id, key)
    said = (f"⏸️ Not worked on: {defuse(words)}.\n\n**What to do:** {defuse(cure)}. "
            "(This is said once. Where it stands later: `coordinator why`, on the host.)")
    return Notice(key, mark, _fit(mark, said))


def _ever_ran(task: Task, attempt: Attempt) -> bool:
    return attempt.number > 1 or attempt.launched_at is not None or task.state is _S.RUNNING


def _notice(task: Task, kind: str, which: str, words: str) -> Notice:
    mark = marker(task.id, kind, which)
    return Notice(f"{kind}:{which}", mark, _fit(mark, words))


def _fit(mark: str, words: str) -> str:
    return f"{mark}\n{cut(words, GITHUB_LIMIT - len(mark) - 100)}"


# --- the living comment -----------------------------------------------------------------------------


def _living_words(task: Task, attempt: Attempt, names: LabelNames) -> str:
    match task.state:
        case _S.RUNNING | _S.PREPARING:
            return "\n".join((
                f"🟡 Working on this ({_facts(attempt)})",
                f"Branch {code(task.branch)}. This comment changes when the task moves, not with every step.",
                f"Stop: remove the label {code(names.auto)} (or `touch STOP` in the worktree). Try again: set it anew.",
            ))
        case _S.PUBLISHING:
            return f"🟡 Finished (attempt {attempt.number}); branch {code(task.branch)} is being published."
        case _S.IN_REVIEW:
            return f"{completed_words(task)}\nIt waits for a reviewer."
        case _S.DONE:
            return f"✅ Done: PR #{task.pr_number} is merged: {task.pr_url}" if task.pr_number else "✅ Done."
        case _S.QUEUED | _S.BACKOFF:
            return f"🕒 Waiting for its next turn after attempt {attempt.number}{_because(task, attempt)}."
        case _S.BLOCKED:
            return f"⏰ Blocked: {_short(task)}\n{_cure(task.reason, names)}"
        case _S.FAILED:
            return f"❌ Failed: {_short(task)}\n{_cure(task.reason, names)}"
        case _S.CANCELLED:
            return f"⏹️ Stopped: {_short(task)}\n{_cure(task.reason, names)}"


def _facts(attempt: Attempt) -> str:
    started = attempt.launched_at or attempt.created_at
    instead = f" in place of {attempt.switch_from} ({attempt.fallback_reason})" if attempt.switch_from else ""
    stage = f", stage {attempt.stage}" if attempt.stage not in ("", BUILD.name) else ""
    return f"attempt {attempt.number}{stage}, {attempt.provider}{instead}, started {started:%H:%M} UTC"


def _because(task: Task, attempt: Attempt) -> str:
    reason = task.reason or attempt.reason
    return f" ({reason}: {_meaning(reason)})" if reason in REASONS else ""


def _short(task: Task) -> str:
    return f"{task.reason}: {_meaning(task.reason)}." if task.reason else "no reason is recorded."


# --- new comments -----------------------------------------------------------------------------------


def completed_words(task: Task) -> str:
    """`✅ Completed! See PR #512: URL`."""
    draft = " It is a draft: look at what it says first." if task.pr_draft else ""
    return f"✅ Completed! See PR #{task.pr_number}: {one_line(task.pr_url)}{draft}"


def account_words(attempts: Sequence[Attempt]) -> str:
    """What a task used, as far as its agents told: `Used: 2 sessions, 120,000 tokens, $0.42.`; ""."""
    tokens = sum((one.usage.tokens_in or 0) + (one.usage.tokens_out or 0) for one in attempts)
    dollars = sum(one.usage.cost_usd or 0.0 for one in attempts)
    ran = sum(one.launched_at is not None for one in attempts)
    if not tokens and not dollars:
        return ""
    told = [f"{ran} session{'s' if ran != 1 else ''}", f"{tokens:,} tokens", *([f"${dollars:.2f}"] if dollars else [])]
    return f"Used: {', '.join(told)}."


def trouble_words(
    task: Task, attempt: Attempt | None, attempts: Sequence[Attempt], names: LabelNames = Words()
) -> str:
    """Blocked or failed: the cause, what to do (by label first), what was kept, the end of the log folded."""
    head = "⏰ Blocked" if task.state is _S.BLOCKED else "❌ Failed"
    parts = [f"{head}: **{task.reason or 'unknown'}** – {_meaning(task.reason)}.", _cure(task.reason, names)]
    if task.detail.strip():
        parts.append(quote(cut(task.detail, DETAIL_LIMIT)))
    parts.append(_kept(task, attempt))
    parts.append(_history(attempts))
    parts.append(account_words(attempts))
    parts.append(_folded_tail(attempt))
    return "\n\n".join(part for part in parts if part)


def approval_words(task: Task, attempt: Attempt | None, names: LabelNames = Words()) -> str:
    """A stage is done and waits for a person: how it goes on, and what the stage left."""
    stage = f"Stage {code(attempt.stage)}" if attempt is not None and attempt.stage else "A stage"
    cure = (f"**What to do:** read it, then set the label {code(names.approved)}. (On the host: "
            f"{code(f'coordinator retry {task.id}')}.) If it is wrong, take {code(names.auto)} off, say in the issue "
            "what should be different, and set it anew.")
    parts = [f"🕒 {stage} is done and waits for a person's approval.", cure]
    if task.detail.strip():
        parts.append(quote(cut(task.detail, DETAIL_LIMIT)))
    return "\n\n".join(parts)


def stopped_words(task: Task, attempt: Attempt | None, names: LabelNames = Words()) -> str:
    """Stopped by a person: their words, and how it goes on."""
    why = task.detail or (attempt.stop_words if attempt else "")
    parts = ["⏹️ Stopped by a person." if attempt else "⏹️ Cancelled by a person before it was started."]
    if why.strip():
        parts.append(quote(cut(why, DETAIL_LIMIT)))
    parts += [_cure("manual_stop", names), _kept(task, attempt)]
    return "\n\n".join(part for part in parts if part)


def withheld_words(task: Task) -> str:
    """Kept work is here alone, and why."""
    reason, _, words = task.withheld.partition(": ")
    head = f"⚠️ Its unfinished work stays on the host, in branch {code(task.branch)}: **{reason}** – {_meaning(reason)}."
    cure = f"**What to do:** {code(f'coordinator retry {task.id} --allow')} pushes just this."
    return "\n\n".join((head, quote(cut(words, DETAIL_LIMIT)), cure))


def _meaning(reason_code: str) -> str:
    if reason_code == "no_change":
        return "Worker exited without creating PR: it ended well, but left no commit"
    known = REASONS.get(reason_code)
    return known.meaning if known else "no meaning is recorded for this code"


def _cure(reason_code: str, names: LabelNames) -> str:
    known = REASONS.get(reason_code)
    cure = known.cure if known else "Read the log."
    return f"**What to do:** {cure} (Retry label: {code(names.retry)}; on the host: `coordinator retry`.)"


def _kept(task: Task, attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    kept = []
    if attempt.commits:
        many = "s" if attempt.commits != 1 else ""
        kept.append(f"branch {code(task.branch)} ({attempt.commits} commit{many})")
    if attempt.rescue_ref:
        kept.append(f"uncommitted changes in {code(attempt.rescue_ref)}")
    return f"Work kept: {', '.join(kept)}." if kept else ""


def _history(attempts: Sequence[Attempt]) -> str:
    ended = [one for one in attempts if one.ending is not None]
    if len(ended) < 2:
        return ""
    rows = (f"- attempt {one.number} ({one.provider}): {one.reason or one.ending}" for one in ended[-10:])
    return "\n".join(rows)


def _folded_tail(attempt: Attempt | None) -> str:
    if attempt is None or not attempt.log_tail.strip():
        return ""
    block = fence(tail(attempt.log_tail, TAIL_LINES))
    return f"<details><summary>Last lines of the log</summary>\n\n{block}\n\n</details>"
