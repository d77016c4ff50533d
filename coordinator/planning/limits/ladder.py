"""Which provider a queued task may have now: its own, or the next of the ladder where another one can help.

Only a provider that was proven to answer stands in for another; what is asked of it is in the snapshot, never here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from coordinator.domain.reasons import REASONS
from coordinator.domain.task import Task, TaskState
from coordinator.planning.actions import Move, Wait
from coordinator.planning.berths import runs_here
from coordinator.planning.limits.circuit import Trial, on_trial
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot

PROVEN_FOR = timedelta(days=1)
"""How long an answer is proof that a provider answers."""

ASKED_AGAIN = timedelta(minutes=30)
"""After so long a provider that gave no answer is asked for one again."""


@dataclass(frozen=True)
class Choice:
    """A provider for a task. In place of another (`instead_of`) for a reason code; `unproven`: it must answer first."""

    provider: str
    instead_of: str = ""
    reason: str = ""
    unproven: bool = False


def rungs(policy: Policy, task: Task) -> tuple[str, ...]:
    """The providers that may stand in for the task's own and were not spent on it. None where the issue asks for a
    model: another provider has it not, and the model was the point."""
    ladder = () if task.model else policy.fallback.get(task.provider, ())
    return tuple(name for name in ladder if name in policy.providers and name not in task.spent)


class Ladder:
    """The providers as they stand while one plan is made. `full` tells of one that is at its cap."""

    def __init__(self, s: Snapshot, full: Callable[[str], bool]) -> None:
        self._s = s
        self._full = full
        self._trials = {name: on_trial(s, name) for name in s.parked}

    def take(self, task: Task, provider: str) -> None:
        """The first task that is given to a provider whose park is over is the one that tries it."""
        if provider in self._trials and self._trials[provider] is None:
            self._trials[provider] = Trial(task.id, self._s.now + self._s.policy.park)

    def choose(self, task: Task) -> Choice | Wait | Move:
        """A provider for it, or what keeps it from having one; to a person where only a person can bring it one."""
        s, wish = self._s, task.provider
        held = self.hindrance(task, wish)
        spent = self._why_spent(task) if wish in task.spent else ""
        reason = spent or self._code(wish)
        if (held is None and not spent) or reason not in REASONS or not REASONS[reason].elsewhere:
            return held or Choice(wish)
        noes = []
        for rung in rungs(s.policy, task):
            no = self._no_help(task, rung)
            if no is None:
                return Choice(rung, wish, reason, unproven=not self._proven(rung))
            noes.append(no)
        if not spent or REASONS[spent].again or not noes:
            return held or Choice(wish)
        if any(no.code not in REASONS or REASONS[no.code].again for no in noes):
            return noes[0]
        words = "; ".join(no.words for no in noes)
        return Move(task, TaskState.BLOCKED, spent, f"{wish} failed it, and none can stand in: {words}")

    def hindrance(self, task: Task, provider: str) -> Wait | None:
        """What keeps a task from being started on this provider."""
        s = self._s
        if provider not in s.policy.providers:
            known = ", ".join(sorted(s.policy.providers))
            return Wait(task.id, "provider_unknown", f"there is no provider {provider!r} here (known: {known})",
                        f"coordinator retry {task.id} --provider {s.policy.provider}")
        parked, other = s.parked.get(provider), f"coordinator retry {task.id} --provider NAME"
        if parked is not None and parked.until > s.now:
            return Wait(task.id, "provider_parked", f"{provider}: {parked.words}", other, parked.until)
        trial = self._trials.get(provider)
        if trial is not None and not trial.answered:
            words = f"{trial.task_id} tries first whether {provider} answers again"
            return Wait(task.id, "provider_trial", words, other, trial.until)
        gate = s.unready.get(provider) if runs_here(s, task) else None
        return Wait(task.id, gate.code, gate.words, gate.cure) if gate is not None else None

    def _no_help(self, task: Task, rung: str) -> Wait | None:
        no = self.hindrance(task, rung)
        if no is None and self._full(rung):
            no = Wait(task.id, "provider_cap", f"{rung} is at its cap", f"a {rung} worker ends")
        proof = self._s.proofs.get(rung)
        if no is None and proof is not None and proof.no is not None and self._s.now - proof.at < ASKED_AGAIN:
            no = Wait(task.id, proof.no.code, proof.no.words, proof.no.cure, proof.at + ASKED_AGAIN)
        return no

    def _proven(self, provider: str) -> bool:
        proof = self._s.proofs.get(provider)
        return proof is not None and proof.no is None and self._s.now - proof.at < PROVEN_FOR

    def _why_spent(self, task: Task) -> str:
        """What the task's last attempt with its own provider ended with."""
        mine = [one for one in self._s.attempts.get(task.id, ()) if one.provider == task.provider and one.ending]
        return mine[-1].reason if mine else ""

    def _code(self, provider: str) -> str:
        """The reason code for which a provider cannot be had now."""
        parked, gate = self._s.parked.get(provider), self._s.unready.get(provider)
        if parked is not None:
            return parked.reason
        return gate.code if gate is not None else ""
