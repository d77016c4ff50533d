"""A prompt file that no agent should be given is refused with a line that names it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.adapters.system import prompts
from coordinator.adapters.system.prompts import MOST, BadPrompt, read_prompt


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


BAD: list[tuple[str, Callable[[Path], object]]] = [
    ("prompt file not found", lambda path: None),
    ("prompt file is a folder", folder),
    ("prompt file is empty", lambda path: written(path, b"")),
    ("prompt file is empty", lambda path: written(path, b"\xef\xbb\xbf \n\t\n")),
    ("prompt file is no text", lambda path: written(path, b"ELF\0\1")),
    ("prompt file is no text", lambda path: written(path, "Aufgabe: prüfe".encode("latin-1"))),
    ("prompt file is no text", lambda path: written(path, "task".encode("utf-16"))),
    ("prompt file cannot be read", lambda path: path.symlink_to(path)),
]


@pytest.mark.req("A69")
@pytest.mark.parametrize(("words", "make"), BAD)
def test_a_bad_prompt_file_has_a_line_of_its_own_and_a_cure(
    tmp_path: Path, words: str, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "bd-7.prompt"
    make(path)
    with pytest.raises(BadPrompt) as caught:
        read_prompt(path)
    assert caught.value.words.startswith(f"{words}: {path}")
    assert caught.value.cure


def test_a_path_below_a_file_is_not_found(tmp_path: Path) -> None:
    path = written(tmp_path / "file", b"task") / "prompt"
    with pytest.raises(BadPrompt, match="prompt file not found"):
        read_prompt(path)


def test_a_file_that_may_not_be_read_names_the_right_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(prompts.Path, "open", refuse)   # root may read everything
    with pytest.raises(BadPrompt) as caught:
        read_prompt(tmp_path / "a prompt")
    assert caught.value.cure == f"chmod u+r '{tmp_path}/a prompt'"


def test_what_never_ends_is_cut_off_instead_of_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 16 << 20
    monkeypatch.setattr(prompts, "MOST", 100)
    with pytest.raises(BadPrompt, match="larger than"):
        read_prompt(Path("/dev/zero"))


def test_text_is_given_whole_without_its_byte_order_mark(tmp_path: Path) -> None:
    text = "Räum auf.\r\n\n" + "x" * 200_000
    assert read_prompt(written(tmp_path / "p", b"\xef\xbb\xbf" + text.encode())) == text


def test_a_pipe_is_a_prompt_file_too(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    try:
        assert read_prompt(Path(f"/dev/fd/{reader}")) == "from a pipe"
    finally:
        os.close(reader)
