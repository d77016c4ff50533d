"""The memory is damaged, torn, gone or from before: it is kept aside, made anew from the last board, the run files and
GitHub, and nobody's work or word is lost by it or done twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator import app
from coordinator.adapters.store import trouble
from coordinator.app.plans import is_own, place_of
from coordinator.app.rebuilding import REBUILDS, mend, on_a_sound_memory
from coordinator.domain.request import Event, RequestKind
from coordinator.domain.task import Pin, Task
from coordinator.ports import NewerSchema, StoreDamaged, StoreError
from tests.support.running import command
from tests.support.stories import bury, completions, go, waiting
from tests.support.yard import Yard, a_yard

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def overwritten(store: Path) -> None:
    """Its first bytes are another file's."""
    store.write_bytes(b"\x7fELF" + bytes(200) + store.read_bytes()[204:])


def torn(store: Path) -> None:
    """Pages in the middle never reached the disk."""
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(store.read_bytes())
    content[8192:-4096] = b"\xa5" * (len(content) - 4096 - 8192)
    store.write_bytes(content)


def cut(store: Path) -> None:
    """Half of it is there."""
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def emptied(store: Path) -> None:
    """As a full disk or a careless redirection leaves it; its log is gone with it."""
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.write_bytes(b"")


def gone(store: Path) -> None:
    store.unlink()


def test_a_checkout_in_a_folder_called_plans_is_no_plan_s_own_place(tmp_path: Path) -> None:
    """Its memory is mended as any other's."""
    for root in (tmp_path / "plans" / "product", tmp_path / "coordinator" / "plans" / "product"):
        (root / ".git").mkdir(parents=True)
        assert not is_own(app.Place(root))
    assert is_own(place_of("auth", tmp_path / "auth.md", {"HOME": str(tmp_path)}))


def lose(yard: Yard, damage: Callable[[Path], None]) -> list[str]:
    """The coordinator dies, its memory is damaged, and it is started again; the lines it says first."""
    yard.close()
    where = app.Place(yard.clone)
    damage(where.store)
    said: list[str] = []
    mend(where, said.append)
    yard.start()
    return said


def asides(yard: Yard) -> list[str]:
    return sorted(path.name for path in (yard.clone / ".coordinator").glob("state.db.corrupt-????????T??????"))


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with a_yard(tmp_path, settings={"retries": "0"}) as made:
        yield made


@pytest.mark.req("N11")
@pytest.mark.parametrize("damage", [overwritten, emptied, gone])
def test_a_lost_memory_is_said_and_made_anew_and_nothing_is_lost_or_done_twice(yard: Yard, damage):
    running, reviewed, merged = yard.issue(script=waiting(yard)), yard.issue(), yard.issue()
    stopped, failed = yard.issue(script="commit(); time.sleep(60)"), yard.issue(script="result()")
    yard.until_state(reviewed, "IN_REVIEW")
    yard.until_state(merged, "IN_REVIEW")
    yard.until_state(failed, "FAILED")
    yard.ann.merge(next(pull.number for pull in yard.repository.pulls() if f"gh-{merged}" in pull.pull.head_ref))
    yard.until_state(merged, "DONE")
    yard.until(lambda: yard.state(stopped) == "RUNNING")
    yard.engine.world.store.ask(RequestKind.STOP, f"gh-{stopped}", {}, "cli", yard.engine.world.clock.now())
    yard.until_state(stopped, "CANCELLED")
    yard.until(lambda: yard.state(running) == "RUNNING")
    fresh = yard.issue(labels=("rpi-auto", "rpi-pause"))
    yard.tick()
    before, pid = yard.states(), yard.engine.world.store.attempts()[f"gh-{running}"][-1].pid
    said = {number: len(yard.comments(number)) for number in (running, reviewed, merged, stopped, failed)}

    lines = lose(yard, damage)

    assert lines[0].startswith("the memory was lost and is made anew: the store ")
    assert "5 tasks are known again, 1 of them with a worker that is looked at" in lines
    assert len(asides(yard)) == (damage is not gone)
    for _ in range(3):
        yard.tick()
    assert yard.states() == before
    assert yard.engine.world.store.attempts()[f"gh-{running}"][-1].pid == pid
    assert {number: len(yard.comments(number)) for number in said} == said
    board = json.loads(yard.read(".coordinator/board.json"))
    assert board["rebuilt"].startswith("the memory was lost and is made anew")

    go(yard)
    yard.until_state(running, "IN_REVIEW")
    yard.ann.remove_label(fresh, "rpi-pause")
    yard.until_state(fresh, "IN_REVIEW")
    assert [yard.task(number).attempts for number in (running, fresh)] == [1, 1]
    assert len(yard.repository.pulls()) == 4
    yard.until(lambda: completions(yard, running) == 1)
    bury(yard)


@pytest.mark.parametrize("typed", [("pause",), ("clean",), ("stop", "gh-1")], ids=" ".join)
def test_a_command_that_meets_a_lost_memory_makes_it_anew_before_it_does_anything(yard: Yard, typed: tuple[str, ...]):
    """No coordinator runs: the command is one for its own request, and would write over all that a rebuild needs."""
    running, reviewed = yard.issue(script=waiting(yard)), yard.issue()
    yard.until_state(reviewed, "IN_REVIEW")
    yard.until(lambda: yard.state(running) == "RUNNING")
    before, trees = yard.states(), sorted(path.name for path in (yard.clone / "trees").iterdir())
    yard.close()
    gone(app.Place(yard.clone).store)

    listed = command(yard, "clean", "--dry-run")
    assert (listed.returncode, listed.stdout) == (1, "")
    assert "`coordinator run` makes a new one" in listed.stderr
    assert not app.Place(yard.clone).store.exists()
    ran = command(yard, *typed)

    yard.start()
    assert ran.returncode == 0, ran.stderr
    assert "the memory was lost and is made anew" in ran.stderr
    assert sorted(path.name for path in (yard.clone / "trees").iterdir()) == trees
    if typed[0] == "stop":
        assert yard.state(running) == "CANCELLED"
    else:
        assert yard.states() == before
    go(yard)
    yard.until_state(running, "CANCELLED" if typed[0] == "stop" else "IN_REVIEW")
    bury(yard)


@pytest.mark.parametrize(("board", "damage"), [
    (None, overwritten), ('{"tasks": [{"id": 3}]}', gone), ('{"tasks": ["x"], "memory": 4}', emptied),
])
def test_with_the_board_lost_too_people_s_decisions_are_asked_for_and_not_guessed(
    yard: Yard, board: str | None, damage: Callable[[Path], None],
):
    """Then only run files and GitHub tell: a worker that lives is found, all else waits for a person."""
    running, reviewed, closed = yard.issue(script=waiting(yard)), yard.issue(), yard.issue()
    stopped = yard.issue(script="commit(text=str(attempt)); time.sleep(60 if attempt == 1 else 0); result()")
    for number in (reviewed, closed):
        yard.until_state(number, "IN_REVIEW")
    yard.ann.close_pull(next(pull.number for pull in yard.repository.pulls() if f"gh-{closed}" in pull.pull.head_ref))
    yard.until_state(closed, "BLOCKED")
    yard.until(lambda: yard.state(stopped) == "RUNNING")
    yard.engine.world.store.ask(RequestKind.STOP, f"gh-{stopped}", {}, "cli", yard.engine.world.clock.now())
    yard.until_state(stopped, "CANCELLED")
    yard.until(lambda: yard.state(running) == "RUNNING")
    pid = yard.engine.world.store.attempts()[f"gh-{running}"][-1].pid
    yard.close()
    where = app.Place(yard.clone)
    if board is None:
        where.board.unlink()
    else:
        where.board.write_text(board)
    damage(where.store)
    lines: list[str] = []
    mend(where, lines.append)
    yard.start()
    fresh = yard.issue()

    assert "the board of the last tick cannot be read either: sessions and money of today count from 0" in lines
    assert any(line.startswith("paused, since what a person had paused") for line in lines)
    yard.until(lambda: yard.state(stopped) == "BLOCKED")
    yard.tick()
    states = {number: (yard.state(number), yard.task(number).reason) for number in (reviewed, closed, stopped, fresh)}
    assert states == {reviewed: ("IN_REVIEW", "pr_open"), closed: ("BLOCKED", "pr_closed"),
                      stopped: ("BLOCKED", "store_rebuilt"), fresh: ("QUEUED", "")}
    assert yard.plan.waits[f"gh-{fresh}"].code == "coordinator_paused"
    assert yard.engine.world.store.attempts()[f"gh-{running}"][-1].pid == pid
    go(yard)
    yard.until_state(running, "IN_REVIEW")
    assert "Make it turn" in next(one.title for one in yard.repository.pulls() if one.pull.head_ref == "rpi/gh-1")
    assert completions(yard, reviewed) == 1

    yard.engine.world.store.ask(RequestKind.RESUME, "", {}, "cli", yard.engine.world.clock.now())
    yard.until_state(fresh, "IN_REVIEW")
    assert yard.state(stopped) == "BLOCKED"
    yard.ann.remove_label(stopped, "rpi-auto")
    yard.ann.add_label(stopped, "rpi-auto")
    yard.until_state(stopped, "IN_REVIEW")
    assert yard.task(stopped).attempts == 2
    bury(yard)


def a_place(folder: Path) -> app.Place:
    """A repository's folder whose memory knows one task that is running."""
    where = app.Place(folder)
    mend(where, print)
    with closing(app.open_store(where)) as store:
        store.add(Task("gh-1", Pin("Mend", "", "ab", 1, "ann"), "rpi/gh-1", NOW, NOW, NOW), Event("gh-1", NOW, "moved"))
    return where


def noted(where: app.Place, changes: int) -> None:
    """The board of a tick that counted so many changes."""
    with closing(app.open_store(where)) as store:
        where.board.write_text(json.dumps({"memory": {"id": store.document("memory"), "changes": changes}}))


@pytest.mark.parametrize("damage", [overwritten, torn, cut])
def test_every_kind_of_damage_is_found_at_the_start_and_the_file_is_kept_as_it_was(tmp_path: Path, damage):
    where, said = a_place(tmp_path), []
    with closing(app.open_store(where)) as store:
        for at in range(30):
            store.log(Event("gh-1", NOW, "x" * 2000, str(at)))
    damage(where.store)
    before = where.store.read_bytes()

    mend(where, said.append)

    [aside] = where.home.glob("state.db.corrupt-????????T??????")
    assert aside.read_bytes() == before
    assert f"; the old one is kept as {aside}" in app.open_store(where).document("rebuilt")
    assert said[0].startswith(f"the memory was lost and is made anew: the store {where.store} could not be used: ")


def test_damage_that_is_met_while_serving_makes_the_memory_anew_and_serves_on_but_not_for_ever(tmp_path: Path):
    where, said = a_place(tmp_path), []
    served: list[int] = []

    def serve() -> None:
        served.append(len(said))
        with closing(app.open_store(where)) as store:
            if len(served) < 2:
                overwritten(where.store)
            with closing(sqlite3.connect(where.store)) as file:
                try:
                    file.execute("SELECT * FROM tasks")
                except sqlite3.DatabaseError as error:
                    raise trouble.explain(where.store, error) from error
            store.tasks()

    on_a_sound_memory(where, said.append, serve)
    assert len(served) == 2
    assert said[0].startswith("nothing moves: the store ")

    def never() -> None:
        served.append(0)
        raise StoreDamaged("the disk is broken")

    served.clear()
    with pytest.raises(StoreDamaged):
        on_a_sound_memory(where, said.append, never)
    assert len(served) == REBUILDS + 1


def test_a_memory_from_before_what_the_board_has_seen_is_not_believed(tmp_path: Path):
    """As a lost -wal file leaves it, or a copy put back: nothing in it is damaged."""
    where, said = a_place(tmp_path), []
    noted(where, 1)
    mend(where, said.append)
    assert said == []

    noted(where, 7)
    mend(where, said.append)

    assert "it went back in time: 7 changes were made, 1 are in it" in said[0]
    mend(where, said.append)
    assert len([line for line in said if "made anew" in line]) == 1, "the board of another memory counts for nothing"


def test_a_log_of_garbage_loses_what_stood_in_it_and_that_is_noticed(tmp_path: Path):
    where, said = a_place(tmp_path / "a"), []
    other = app.Place(tmp_path / "b")
    with closing(app.open_store(where)) as store:
        store.log(Event("gh-1", NOW, "stored in the log alone"))
        noted(where, store.changes())
        other.home.mkdir(parents=True)
        for name in ("state.db", "board.json"):
            (other.home / name).write_bytes((where.home / name).read_bytes())
        (other.home / "state.db-wal").write_bytes(b"\xa5" * 20_000)

    mend(other, said.append)

    assert "it went back in time: 2 changes were made, 1 are in it" in said[0]
    [aside] = other.home.glob("state.db.corrupt-????????T??????")
    with closing(sqlite3.connect(aside)) as file:
        assert file.execute("SELECT id FROM tasks").fetchall() == [("gh-1",)]


@pytest.mark.parametrize("board", ["{", '{"tasks": []}'])
def test_a_rebuild_that_died_half_way_is_made_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: str):
    """Neither the store nor the board tells then that anything was here: the file that was kept aside does."""
    where, said = a_place(tmp_path), []
    where.board.write_text(board)
    overwritten(where.store)

    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt(f"{self} {target}")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            mend(where, said.append)
    assert not where.store.exists()

    mend(where, said.append)

    assert said[0] == f"the memory was lost and is made anew: the store {where.store} is gone"
    mend(where, said.append)
    assert len([line for line in said if "made anew" in line]) == 1


@pytest.mark.parametrize(("owner", "token", "lost"), [
    ("coordinator", "t" * 32, True), ("plan", "t" * 32, True), ("manual", "t" * 32, False), ("coordinator", "", False),
])
@pytest.mark.parametrize("damage", [gone, emptied])
def test_run_files_of_ours_tell_a_lost_memory_from_a_first_run(tmp_path: Path, damage, owner, token, lost):
    where, said = app.Place(tmp_path), []
    mend(where, said.append)
    damage(where.store)
    folder = where.jobs / "claude"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "gh-4.meta").write_text(f"owner={owner}\ntoken={token}\nfence=1\nrun_id=20260301120000\n")

    mend(where, said.append)

    assert bool(said) is lost
    with closing(app.open_store(where)) as store:
        assert [task.id for task in store.tasks()] == (["gh-4"] if lost else [])


def test_another_program_s_file_and_one_of_a_newer_version_are_left_alone(tmp_path: Path):
    where = a_place(tmp_path)
    with closing(sqlite3.connect(where.store)) as file, file:
        file.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(NewerSchema):
        mend(where, print)
    where.store.unlink()
    with closing(sqlite3.connect(where.store)) as file, file:
        file.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match="another program's SQLite file"):
        mend(where, print)
    assert list(where.home.glob("*corrupt*")) == []
