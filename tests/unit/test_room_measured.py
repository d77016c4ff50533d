"""What a machine has left, as its kernel tells it; what it does not tell is None."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.adapters.system.files import SystemFiles
from coordinator.runfiles import cgroup, room

STATVFS = SimpleNamespace(f_frsize=4096, f_bavail=10, f_blocks=100, f_favail=7, f_files=70)
MIB = 1 << 20


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our own cgroup of v2, below one that has limits too."""
    made = tmp_path / "above" / "own"
    made.mkdir(parents=True)
    for folder in (made, made.parent):
        (folder / "cgroup.controllers").write_text("memory\n")
    monkeypatch.setattr(cgroup, "own_folder", lambda: str(made))
    return made


def kernel(monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str | None]) -> None:
    """These files instead of the machine's; None = it has none."""
    real = builtins.open

    def opened(name: Any, *args: Any, **more: Any) -> Any:
        if name not in files:
            return real(name, *args, **more)
        text = files[name]
        if text is None:
            raise FileNotFoundError(2, "No such file or directory", name)
        return io.StringIO(text)

    monkeypatch.setattr(builtins, "open", opened)


def limits(folder: Path, most: str, used: int = 0, idle: int = 0) -> None:
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon {used}\ninactive_file {idle}\n")


def test_inodes_that_are_used_up_are_none_left_and_a_file_system_without_a_number_of_them_is_not_known() -> None:
    seen: Any = STATVFS
    assert room.of_folder(seen) == {"disk": 40960, "disk_all": 409600, "inodes": 7, "inodes_all": 70}
    assert room.of_folder(SimpleNamespace(**{**vars(seen), "f_favail": 0}))["inodes"] == 0  # type: ignore[arg-type]
    without: Any = SimpleNamespace(**{**vars(seen), "f_favail": 0, "f_files": 0})
    assert (room.of_folder(without)["inodes"], room.of_folder(without)["inodes_all"]) == (None, None)


@pytest.mark.req("W16")
def test_memory_is_what_the_machine_has_available_or_less_where_a_group_above_us_has_less(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel(monkeypatch, {"/proc/meminfo": "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 8192 kB\n"})
    assert room.measure("/")["memory"] == 8 * MIB
    limits(group, "max")
    assert room.measure("/")["memory"] == 8 * MIB
    limits(group, str(9 * MIB), used=4 * MIB)
    assert room.measure("/")["memory"] == 5 * MIB
    limits(group, str(9 * MIB), used=8 * MIB, idle=6 * MIB)
    assert room.measure("/")["memory"] == 7 * MIB, "the cache of files is given up when memory is wanted"
    limits(group.parent, str(3 * MIB), used=MIB)
    assert room.measure("/")["memory"] == 2 * MIB
    limits(group.parent, str(MIB), used=2 * MIB)
    assert room.measure("/")["memory"] == 0


def test_what_a_system_does_not_tell_is_not_known(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_average() -> tuple[float, float, float]:
        raise OSError

    kernel(monkeypatch, {"/proc/meminfo": None})
    monkeypatch.setattr(os, "getloadavg", no_average)
    found = room.measure("/")
    assert (found["memory"], found["load"]) == (None, None)
    kernel(monkeypatch, {"/proc/meminfo": "MemAvailable: many kB\n"})
    assert room.measure("/")["memory"] is None
    limits(group, "8192")
    assert room.measure("/")["memory"] == 8192


def test_this_machine_tells_all_of_it(tmp_path: Path) -> None:
    found = SystemFiles().room(tmp_path)
    assert found.disk is not None
    assert found.disk_all is not None
    assert 0 <= found.disk <= found.disk_all
    assert found.memory is not None
    assert found.load is not None
    with pytest.raises(FileNotFoundError):
        SystemFiles().room(tmp_path / "nowhere")
