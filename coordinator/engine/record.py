"""Facts into memory: the engine's thread alone writes the store, one transaction a fact.

A fact about a task that moved meanwhile is dropped (Stale): what it told of is found again by looking.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import GONE, PullState
from coordinator.domain.outcome import Ending, Evidence
from coordinator.domain.request import Event
from coordinator.domain.task import MOVES, Task, TaskState
from coordinator.domain.worker import Running, Unknown, Waiting
from coordinator.engine import planted, silence, upkeep
from coordinator.engine.effects import staging
from coordinator.engine.facts import (
    ApprovalAsked,
    BatchTold,
    ClaimKept,
    Cleaned,
    Delivered,
    EffectFailed,
    Examined,
    Explained,
    Fact,
    Inherited,
    Joined,
    Launched,
    Looked,
    NotDelivered,
    Notified,
    NotJoined,
    NotStarted,
    NotTidied,
    Polled,
    Prepared,
    Proved,
    PublishRefused,
    PullFound,
    Pushed,
    Reclaimed,
    Swept,
    Tidied,
    Told,
    Vetted,
)
from coordinator.engine.gates import told
from coordinator.engine.holding import claim_kept
from coordinator.engine.inheritance import answered
from coordinator.engine.memory import Labelled, Memory
from coordinator.engine.plans import keep, note_delivery, plans_of
from coordinator.engine.speech import forget_labels
from coordinator.engine.world import World
from coordinator.planning import completion, stages
from coordinator.planning.actions import (
    Examine,
    Launch,
    Poll,
    Prepare,
    Publish,
    Push,
    Settle,
    Settlement,
    Tell,
    keep_lane,
    look_lane,
    room_lane,
)
from coordinator.planning.rules.attention import LONG
from coordinator.ports import Stale

_S = TaskState
BUGS_IN_A_ROW = 3
"""Faults of ours in one lane after which its task is given to a person."""
JANITOR_RESTS = timedelta(minutes=5)
"""While room stays short: what is merged meanwhile goes then."""


class Recorder:
    """Writes facts and settlements. Every method is one transaction or harmless to repeat."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world = world
        self._memory = memory
        self._by: dict[type[Any], Any] = {
            Polled: self._polled,
            Vetted: self._vetted,
            Explained: self._explained,
            Proved: self._proved,
            Prepared: self._prepared,
            Launched: self._launched,
            NotStarted: self._not_started,
            Examined: self._examined,
            ApprovalAsked: self._approval_asked,
            Pushed: self._pushed,
            PullFound: self._pull_found,
            PublishRefused: self._refused,
            Joined: self._joined,
            NotJoined: self._not_joined,
            Looked: self._looked,
            Delivered: self._delivered,
            NotDelivered: self._not_delivered,
            Told: self._told,
            BatchTold: lambda fact: told(world.store, fact.key, fact.number),
            Tidied: self._tidied,
            NotTidied: lambda fact: upkeep.not_tidied(world, memory, fact),
            Cleaned: lambda fact: upkeep.cleaned(world, fact),
            Swept: lambda fact: upkeep.swept(world, fact),
            Reclaimed: self._reclaimed,
            Notified: lambda fact: upkeep.notified(world, fact),
            ClaimKept: lambda fact: claim_kept(world, memory, fact),
            Inherited: lambda fact: answered(world.store, fact),
            EffectFailed: self._failed,
        }

    def record(self, fact: Fact) -> None:
        """Writes one fact down. StopSent needs no writing: the intent was recorded before."""
        write = self._by.get(type(fact))
        if write is None:
            return
        try:
            write(fact)
        except Stale as error:
            self._world.say(f"dropped a late {type(fact).__name__}: {error}")

    # --- GitHub ---

    def _polled(self, fact: Polled) -> None:
        store, memory = self._world.store, self._memory
        if fact.listing.changed:
            store.keep_issues(fact.listing.issues, fact.listing.cursor, full=fact.listing.full)
        if fact.pulls:
            store.keep_pulls(fact.pulls)
        upkeep.label(self._world, gone=fact.no_label)
        silence.answered(store, fact.at)
        memory.polled_at = fact.at
        if fact.listing.full:
            memory.listed_at = fact.at
        if memory.github_until is not None:
            self._world.say("GitHub answers again")
        memory.github_until, memory.github_words = None, ""
        if fact.login != self._world.policy.login:
            self._world.policy = replace(self._world.policy, login=fact.login)

    def _vetted(self, fact: Vetted) -> None:
        self._world.store.keep_pulls(fact.pulls)
        self._world.store.keep_vet(fact.vet)

    def _explained(self, fact: Explained) -> None:
        self._world.store.keep_outward(fact.outward)
        now = self._world.clock.now()
        self._world.store.log(Event(fact.outward.task_id, now, "explained", fact.words))
        self._world.say(f"{fact.outward.task_id}: held: {fact.words}")

    def _told(self, fact: Told) -> None:
        store = self._world.store
        task = store.task(fact.outward.task_id)
        if not fact.unsaid:
            self._memory.unmute(fact.outward.task_id)
        elif self._memory.mute(fact.outward.task_id, self._world.clock.now(), self._world.policy.relist):
            self._world.say(f"{fact.outward.task_id}: nothing can be said on its issue: {fact.unsaid}")
        if fact.unlabelled and task is not None:
            self._memory.leave_labels(task)
        elif fact.put or fact.taken:
            self._labelled(fact)
        store.keep_outward(fact.outward)
        issue = store.issues().get(fact.issue or 0)
        labels = (issue.labels | fact.put) - fact.taken if issue is not None else frozenset()
        if issue is not None and (labels != issue.labels or fact.gone):
            state = GONE if fact.gone else issue.state
            store.keep_issues([replace(issue, labels=labels, state=state)], store.cursor() or "", full=False)

    def _labelled(self, fact: Told) -> None:
        """Counts: whoever changes our labels each time we set them must not keep us at it."""
        task_id, memory = fact.outward.task_id, self._memory.labelled
        task, known, just = self._world.store.task(task_id), memory.get(task_id), (fact.put, fact.taken)
        if task is None:
            return
        if known is None or known.attempts != task.attempts:
            known = Labelled(task.attempts, task.state)
        again = known.again + 1 if (known.state, known.last) == (task.state, just) else 0
        known = memory[task_id] = Labelled(task.attempts, task.state, known.sets + 1, again, just)
        if known.is_over(task):
            self._world.say(f"{task_id}: its labels were set {known.sets} times; whoever changes them again has it "
                            "their way until the task moves on")

    # --- starting ---

    def _proved(self, fact: Proved) -> None:
        proofs = json.loads(self._world.store.document("proofs") or "{}")
        proofs[fact.provider] = {"at": fact.at.isoformat(), "no": asdict(fact.no) if fact.no is not None else None}
        self._world.store.keep_document("proofs", json.dumps(proofs, sort_keys=True))
        self._world.say(f"{fact.provider}: " + (f"gave no answer: {fact.no.words}" if fact.no else "answers"))

    def _prepared(self, fact: Prepared) -> None:
        for note in fact.notes:
            self._world.say(f"{fact.task.id}: {note}")
        planted.note(self._world, fact.task, fact.attempt, fact.planted, ended=False)
        if fact.task.fresh:
            staging.forget(fact.task, self._world.store)
        task = changed(fact.task, fact.at, worktree=fact.worktree, base_sha=fact.base_sha, fresh=False,
                       tidied=False)
        attempt = replace(fact.attempt, prepared_at=fact.at, base_sha=fact.base_sha, heard=fact.heard)
        self._world.store.save(task, self._event(task, "prepared", fact.worktree, attempt), was=fact.task.version,
                               attempt=attempt)

    def _launched(self, fact: Launched) -> None:
        self._memory.signs.pop(fact.task.id, None)   # those of the attempt before
        task = fact.task.move(_S.RUNNING, fact.at)
        attempt = replace(fact.attempt, launched_at=fact.at, pid=fact.pid, session_id=fact.session_id,
                          model=fact.model)
        self._world.store.save(task, self._event(task, "launched", attempt.provider, attempt), was=fact.task.version,
                               attempt=attempt)
        self._world.say(f"{task.id}: {attempt.provider} runs as {attempt.worker_id} (pid {fact.pid})")

    def _not_started(self, fact: NotStarted) -> None:
        if fact.worktree_error:
            self._world.store.log(self._event(fact.task, "worktree_error", fact.words, fact.attempt))
        attempt = replace(fact.attempt, ending=Ending.FAILED, reason=fact.reason, detail=fact.words,
                          ended_at=fact.at, settled_at=fact.at)
        look = stages.dressed(self._world.workflows(), self._world.policy, fact.task)
        settlement = completion.failure(look, attempt, fact.reason, fact.words, self._world.policy, fact.at)
        self._move(fact.task, attempt, settlement, fact.at)

    # --- settling ---

    def _examined(self, fact: Examined) -> None:
        if fact.survivors:
            self._memory.survivors[fact.task.id] = fact.survivors
            self._memory.rest(f"work:{fact.task.id}", self._world.clock.now())
            self._world.say(f"{fact.task.id}: LEAKED: killed, yet alive: {fact.survivors}")
            return
        self._memory.survivors.pop(fact.task.id, None)
        planted.note(self._world, fact.task, fact.attempt, fact.planted, ended=True)
        self._memory.examined[fact.task.id] = fact

    def settle(self, action: Settle, now: datetime) -> None:
        """An attempt's end and its task's move in one transaction. Raises Stale."""
        fact = self._memory.examined.pop(action.task.id)
        evidence, outcome, work = action.evidence, action.evidence.outcome, action.evidence.work
        attempt = replace(
            action.attempt,
            ending=outcome.ending,
            reason=outcome.reason,
            detail=outcome.detail,
            exit_code=fact.exit_code,
            ended_at=fact.ended_at,
            settled_at=now,
            head_sha=work.head_sha if work is not None else "",
            commits=work.commits if work is not None else 0,
            duration_sec=fact.duration_sec,
            usage=self._world.prices.priced(outcome.usage, outcome.model or action.attempt.model,
                                             action.attempt.provider),
            session_id=outcome.session_id or action.attempt.session_id,
            model=outcome.model or action.attempt.model,
            summary=outcome.summary,
            log_tail=evidence.log_tail,
            rescue_ref=evidence.rescue_ref,
            answered=outcome.answered,
        )
        self._park(action, now)
        staging.keep(action, self._world.store)
        self._move(action.task, attempt, action.settlement, now, pushed_sha=pushed(action.task, evidence))

    def _move(self, task: Task, attempt: Attempt, settlement: Settlement, now: datetime, **known: Any) -> None:
        moved = replace(
            task.move(settlement.to, now, reason=settlement.reason, detail=settlement.detail),
            retry_at=settlement.retry_at,
            retries_used=task.retries_used + (1 if settlement.charged else 0),
            spent=tuple(dict.fromkeys((*task.spent, attempt.provider))) if settlement.spends else task.spent,
            pr_draft=settlement.draft or (task.pr_draft and settlement.to is not _S.PUBLISHING),
            completed_at=now if settlement.to in (_S.FAILED, _S.CANCELLED, _S.BLOCKED) else task.completed_at,
            **known,
        )
        moved = replace(moved, **stages.counted(task, settlement))
        self._world.store.save(moved, self._event(moved, "settled", settlement.reason, attempt), was=task.version,
                               attempt=attempt)
        self._world.say(f"{task.id}: attempt {attempt.number} {attempt.ending}: {settlement.reason or 'ok'}"
                        f" -> {settlement.to}")

    def _park(self, action: Settle, now: datetime) -> None:
        """Closes the attempt's provider, or opens it again."""
        provider, settlement = action.attempt.provider, action.settlement
        parked = json.loads(self._world.store.document("parked") or "{}")
        if settlement.park_until is not None:
            reason = action.evidence.outcome.reason
            parked[provider] = {
                "until": settlement.park_until.isoformat(), "words": action.evidence.outcome.detail or reason,
                "reason": reason, "times": settlement.park_times, "at": now.isoformat(),
            }
            kind, words = "parked", f"{provider} until {settlement.park_until.isoformat()}"
        elif settlement.unparks and parked.pop(provider, None):
            kind, words = "unparked", f"{provider} answers again"
        else:
            return
        self._world.store.keep_document("parked", json.dumps(parked, sort_keys=True))
        self._world.store.log(Event(action.task.id, now, kind, words))
        self._world.say(words)

    def try_providers(self, now: datetime) -> None:
        """A person wants providers tried at once that are parked, or gave no answer."""
        parked = json.loads(self._world.store.document("parked") or "{}")
        for item in parked.values():
            item["until"] = min(datetime.fromisoformat(item["until"]), now).isoformat()
        proofs = json.loads(self._world.store.document("proofs") or "{}")
        good = {name: item for name, item in proofs.items() if item["no"] is None}
        for name, kept in (("parked", parked), ("proofs", good)):
            if self._world.store.document(name):
                self._world.store.keep_document(name, json.dumps(kept, sort_keys=True))

    def _approval_asked(self, fact: ApprovalAsked) -> None:
        if fact.refused is not None:
            self._memory.refused[fact.task.id] = fact.refused
            self._world.say(f"{fact.task.id}: not approved: {fact.refused.words}")
            return
        self._memory.refused.pop(fact.task.id, None)
        task = changed(fact.task, self._world.clock.now(), **stages.approved(fact.task, f"@{fact.actor}"),
                       last_retry_event_id=fact.event_id)
        self._world.store.save(task, self._event(task, "approved", fact.actor), was=fact.task.version)
        self._world.say(f"{task.id}: {task.detail}")

    # --- publishing ---

    def _pushed(self, fact: Pushed) -> None:
        """True also of a task that moved on during the push: unknown, our own work there would be somebody else's."""
        known = self._world.store.task(fact.task.id) or fact.task
        task = changed(known, self._world.clock.now(), pushed_sha=fact.sha)
        last = (self._world.store.attempts().get(task.id) or (None,))[-1]
        moved = last is not None and last.head_sha != fact.sha   # the branch moved since it was looked at: push once
        if last is not None and moved and known.version == fact.task.version:
            last = replace(last, head_sha=fact.sha)
        self._world.store.save(task, self._event(task, "pushed", fact.sha), was=known.version, attempt=last)

    def _pull_found(self, fact: PullFound) -> None:
        pull, task = fact.pull, fact.task
        self._world.store.keep_pulls([pull])
        to, reason = {
            PullState.OPEN: (_S.IN_REVIEW, "pr_open"),
            PullState.MERGED: (_S.DONE, "merged"),
            PullState.CLOSED: (_S.BLOCKED, "pr_closed"),
        }[pull.state]
        moved = replace(
            task.move(to, fact.at, reason=reason, detail=fact.words),
            pr_number=pull.number, pr_url=pull.url, pr_head_sha=pull.head_sha, pr_draft=pull.draft,
            completed_at=fact.at,
        )
        new = task.pr_number != pull.number and pull.state is not PullState.CLOSED
        kind = "completed" if new else "published"
        self._world.store.save(moved, self._event(moved, kind, pull.url, fact.attempt), was=task.version)
        self._world.say(f"{task.id}: PR #{pull.number} {fact.words}: {pull.url}")

    def _refused(self, fact: PublishRefused) -> None:
        now = self._world.clock.now()
        if fact.wip and fact.held:
            words = f"{fact.reason}: {fact.words}"
            held = changed(fact.task, now, withheld=words)
            self._world.store.save(held, self._event(held, "withheld", words), was=fact.task.version)
            self._world.say(f"{held.id}: not pushed: {words}")
            return
        if fact.wip:
            self._world.store.log(self._event(fact.task, "wip_refused", fact.words))
            self._memory.holdoff[keep_lane(fact.task.id)] = now + self._world.policy.relist
            return
        moved = fact.task.move(_S.BLOCKED, now, reason=fact.reason, detail=fact.words)
        self._world.store.save(moved, self._event(moved, "refused", fact.words), was=fact.task.version)

    # --- plans ---

    def _joined(self, fact: Joined) -> None:
        """The result first: died between the two, the merge is found done and told again."""
        task, result = fact.task, fact.result
        under = plans_of(self._world.store)[task.plan]
        keep(self._world.store, replace(under, results={**under.results, fact.one: result}))
        at = result.at or self._world.clock.now()
        words = f"merged into {fact.branch} as {result.sha[:12]}"
        moved = replace(task.move(_S.DONE, at, reason="merged", detail=words), completed_at=at)
        self._world.store.save(moved, self._event(moved, "joined", words, fact.attempt), was=task.version)
        self._memory.touched.pop(task.id, None)
        self._memory.looked.pop(look_lane(task.id), None)
        for note in (result.validation, *result.notes):
            if note:
                self._world.say(f"{task.id}: {note}")
        self._world.say(f"{task.id}: {words}")

    def _not_joined(self, fact: NotJoined) -> None:
        attempt = replace(fact.attempt, ending=Ending.FAILED, reason=fact.reason, detail=fact.words)
        settlement = completion.failure(fact.task, attempt, fact.reason, fact.words, self._world.policy, fact.at)
        if fact.reason == "worktree_error":   # git would not: another session of an agent cannot mend that
            settlement = Settlement(_S.BLOCKED, fact.reason, fact.words)
        self._move(fact.task, attempt, settlement, fact.at)

    def _looked(self, fact: Looked) -> None:
        self._memory.touched[fact.task_id] = fact.files
        self._memory.looked[look_lane(fact.task_id)] = fact.until

    def _delivered(self, fact: Delivered) -> None:
        pull = fact.pull
        known = {"pr_number": pull.number, "pr_url": pull.url, "pr_head_sha": fact.sha} if pull is not None else {}
        note_delivery(self._world.store, fact, pushed_sha=fact.sha, delivered_at=fact.at, words="", **known)
        if pull is not None:
            self._world.store.keep_pulls([pull])
        kind = "plan_pull" if pull is not None else "plan_pushed"
        self._world.store.log(Event("", fact.at, kind, f"{fact.plan} {fact.repo} {pull.url if pull else fact.sha}"))
        self._world.say(f"plan {fact.plan}, {fact.repo}: {fact.words}{f': {pull.url}' if pull is not None else ''}")

    def _not_delivered(self, fact: NotDelivered) -> None:
        pushed = {"pushed_sha": fact.sha} if fact.sha else {}
        note_delivery(self._world.store, fact, words=fact.words, **pushed)
        self._world.store.log(Event("", self._world.clock.now(), "plan_refused", f"{fact.plan} {fact.words}"[:2000]))
        self._world.say(f"plan {fact.plan}, {fact.repo}: {fact.words}")

    # --- the rest ---

    def _tidied(self, fact: Tidied) -> None:
        task = changed(fact.task, self._world.clock.now(), tidied=True, worktree="")
        self._memory.untidied.pop(task.id, None)
        self._world.store.save(task, self._event(task, "tidied", fact.words), was=fact.task.version)
        self._world.say(f"{task.id}: {fact.words}")

    def _reclaimed(self, fact: Reclaimed) -> None:
        """A worktree whose task moved meanwhile is found gone when it is tidied."""
        now, action = self._world.clock.now(), fact.action
        self._memory.looked[room_lane(action.host)] = now + JANITOR_RESTS
        for task in fact.removed:
            with suppress(Stale):
                self._tidied(Tidied(task, f"worktree {task.worktree} removed to make room"))
        if fact.removed or fact.others:
            where = f" on {action.host}" if action.host else ""
            words = f"made room{where}: {len(fact.removed)} merged worktrees and {fact.others} other things went"
            self._world.store.log(Event("", now, "made_room", f"{words} ({action.why})"))
            self._world.say(words)

    def _failed(self, fact: EffectFailed) -> None:
        now = self._world.clock.now()
        lane = fact.action.lane
        until = self._memory.rest(lane, now)
        if isinstance(fact.action, Tell) and fact.action.labels:   # a late one may have failed after another's fact
            forget_labels(self._world.store, fact.action.task.id)
        if isinstance(fact.action, Poll):
            self._memory.poll_due = True
            if fact.github_until is None or fact.github_until - now < LONG:   # a limit's end is known
                silence.failed(self._world.store, now)
        if fact.github_until is not None:
            until = max(until, fact.github_until)
            self._memory.github_until = fact.github_until
            self._memory.github_words = fact.words
        whose = getattr(fact.action, "task", None) if fact.github_until is None else None
        self._memory.troubled(lane, whose, self._world.mask(fact.words))
        self._world.say(f"{lane}: {fact.words}; again at {until:%H:%M:%S} UTC")
        if fact.bug:
            self._bug(fact, lane)

    def _bug(self, fact: EffectFailed, lane: str) -> None:
        """The first few traces of a lane are kept; after as many in a row a person must look at its task."""
        count = self._memory.bugs[lane] = self._memory.bugs.get(lane, 0) + 1
        if count > BUGS_IN_A_ROW:
            return
        saved = self._world.keep_bug(fact.bug)
        if count == BUGS_IN_A_ROW and isinstance(fact.action, (Prepare, Launch, Examine, Push, Publish)):
            self._give_up(fact.action.task, f"{fact.words} (trace: {saved})", self._world.clock.now())

    def _give_up(self, planned: Task, words: str, now: datetime) -> None:
        """To a person, unless the task moved meanwhile or a worker of it may be alive."""
        task = self._world.store.task(planned.id)
        alive = isinstance(self._memory.views.get(planned.id), (Running, Unknown, Waiting))
        if task is None or task.version != planned.version or _S.BLOCKED not in MOVES[task.state] or alive:
            return
        attempt = (self._world.store.attempts().get(task.id) or (None,))[-1]
        if attempt is not None and attempt.ending is None:
            attempt = replace(attempt, ending=Ending.FAILED, reason="internal_error", detail=words, ended_at=now,
                              settled_at=now)
        moved = replace(task.move(_S.BLOCKED, now, reason="internal_error", detail=words), completed_at=now)
        self._world.store.save(moved, self._event(moved, "gave_up", words, attempt), was=task.version,
                               attempt=attempt)
        self._world.say(f"{task.id}: {task.state} -> {moved.state} internal_error {words}")

    def _event(self, task: Task, kind: str, detail: str, attempt: Attempt | None = None) -> Event:
        number = attempt.number if attempt is not None else 0
        return Event(task.id, self._world.clock.now(), kind, detail[:2000], number)


def pushed(task: Task, evidence: Evidence) -> str:
    """What GitHub has of our branch. A pull request at this very commit shows that it is there: pushed again, a
    branch that was merged and deleted would stand anew."""
    head = evidence.work.head_sha if evidence.work is not None else ""
    there = any(pull.head_ref == task.branch and pull.head_sha == head for pull in evidence.pulls)
    return head if there else task.pushed_sha


def changed(task: Task, at: datetime, **fields: Any) -> Task:
    """The task with other facts in the same state, at version + 1."""
    return replace(task, version=task.version + 1, updated_at=at, **fields)
