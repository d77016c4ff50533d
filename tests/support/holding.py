"""What must hold of a history, at all times and when everything has come to rest."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending
from coordinator.domain.task import ACTIVE, HOLDS_SLOT, MOVES, UNSTARTED, Task, TaskState
from coordinator.domain.workflow import HANDOFF, Gate, Stage
from coordinator.engine import gates
from coordinator.planning.actions import Plan
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.policy import Policy
from coordinator.planning.waits import known_code
from coordinator.wording.entries import Entries
from coordinator.wording.labels import desired_labels, own_labels
from coordinator.wording.tasks_edits import rewrite
from tests.factories import NOW
from tests.support.fakes import ROOT, Outside
from tests.support.shapes import Shape

MARK = re.compile(r"<!-- coordinator:[^>]*-->")
BATCH, KEY = "batch:x", "label:batch:x"
PLAN, REVIEW = f"{HANDOFF}/PLAN.md", f"{HANDOFF}/REVIEW.md"
STAGES = (
    Stage("plan", leaves=(PLAN,)),
    Stage("build"),
    Stage("review", leaves=(REVIEW,), gate=Gate(command="check"), retries=2, sends_back_to="build", sends_back=2),
)
TASKS_MD = ROOT / "tasks.md"

UNNOTICED = timedelta(seconds=6)
"""A lease may be cut short by so much: nobody notices a clock that is put forward by 2 s, here three times."""


class Broken(AssertionError):
    """What must hold does not."""


class Holding:
    """The checks; a history is one of them with a story."""

    seed: int
    shape: Shape
    outside: Outside
    policy: Policy

    def __init__(self) -> None:
        self.story: list[str] = []
        self.added = 0
        self.blind: list[str] = []
        self._seen: dict[str, Task] = {}

    def _told(self, words: str) -> str:
        return f"seed {self.seed}: {words}\n  " + "\n  ".join(self.story[-60:])

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
        hasty = {handle: age for handle, age in executor.asked_in_vain.items() if age + UNNOTICED < self.policy.lease}
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
        """Where the batch's gate stands, whether somebody wants it otherwise, and every attempt of any task."""
        store = self.outside.store
        asked = any("batch" in request.args for request in store.requests())
        tokens = {one.token for history in store.attempts().values() for one in history}
        return gates.standings(store).get(KEY, Standing()), asked, tokens

    def _gate_holds(self, before: tuple[Standing, bool, set[str]]) -> None:
        """What a gate keeps shut over a whole tick does not start in it."""
        now, _, tokens = self._gate()
        if before[0] != now or before[1] or now.phase not in (GatePhase.HELD, GatePhase.CANARY):
            return
        mine = {task_id for task_id, key in gates.members(self.outside.store).items() if key == KEY}
        new = {one.task_id for task_id in mine for one in self.outside.store.attempts().get(task_id, ())
               if one.token in tokens - before[2]}   # one that comes into the batch now may have begun before
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
        store, clock = self.outside.store, self.outside.clock
        histories = store.attempts()
        if clock.moment - clock.passed != NOW:   # set meanwhile: the times that were noted say nothing
            return
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
        self._files_agree(tasks)
        by_hand = Counter(task.title for task in tasks.values() if task.issue is None)
        self._must(by_hand == {f"By hand {n}": 1 for n in range(1, self.added + 1)}, f"{self.added} added: {by_hand}")
        for task in tasks.values():
            self._one_at_rest(task)

    def _files_agree(self, tasks: Mapping[str, Task]) -> None:
        """tasks.md is what the store gives, and so are the numbers and the board."""
        store, clock, texts = self.outside.store, self.outside.clock, self.outside.files.texts
        histories, ledger = store.attempts(), texts[TASKS_MD]
        entries = Entries(clock.local).of(store.tasks(), histories, clock.now())
        rewritten = rewrite(entries, ledger, ledger)
        self._must(not rewritten.edits and rewritten.text == ledger, f"tasks.md says {ledger}")
        launched = sum(one.launched_at is not None for history in histories.values() for one in history)
        told = json.loads(texts[ROOT / "adws" / "metrics.json"])
        self._must(told["workers_launched"] == launched, f"{launched} launched, metrics say {told}")
        self._must(told["prs_created"] == store.count("completed"), f"metrics say {told}")
        board = json.loads(texts[ROOT / ".coordinator" / "board.json"])
        shown = {one["id"]: one["state"] for one in board["tasks"]}
        self._must(shown == {task.id: str(task.state) for task in tasks.values()}, f"the board shows {shown}")

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
