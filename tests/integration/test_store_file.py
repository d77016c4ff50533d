"""The store's file among other processes: who wins, what a killed writer leaves, what a bad file is told."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Select

from coordinator import app
from coordinator.adapters.store import SqlStore, opening, schema
from coordinator.adapters.system.instance import InstanceLock
from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, Vet
from coordinator.domain.outcome import Usage
from coordinator.domain.request import Event, RequestKind
from coordinator.domain.task import Pin, Task
from coordinator.ports import NewerSchema, Stale, StoreError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK = Task("gh-1", Pin("Mend", "", "ab", 1, "ann"), "rpi/gh-1", NOW, NOW, NOW)
EVENT = Event("gh-1", NOW, "moved")
ISSUE = Issue(1, "Mend", "", "open", frozenset(), "ann", "", NOW, NOW)
NOBODY = 65534


def test_whoever_comes_first_the_coordinator_s_folder_is_closed_to_others(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path / ".coordinator" / "lock")
    old = os.umask(0o022)
    try:
        lock.take()
    finally:
        os.umask(old)
    lock.release()
    assert (tmp_path / ".coordinator").stat().st_mode & 0o777 == 0o700


def test_a_saved_bug_holds_no_secret_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken-of-no-known-shape")
    shaped = "ghp_" + "a" * 36
    saved = app.save_bug(app.Place(tmp_path), f"KeyError: t0ken-of-no-known-shape {shaped} at line 7").read_text()
    assert "at line 7" in saved
    assert "t0ken" not in saved
    assert shaped not in saved


# A writer for the tests that kill it: each save raises the version by one and prints it once it is stored.
WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from coordinator.adapters.store import SqlStore
from coordinator.domain.attempt import Attempt
from coordinator.domain.request import Event
store = SqlStore(Path(sys.argv[1]))
task = store.task("gh-1")
print("ready", flush=True)
while True:
    task = replace(task, version=task.version + 1, detail="x" * 20_000)
    attempt = Attempt("gh-1", task.version, "t", task.version, "w-a", "claude", "r", task.created_at)
    store.save(task, Event("gh-1", task.created_at, "moved"), was=task.version - 1, attempt=attempt)
    print(task.version, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    made = SqlStore(path)
    yield made
    made.close()


def test_the_file_is_private_and_so_is_all_that_sqlite_puts_beside_it(store: SqlStore, path: Path) -> None:
    store.add(TASK, EVENT)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_an_open_file_of_others_is_made_private_again(path: Path) -> None:
    SqlStore(path).close()
    path.chmod(0o644)
    SqlStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_commit_is_flushed_to_the_disk_and_readers_never_wait(store: SqlStore) -> None:
    with store._engine.connect() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        told = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked}
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.parametrize("what", ["tasks", "attempts"])
def test_what_another_thread_keeps_meanwhile_is_no_part_of_a_reading(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def move(name: str, version: int) -> None:
        task = replace(TASK, id=name, version=version)
        event, attempt = Event(name, TASK.created_at, "moved"), Attempt(
            name, 1, "t", version, "w-a", "claude", "r", TASK.created_at)
        if version:
            store.save(task, event, was=version - 1, attempt=attempt)
        else:
            store.add(task, event)
            store.record(attempt, event)

    for name in ("gh-1", "gh-2"):
        move(name, 0)
    getattr(store, what)()
    before = store._known[what]
    move("gh-2", 1)
    getattr(store, what)()
    move("gh-1", 1)
    rows, asked = store._rows, []

    def meanwhile(query: Select[Any]) -> Sequence[dict[str, Any]]:
        asked.append(query)
        if "DISTINCT" in str(query):
            store._known[what] = before   # by a thread that had begun to read before both
        return rows(query)

    monkeypatch.setattr(store, "_rows", meanwhile)
    found = {one.id: one.version for one in store.tasks()} if what == "tasks" else {
        name: one.fence for name, (one,) in store.attempts().items()}
    assert found == {"gh-1": 1, "gh-2": 1}
    assert any("DISTINCT" in str(query) for query in asked)


def test_a_copy_is_one_moment_however_much_is_written_meanwhile(store: SqlStore, path: Path, tmp_path: Path) -> None:
    """The writer moves its log into the file after each commit: of a copy made file by file, parts would be older."""
    over, insert = threading.Event(), "INSERT OR REPLACE INTO documents VALUES (?, ?)"
    own = sqlite3.connect(path, timeout=30, check_same_thread=False)
    own.execute("PRAGMA wal_autocheckpoint = 1")
    own.execute("PRAGMA synchronous = OFF")
    own.executemany(insert, [(f"long{at}", "x" * 20_000) for at in range(100)])

    def write() -> None:
        for number in itertools.count():
            own.executemany(insert, [(f"d{at}", f"{number}," * 500) for at in range(10)])
            own.commit()
            if over.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for at in range(50):
            opening.copy(path, tmp_path / f"copy{at}.db")
            with closing(sqlite3.connect(tmp_path / f"copy{at}.db")) as copied:
                assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                texts = copied.execute("SELECT DISTINCT text FROM documents WHERE name LIKE 'd%'").fetchall()
                assert len(texts) <= 1
    finally:
        over.set()
        writer.join()
        own.close()


@pytest.mark.parametrize("in_use", [True, False])
def test_a_copy_has_all_that_was_stored_and_leaves_the_folder_as_it_was(
    store: SqlStore, path: Path, tmp_path: Path, in_use: bool
) -> None:
    store.add(TASK, EVENT)
    if not in_use:
        store.close()
    before = {file.name: file.stat().st_size for file in path.parent.iterdir()}
    (aside := tmp_path / "aside").mkdir()
    opening.copy(path, aside / "state.db")
    after = {file.name: file.stat().st_size for file in path.parent.iterdir() if file != aside}
    assert after == before
    with closing(SqlStore(aside / "state.db")) as copied:
        assert copied.tasks() == (TASK,)


def test_the_migrations_make_the_tables_the_code_knows(store: SqlStore) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == schema.HEAD
        assert compare_metadata(context, schema.metadata) == []


SINCE = {"0002": [("attempts", "switch_from fallback_reason usage_tokens_cached"), ("tasks", "spent")],
         "0003": [("tasks", "plan repo workflow stage sent_back"), ("attempts", "stage")],
         "0004": [("attempts", "host")],
         "0005": [("tasks", "pin_begun"), ("attempts", "heard"),
                  ("vets", "edits times blind sha256 retried_at missing_until asked_at")],
         "0006": [("tasks", "cleared withheld")],
         "0007": [("attempts", "answered")],
         "0008": [("tasks", "revived")]}
"""The columns that each revision added."""


@pytest.mark.parametrize("earlier", [one for one in schema.REVISIONS if one != schema.HEAD])
def test_a_store_of_an_earlier_version_is_brought_to_this_one_with_all_it_held(
    store: SqlStore, path: Path, earlier: str
) -> None:
    attempt = Attempt(TASK.id, 1, "t" * 32, 1, "w-1", "claude", "20260302120000", NOW)
    spoke = replace(attempt, number=2, usage=Usage(90, 9), answered=True)   # its tokens tell
    store.add(TASK, EVENT)
    store.record(attempt, EVENT)
    store.record(spoke, EVENT)
    store.close()
    newer = [(table, columns) for revision, added in SINCE.items() if revision > earlier for table, columns in added]
    with closing(sqlite3.connect(path)) as file, file:
        for table, columns in newer:
            for column in columns.split():
                file.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        file.execute("UPDATE alembic_version SET version_num = ?", [earlier])

    with closing(SqlStore(path)) as again:
        assert again.tasks() == (TASK,)
        assert again.attempts() == {TASK.id: (attempt, spoke)}
        assert opening.read_revision(path) == schema.HEAD


def test_every_revision_there_is_a_step_to_is_known() -> None:
    steps = Path(schema.__file__).parent / "migrations" / "versions"
    assert tuple(sorted(step.name[1:5] for step in steps.glob("v*.py"))) == schema.REVISIONS


def test_a_file_at_head_is_opened_without_the_migration_tool(path: Path) -> None:
    SqlStore(path).close()
    code = (
        "import sys; from pathlib import Path; from coordinator.adapters.store import SqlStore; "
        "SqlStore(Path(sys.argv[1])).tasks(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.req("N11")
def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(store: SqlStore, path: Path) -> None:
    store.add(TASK, EVENT)
    store.close()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE alembic_version SET version_num = '0099'")
    file.close()
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    with pytest.raises(
        NewerSchema, match=rf"state\.db has schema 0099.*this one knows {schema.HEAD}(?s:.*)pipx upgrade"
    ):
        SqlStore(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"tasks: []\n" * 500, "not a store of the coordinator"),
        (b"SQLite format 3\x00" + b"\xff" * 8000, r"not a store of the coordinator|damaged"),
    ],
)
def test_a_file_of_garbage_is_named_with_its_cure_and_kept(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=words) as told:
        SqlStore(path)
    assert f"`coordinator run` keeps it aside beside a new one, {path}.corrupt-…" in told.value.words
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE bookmarks (url TEXT)")
    file.close()
    with pytest.raises(StoreError, match="another program's SQLite file, with tables bookmarks"):
        SqlStore(path)


def test_damage_in_the_middle_of_the_file_is_told_when_it_is_met(store: SqlStore, path: Path) -> None:
    for number in range(200):
        store.add(replace(TASK, id=f"gh-{number}", detail="x" * 2000), replace(EVENT, task_id=f"gh-{number}"))
    store.close()
    content = bytearray(path.read_bytes())
    content[20_000:-4096] = b"\xa5" * (len(content) - 4096 - 20_000)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"state\.db could not be used: the file is damaged(?s:.*)\.corrupt-"):
        SqlStore(path).tasks()


def test_a_word_no_version_writes_is_told_and_not_guessed(store: SqlStore, path: Path) -> None:
    store.add(TASK, EVENT)
    with sqlite3.connect(path) as file:
        file.execute("UPDATE tasks SET state = 'ASLEEP'")
    file.close()
    with pytest.raises(StoreError, match="ASLEEP"):
        store.tasks()


@pytest.mark.parametrize("place", ["a_file/state.db", "a_folder"])
def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "a_file").touch()
    (tmp_path / "a_folder").mkdir()
    with pytest.raises(StoreError, match=r"(?s)could not be used.*ls -ld") as told:
        SqlStore(tmp_path / place)
    assert str(tmp_path / place) in told.value.words


def test_a_file_of_another_user_is_refused_with_words(path: Path) -> None:
    """Root may open anything, so root becomes nobody first; an ordinary user takes the rights from itself."""
    SqlStore(path).close()
    path.chmod(0)
    words = _in_child(lambda: SqlStore(path), as_nobody=os.getuid() == 0)
    assert "Permission denied" in words
    assert str(path) in words


def _in_child(act: object, *, as_nobody: bool) -> str:
    """What StoreError said in a forked child, "" when there was none."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        words = ""
        try:
            if as_nobody:
                os.setuid(NOBODY)
            act()  # type: ignore[operator]
        except StoreError as error:
            words = error.words
        finally:
            os.write(writing, words.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        words = pipe.read().decode()
    os.waitpid(pid, 0)
    return words


def test_a_full_disk_is_told_and_leaves_what_was_stored(store: SqlStore, path: Path) -> None:
    store.add(TASK, EVENT)
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    heavy = replace(TASK, version=1, detail="x" * 500_000)
    with pytest.raises(StoreError, match=r"the disk is full(?s:.*)coordinator clean"):
        store.save(heavy, Event("gh-1", NOW, "heavy"), was=0)
    store.close()
    again = SqlStore(path)
    assert (again.tasks(), [event.kind for event in again.events()]) == ((TASK,), ["moved"])
    again.close()


def test_foreign_text_that_is_no_unicode_does_not_end_the_writer(store: SqlStore) -> None:
    store.add(replace(TASK, detail="file \udcff of an agent"), EVENT)
    assert store.tasks()[0].detail == "file ? of an agent"


def test_a_time_without_a_zone_is_refused(store: SqlStore) -> None:
    with pytest.raises(Exception, match="a time without a zone"):
        store.keep_vet(Vet(1, NOW.replace(tzinfo=None), 1, "ann", "write", ()))
    assert store.vets() == {}


def test_of_two_connections_that_save_at_once_exactly_one_wins(store: SqlStore, path: Path) -> None:
    other = SqlStore(path)
    store.add(TASK, EVENT)
    won: list[int] = []
    for was in range(25):
        start = threading.Barrier(2)
        threads = [
            threading.Thread(target=_race, args=(each, start, was, number, won))
            for number, each in enumerate((store, other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == was + 1
    other.close()
    last = store.task("gh-1")
    assert last is not None
    assert (last.version, last.detail) == (25, str(won[-1]))
    assert [event.detail for event in store.events(kinds=["race"])] == [str(number) for number in won]


def _race(store: SqlStore, start: threading.Barrier, was: int, number: int, won: list[int]) -> None:
    mine = replace(TASK, version=was + 1, detail=str(number))
    start.wait()
    try:
        store.save(mine, Event("gh-1", NOW, "race", str(number)), was=was)
    except Stale:
        return
    won.append(number)


def test_requests_of_many_threads_are_all_kept_while_the_daemon_writes(store: SqlStore, path: Path) -> None:
    store.add(TASK, EVENT)

    def ask(who: int) -> None:
        mine = SqlStore(path)
        for number in range(10):
            mine.ask(RequestKind.STOP, f"gh-{who}", {"number": str(number)}, "cli", NOW)
        mine.close()

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 21):
        store.save(replace(TASK, version=version), EVENT, was=version - 1)
    for thread in threads:
        thread.join()
    assert len(store.requests()) == 40
    assert store.task("gh-1") == replace(TASK, version=20)


def test_two_processes_may_make_the_file_at_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from coordinator.adapters.store import SqlStore; "
        "print(SqlStore(Path(sys.argv[1])).tasks())"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [maker.communicate()[0].strip() for maker in makers]
    assert told == ["()"] * 3


def test_a_writer_killed_at_any_moment_leaves_whole_transactions(path: Path) -> None:
    first = SqlStore(path)
    first.add(TASK, EVENT)
    first.close()
    for saves in range(1, 7):
        printed = _write_and_kill(path, saves)
        store = SqlStore(path)
        task = store.task("gh-1")
        assert task is not None
        assert task.version >= printed, "what was reported as stored is there"
        attempts = store.attempts().get("gh-1", ())
        assert [attempt.number for attempt in attempts] == list(range(1, task.version + 1))
        assert store.count("moved") == task.version + 1
        with store._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        store.close()


def _write_and_kill(path: Path, saves: int) -> int:
    """Kills a busy writer by SIGKILL some saves after its start; the last version it reported."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(saves + 1):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    lines = writer.stdout.read().split()
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    return max([int(line) for line in lines if line.isdigit()], default=0)


def test_an_attempt_survives_with_its_task(store: SqlStore, path: Path) -> None:
    store.add(TASK, EVENT)
    attempt = Attempt("gh-1", 1, "token", 1, "w-a1b2c3", "claude", "20260301120000", NOW)
    store.record(attempt, EVENT)
    store.close()
    again = SqlStore(path)
    assert (again.tasks(), again.attempts()) == ((TASK,), {"gh-1": (attempt,)})
    again.close()


def test_what_another_process_wrote_is_seen_though_unchanged_rows_are_not_read_again(path: Path) -> None:
    store, other = SqlStore(path), SqlStore(path)
    store.add(TASK, EVENT)
    store.keep_issues([ISSUE], "one", full=True)
    assert store.tasks() is store.tasks()
    assert store.issues() is store.issues()
    attempt = Attempt("gh-1", 1, "t", 1, "w-1", "command", "r", NOW)
    assert store.attempts() == {}
    other.save(replace(TASK, version=1), EVENT, was=0, attempt=attempt)
    other.keep_issues([replace(ISSUE, title="Changed")], "two", full=False)
    assert [task.version for task in store.tasks()] == [1]
    assert store.attempts() == {"gh-1": (attempt,)}
    other.record(replace(attempt, stop_reason="stalled"), EVENT)
    assert store.attempts()["gh-1"][0].stop_reason == "stalled"
    assert store.issues()[1].title == "Changed"
    other.close()
    store.close()
