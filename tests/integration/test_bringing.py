"""Folders brought here from a cluster, without rsync: pieces, resumption, and names that would lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator.adapters.executors import bringing
from coordinator.adapters.executors.bringing import Bringing, NotBrought
from coordinator.adapters.executors.reach import Reach, Said
from coordinator.adapters.executors.ssh import Unreachable

ENV = {"PATH": os.environ["PATH"]}


class Fragile(Reach):
    """The connection is lost at the calls of these numbers, from 1."""

    lost: tuple[int, ...] = ()
    number = 0

    def script(self, text: str, timeout: float = 60.0) -> Said:
        Fragile.number += 1
        if Fragile.number in Fragile.lost:
            raise Unreachable("the connection was lost while the command ran", begun=True)
        return super().script(text, timeout)


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bringing, "PIECE", 1000)
    monkeypatch.setattr(Fragile, "lost", ())
    monkeypatch.setattr(Fragile, "number", 0)
    place = tmp_path / "far"
    place.mkdir()
    return place


def bring(far: Path, here: Path, lost: Sequence[int] = ()) -> bringing.Brought:
    Fragile.lost, Fragile.number = tuple(lost), 0
    return Bringing(Fragile(ENV), ENV, rsync=False).bring(str(far), here)


@pytest.mark.req("D80")
def test_a_large_file_goes_on_where_the_connection_was_lost(far: Path, tmp_path: Path) -> None:
    content, here = os.urandom(4500), tmp_path / "here"
    (far / "big.bin").write_bytes(content)
    with pytest.raises(Unreachable):
        bring(far, here, lost=(5,))
    assert not (here / "big.bin").exists()
    [half] = here.iterdir()
    assert half.read_bytes() == content[:3000]
    assert bring(far, here).files == 1
    assert Fragile.number == 3, "the list, and the two pieces that were missing"
    assert (here / "big.bin").read_bytes() == content
    assert bring(far, here).files == 0


def test_a_file_that_changed_meanwhile_is_begun_anew(far: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (far / "big.bin").write_bytes(b"a" * 4500)
    with pytest.raises(Unreachable):
        bring(far, here, lost=(4,))
    (far / "big.bin").write_bytes(b"b" * 3500)
    bring(far, here)
    assert (here / "big.bin").read_bytes() == b"b" * 3500


def test_many_files_come_whatever_they_are_called_and_nothing_else_does(far: Path, tmp_path: Path) -> None:
    names = ["plain", "with blank", "it's", "-rf", "new\nline", "ünïcode", "deep/er/still", "$(touch oops)", "@ 1 2"]
    for name in names:
        path = far / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "secret").write_text("secret")
    (far / "link").symlink_to(tmp_path / "secret")
    here = tmp_path / "here"
    assert bring(far, here).files == len(names)
    assert sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()) == sorted(names)
    assert all((here / name).read_text() == name for name in names)


def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(far: Path, tmp_path: Path) -> None:
    here, outside = tmp_path / "here", tmp_path / "outside"
    here.mkdir()
    outside.mkdir()
    (here / "sub").symlink_to(outside)
    (far / "sub").mkdir()
    (far / "sub" / "x").write_text("x")
    with pytest.raises(NotBrought, match="leads out of"):
        bring(far, here)
    assert list(outside.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(far: Path, tmp_path: Path) -> None:
    with pytest.raises(NotBrought, match="cannot be listed"):
        bring(far / "nowhere", tmp_path / "here")
