"""The rehearsal: the whole main job on a stand-in GitHub, six issues with a known end each.

It starts the real coordinator as a process of its own and then only does what people would do: label,
touch a STOP file, merge. What came of it is read from the stand-in and from the files, never from inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .hub.world import Issue
from .sample import CASES, STOP_REASON
from .stage import HERE, MAINTAINER, Play, Stage, coordinator, pull_of, read, staged
from .verdict import Seen, judge

LABEL = "rpi-auto"
DEADLINE = 60.0
LOOK = 0.2


@dataclass(frozen=True)
class Result:
    """All that the rehearsal leaves to look at."""

    seen: tuple[Seen, ...]
    issues: tuple[Issue, ...]
    pulls: tuple[Issue, ...]
    tasks_md: str
    metrics_json: str
    seconds: float
    log: str

    @property
    def well(self) -> bool:
        return all(one.well for one in self.seen)


Show = Callable[[dict[str, Any]], None]


def rehearse(folder: Path, show: Show, how: Play = HERE, deadline: float = DEADLINE) -> Result:
    """Play the six issues to their ends and say what came of them.

    `show` is given the coordinator's board, as data, each time it was looked at. The daemon is stopped
    when all cases ended well, or when `deadline` seconds are over.
    """
    began = time.monotonic()
    with staged(folder, how) as stage:
        label_all(stage)
        with coordinator(stage) as daemon:
            while time.monotonic() - began < deadline and daemon.poll() is None:
                play(stage)
                show(stage.board())
                if all(one.well for one in judge(stage)):
                    break
                time.sleep(LOOK)
        return _result(stage, time.monotonic() - began)


def serve(folder: Path, ready: Callable[[Stage], None], show: Show, ended: Callable[[Stage], None],
          how: Play = HERE) -> NoReturn:
    """Leave everything running for people to play with; `ready` is told where things are.

    Whoever kills the coordinator wants to see it come back: `ended` is told, GitHub stays. Ctrl-C ends it all and
    raises KeyboardInterrupt.
    """
    with staged(folder, how) as stage:
        label_all(stage)
        with coordinator(stage) as daemon:
            ready(stage)
            said = False
            while True:
                over = daemon.poll() is not None   # asked first: what it did last is shown before the words on its end
                show(stage.board())
                if over and not said:
                    ended(stage)
                    said = True
                time.sleep(LOOK)


def label_all(stage: Stage) -> None:
    person = stage.repository.as_user(MAINTAINER)
    for case in CASES:
        person.add_label(case.number, LABEL)


def play(stage: Stage) -> None:
    """What people do in this story: stop the endless one, merge the first pull request."""
    begun = "issue-5-2" in read(stage.clone / "logs" / "gh-5.jsonl")   # wherever it runs, this is here
    if begun and "stopped 5" not in stage.history:
        (stage.clone / "trees" / "gh-5" / "STOP").write_text(STOP_REASON, encoding="utf-8")
        stage.history.append("stopped 5")
    first = pull_of(stage, 1)
    if first is not None and first.state == "open" and _worked_on(stage, 6) is False:
        stage.repository.as_user(MAINTAINER).merge(first.number)
        stage.history.append("merged 1")


def _worked_on(stage: Stage, number: int) -> bool:
    return (stage.clone / "trees" / f"gh-{number}").exists()


def _result(stage: Stage, seconds: float) -> Result:
    return Result(
        seen=judge(stage),
        issues=tuple(stage.repository.issues()),
        pulls=tuple(stage.repository.pulls()),
        tasks_md=read(stage.clone / "tasks.md"),
        metrics_json=read(stage.clone / "adws" / "metrics.json"),
        seconds=seconds,
        log=read(stage.log),
    )
