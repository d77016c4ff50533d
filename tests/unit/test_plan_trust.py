"""Who may start work: who set the label, who edited what before and after, row by row against a rule of a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from coordinator.domain.issue import Edit, Vet
from coordinator.domain.outward import Outward
from coordinator.domain.task import Task, TaskState
from coordinator.planning.actions import Adopt, Begin, Explain, Launch, Move, Plan, Prepare, VetIssue
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.rules.adopt import EXPLAINED_A_DAY
from coordinator.planning.trust import AT_ONCE, BLIND_AGAIN, LONGEST_PAUSE, pin_of
from tests.factories import NOW, a_snapshot, a_task, a_vet_of, an_attempt, an_issue
from tests.support.figures import count

SET = NOW - timedelta(hours=1)
SECOND = timedelta(seconds=1)
LISTS = Policy(provider="command", trust_users=frozenset({"Listed"}), trust_bots=frozenset({"good[bot]"}))
DEFAULTS = Policy(provider="command")
PEOPLE = {
    "ann": "admin", "max": "maintain", "wri": "write", "tri": "triage", "rea": "read", "stranger": "none",
    "listed": "none", "good[bot]": "write", "bad[bot]": "admin", "ghost": "none", "": "none",
}
"""Accounts and what GitHub says of them; the lists above name two of them."""
TRUSTED = {"ann", "max", "wri"}
MOMENTS = {"long before": -timedelta(days=1), "the second before": -SECOND, "the same second": timedelta(0),
           "the second after": SECOND, "long after": timedelta(minutes=30)}


def obeyed(setter: str, edits: list[tuple[str, timedelta]], policy: Policy) -> bool:
    """The oracle: the label's last setter counts, and so does everybody who changed the words since."""
    good = TRUSTED | ({"listed", "good[bot]"} if policy is LISTS else set())
    return setter in good and all(who in good for who, when in edits if when >= timedelta(0))


def vet_of(issue, setter: str, edits: list[tuple[str, timedelta]] = (), **changes) -> Vet:
    made = tuple(Edit(SET + when, who, PEOPLE[who]) for who, when in edits)
    told = {"actor": setter, "permission": PEOPLE[setter], "labelled_at": SET, "edits": made}
    return a_vet_of(issue, **told | changes)


def of(made: Plan, *kinds: type) -> list:
    return [one for one in made.actions if isinstance(one, kinds)]


@pytest.mark.req("N4", "W18", "X18")
@pytest.mark.parametrize("setter", PEOPLE)
@pytest.mark.parametrize("policy", [DEFAULTS, LISTS], ids=["defaults", "lists"])
def test_the_label_s_last_setter_and_all_who_edited_since_must_be_trusted(setter: str, policy: Policy) -> None:
    issue = an_issue()
    once = [[(who, when)] for who, when in product(PEOPLE, MOMENTS.values())]
    often = [[(one, -SECOND), ("ann", SECOND), (two, 2 * SECOND)] for one, two in product(PEOPLE, PEOPLE)]
    count("who set the label and who edited when", 1 + len(once) + len(often))
    for row in [[], *once, *often]:
        vet = vet_of(issue, setter, row)
        made = plan(a_snapshot(issues={1: issue}, vets={1: vet}, policy=policy))
        good = obeyed(setter, row, policy)
        assert [one.task.pin for one in of(made, Adopt)] == ([pin_of(issue, vet)] if good else []), row
        assert [one.code in ("untrusted", "edited") for one in made.held] == ([] if good else [True]), row
        assert len(of(made, Explain)) == (not good), row
        assert not of(made, Begin)


@pytest.mark.req("N4", "W18")
@pytest.mark.parametrize("editor", PEOPLE)
@pytest.mark.parametrize("setter", PEOPLE)
def test_unstarted_work_follows_trusted_edits_and_is_held_by_others_until_the_label_is_set_anew(
    editor: str, setter: str
) -> None:
    """The words are other than the pinned ones since `editor` changed them; then `setter` set the label anew."""
    task, issue = a_task(), an_issue(body="other words")
    edits = [(editor, timedelta(minutes=5))]
    held = plan(a_snapshot(task, issues={1: issue}, vets={1: vet_of(issue, "ann", edits)}))
    anew = vet_of(issue, setter, edits, label_event_id=11, labelled_at=SET + timedelta(minutes=6))
    again = plan(a_snapshot(task, issues={1: issue}, vets={1: anew}))
    for made, good in ((held, obeyed("ann", edits, DEFAULTS)), (again, obeyed(setter, [], DEFAULTS))):
        pins = [one.changes["pin"].body for one in of(made, Move)]
        assert pins == (["other words"] if good else [])
        assert len(of(made, Explain)) == (not good)
        assert good or made.waits["gh-1"].code in ("edited", "untrusted")
        assert not of(made, Begin), "what is pinned anew is planned anew before it starts"


def begins(task: Task, issue, vet: Vet | None, **changes) -> Plan:
    return plan(a_snapshot(task, issues={1: issue}, vets={1: vet} if vet else {}, **changes))


@pytest.mark.req("N4")
@pytest.mark.parametrize("setter", PEOPLE)
def test_a_label_that_was_taken_off_and_set_again_between_two_looks_counts_as_its_last_setter_does(setter: str) -> None:
    task, issue = a_task(), an_issue(updated_at=NOW)
    unasked = begins(task, issue, vet_of(issue, "ann", issue_updated_at=SET))
    assert of(unasked, VetIssue)
    assert not of(unasked, Begin)
    made = begins(task, issue, vet_of(issue, setter, label_event_id=11))
    assert bool(of(made, Move)) == (setter in TRUSTED)
    assert not of(made, Begin)


def test_what_was_pinned_with_the_newest_label_starts() -> None:
    issue = an_issue()
    assert of(begins(a_task(), issue, vet_of(issue, "ann")), Begin)


@pytest.mark.req("X18")
@pytest.mark.parametrize("changes", [
    {"blind": "GraphQL: not for this token"}, {"labelled_at": None}, {"missing_until": SET}, {"missing_until": NOW},
], ids=["cannot be asked", "no time of the label", "more than a page in that second", "more than a page since"])
@pytest.mark.parametrize("task", [None, a_task(), a_task(1, TaskState.BLOCKED)], ids=["new", "queued", "blocked"])
def test_what_cannot_be_asked_about_is_held_and_says_so(changes: dict, task: Task | None) -> None:
    issue = an_issue(body="other words" if task else "")
    vet = vet_of(issue, "ann", label_event_id=11, **changes)
    made = plan(a_snapshot(*([task] if task else []), issues={1: issue}, vets={1: vet}))
    assert not of(made, Adopt, Begin, Move)
    assert len(of(made, Explain)) == 1
    told = made.waits["gh-1"] if task else made.held[0]
    assert told.code == "edited"
    assert told.moves == "somebody with write permission reads it and sets the label rpi-auto anew"


def test_a_page_of_edits_that_ends_before_the_label_was_set_says_enough() -> None:
    issue = an_issue()
    vet = vet_of(issue, "ann", missing_until=SET - SECOND)
    assert of(plan(a_snapshot(issues={1: issue}, vets={1: vet})), Adopt)


@pytest.mark.req("X18")
def test_a_second_change_within_the_same_second_is_asked_about_again() -> None:
    vet = vet_of(an_issue(), "ann")
    made = plan(a_snapshot(issues={1: an_issue(body="put in just after")}, vets={1: vet}))
    assert of(made, VetIssue)
    assert not of(made, Adopt)


@pytest.mark.parametrize(("begun", "launched", "other"), [(0, True, False), (1, True, True), (0, False, True)])
def test_only_work_that_was_not_started_on_its_words_follows_an_edit(begun: int, launched: bool, other: bool) -> None:
    """A retry goes on with its pinned words; a person's retry pins anew and counts as not started."""
    task = a_task(attempts=1)
    task = replace(task, pin=replace(task.pin, begun=begun))
    attempt = an_attempt(launched_at=NOW if launched else None, ended_at=NOW, settled_at=NOW, reason="lost")
    issue = an_issue(body="other words")
    vet = vet_of(issue, "ann", [("ann", SECOND)])
    made = begins(task, issue, vet, attempts={"gh-1": (attempt,)})
    assert [one.changes["pin"].begun for one in of(made, Move)] == ([1] if other else [])
    stranger = begins(task, issue, vet_of(issue, "ann", [("stranger", SECOND)]), attempts={"gh-1": (attempt,)})
    assert bool(of(stranger, Begin)) != other


@pytest.mark.parametrize("retrier", ["ann", "stranger"])
@pytest.mark.parametrize("setter", ["ann", "stranger"])
@pytest.mark.parametrize("edited", [None, timedelta(minutes=5), timedelta(minutes=15)])
def test_a_trusted_retry_label_approves_the_words_as_they_stand_then(retrier, setter, edited) -> None:
    """The label stands since the last try; the retry label was set ten minutes after it."""
    issue = an_issue(1, "rpi-auto", "rpi-retry")
    vet = vet_of(issue, setter, [("stranger", edited)] if edited else [], retry_event_id=12, retry_actor=retrier,
                 retry_permission=PEOPLE[retrier], retried_at=SET + timedelta(minutes=10))
    made = begins(a_task(1, TaskState.FAILED), issue, vet)
    good = retrier == "ann" and edited != timedelta(minutes=15)
    assert bool(of(made, Move)) == good
    assert bool(of(made, Explain)) == (retrier == "ann" and not good)


@pytest.mark.req("N4")
@pytest.mark.parametrize("prepared_at", [None, NOW], ids=["intended", "prepared"])
def test_what_is_prepared_starts_only_on_what_its_issue_says_by_then(prepared_at) -> None:
    """Until it runs it is queued work: its issue's words, label and their setter count as they were seen last."""
    task, attempt = a_task(1, TaskState.PREPARING, attempts=1), an_attempt(prepared_at=prepared_at)
    same, other = an_issue(), an_issue(body="other words")
    for issue, vet, policy, goes in [
        (same, vet_of(same, "ann"), DEFAULTS, True),
        (same, vet_of(same, "ann", issue_updated_at=SET - SECOND), DEFAULTS, True),
        (same, vet_of(same, "ann", label_event_id=11), DEFAULTS, False),
        (same, vet_of(same, "stranger", label_event_id=11), DEFAULTS, False),
        (same, vet_of(same, "wri"), Policy(provider="command", permission="admin"), False),
        (other, vet_of(same, "ann"), DEFAULTS, False),
        (other, vet_of(other, "ann"), DEFAULTS, False),
    ]:
        made = begins(task, issue, vet, policy=policy, attempts={"gh-1": (attempt,)})
        assert len(of(made, Prepare, Launch)) == goes
        assert [(one.to, one.reason) for one in of(made, Move)] == ([] if goes else [(TaskState.QUEUED, "edited")])
    second = (replace(attempt, launched_at=NOW, ended_at=NOW, settled_at=NOW, reason="lost"), an_attempt(2))
    assert of(begins(task, other, vet_of(other, "ann"), attempts={"gh-1": second}), Prepare), "it began with its words"


@pytest.mark.req("N4")
@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.PREPARING])
def test_nothing_of_an_issue_begins_before_all_were_looked_at_since_the_start(state: TaskState) -> None:
    task, attempts = a_task(1, state, attempts=1), {"gh-1": (an_attempt(),)}
    issue, policy = an_issue(), Policy(provider="command", intake=False)
    vet = vet_of(issue, "ann")
    made = begins(task, issue, vet, attempts=attempts, listed_at=None)
    assert not of(made, Begin, Prepare, Launch)
    assert made.waits["gh-1"].code == "vetting"
    assert of(begins(task, issue, vet, attempts=attempts), Begin, Prepare)
    assert of(begins(replace(task, issue=None), issue, vet, attempts=attempts, listed_at=None), Begin, Prepare)
    assert of(begins(task, issue, vet, attempts=attempts, listed_at=None, policy=policy), Begin, Prepare)


# --- saying it, and asking, within bounds -------------------------------------------------------------------


def test_it_is_said_once_whatever_happens_to_the_label() -> None:
    issue = an_issue()
    said = {"gh-1": Outward("gh-1", notices=frozenset({"held"}))}
    for setter, event in (("stranger", 10), ("rea", 11)):
        made = plan(a_snapshot(issues={1: issue}, vets={1: vet_of(issue, setter, label_event_id=event)}, outward=said))
        assert not of(made, Explain)
        assert made.held[0].code == "untrusted"


@pytest.mark.parametrize(("explained", "left"), [(0, EXPLAINED_A_DAY), (EXPLAINED_A_DAY - 1, 1), (EXPLAINED_A_DAY, 0)])
def test_a_form_that_sets_the_label_makes_us_say_it_only_so_often_a_day(explained: int, left: int) -> None:
    issues = {number: an_issue(number) for number in range(1, 41)}
    vets = {number: vet_of(issue, "stranger") for number, issue in issues.items()}
    made = plan(a_snapshot(issues=issues, vets=vets, explained=explained, confirmed=True))
    assert len(of(made, Explain)) == left
    assert len(made.held) == 40


def test_an_issue_that_strangers_keep_changing_is_asked_about_ever_more_seldom() -> None:
    def asked(times: int, after: timedelta) -> bool:
        issue = an_issue(updated_at=NOW)
        vet = vet_of(issue, "stranger", issue_updated_at=SET, times=times, asked_at=NOW - after)
        return bool(of(plan(a_snapshot(issues={1: issue}, vets={1: vet})), VetIssue))

    assert asked(AT_ONCE, timedelta())
    assert not asked(AT_ONCE + 1, timedelta(seconds=14))
    assert asked(AT_ONCE + 1, timedelta(seconds=15))
    assert not asked(AT_ONCE + 2, timedelta(seconds=29))
    assert not asked(10_000, LONGEST_PAUSE - SECOND)
    assert asked(10_000, LONGEST_PAUSE)
    assert asked(10_000, -timedelta(days=1)), "our clock was set back"


def test_what_could_not_be_asked_about_is_asked_again_after_an_hour() -> None:
    issue = an_issue()
    for after, expected in ((BLIND_AGAIN - SECOND, 0), (BLIND_AGAIN, 1)):
        vet = vet_of(issue, "ann", blind="no", asked_at=NOW - after)
        assert len(of(plan(a_snapshot(issues={1: issue}, vets={1: vet})), VetIssue)) == expected


@pytest.mark.parametrize("nobody", ["", "ghost"])
def test_an_account_that_is_gone_is_trusted_under_no_list_and_with_no_permission(nobody: str) -> None:
    policy = Policy(trust_users=frozenset({"ghost", ""}), trust_bots=frozenset({"ghost"}))
    assert not policy.trusts(nobody, "admin")
