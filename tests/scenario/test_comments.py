"""What stands on the issue: one living comment, few new ones, our labels, and never a secret."""

from __future__ import annotations

import pytest

from coordinator.domain.request import RequestKind
from coordinator.rehearsal.hub.world import Comment
from tests.support.stories import Later, bury, completions, go, restart, waiting
from tests.support.yard import BOT, Yard, a_yard

LIVING = "<!-- coordinator:gh-{}:status -->"
SECRET = "ghp_" + "Zq9" * 12
LOOP = "commit()\nwhile True: time.sleep(0.05)"


def living(yard: Yard, number: int) -> list[tuple[int, str]]:
    """Id and body of what carries our mark in our own words."""
    mark = LIVING.format(number)
    return [(one.id, one.body) for one in by(yard, number, BOT) if mark in one.body]


def by(yard: Yard, number: int, login: str) -> list[Comment]:
    return [one for one in yard.repository.issue(number).comments if one.author == login]


def wrote(yard: Yard, verb: str) -> int:
    """How many comments were made (POST) or edited (PATCH) so far."""
    return sum(one.method == verb and "/comments" in one.path for one in yard.github.requests)


def by_label(yard: Yard, number: int) -> None:
    yard.ann.add_label(number, "rpi-retry")
    yard.until(lambda: yard.state(number) not in ("BLOCKED", "FAILED", "CANCELLED"), seconds=10)


# --- the living comment -----------------------------------------------------------------------------


@pytest.mark.req("F11", "X10")
def test_one_living_comment_follows_the_task_and_is_left_alone_by_mere_progress(yard: Yard):
    steps = "".join(f"say('step {n}'); write('step', '{n}'); time.sleep(0.1)\n" for n in range(5))
    number = yard.issue(script=f"commit('first.txt')\n{steps}{waiting(yard)}")
    yard.until(lambda: bool(living(yard, number)))
    [(first, begun)] = living(yard, number)
    edits = wrote(yard, "PATCH")
    yard.until(lambda: "step 4" in (yard.clone / "logs" / f"gh-{number}.jsonl").read_text())
    yard.tick()
    assert "🟡 Working on this (attempt 1, command" in begun
    assert wrote(yard, "PATCH") == edits

    go(yard)
    yard.until_state(number, "IN_REVIEW")
    [pull] = yard.repository.pulls()
    address = f"http://127.0.0.1:{yard.github.url.rpartition(':')[2]}/acme/widgets/pull/{pull.number}"
    assert f"✅ Completed! See PR #{pull.number}: {address}" in living(yard, number)[0][1]
    yard.ann.merge(pull.number)
    yard.until_state(number, "DONE")
    yard.tick()

    assert [one for one, _ in living(yard, number)] == [first]
    assert f"PR #{pull.number} is merged" in living(yard, number)[0][1]
    assert len(yard.comments(number)) == 2


@pytest.mark.req("X10")
@pytest.mark.parametrize(("script", "state", "kinds"), [
    ("commit(); result()", "IN_REVIEW", ["completed:pr2"]),
    ("if attempt == 1: sys.exit(3)\ncommit(); result()", "IN_REVIEW", ["completed:pr2"]),
    ("sys.exit(3)", "BLOCKED", ["blocked:2"]),
    ("result()", "FAILED", ["failed:1"]),
    ("write('STOP', 'no thanks'); time.sleep(60)", "CANCELLED", ["stopped:1"]),
])
def test_every_end_adds_exactly_one_new_comment_to_the_living_one(
    yard: Yard, script: str, state: str, kinds: list[str]
):
    number = yard.issue(script=script)
    yard.until_state(number, state)
    for _ in range(3):
        yard.tick()

    marks = [body.split(" -->")[0].removeprefix(f"<!-- coordinator:gh-{number}:") for body in yard.comments(number)]
    assert sorted(marks) == sorted(["status", *kinds])
    assert wrote(yard, "POST") == 2


@pytest.mark.req("X10")
def test_a_living_comment_that_a_person_deleted_comes_back_once_at_the_next_move(yard: Yard):
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: bool(living(yard, number)))
    with yard.github.world.lock:
        yard.repository.issue(number).comments.clear()
    yard.tick()
    assert yard.comments(number) == []
    go(yard)
    yard.until_state(number, "IN_REVIEW")
    assert len(living(yard, number)) == 1
    assert len(yard.comments(number)) == 2


@pytest.mark.req("X10", "N10")
def test_with_the_memory_lost_the_pull_request_and_the_comments_are_found_again(yard: Yard):
    number = yard.issue(script="commit('again.txt', f'{time.time()}'); result()")
    yard.until_state(number, "IN_REVIEW")
    [(first, _)] = living(yard, number)
    yard.close()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (yard.clone / ".coordinator" / name).unlink(missing_ok=True)
    yard.start()

    yard.until_state(number, "IN_REVIEW")
    yard.tick()

    assert len(yard.repository.pulls()) == 1
    assert [one for one, _ in living(yard, number)] == [first]
    assert completions(yard, number) == 1
    assert len(yard.comments(number)) == 2


def test_a_strangers_comment_with_our_marker_is_neither_edited_nor_taken_for_ours(yard: Yard):
    number = yard.issue(script=waiting(yard))
    forged = [f"{LIVING.format(number)}\nAll is lost", "<!-- coordinator:gh-1:completed:pr2 -->\nNothing to see"]
    stranger = yard.repository.as_user("stranger")
    for body in forged:
        stranger.comment(number, body)
    yard.until(lambda: bool(living(yard, number)))
    go(yard)

    yard.until_state(number, "IN_REVIEW")

    ours = [one.body for one in by(yard, number, BOT)]
    assert [one.body for one in by(yard, number, "stranger")] == forged
    assert len(ours) == 2
    assert sum("✅ Completed! See PR #2" in body and ":completed:pr2" in body for body in ours) == 1


def test_after_a_restart_a_forged_living_comment_is_not_taken_up_before_the_first_poll(yard: Yard):
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: yard.state(number) == "RUNNING")
    with yard.github.world.lock:
        yard.repository.issue(number).comments.clear()
    stranger = yard.repository.as_user("stranger")
    stranger.comment(number, f"{LIVING.format(number)}\nAll is lost")
    restart(yard)
    go(yard)
    yard.wakes.wait(1)
    for _ in range(3):
        yard.tick(poll=False)
    yard.until_state(number, "IN_REVIEW")
    assert [one.body for one in by(yard, number, "stranger")] == [f"{LIVING.format(number)}\nAll is lost"]
    assert len(living(yard, number)) == 1
    bury(yard)


# --- no secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "state"), [
    (f"say('the key is {SECRET}'); print('{SECRET}', file=sys.stderr); sys.exit(3)", "BLOCKED"),
    (f"commit(); write('BLOCKED.md', 'Is {SECRET} right?'); result()", "BLOCKED"),
    (f"commit(); result(text='I used {SECRET}.')", "IN_REVIEW"),
    (f"commit(message='Use {SECRET}'); result(text='')", "BLOCKED"),
    (f"write('STOP', 'it leaks {SECRET}'); time.sleep(60)", "CANCELLED"),
    (f"commit(); result(error=True, text='401 for {SECRET}')", "BLOCKED"),
])
def test_no_secret_of_a_run_gets_into_a_comment_or_a_pull_request(tmp_path, script: str, state: str):
    with a_yard(tmp_path, settings={"retries": "0"}) as yard:
        number = yard.issue(script=script.replace(SECRET, "' + 'ghp_' + 'Zq9' * 12 + '"))
        yard.until_state(number, state)
        yard.tick()

        said = "\n".join([*yard.comments(number), *(pull.body for pull in yard.repository.pulls())])
        assert SECRET not in said
        assert "***" in said or "secret" in said   # masked, or held back and told by its place
        assert SECRET not in yard.read("tasks.md") + yard.read(".coordinator/board.json") + "\n".join(yard.lines)


# --- labels -----------------------------------------------------------------------------------------


def test_blocked_is_set_by_label_and_taken_away_with_the_retry_label_once_it_was_obeyed(yard: Yard):
    number = yard.issue(script=f"if attempt < 3: sys.exit(3)\n{waiting(yard)}")
    yard.until_state(number, "BLOCKED")
    yard.tick()
    assert yard.repository.issue(number).labels == ["rpi-auto", "rpi:blocked"]

    by_label(yard, number)
    yard.until(lambda: yard.state(number) == "RUNNING")
    yard.tick()

    assert yard.repository.issue(number).labels == ["rpi-auto"]
    go(yard)
    task = yard.until_state(number, "IN_REVIEW")
    assert task.attempts == 3
    assert len(yard.comments(number)) == 3


@pytest.mark.parametrize("lost", ["POST", "DELETE"])
def test_a_label_whose_answer_was_lost_agrees_with_the_memory_after_a_restart(yard: Yard, later: Later, lost: str):
    cut: list[str] = []

    def intercept(method: str, path: str) -> str | None:
        if method == lost and "/labels" in path and not cut:
            cut.append(path)
            return "drop-after"
        return None

    yard.github.intercept = intercept
    number = yard.issue(script=f"if attempt < 3: sys.exit(3)\n{LOOP}")
    yard.until(lambda: yard.state(number) == "BLOCKED" and "rpi:blocked" in yard.repository.issue(number).labels)
    if lost == "POST":
        later(40)
    store, now = yard.engine.world.store, yard.engine.world.clock.now()
    store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", now)
    yard.until(lambda: yard.task(number).attempts == 3 and yard.state(number) == "RUNNING")
    if lost == "DELETE":
        yard.until(lambda: bool(cut))
        later(40)
    restart(yard)
    yard.until(lambda: yard.repository.issue(number).labels == ["rpi-auto"])
    (yard.worktree(number) / "STOP").touch()
    yard.until_state(number, "CANCELLED")
    bury(yard)


def test_with_full_labels_one_of_ours_shows_the_state(tmp_path):
    with a_yard(tmp_path, more='[labels]\nmode = "full"\n') as yard:
        number = yard.issue(script=waiting(yard))
        yard.until(lambda: yard.repository.issue(number).labels == ["rpi-auto", "rpi:running"])
        go(yard)
        yard.until_state(number, "IN_REVIEW")
        yard.until(lambda: yard.repository.issue(number).labels == ["rpi-auto", "rpi:in-review"])
        yard.ann.merge(yard.repository.pulls()[0].number)
        yard.until_state(number, "DONE")
        yard.until(lambda: yard.repository.issue(number).labels == ["rpi-auto", "rpi:done"])
