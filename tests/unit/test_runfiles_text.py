"""Run files as text: what is written comes back, torn and foreign files do no harm, people's lines stay."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.runfiles import atomic, codec, names, rotation
from coordinator.runfiles.lock import Busy, Lock

VALUES = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="=\n\r"), min_size=1).filter(
    lambda key: key == key.strip() and key[0] != "#")
PAIRS = st.dictionaries(KEYS, VALUES)


@given(PAIRS)
def test_what_is_encoded_is_decoded_unchanged(pairs: dict[str, str]) -> None:
    data = codec.encode(pairs)
    assert codec.decode(data) == pairs
    assert data.count(b"\n") == len(pairs), "one pair a line, whatever the values hold"


@given(PAIRS, st.integers(min_value=0))
def test_a_torn_file_gives_every_whole_line_and_raises_nothing(pairs: dict[str, str], cut: int) -> None:
    data = codec.encode(pairs)
    torn = data[:cut % (len(data) + 1)]
    whole = torn[:torn.rfind(b"\n") + 1]
    assert codec.decode(whole).items() <= pairs.items()
    assert codec.decode(whole).items() <= codec.decode(torn).items() | codec.decode(whole).items()


@given(st.binary())
def test_no_bytes_make_the_reader_fail_and_what_it_reads_can_be_written(data: bytes) -> None:
    pairs = codec.decode(data)
    assert codec.decode(codec.encode(pairs)) == pairs


@given(st.binary(), PAIRS)
def test_a_merge_sets_its_keys_and_keeps_all_others(data: bytes, changes: dict[str, str]) -> None:
    merged = codec.decode(codec.merge(data, changes))
    assert merged == {**codec.decode(data), **changes}


def test_a_merge_keeps_comments_and_order_and_drops_the_older_of_two_lines() -> None:
    data = b"# mine\nb=1\nretries=3\nnonsense\nretries=4\r\nlast=x"
    assert codec.merge(data, {"retries": "0", "new": "n"}) == b"# mine\nb=1\nnonsense\nretries=0\nlast=x\nnew=n\n"


@pytest.mark.parametrize(("line", "value"), [
    (b"k=a\\nb", "a\nb"), (b"k=a\\\\n", "a\\n"), (b"k=\\x \\", "\\x \\"), (b"k=a=b", "a=b"), (b" k =v", "v"),
    (b"k=v\r", "v"), (b"k=\xff", "\udcff"), (b"k=", ""),
])
def test_lines_that_people_write_are_understood(line: bytes, value: str) -> None:
    assert codec.decode(b"junk\n=none\n\n" + line + b"\n") == {"k": value}


@pytest.mark.parametrize("key", ["", "a=b", "a\nb", " a", "#a", "a\r"])
def test_a_key_that_a_line_cannot_hold_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="cannot hold the key"):
        codec.encode({key: "x"})


@pytest.mark.parametrize(("text", "value"), [("3.5", 3.5), ("nan", 0.0), ("inf", 0.0), ("", 0.0), ("x", 0.0)])
def test_a_number_in_a_file_is_a_finite_one_or_the_default(text: str, value: float) -> None:
    assert codec.number(text) == value


@pytest.mark.parametrize("job", ["", ".hidden", "-x", "a/b", "a b", "é", "x" * 65, "../x", "a\n"])
def test_a_job_id_that_is_no_file_name_is_refused_and_shown(job: str) -> None:
    with pytest.raises(ValueError, match="job id"):
        names.check_name(job)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True), st.sampled_from(names.KINDS))
def test_a_run_file_s_name_tells_its_job(job: str, kind: str) -> None:
    assert names.check_name(job) == job
    name = Path(names.path("/d", job, kind)).name
    assert names.job_of(name) == (job, kind)
    if kind in names.ROTATED:
        assert names.job_of(f"{name}.12") == (job, kind)


@pytest.mark.parametrize("name", ["gh-1", "gh-1.rc", ".gh-1.log.77.tmp", "gh-1.meta.1", "wrapper-0a.pyz", ".log"])
def test_any_other_name_is_no_run_file(name: str) -> None:
    assert names.job_of(name) is None


def test_a_job_folder_is_made_private_and_a_wide_one_is_closed(tmp_path: Path) -> None:
    wide = tmp_path / "a"
    wide.mkdir(0o755)
    names.make_folder(str(wide / "b" / "c"))
    names.make_folder(str(wide))
    for folder in (wide, wide / "b", wide / "b" / "c"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_refused_with_the_cure(tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(names.ForeignFolder, match="give it back"):
        names.make_folder(str(tmp_path))


def test_a_write_replaces_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "gh-1.meta"
    atomic.write(str(target), b"first")
    with target.open("rb") as reader:
        atomic.write(str(target), b"second")
        assert reader.read() == b"first", "a reader keeps the file it opened"
    assert target.read_bytes() == b"second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["gh-1.meta"]


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "gh-1.meta"
    atomic.write(str(target), b"old")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write(str(target), b"new")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["gh-1.meta"]


def test_two_writers_of_one_file_in_one_process_do_not_take_each_other_s_place(tmp_path: Path) -> None:
    target = tmp_path / "wrapper.pyz"
    with atomic.Reserved(str(target), 0) as slow, atomic.Reserved(str(target), 0) as fast:
        fast.fill(b"whole")
        assert target.read_bytes() == b"whole"
        slow.fill(b"whole again")
    assert target.read_bytes() == b"whole again"
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrapper.pyz"]


def test_a_read_follows_no_link_and_does_not_hang_on_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    assert atomic.read(str(tmp_path / "none")) is None
    with pytest.raises(OSError, match="symbolic"):
        atomic.read(str(tmp_path / "link"))
    assert atomic.read(str(tmp_path / "pipe")) == b""


def test_rotation_numbers_the_oldest_lowest_and_drops_only_what_is_empty(tmp_path: Path) -> None:
    for number, text in ((1, "one"), (2, "two"), (3, "three")):
        (tmp_path / "gh-1.log").write_text(text)
        (tmp_path / "gh-1.err").write_text("" if number == 2 else text)
        (tmp_path / "gh-1.outcome").write_text(text)
        assert rotation.rotate(str(tmp_path), "gh-1") == number
    (tmp_path / "gh-1.log").write_text("now")
    (tmp_path / "gh-11.log.9").write_text("another job's")
    found = {entry.name: entry.read_text() for entry in tmp_path.iterdir() if entry.name.startswith("gh-1.")}
    assert found == {
        "gh-1.log": "now", "gh-1.log.1": "one", "gh-1.log.2": "two", "gh-1.log.3": "three",
        "gh-1.err.1": "one", "gh-1.err.3": "three",
        "gh-1.outcome.1": "one", "gh-1.outcome.2": "two", "gh-1.outcome.3": "three",
    }


def test_rotation_without_output_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "gh-1.log").touch()
    assert rotation.rotate(str(tmp_path), "gh-1") == 0
    assert list(tmp_path.iterdir()) == []


def test_strays_of_killed_writers_go_and_other_jobs_keep_theirs(tmp_path: Path) -> None:
    for name in (".gh-1.outcome.77-1.tmp", ".gh-1.x.meta.5.tmp", ".gh-10.meta.5.tmp", "gh-1.meta"):
        (tmp_path / name).touch()
    rotation.drop_strays(str(tmp_path), "gh-1")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        ".gh-1.x.meta.5.tmp", ".gh-10.meta.5.tmp", "gh-1.meta"]


def test_a_lock_is_held_by_one_and_free_again_afterwards(tmp_path: Path) -> None:
    target = str(tmp_path / "gh-1.lock")
    with Lock(target), pytest.raises(Busy, match=r"gh-1\.lock"), Lock(target, patience=0):
        pass
    with Lock(target, patience=0):
        pass


def test_a_lock_that_the_file_system_refuses_leaves_nothing_open(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="No locks"), Lock(str(tmp_path / "gh-1.lock")):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
