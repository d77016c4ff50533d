"""Calls a person about jobs by hand that fail alike. A batch of tasks has a coordinator, which calls by itself."""

from __future__ import annotations

from coordinator.engine.batches.batch import Batch, Look
from coordinator.engine.batches.watching import wants_somebody
from coordinator.engine.contacts import Contacts, Message, Ways, hand_over
from coordinator.wording import escalation


def call(batch: Batch, look: Look, contacts: Contacts, ways: Ways) -> tuple[str, ...]:
    """Tells the operator of a batch that this look found systemic, once until it is well again. How it failed."""
    if not batch.scope.by_hand or not wants_somebody(look):
        return ()
    return hand_over(contacts, message(batch, look), ways)


def message(batch: Batch, look: Look) -> Message:
    health, scope = look.health, batch.scope
    words = f"batch {scope.key}: several of its jobs fail alike: {health.why}"
    failing = {cause.code: cause.ids for cause in health.causes}
    bundle = escalation.bundle(health.counts.running, 0, health.counts.waiting, failing, "jobs")
    cause = health.cause.code if health.cause is not None else "systemic"
    return Message(escalation.headline(words, scope.command("status")), (*health.evidence, *bundle),
                   {"COORDINATOR_CAUSE": f"batch:{scope.key}:{cause}"})
