"""Random histories of one coordinator and the world around it, crashes at every write included, from a seed.

People act, time passes, workers do what their scripts say, the coordinator ticks and now and then dies before or
after a write; a new one comes up on the same store and the same world. After each step and when everything has come
to rest, what must hold is checked; a history that breaks it raises Broken with the seed and the story so far.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from coordinator.adapters.system.seam import watch
from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.task import ACTIVE, HOLDS_SLOT, MOVES, UNSTARTED, Task, TaskState
from coordinator.domain.worker import HostState
from coordinator.domain.workflow import BUILD, HANDOFF, Gate, Library, Stage, Workflow
from coordinator.engine import gates
from coordinator.engine.memory import Memory
from coordinator.engine.tick import Engine
from coordinator.planning.actions import Action, Begin, Move, Plan
from coordinator.planning.batch.cohort import Bands
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.policy import HostRules, LabelNames, Policy
from coordinator.planning.waits import known_code
from coordinator.ports import LaunchSpec, Readiness
from coordinator.wording.labels import desired_labels, own_labels
from tests.support.fakes import ROOT, Script, an_outside

SCRIPTS = (
    Script(), Script(), Script(seconds=40), Script(commits=0), Script(commits=0, dirty=True), Script(opens_pull=True),
    Script(ending=Ending.FAILED), Script(ending=Ending.FAILED, commits=2), Script(silent=True), Script(vanishes=True),
    Script(ending=Ending.FAILED, reason="command_usage_limited", commits=0), Script(blocked="Which one?"),
    Script(seconds=0), Script(ending=Ending.FAILED, reason="overloaded", commits=0),
    Script(ending=Ending.FAILED, reason="command_auth_blocked", commits=0),
)
MARK = re.compile(r"<!-- coordinator:[^>]*-->")
BATCH, KEY = "batch:x", "label:batch:x"
PLAN, REVIEW = f"{HANDOFF}/PLAN.md", f"{HANDOFF}/REVIEW.md"
STAGES = (
    Stage("plan", leaves=(PLAN,)),
    Stage("build"),
    Stage("review", leaves=(REVIEW,), gate=Gate(command="check"), retries=2, sends_back_to="build", sends_back=2),
)
STAGE = re.compile("You are stage `([a-z]+)`")
TASKS_MD, STOP = ROOT / "tasks.md", ROOT / "STOP"


class Crash(BaseException):
    """The coordinator dies here: not even `except Exception` may notice."""


class Broken(AssertionError):
    """What must hold does not."""


class Later:
    """A pool that makes some effects at once and keeps others for a later moment, as threads would."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.patient = False
        self.kept: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None]) -> None:
        if self.patient or self._random.random() < 0.7:
            job()
        else:
            self.kept.append(job)

    def some(self, most: int) -> None:
        for _ in range(most):
            if self.kept:
                self.kept.pop(self._random.randrange(len(self.kept)))()


class History:
    """One history. `run` raises Broken; `crashes` says how often the coordinator died in it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.outside = an_outside()
        self.crashes = 0
        self.story: list[str] = []
        self.added = 0
        self._crossings = 0
        self._effects = 0
        self._die_at = 0
        self._running = False
        self._seen: dict[str, Task] = {}
        self.policy = Policy(
            provider="command", login="", max_workers=2, backoff=timedelta(seconds=10), sessions_per_task=9,
            backoff_max=timedelta(minutes=8), stall=timedelta(minutes=2), start_grace=timedelta(seconds=5),
            park=timedelta(seconds=20),
            providers=frozenset({"command", "codex"}), fallback=self.random.choice(({}, {"command": ("codex",)})),
            tidy_after=timedelta(minutes=10), labels=LabelNames(mode=self.random.choice(("minimal", "full"))),
            bands=Bands(min_ended=2, min_same=2),
        )
        self._with_hosts()
        self.batched = self.random.random() < 0.4
        self.outside.executor.scripts = self._script
        self.blind: list[str] = []
        self.staged = Random(-seed - 1)   # so that the other histories stay as they are
        self.outside.repo.passes = lambda name: name != "gate" or self.staged.random() < 0.7
        for number in (1, 2, 3):
            body = "Depends on #1" if number == 3 else ""
            labels = [*[BATCH] * self.batched, *["workflow:three"] * (number == 2 and seed % 3 == 0)]
            self.outside.github.person_opens(number, "rpi-auto", *labels, body=body)
        if self.batched:
            self.outside.github.person_opens(4, BATCH)
        self._come_up()

    def _with_hosts(self) -> None:
        """In one history of four all work is done on two hosts, in every other of these on hosts that see our files."""
        self.roads = Random(-7 * self.seed - 3)
        self.hosted = self.seed % 4 == 3
        if not self.hosted:
            return
        shared = self.seed % 8 == 3
        hosts = {"a": HostRules(1, default=True, shared=shared), "b": HostRules(1, shared=shared)}
        self.policy = replace(self.policy, executor="ssh", hosts=hosts, lease=timedelta(seconds=20))
        self.outside.executor.states = dict.fromkeys(hosts, HostState())
        self.outside.executor.apart = frozenset() if shared else frozenset(hosts)
        self.outside.executor.breaks = lambda: self._running and self.roads.random() < 0.1

    # --- the coordinator ---

    def _come_up(self) -> None:
        self.outside.executor.forget()
        self.pool = Later(self.random)
        self.late: tuple[Action, ...] = ()
        approval = replace(STAGES[0], gate=Gate(approval=self.seed % 2 == 0))
        known = {"build": BUILD, "three": Workflow("three", (approval, *STAGES[1:]))}
        world = self.outside.world(self.policy, workflows=lambda: Library(known))
        self.engine = Engine(world, self.pool, lambda why: None, Memory())

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

    def _lives(self, deed: Callable[[], object]) -> None:
        self._running = True
        try:
            deed()
        except Crash:
            self.crashes += 1
            self._die_soon()
            self._come_up()
        finally:
            self._running = False

    def _die_soon(self) -> None:
        self._die_at = self._crossings + self.random.choice((1, 2, 3, 5, 8, 13, 21, 34, 55))

    def _tick(self) -> Plan | None:
        self.engine.memory.poll_due = True
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
        if self.hosted and self.roads.random() < 0.6:   # long enough to be parted
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

    def run(self, steps: int = 0) -> None:
        steps = steps or (40 if self.seed % 3 == 0 else 25)
        unwatch = watch(self._cross)
        try:
            self._die_soon()
            for _ in range(steps):
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

    def _drain(self) -> Plan:
        """Nobody acts any more and nothing dies: until nothing moves."""
        self._die_at = 0
        self.pool.patient = True
        self.outside.github.down = False
        self.outside.repo.refuse_push = ""
        self.outside.executor.away.clear()
        self.outside.executor.breaks = lambda: False
        self.outside.files.texts.pop(STOP, None)
        self.outside.store.ask(RequestKind.RESUME, "", {}, "cli", self.outside.clock.now())
        quiet, made = 0, None
        for _ in range(200):
            before = (self._effects, self.outside.store.tasks())
            self.outside.clock.pass_by(60)
            self.pool.some(9)
            made = self._tick()
            working = any(worker.alive for worker in self.outside.executor.workers) or self.pool.kept
            moved = before != (self._effects, self.outside.store.tasks()) or working
            quiet = 0 if moved else quiet + 1
            if quiet == 12 and made is not None:
                return made
        raise Broken(self._told("does not come to rest"))

    def _acts(self) -> list[Callable[[], None]]:
        def nothing() -> None:
            """A quiet moment."""

        return [
            nothing, nothing, nothing, nothing, self._label, self._pause, self._retry_label, self._close, self._edit,
            self._request, self._request, self._end_pull, self._end_pull, self._weather, self._stop_file, self._add,
            self._refusal, self._delete_ledger, self._login, *[self._batch_request] * (6 * self.batched),
            *[self._approve] * (4 * (self.seed % 3 == 0)), *[self._host] * (20 * self.hosted),
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
        if f"By hand {self.added}" in str(self.outside.store._requests) or not self.added:
            self.outside.files.texts.pop(TASKS_MD, None)

    # --- what must hold ---

    def _told(self, words: str) -> str:
        return f"seed {self.seed}: {words}\n  " + "\n  ".join(self.story[-60:] + self.outside.lines[-30:])

    def _must(self, holds: bool, words: str) -> None:
        if not holds:
            raise Broken(self._told(words))

    def _moves_are_legal(self, what: str) -> None:
        for task in self.outside.store.tasks():
            old = self._seen.get(task.id)
            if old is not None and task != old:
                legal = task.state is old.state or task.state in MOVES[old.state]
                self._must(task.version == old.version + 1 and legal,
                           f"{what}: {old.state} v{old.version} became {task.state} v{task.version}")
            self._seen[task.id] = task

    def _at_all_times(self) -> None:
        executor, github = self.outside.executor, self.outside.github
        alive = [worker.handle for worker in executor.workers if worker.alive]
        live = Counter(handle.job for handle in alive if handle not in executor.given_up)
        places = Counter(executor.place(handle) for handle in alive)
        self._must(max(live.values(), default=0) <= 1, f"two live workers: {live}")
        self._must(max(places.values(), default=0) <= 1, f"two live workers in one place: {places}")
        lost = {one.token for history in self.outside.store.attempts().values() for one in history
                if one.reason == "host_lost"}   # given up for good: a death may come before that is written down
        brought = {handle for handle in executor.brought if handle.token in lost}
        self._must(not brought, f"came home though it was given up: {brought}")
        hasty = {handle: age for handle, age in executor.asked_in_vain.items() if age < self.policy.lease}
        self._must(not hasty, f"given up before the end of its lease: {hasty}")
        tokens = Counter(worker.handle.token for worker in executor.workers)
        self._must(max(tokens.values(), default=0) <= 1, f"a token was started twice: {tokens}")
        ours = Counter(pull.head_ref for pull in github.pulls.values() if pull.state is PullState.OPEN)
        self._must(max(ours.values(), default=0) <= 1, f"two pull requests: {ours}")
        marks = Counter(mark for _, comment in github.said.values() for mark in MARK.findall(comment.body))
        self._must(max(marks.values(), default=0) <= 1, f"a comment was written twice: {marks}")
        self._providers_are_kept_apart()
        self._stages_follow_one_another()
        lost = self.outside.repo.made - self.outside.repo.kept()
        self._must(not lost, f"lost commits: {lost}")

    def _gate(self) -> tuple[Standing, bool, set[str]]:
        """Where the batch's gate stands, whether somebody wants it otherwise, and every attempt of its tasks."""
        store = self.outside.store
        asked = any("batch" in request.args for request in store.requests())
        mine = {task_id for task_id, key in gates.members(store).items() if key == KEY}
        tokens = {one.token for task_id in mine for one in store.attempts().get(task_id, ())}
        return gates.standings(store).get(KEY, Standing()), asked, tokens

    def _gate_holds(self, before: tuple[Standing, bool, set[str]]) -> None:
        """What a gate keeps shut over a whole tick does not start in it."""
        now, _, tokens = self._gate()
        if before[0] != now or before[1] or now.phase not in (GatePhase.HELD, GatePhase.CANARY):
            return
        new = {one.task_id for history in self.outside.store.attempts().values() for one in history
               if one.token in tokens - before[2]}
        self._must(new <= {now.canary}, f"{new} began behind the gate: {now}")

    def _stages_follow_one_another(self) -> None:
        """A stage begins only when the one before it ended well; the work goes out only after the last one."""
        task = self.outside.store.task("gh-2")
        if task is None or task.workflow != "three":
            return
        self._must(not self.blind, f"{self.blind} had to work without a plan")
        history = self.outside.store.attempts().get("gh-2", ())
        names = [stage.name for stage in STAGES]
        well = [one.stage for one in history if one.ending is Ending.SUCCEEDED]
        for attempt in history:
            at = names.index(attempt.stage) if attempt.stage in names else 0
            self._must(not at or names[at - 1] in well, f"{attempt.stage} was begun after {well}")
        if task.state is TaskState.PUBLISHING:
            self._must(history[-1].stage == names[-1], f"published after {history[-1].stage}")

    def _providers_are_kept_apart(self) -> None:
        """A parked provider is tried by one task at a time, and none stands in for another before it answered."""
        store = self.outside.store
        histories = store.attempts()
        parked = {name: datetime.fromisoformat(item["until"])
                  for name, item in json.loads(store.document("parked") or "{}").items()}
        open_now = sorted((histories[task.id][-1] for task in store.tasks() if task.state in HOLDS_SLOT),
                          key=lambda one: one.created_at)
        for name, until in parked.items():
            trials = [one for one in open_now if one.provider == name and one.created_at >= until]
            for first, second in pairwise(trials):
                late = first.launched_at is not None and second.created_at - first.launched_at >= self.policy.park
                self._must(late, f"{name} is tried by {first.task_id} and {second.task_id} at once")
        stands_in = {one.provider for history in histories.values() for one in history if one.switch_from}
        self._must(stands_in <= self.outside.other.answered, f"{stands_in} never answered")

    def _at_rest(self, made: Plan) -> None:
        store = self.outside.store
        tasks = {task.id: task for task in store.tasks()}
        self._must(not made.actions, f"still moves: {made.actions}")
        self._must(set(made.waits) == set(tasks), f"waits {set(made.waits)} for {set(tasks)}")
        for task_id, wait in made.waits.items():
            self._must(known_code(wait.code) and wait.code not in ("moving", "unknown"), f"{task_id}: {wait}")
        self._must(not store.requests(), f"unanswered: {store.requests()}")
        self._must(not self.outside.bugs, "\n".join(self.outside.bugs))
        recorded = {attempt.token for history in store.attempts().values() for attempt in history}
        for worker in self.outside.executor.workers:
            self._must(worker.handle.token in recorded, f"nobody knows of {worker.handle}")
            self._must(not worker.alive, f"still alive: {worker}")
        by_hand = Counter(task.title for task in tasks.values() if task.issue is None)
        self._must(by_hand == {f"By hand {n}": 1 for n in range(1, self.added + 1)}, f"{self.added} added: {by_hand}")
        for task in tasks.values():
            self._one_at_rest(task)

    def _one_at_rest(self, task: Task) -> None:
        github, names = self.outside.github, self.policy.labels
        self._must(task.state not in ACTIVE and task.state is not TaskState.BACKOFF, f"{task.id} is {task.state}")
        if task.issue is None:
            return
        issue = github.issues[task.issue]
        ours = issue.labels & own_labels(names)
        self._must(ours == desired_labels(task.state, names), f"{task.id} is {task.state}, labels {set(ours)}")
        wanted = issue.open and names.auto in issue.labels
        self._must(wanted or task.state not in UNSTARTED, f"{task.id} is {task.state} though withdrawn")
        pull = github.pulls.get(task.pr_number or 0)
        if task.state is TaskState.IN_REVIEW:
            self._must(pull is not None and pull.state is PullState.OPEN, f"{task.id} in review of {pull}")
        if task.state is TaskState.DONE:
            self._must(pull is not None and pull.state is PullState.MERGED, f"{task.id} done by {pull}")
