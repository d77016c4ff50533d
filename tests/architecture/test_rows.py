"""What the row report says can be believed: a mark that lies is found before the count is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import rows

TABLE = {
    name: rows.Row(name, part, "code", f"promise {name}") for name, part in (("A1", 1), ("A2", 1), ("B1", 2))
}


def suite(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_it.py").write_text(text)
    return folder


def test_every_mark_of_this_suite_can_be_believed() -> None:
    assert list(rows.faults(list(rows.carriers(rows.ROOT / "tests")), rows.read_table())) == []


def test_ids_of_a_test_its_class_and_its_module_are_counted(tmp_path: Path) -> None:
    text = """
import pytest
pytestmark = [pytest.mark.req("A1")]

@pytest.mark.req("A2")
class TestIt:
    @pytest.mark.req("B1")
    def test_one(self): ...

def test_two(): ...
"""
    found = [(one.where, one.ids) for one in rows.carriers(suite(tmp_path, text))]
    assert found == [("tests/test_it.py:8", ("A1", "A2", "B1")), ("tests/test_it.py:10", ("A1",))]


@pytest.mark.parametrize("mark", ["*IDS", "NAME", "'A' + '1'", "id='A1'", "1", ""])
def test_an_id_that_is_no_literal_is_refused(tmp_path: Path, mark: str) -> None:
    folder = suite(tmp_path, f"@pytest.mark.req({mark})\ndef test_one(): ...")
    with pytest.raises(rows.BadMark, match=r"tests/test_it\.py:1: ids of req are literal texts"):
        list(rows.carriers(folder))


def test_an_unknown_id_and_a_test_that_carries_too_many_are_faults() -> None:
    stranger = rows.Carrier("tests/a.py:1", "test_a", ("Z9",))
    heavy = rows.Carrier("tests/b.py:2", "test_b", tuple(TABLE) * 3)
    said = list(rows.faults([stranger, heavy], TABLE))
    assert said == [
        "tests/a.py:1: test_a: no row Z9 in requirements.tsv",
        "tests/b.py:2: test_b carries 9 rows; 8 at most, split the test",
    ]


def test_the_report_lists_the_bare_rows_of_one_part_and_counts_the_others() -> None:
    said = list(rows.report([rows.Carrier("tests/a.py:1", "test_a", ("A1", "B1"))], TABLE, part=1))
    assert said == [
        "A2    code     promise A2",
        "part 1: 1 of 2 rows carried",
        "part 2: 1 of 1 rows carried",
        "densest: 2 rows in tests/a.py:1 test_a",
    ]


def test_a_fault_fails_the_command_and_names_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = suite(tmp_path, "@pytest.mark.req('no-such-row')\ndef test_one(): ...")
    assert rows.main(["--tests", str(folder)]) == 1
    assert "error: tests/test_it.py:2: test_one: no row no-such-row" in capsys.readouterr().out
