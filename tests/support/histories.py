"""Random histories of one coordinator and the world around it, crashes at every write included, from a seed.

People act, time passes, workers do what their scripts say, requests and writes go wrong, the coordinator ticks and now
and then dies before or after a write; a new one comes up on the same store and the same world. After each step and when
everything has come to rest, what must hold is checked; a history that breaks it raises Broken with the seed and the
story so far. `python -m tests.simulate SEED` tells one again, step by step.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random

from sqlalchemy import event

from coordinator.adapters.store.sql import SqlStore
from coordinator.adapters.system.seam import inside, watch
from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.worker import HostState
from coordinator.domain.workflow import BUILD, Gate, Library, Workflow
from coordinator.engine.memory import Memory
from coordinator.engine.tick import Engine
from coordinator.planning.actions import Action, Begin, Move, Plan
from coordinator.planning.batch.cohort import Bands
from coordinator.planning.policy import HostRules, LabelNames, Policy
from coordinator.ports import LaunchSpec, Readiness, StoreError
from tests.support.fakes import ROOT, Script, an_outside
from tests.support.holding import BATCH, PLAN, REVIEW, STAGES, TASKS_MD, Broken, Holding
from tests.support.shapes import Shape, shape_of
from tests.support.troubles import Troubles

SCRIPTS = (
    Script(), Script(), Script(seconds=40), Script(commits=0), Script(commits=0, dirty=True), Script(opens_pull=True),
    Script(ending=Ending.FAILED), Script(ending=Ending.FAILED, commits=2), Script(silent=True), Script(vanishes=True),
    Script(ending=Ending.FAILED, reason="command_usage_limited", commits=0), Script(blocked="Which one?"),
    Script(seconds=0), Script(ending=Ending.FAILED, reason="overloaded", commits=0),
    Script(ending=Ending.FAILED, reason="command_auth_blocked", commits=0),
)
STAGE = re.compile("You are stage `([a-z]+)`")
STOP = ROOT / "STOP"
AT_REST = timedelta(minutes=12)
"""When nothing moved for so long, nothing will."""
SKEWS = (-7200, -90, -2, 2, 90, 7200)
"""Seconds by which a clock is wrong, or set."""
MEMORY = Path("/dev/shm")


class Crash(BaseException):
    """The coordinator dies here: not even `except Exception` may notice."""


@cache
def _an_empty_store() -> Path:
    """A file of the real store at its newest schema, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="histories-"))
    SqlStore(folder / "state.db").close()
    return folder / "state.db"


class Later:
    """A pool that makes some effects at once and keeps others for a later moment, as threads would; `twice` says which
    are made once more than they were asked for."""

    def __init__(self, random: Random, twice: Callable[[], bool]) -> None:
        self._random = random
        self._twice = twice
        self.patient = False
        self.kept: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None], apart: str = "") -> None:
        for _ in range(1 + self._twice()):
            if self.patient or self._random.random() < 0.7:
                job()
            else:
                self.kept.append(job)

    def some(self, most: int) -> None:
        for _ in range(most):
            if self.kept:
                self.kept.pop(self._random.randrange(len(self.kept)))()


class History(Holding):
    """One history, of the seed's own shape unless one is given. `run` raises Broken; `crashes` says how often the
    coordinator died in it, `troubles.met` what else went wrong."""

    def __init__(self, seed: int, shape: Shape | None = None) -> None:
        super().__init__()
        self.seed, self.shape = seed, shape or shape_of(seed)
        self.random = Random(seed)
        self.outside = an_outside()
        self.troubles = Troubles(seed, self.shape.rate, self.outside.clock, self.outside.github.clock, self.story)
        self.crashes = 0
        self._crossings = 0
        self._effects = 0
        self._die_at = 0
        self._running = False
        self.policy = Policy(
            provider="command", login="", max_workers=2, backoff=timedelta(seconds=10), sessions_per_task=9,
            backoff_max=timedelta(minutes=8), stall=timedelta(minutes=2), start_grace=timedelta(seconds=5),
            park=timedelta(seconds=20),
            providers=frozenset({"command", "codex"}), fallback=self.random.choice(({}, {"command": ("codex",)})),
            tidy_after=timedelta(minutes=10), labels=LabelNames(mode=self.random.choice(("minimal", "full"))),
            bands=Bands(min_ended=2, min_same=2),
        )
        self._with_hosts()
        self.outside.executor.scripts = self._script
        self.staged = Random(-seed - 1)
        self.outside.repo.passes = lambda name: name != "gate" or self.staged.random() < 0.7
        self._with_people()
        self._file: Path | None = None
        if self.shape.on_disk:
            folder = Path(tempfile.mkdtemp(prefix="history-", dir=MEMORY if MEMORY.is_dir() else None))
            self._file = folder / "state.db"
            shutil.copy(_an_empty_store(), self._file)
        self._come_up()

    def _with_people(self) -> None:
        github, shape = self.outside.github, self.shape
        for number in shape.issues:
            body = "Depends on #1" if number == 3 else ""
            labels = [*[BATCH] * shape.batched, *["workflow:three"] * (number == 2 and shape.staged)]
            github.person_opens(number, *labels, "rpi-auto", body=body)
        if shape.batched:
            github.person_opens(4, BATCH)
        if shape.lies:
            github.clock.ahead = timedelta(seconds=self.random.choice(SKEWS))
        github.behind, github.trouble = self.troubles.behind, self._request_of_ours

    def _with_hosts(self) -> None:
        """All work is done on two hosts."""
        self.roads = Random(-7 * self.seed - 3)
        if not self.shape.hosted:
            return
        shared = self.shape.shared
        hosts = {"a": HostRules(1, default=True, shared=shared), "b": HostRules(1, shared=shared)}
        self.policy = replace(self.policy, executor="ssh", hosts=hosts, lease=timedelta(seconds=20))
        self.outside.executor.states = dict.fromkeys(hosts, HostState())
        self.outside.executor.apart = frozenset() if shared else frozenset(hosts)
        self.outside.executor.breaks = lambda: self._running and self.roads.random() < 0.1

    # --- the coordinator ---

    def _come_up(self) -> None:
        self.outside.executor.forget()
        if self._file is not None:
            self.outside.store.close()
            self.outside.store = self._open()
        # what a launch on a host does follows from whether one was met there: made once more, it would know too little
        self.pool = Later(self.random, (lambda: False) if self.shape.hosted else self.troubles.twice)
        self.late: tuple[Action, ...] = ()
        approval = replace(STAGES[0], gate=Gate(approval=self.shape.approval))
        known = {"build": BUILD, "three": Workflow("three", (approval, *STAGES[1:]))}
        world = self.outside.world(self.policy, workflows=lambda: Library(known),
                                   say=lambda line: self.story.append(f"  says: {line}"))
        self.engine = Engine(world, self.pool, lambda why: None, Memory())

    def _open(self) -> SqlStore:
        """The real store, which a death may cut in the middle of a transaction."""
        assert self._file is not None
        store = SqlStore(self._file)
        event.listen(store._engine, "before_cursor_execute",
                     lambda _c, _k, statement, *_: self._cross("within", "store", statement) if inside() else None)
        return store

    def _request_of_ours(self, what: str) -> None:
        if self._running:
            self.troubles.request(what)

    def _cross(self, moment: str, kind: str, what: str) -> None:
        if not self._running:
            return
        self._crossings += 1
        self._effects += kind in ("github", "git", "process")
        if kind == "store" and moment == "after":
            self._moves_are_legal(what)
        if self._crossings == self._die_at:
            self.story.append(f"dies {moment} {kind} {what}")
            raise Crash
        self.troubles.at(moment, kind, what)

    def _lives(self, deed: Callable[[], object]) -> None:
        self._running = True
        try:
            deed()
        except Crash:
            self._running = False
            self.crashes += 1
            self._die_soon()
            self._come_up()
        except StoreError:   # the daemon tries again a little later
            pass
        finally:
            self._running = False

    def _die_soon(self) -> None:
        self._die_at = self._crossings + self.shape.respite * self.random.choice((1, 2, 3, 5, 8, 13, 21, 34, 55))

    def _tick(self) -> Plan | None:
        self.story.append(f"at {self.outside.clock.now():%H:%M:%S}")
        self.engine.memory.poll_due = self.pool.patient or self.random.random() < 0.6
        self._lives(lambda: self.pool.some(self.random.randrange(3)))
        self._lives(self._old_plan)
        made: list[Plan] = []
        before = self._gate()
        self._lives(lambda: made.append(self.engine.tick()))
        self._gate_holds(before)
        self._at_all_times()
        return made[0] if made else None

    def _old_plan(self) -> None:
        """Changes of memory that were decided some time ago: those of tasks that moved since must be dropped."""
        if self.late and (self.pool.patient or self.random.random() < 0.5):
            self.engine._apply(Plan(self.late, {}))
            self.late = ()
        elif self.random.random() < 0.3 and not self.pool.patient:
            actions = self.engine.preview()[1].actions
            self.late = tuple(one for one in actions if isinstance(one, (Move, Begin)))

    def _script(self, spec: LaunchSpec) -> Script:
        script = self.random.choice(SCRIPTS)
        if self.shape.hosted and self.roads.random() < 0.6:   # long enough to be parted
            script = replace(script, seconds=300)
        if stage := STAGE.search(spec.prompt):
            script = self._stage(stage[1], script, spec)
        self.story.append(f"{spec.handle.job} starts {spec.handle.token[:6]}: {script}")
        return script

    def _stage(self, stage: str, script: Script, spec: LaunchSpec) -> Script:
        """Each stage leaves what it must, but for one time in six; nobody builds without the plan before it."""
        if stage != "plan" and "this is the plan" not in spec.prompt:
            self.blind.append(stage)
        if self.staged.random() < 0.15:
            return script
        if stage == "plan":
            return replace(script, commits=0, dirty=False, opens_pull=False, files={PLAN: "this is the plan"})
        verdict = self.staged.choice(("VERDICT: approved", "VERDICT: approved", "VERDICT: changes needed"))
        return replace(script, files={REVIEW: verdict}) if stage == "review" else script

    # --- the story ---

    def run(self) -> None:
        """Raises Broken."""
        unwatch = watch(self._cross)
        try:
            self._die_soon()
            for _ in range(self.shape.steps):
                self.random.choice(self._acts())()
                self.outside.clock.pass_by(self.random.choice((1, 1, 2, 5, 15, 60)))
                self._tick()
            self._at_rest(self._drain())
        except (Broken, Crash):
            raise
        except Exception as error:
            raise Broken(self._told(f"{type(error).__name__}: {error}")) from error
        finally:
            unwatch()
            self.outside.store.close()
            if self._file is not None:
                shutil.rmtree(self._file.parent)

    def _all_is_well(self) -> None:
        """Nobody acts any more, nothing dies and nothing goes wrong."""
        self._die_at = 0
        self.troubles.over()
        self.pool.patient = True
        self.outside.github.down = False
        self.outside.repo.refuse_push = ""
        self.outside.executor.away.clear()
        self.outside.executor.mute_since = None
        self.outside.executor.breaks = lambda: False
        self.outside.files.texts.pop(STOP, None)
        self.outside.store.ask(RequestKind.RESUME, "", {}, "cli", self.outside.clock.now())

    def _drain(self) -> Plan:
        """Until nothing moves, however long one waits."""
        self._all_is_well()
        quiet, still, pause, made = 0, timedelta(), 60.0, None
        for _ in range(200):
            before = (self._effects, self.outside.store.tasks())
            self.outside.clock.pass_by(pause)
            self.pool.some(9)
            made = self._tick()
            working = any(worker.alive for worker in self.outside.executor.workers) or self.pool.kept
            later = made is not None and any(wait.code == "github" for wait in made.waits.values())
            moved = before != (self._effects, self.outside.store.tasks()) or working or later
            quiet, still = (0, timedelta()) if moved else (quiet + 1, still + timedelta(seconds=pause))
            if quiet >= 2 and still >= AT_REST and made is not None:
                return made
            pause = self._long_pause(made) if quiet else 60.0
        raise Broken(self._told("does not come to rest"))

    def _long_pause(self, made: Plan | None) -> float:
        """Seconds until time alone changes something, and at least until the end of what waits for nobody."""
        due = made.wake_at if made is not None else None
        ahead = (due - self.outside.clock.now()).total_seconds() + 1 if due is not None else 0.0
        return max(AT_REST.total_seconds(), ahead)

    def _acts(self) -> list[Callable[[], None]]:
        def nothing() -> None:
            """A quiet moment."""

        return [
            nothing, nothing, nothing, nothing, self._label, self._pause, self._retry_label, self._close, self._edit,
            self._request, self._request, self._end_pull, self._end_pull, self._weather, self._stop_file, self._add,
            self._refusal, self._delete_ledger, self._login, self._mute,
            *[self._batch_request] * (6 * self.shape.batched), *[self._approve] * (4 * self.shape.staged),
            *[self._host] * (20 * self.shape.hosted), *[self._set_clock] * (3 * self.shape.lies),
        ]

    def _number(self) -> int:
        return self.random.choice(sorted(self.outside.github.issues))

    def _label(self) -> None:
        self._toggle("rpi-auto")

    def _pause(self) -> None:
        self._toggle("rpi-pause")

    def _retry_label(self) -> None:
        self._toggle("rpi-retry", always=True)

    def _approve(self) -> None:
        on = self.staged.random() < 0.8
        self.story.append(f"label rpi-approved {'on' if on else 'off'} #2")
        self.outside.github.person_labels(2, "rpi-approved", on=on)

    def _toggle(self, label: str, *, always: bool = False) -> None:
        number = self._number()
        on = always or label not in self.outside.github.issues[number].labels
        self.story.append(f"label {label} {'on' if on else 'off'} #{number}")
        self.outside.github.person_labels(number, label, on=on)

    def _close(self) -> None:
        number = self._number()
        state = "closed" if self.outside.github.issues[number].open else "open"
        self.story.append(f"{state} #{number}")
        self.outside.github.person_edits(number, state=state)

    def _edit(self) -> None:
        self.outside.github.person_edits(self._number(), title="Other words")

    def _request(self) -> None:
        tasks = self.outside.store.tasks()
        if not tasks:
            return
        kind = self.random.choice((RequestKind.STOP, RequestKind.RETRY, RequestKind.RETRY, RequestKind.PAUSE,
                                   RequestKind.RESUME, RequestKind.CLEAN, RequestKind.REBUILD))
        task = self.random.choice(tasks).id
        args = {"fresh": "1"} if kind is RequestKind.RETRY and self.random.random() < 0.3 else {}
        self.story.append(f"{kind} {task} {args}")
        self.outside.store.ask(kind, task, args, "cli", self.outside.clock.now())

    def _batch_request(self) -> None:
        kind = self.random.choice((RequestKind.HOLD_BATCH, RequestKind.RESUME_BATCH, RequestKind.RESUME_BATCH,
                                   RequestKind.CANCEL_BATCH))
        args = {"canary": "1"} if self.random.random() < 0.6 else {}
        self.story.append(f"{kind} {args}")
        self.outside.store.ask(kind, "", {"batch": BATCH, **args}, "cli", self.outside.clock.now())

    def _end_pull(self) -> None:
        pulls = [pull for pull in self.outside.github.pulls.values() if pull.state is PullState.OPEN]
        if not pulls:
            return
        pull, state = self.random.choice(pulls), self.random.choice((PullState.MERGED, PullState.CLOSED))
        self.story.append(f"{state} #{pull.number}")
        self.outside.github.person_ends(pull.number, state)
        if state is PullState.MERGED:
            self.outside.repo.remote["main"].append(f"squash of #{pull.number}")
            self.outside.repo.remote.pop(pull.head_ref)

    def _weather(self) -> None:
        self.outside.github.down = not self.outside.github.down

    def _mute(self) -> None:
        """From now on nobody can say of any worker how it is, or all can again."""
        executor = self.outside.executor
        executor.mute_since = self.outside.clock.now() if executor.mute_since is None else None
        self.story.append("workers cannot be asked" if executor.mute_since else "workers can be asked")

    def _set_clock(self) -> None:
        seconds = self.random.choice(SKEWS)
        self.story.append(f"the clock is set by {seconds} s")
        self.outside.clock.set(seconds)

    def _host(self) -> None:
        """A host goes away, or all come back."""
        away, name = self.outside.executor.away, self.roads.choice(sorted(self.policy.hosts))
        if away and self.roads.random() < 0.4:
            away.clear()
        elif not away:
            away.add(name)
        self.story.append(f"away: {sorted(away)}")

    def _refusal(self) -> None:
        self.outside.repo.refuse_push = "" if self.outside.repo.refuse_push else "protected branch"

    def _login(self) -> None:
        """The other provider loses or gets back what it logs in with."""
        other = self.outside.other
        other.readiness = Readiness(not other.readiness.ok, "login", "codex_auth_blocked")

    def _stop_file(self) -> None:
        if self.outside.files.texts.pop(STOP, None) is None:
            self.outside.files.texts[STOP] = ""

    def _add(self) -> None:
        """A person writes a new line into tasks.md."""
        text = self.outside.files.texts.get(TASKS_MD)
        if text is None or "## Pending" not in text:
            return
        self.added += 1
        self.story.append(f"adds line {self.added}")
        self.outside.files.texts[TASKS_MD] = text.replace(
            "## Pending\n", f"## Pending\n\n[] By hand {self.added}\n", 1)

    def _delete_ledger(self) -> None:
        """Unless a line of it was not read yet: that one is lost by the person who deletes it."""
        store = self.outside.store
        read = [*(task.title for task in store.tasks()), *(one.args.get("title") for one in store.requests())]
        if f"By hand {self.added}" in read or not self.added:
            self.outside.files.texts.pop(TASKS_MD, None)
