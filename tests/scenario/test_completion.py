"""Every row of docs/completion.md, walked on a whole coordinator: real commits and pushes, GitHub over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from coordinator.domain.request import RequestKind
from coordinator.domain.task import Task
from coordinator.runfiles import identity
from tests.support.yard import BOT, BOT_TOKEN, Yard, a_yard

DOC = Path(__file__).resolve().parents[2] / "docs" / "completion.md"
HOLD = """\
def hold():
    while not os.path.exists('GO'): time.sleep(0.02)
    os.remove('GO')
"""
WORK = "commit(); hold(); "
GOOD, BAD, SILENT = "result()", "result(error=True, text='It does not compile.')", "pass"
Step = Callable[[Yard, int], object]


# --- what people, and the agent through its own hands, do meanwhile ---------------------------------


def branch_of(number: int) -> str:
    return f"rpi/gh-{number}"


def go(yard: Yard, number: int) -> None:
    (yard.worktree(number) / "GO").touch()


def stop(yard: Yard, number: int) -> None:
    (yard.worktree(number) / "STOP").touch()


def pause(yard: Yard, number: int) -> None:
    yard.ann.add_label(number, "rpi-pause")


def kill(yard: Yard, number: int) -> None:
    """Wrapper and agent at once, as if the machine had taken them."""
    for proc in identity.with_token(yard.engine.world.store.attempts()[f"gh-{number}"][-1].token):
        identity.send(proc.pid, proc.start, 9)


def push(yard: Yard, number: int, to: str = "") -> None:
    address = yard.repository.clone_url.replace("://", f"://x:{BOT_TOKEN}@")
    yard.git("push", "-q", address, f"HEAD:refs/heads/{to or branch_of(number)}", cwd=yard.worktree(number))


def opens(yard: Yard, number: int, by: str = BOT, head: str = "", base: str | None = None, draft: bool = False) -> None:
    yard.repository.as_user(by).open_pull(head or branch_of(number), "By hand", base=base, draft=draft)


def merges(yard: Yard, number: int, method: str = "merge") -> None:
    yard.ann.merge(yard.repository.pulls()[-1].number, method)


def closes(yard: Yard, number: int) -> None:
    yard.ann.close_pull(yard.repository.pulls()[-1].number)


def deletes(yard: Yard, number: int) -> None:
    yard.ann.delete_branch(branch_of(number))


def release(yard: Yard, number: int) -> None:
    yard.ann.commit("release", {"RELEASE": "1"}, "Begin a release")


def an_empty_branch(yard: Yard, number: int) -> None:
    """A branch of the task's name that once had a commit, a pull request of it, and now stands on the base."""
    yard.ann.commit(branch_of(number), {"by-hand.txt": "x"}, "Begin it by hand")
    opens(yard, number, by="ann")
    address = yard.repository.clone_url.replace("://", f"://x:{BOT_TOKEN}@")
    yard.git("push", "-q", "-f", address, f"origin/main:refs/heads/{branch_of(number)}")


def again(yard: Yard, number: int) -> None:
    """The first run ended in a pull request, and a person asks for more."""
    yard.until_state(number, "IN_REVIEW")
    yard.engine.world.store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", yard.engine.world.clock.now())
    yard.until(lambda: yard.task(number).attempts == 2)


MINE: tuple[Step, ...] = (push, opens)
ELSEWHERE: tuple[Step, ...] = (push, partial(push, to="fix-the-thing"), partial(opens, head="fix-the-thing"))
LATER = f"{WORK}commit('later.txt'); {GOOD}"
ROUNDS = "commit(f'{attempt}.txt'); "


@dataclass(frozen=True)
class Row:
    """`before` is done before the label is set, `after` once it is, `meanwhile` while the agent holds after its commit.
    `pulls` are all there are in the end, by number: the task's own is marked with a star."""

    row: str
    name: str
    script: str
    then: str
    pulls: tuple[str, ...] = ()
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    meanwhile: tuple[Step, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    gone: bool = False


ROWS = (
    Row("R1", "new-work", f"commit(); {GOOD}", "IN_REVIEW pr_open", ("*open",)),
    Row("R2", "pushed-already", WORK + GOOD, "IN_REVIEW pr_open", ("*open",), meanwhile=(push, go)),
    Row("R3", "agent-opened-it", LATER, "IN_REVIEW pr_open", ("*open",), meanwhile=(*MINE, go)),
    Row("R4", "agent-opened-a-draft", LATER, "IN_REVIEW pr_open", ("*draft",),
        meanwhile=(push, partial(opens, draft=True), go)),
    Row("R5", "rework-of-an-open-one", ROUNDS + GOOD, "IN_REVIEW pr_open", ("*open",), after=(again,)),
    Row("R6", "opened-by-a-person", LATER, "IN_REVIEW pr_open", ("*open",),
        meanwhile=(push, partial(opens, by="ann"), go)),
    Row("R7", "two-open", LATER, "IN_REVIEW pr_open", ("*open", "open"), before=(release,),
        meanwhile=(*MINE, partial(opens, base="release"), go)),
    Row("R8", "on-another-branch", WORK + GOOD, "IN_REVIEW pr_open", ("*open",), meanwhile=(*ELSEWHERE, go)),
    Row("R9", "merged-on-another-branch", WORK + GOOD, "DONE merged", ("*merged",), meanwhile=(*ELSEWHERE, merges, go)),
    Row("R10", "squash-merged-branch-deleted", WORK + GOOD, "DONE merged", ("*merged",), gone=True,
        meanwhile=(*MINE, partial(merges, method="squash"), deletes, go)),
    Row("R11", "new-work-after-a-merge", LATER, "IN_REVIEW pr_open", ("merged", "*open"),
        meanwhile=(*MINE, merges, deletes, go)),
    Row("R12", "closed-at-this-commit", WORK + GOOD, "BLOCKED pr_closed", ("*closed",), meanwhile=(*MINE, closes, go)),
    Row("R13", "new-work-after-a-close", LATER, "IN_REVIEW pr_open", ("closed", "*open"),
        meanwhile=(*MINE, closes, go)),
    Row("R14", "open-beats-closed", LATER, "IN_REVIEW pr_open", ("closed", "*open"),
        meanwhile=(*MINE, closes, opens, go)),
    Row("R15", "nothing-done", GOOD, "FAILED no_change"),
    Row("R16", "nothing-to-add", f"attempt > 1 or commit(); {GOOD}", "IN_REVIEW pr_open", ("*open",), after=(again,)),
    Row("R17", "nothing-done-after-a-close", GOOD, "FAILED no_change", ("closed",), before=(an_empty_branch, closes)),
    Row("R18", "forgot-to-commit", f"write('work.txt', 'done'); {GOOD}", "IN_REVIEW pr_open", ("*draft",)),
    Row("R19", "asked-a-person", f"commit(); write('BLOCKED.md', 'Which one?'); {GOOD}", "BLOCKED needs_human"),
    Row("R20", "bad-end", f"commit(); {BAD}", "BACKOFF process_exit"),
    Row("R21", "bad-end-again", ROUNDS + BAD, "BLOCKED max_retries", settings={"backoff": "0s"}),
    Row("R22", "bad-end-but-opened-it", WORK + BAD, "IN_REVIEW pr_open", ("*open",), meanwhile=(*MINE, go)),
    Row("R23", "bad-end-on-an-old-one", f"{ROUNDS}{GOOD} if attempt == 1 else {BAD}", "BACKOFF process_exit",
        ("*open",), after=(again,)),
    Row("R24", "no-result", SILENT, "BACKOFF command_protocol_error"),
    Row("R25", "no-result-but-opened-it", WORK + SILENT, "IN_REVIEW pr_open", ("*open",), meanwhile=(*MINE, go)),
    Row("R26", "no-result-but-merged", WORK + SILENT, "DONE merged", ("*merged",), meanwhile=(*MINE, merges, go)),
    Row("R27", "vanished", WORK + GOOD, "BACKOFF lost", meanwhile=(kill,)),
    Row("R28", "time-limit", f"{ROUNDS}hold()", "BLOCKED max_retries", settings={"timeout": "1s", "backoff": "0s"}),
    Row("R29", "stopped-by-a-person", WORK + GOOD, "CANCELLED manual_stop", meanwhile=(stop,)),
    Row("R30", "stopped-with-one-open", WORK + GOOD, "CANCELLED manual_stop", ("open",), meanwhile=(*MINE, stop)),
    Row("R31", "paused", WORK + GOOD, "QUEUED paused", meanwhile=(pause,)),
    Row("R32", "limit-of-the-provider", "result(error=True, text='You have hit your usage limit')",
        "QUEUED command_usage_limited"),
)


def walk(yard: Yard, row: Row) -> Task:
    """The task of this row once it stands where the row says; fails with the log when it never does."""
    number = yard.issue(script=HOLD + row.script, labels=())
    for step in row.before:
        step(yard, number)
    yard.ann.add_label(number, "rpi-auto")
    for step in row.after:
        step(yard, number)
    if row.meanwhile:
        until_it_holds(yard, number)
    for step in row.meanwhile:
        step(yard, number)
    yard.until(lambda: yard.state(number) != "" and where(yard.task(number)) == row.then and not yard.engine.busy)
    yard.tick()
    return yard.task(number)


def until_it_holds(yard: Yard, number: int) -> None:
    """The agent has made its commit."""
    yard.until((yard.worktree(number) / f"gh-{number}.txt").exists)
    yard.until(lambda: yard.git("log", "--format=%s", f"origin/main..{branch_of(number)}") != "")


def where(task: Task) -> str:
    return f"{task.state} {task.reason}"


def standing(yard: Yard, task: Task) -> tuple[str, ...]:
    """All pull requests by number: open, draft, merged or closed; the task's own with a star."""
    words = []
    for one in yard.repository.pulls():
        pull = one.the_pull()
        state = "merged" if pull.merged_at else "draft" if one.state == "open" and pull.draft else one.state
        words.append(("*" if task.pr_number == one.number else "") + state)
    return tuple(words)


def lost(yard: Yard, task: Task) -> list[str]:
    """Commits the branch ever pointed at that no ref of the clone holds any more."""
    ever = yard.git("log", "-g", "--format=%H", f"refs/heads/{task.branch}").split()
    return [sha for sha in ever if not yard.git("for-each-ref", f"--contains={sha}")]


def on_github(yard: Yard, task: Task) -> bool:
    """Whether a ref of the remote, a pull request's included, holds the branch's last commit."""
    tip = yard.git("rev-parse", f"refs/heads/{task.branch}")
    held = yard.git("rev-list", "--all", cwd=yard.repository.state.bare).split()
    return tip in held


def assert_well_told(yard: Yard, task: Task) -> None:
    """One living comment, and the completion said once where there is one and never else."""
    said = yard.comments(task.issue or 0)
    assert len([body for body in said if f"coordinator:{task.id}:status" in body]) == 1
    completed = [body for body in said if f"coordinator:{task.id}:completed" in body]
    once = task.state in ("IN_REVIEW", "DONE") or (task.attempts > 1 and task.pr_number is not None)
    assert len(completed) == int(once)


@pytest.mark.req("N10", "E29", "P56", "W11", "X2")
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.row}-{row.name}" for row in ROWS])
def test_each_row_of_the_completion_table_is_true_of_a_whole_coordinator(tmp_path: Path, row: Row):
    with a_yard(tmp_path, settings={"backoff": "20m", **row.settings}) as yard:
        task = walk(yard, row)

        assert where(task) == row.then
        assert standing(yard, task) == row.pulls
        assert lost(yard, task) == []
        assert on_github(yard, task) or task.state in ("BACKOFF", "QUEUED", "FAILED")
        assert not (row.gone and yard.repository.branch(task.branch))
        assert_well_told(yard, task)


@pytest.mark.req("N10")
def test_the_rows_walked_are_the_rows_of_the_document():
    listed = re.findall(r"\| (R\d+) \| ([\w-]+) \|.*\| ([^|]+) \|$", DOC.read_text("utf-8"), re.MULTILINE)
    assert [(row.row, row.name) for row in ROWS] == [(row, name) for row, name, _ in listed]
    for row, (_, _, then) in zip(ROWS, listed, strict=True):
        state, reason = row.then.split()
        assert then.endswith(f"→ {state}") or then.startswith(f"{state} {reason}")


# --- what else may happen between the commit and the pull request -----------------------------------------


def holding(yard: Yard) -> int:
    """An issue whose agent holds after its commit."""
    number = yard.issue(script=HOLD + WORK + GOOD)
    until_it_holds(yard, number)
    return number


@pytest.mark.req("P56", "E32")
def test_a_pull_request_seen_while_the_worker_lives_does_not_end_it(yard: Yard):
    number = holding(yard)
    push(yard, number)
    opens(yard, number)
    for _ in range(3):
        yard.tick()
    assert yard.state(number) == "RUNNING"
    assert yard.comments(number)[0].count("Working on this") == 1
    go(yard, number)

    task = yard.until_state(number, "IN_REVIEW")

    assert (task.attempts, standing(yard, task)) == (1, ("*open",))


def test_a_base_that_moved_meanwhile_changes_nothing_but_the_place_to_merge(yard: Yard):
    number = holding(yard)
    yard.ann.commit("main", {"other.txt": "theirs"}, "Work beside it")
    go(yard, number)

    task = yard.until_state(number, "IN_REVIEW")

    assert yard.repository.messages(task.branch) == ["Do the work"]
    yard.ann.merge(task.pr_number or 0)
    yard.until_state(number, "DONE")
    assert {"other.txt", "gh-1.txt"} <= set(yard.repository.files("main"))


def test_a_persons_commit_on_our_branch_is_never_pushed_over(yard: Yard):
    number = holding(yard)
    theirs = yard.ann.commit(branch_of(number), {"by-hand.txt": "x"}, "By hand")
    go(yard, number)

    task = yard.until_state(number, "BLOCKED")

    assert task.reason == "push_refused"
    assert yard.repository.branch(task.branch) == theirs
    assert yard.git("log", "-1", "--format=%s", task.branch) == "Do the work"
    assert yard.repository.pulls() == []


def test_a_persons_commit_on_top_of_ours_is_part_of_the_next_attempt(yard: Yard):
    number = yard.issue(script=f"commit(f'{{attempt}}.txt'); {GOOD}")
    task = yard.until_state(number, "IN_REVIEW")
    yard.ann.commit(task.branch, {"by-hand.txt": "x"}, "A word of mine")

    again(yard, number)
    yard.until_state(number, "IN_REVIEW")

    assert yard.repository.messages(task.branch) == ["Do the work", "A word of mine", "Do the work"]
    assert standing(yard, yard.task(number)) == ("*open",)


@pytest.mark.req("W11")
def test_a_pull_request_that_somebody_opens_a_moment_before_ours_is_adopted(yard: Yard):
    number = holding(yard)
    opened: list[str] = []

    def first(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/pulls") and not opened:
            opened.append(path)
            opens(yard, number, by="ann")

    yard.github.intercept = first
    go(yard, number)

    task = yard.until_state(number, "IN_REVIEW")

    assert opened != []
    assert [one.author for one in yard.repository.pulls()] == ["ann"]
    assert standing(yard, task) == ("*open",)


def test_a_file_that_no_commit_can_hold_keeps_no_task_from_its_end_and_is_named(yard: Yard):
    script = "os.remove('README.md'); os.mkfifo('README.md'); write('new.txt', 'work'); result()\n"
    number = yard.issue(script=script)

    task = yard.until_state(number, "IN_REVIEW", seconds=40)

    assert "new.txt" in yard.repository.files(task.branch)
    assert [line for line in yard.lines if "no commit can hold README.md" in line]
    assert (yard.worktree(number) / "README.md").is_fifo()
