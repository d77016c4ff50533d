"""stop, retry, pause, resume, rebuild, clean: a person's word to the coordinator, which alone moves tasks.

Where one runs it is woken and answers; where none runs, this process holds the repository for that one request.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.reading import place_of, task_id
from coordinator.cli.running import say
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coordinator.app import Place
    from coordinator.domain.request import RequestKind

PATIENCE = 5.0
"""Seconds that an answer is waited for."""
SLOW_PATIENCE = 30.0
"""The same where work must be done before the answer: a clean-up, a worker that is asked to end."""
LOOK_EVERY = 0.05

Issue = Annotated[str, typer.Argument(metavar="ISSUE", help="471, gh-471 or m-3.")]


def add_to(app: typer.Typer) -> None:
    for command in (stop, retry, pause, resume, rebuild, clean):
        app.command()(command)
    app.command("reset-errors", hidden=True)(reset_errors)
    scripts = typer.Typer(hidden=True, help="Requests made by scripts.", rich_markup_mode=None)
    scripts.callback()(_group)
    scripts.command("reset-errors")(reset_errors)
    app.add_typer(scripts, name="request")


def _group() -> None:
    """Requests made by scripts."""


def stop(
    issue: Issue, reason: Annotated[str, typer.Option(help="Told on the issue and in tasks.md.")] = ""
) -> None:
    """Stop a task: a running worker ends politely, its work is kept, and it stays stopped."""
    _task_request("stop", issue, {"reason": reason} if reason else {}, SLOW_PATIENCE)


def retry(
    issue: Issue,
    fresh: Annotated[bool, typer.Option("--fresh", help="From the base anew; old work gets a ref of its own.")] = False,
    provider: Annotated[str, typer.Option(help="With another agent.")] = "",
    allow: Annotated[bool, typer.Option("--allow", help="Publish what was held back, just as it is.")] = False,
) -> None:
    """Try a stopped, blocked or failed task again."""
    from coordinator import app

    if allow and (fresh or provider):
        raise Trouble("--allow publishes what is there: it goes with no other option", code=USAGE)
    if provider and provider not in app.provider_names():
        raise Trouble(f"there is no provider {provider!r}", f"Known are {', '.join(app.provider_names())}.", code=USAGE)
    _task_request("retry", issue, {"fresh": "1" if fresh else "", "provider": provider, "allow": "1" if allow else ""},
                  PATIENCE)


def pause() -> None:
    """Start nothing new; running workers go on."""
    _request("pause")


def resume() -> None:
    """Start work again after `pause`."""
    _request("resume")


def rebuild() -> None:
    """Write tasks.md and adws/metrics.json anew from the store."""
    _request("rebuild")


def reset_errors() -> None:
    """Set worktree_errors to 0."""
    _request("reset_errors")


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go; remove nothing.")] = False,
) -> None:
    """Remove what is no longer needed: worktrees of merged work, old transcripts, run files, rescued work.

    Never unpushed work; the newest failure of a task is kept."""
    if dry_run:
        _list_litter()
    else:
        _request("clean", patience=SLOW_PATIENCE)


def _list_litter() -> None:
    from coordinator import app
    from coordinator.app import host
    from coordinator.cli.views.fitting import size

    place = app.place()
    litter = host.litter(place, app.configuration(place, os.environ), os.environ)
    for item in litter:
        room = f"  {size(item.size)}" if item.size else ""
        print(f"would remove  {item.kind:<11} {item.name}{room}  ({item.why})")
    total = sum(item.size for item in litter)
    print(f"{len(litter)} things, {size(total)}; nothing was removed: coordinator clean" if litter
          else "nothing to remove")


# --- the way of a request ------------------------------------------------------------------------------


def _task_request(kind: str, issue: str, args: Mapping[str, str], patience: float) -> None:
    from coordinator.app.rebuilding import begun

    name = task_id(issue)
    place = place_of(name)
    if not begun(place):
        raise Trouble(f"there is no task {name}: no coordinator has run here yet", "coordinator run")
    ask(place, kind, name, {key: value for key, value in args.items() if value}, patience)


def _request(kind: str, patience: float = PATIENCE) -> None:
    from coordinator import app

    ask(app.place(), kind, "", {}, patience)


def ask(place: Place, kind: str, task: str, args: Mapping[str, str], patience: float) -> str:
    """Has this done by the coordinator of a repository, or by this process where none runs; prints and returns the
    answer."""
    from coordinator import app
    from coordinator.domain.request import RequestKind

    wanted, until, left = RequestKind(kind), time.monotonic() + patience, 0
    while True:
        if not app.daemon_pid(place):
            try:
                with app.hold(place) as me:
                    return _settle(place, me, wanted, task, args, patience, left)
            except app.InUse:
                pass   # one was started a moment ago: it answers
        left = left or _leave(place, wanted, task, args)
        if answer := _answered(place, left, until):
            return answer


def _check_task(store: Any, task: str) -> None:
    if task and store.task(task) is None:
        number = task.removeprefix("gh-")
        issue = store.issues().get(int(number)) if number.isdigit() else None
        if issue is not None:
            raise Trouble(f"{task} is no task yet, only an issue: nothing to do", f"coordinator why {number}")
        raise Trouble(f"there is no task {task}", "`coordinator status --all` lists the tasks.")


def _leave(place: Place, kind: RequestKind, task: str, args: Mapping[str, str]) -> int:
    """Leaves the request for the coordinator that runs here; its number."""
    from coordinator import app

    store = app.open_store(place)
    try:
        _check_task(store, task)
        return store.ask(kind, task, dict(args), "cli", app.now())
    finally:
        store.close()


def _answered(place: Place, request: int, until: float) -> str:
    """Wakes the coordinator and waits for its word, or until `until` on the monotonic clock. "" when it ended
    without a word: it may have been another command, here for its own request alone."""
    from coordinator import app

    store = app.open_store(place)
    try:
        app.wake_daemon(place)
        while (answer := store.answered(request)) is None:
            pid = app.daemon_pid(place)
            if time.monotonic() >= until:
                answer = f"asked; the coordinator (pid {pid}) is busy and answers at its next tick: coordinator status"
                break
            time.sleep(LOOK_EVERY)
            if not pid:
                return ""
    finally:
        store.close()
    print(answer)
    return answer


def _settle(
    place: Place, me: Mapping[str, str], kind: RequestKind, task: str, args: Mapping[str, str], patience: float,
    left: int,
) -> str:
    """Nobody runs here: this process is the coordinator for one request, the one that was left before if any."""
    from coordinator import app
    from coordinator.app.rebuilding import mend

    log: list[str] = []
    app.take_in()
    mend(place, say)
    config = app.configuration(place, os.environ)
    runner = app.runner(place, config, os.environ, me, log.append, at_once=True, offline=True)
    try:
        _check_task(runner.world.store, task)
        request = left or runner.world.store.ask(kind, task, dict(args), "cli", app.now())
        answer = runner.settle_request(request, task, patience, args.get("tasks", "").split())
        moved = runner.world.store.task(task) if task else None
    finally:
        runner.close()
    if answer is None:
        for line in log[-5:]:
            print(line, file=sys.stderr)
        raise Trouble("it could not be done yet; it is kept and done by the next: coordinator run")
    print(answer)
    if moved is not None:
        again = "coordinator run" if runner.world.policy.intake else "coordinator plan resume PLAN"
        print(f"{moved.id} is {moved.state} now; no coordinator runs here, so nothing starts before: {again}")
    return answer
