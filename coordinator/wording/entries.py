"""What tasks.md says of one task, and how it is made from the task and its attempts. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import PurePosixPath

from coordinator.domain.attempt import Attempt
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import ACTIVE, COMPLETED, PENDING, Task, TaskState
from coordinator.wording.escape import cut, one_line

Local = Callable[[datetime], datetime]
"""The same moment in the host's time zone (ports.Clock.local)."""

Histories = Mapping[str, Sequence[Attempt]]
_Order = tuple[int, int, datetime, int, str]

TITLE_LIMIT = 200
REASON_LIMIT = 300
DEFAULT_PRIORITY = 2


class Section(StrEnum):
    """The sections of tasks.md in the order in which they stand; the value is the heading."""

    PENDING = "Pending"
    ACTIVE = "Active"
    COMPLETED = "Completed today"
    FAILED = "Failed"
    BLOCKED = "Blocked"


@dataclass(frozen=True)
class Entry:
    """One task as tasks.md shows it. Times are texts in the host's time zone; "" = not known.

    `worker` is `w-` and six hex digits; `sha` is cut to seven digits when written.
    """

    id: str
    title: str
    section: Section
    priority: int = DEFAULT_PRIORITY
    worker: str = ""
    worktree: str = ""
    sha: str = ""
    pid: int | None = None
    started: str = ""
    completed: str = ""
    pr_number: int | None = None
    pr_url: str = ""
    failed: str = ""
    blocked_since: str = ""
    reason: str = ""


def section_of(state: TaskState) -> Section:
    """Where a task of this state stands."""
    if state in PENDING:
        return Section.PENDING
    if state in ACTIVE:
        return Section.ACTIVE
    if state in COMPLETED:
        return Section.COMPLETED
    return Section.BLOCKED if state is TaskState.BLOCKED else Section.FAILED


def safe_title(title: str) -> str:
    """The title on one visible line that cannot hide the rest of the file; never empty."""
    return cut(one_line(title, TITLE_LIMIT * 4).replace("<!--", "<! --"), TITLE_LIMIT) or "(no title)"


def reason_words(code: str, detail: str = "") -> str:
    """`code: words` on one line: what was seen if we know it, else what the code means."""
    if code == "no_change":
        return "no_change: Worker exited without creating PR"
    known = REASONS.get(code)
    words = one_line(detail, REASON_LIMIT) or (known.meaning if known else "")
    return f"{code}: {words}" if code and words else code or words


class Entries:
    """What tasks.md shows, made anew only of a task that is another object, or has another last attempt, than at the
    call before: of ten thousand tasks few change between two ticks."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._known: dict[str, tuple[Task, Attempt | None, _Order, Entry]] = {}
        self._last: tuple[object, object, date, tuple[Entry, ...]] | None = None

    def of(self, tasks: Collection[Task], attempts: Histories, now: datetime) -> tuple[Entry, ...]:
        """Every task that tasks.md shows, in the order of the file; completed ones of the host's present day. The very
        object of the call before, for the very same tasks and attempts on the same day: neither may be changed."""
        today, last = self._local(now).date(), self._last
        if last is None or last[0] is not tasks or last[1] is not attempts or last[2] != today:
            last = self._last = tasks, attempts, today, self._made(tasks, attempts, today)
        return last[3]

    def _made(self, tasks: Collection[Task], attempts: Histories, today: date) -> tuple[Entry, ...]:
        known, self._known = self._known, {}
        shown = []
        for task in tasks:
            section = section_of(task.state)
            if section is Section.COMPLETED and self._local(_completed_at(task)).date() != today:
                continue
            last = next(reversed(attempts.get(task.id, ())), None)
            kept = known.get(task.id)
            if kept is None or kept[0] is not task or kept[1] is not last:
                kept = task, last, _order(task, section), _entry(task, section, last, self._local)
            self._known[task.id] = kept
            shown.append(kept)
        shown.sort(key=lambda one: one[2])
        return tuple(entry for *_, entry in shown)


def _completed_at(task: Task) -> datetime:
    return task.completed_at or task.state_since


def _order(task: Task, section: Section) -> _Order:
    rank = list(Section).index(section)
    if section in {Section.PENDING, Section.ACTIVE}:
        return rank, task.priority, task.created_at, task.issue or 0, task.id
    since = _completed_at(task) if section is Section.COMPLETED else task.state_since
    return rank, 0, since, task.issue or 0, task.id


def _entry(task: Task, section: Section, last: Attempt | None, local: Local) -> Entry:
    def shown(moment: datetime | None) -> str:
        return local(moment).isoformat(timespec="seconds") if moment else ""

    active = section is Section.ACTIVE
    return Entry(
        id=task.id,
        title=safe_title(task.title),
        section=section,
        priority=task.priority,
        worker=last.worker_id if last else "",
        worktree="/".join(PurePosixPath(task.worktree or f"trees/{task.id}").parts[-2:]) if active else "",
        sha=task.pr_head_sha or task.pushed_sha or (last.head_sha if last else ""),
        pid=last.pid if last and active else None,
        started=shown(last.launched_at or last.created_at) if last and active else "",
        completed=shown(_completed_at(task)) if section is Section.COMPLETED else "",
        pr_number=task.pr_number,
        pr_url=task.pr_url,
        failed=shown(task.state_since) if section is Section.FAILED else "",
        blocked_since=shown(task.state_since) if section is Section.BLOCKED else "",
        reason=reason_words(task.reason, task.detail) if section in {Section.FAILED, Section.BLOCKED} else "",
    )
