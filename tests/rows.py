"""Which promise of docs/requirements.tsv is carried by which test, read from the source without running it.

`make rows` prints the rows that no test carries and the tests that carry most. It fails when a mark cannot be
believed: an id that is no literal, is unknown, or is one of more than eight on a test.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "requirements.tsv"
MOST_IDS = 8
DENSEST = 8


@dataclass(frozen=True)
class Row:
    """One line of the table: `kind` is code, doc, pitfall, pain or prize."""

    id: str
    part: int
    kind: str
    text: str


@dataclass(frozen=True)
class Carrier:
    """A test, where it stands, and the ids it claims, those of its class and module included."""

    where: str
    name: str
    ids: tuple[str, ...]


class BadMark(Exception):
    """A mark that cannot be believed; the words begin with file:line."""


def read_table(path: Path = TABLE) -> dict[str, Row]:
    """The rows by id. Raises BadMark on a line that is no row."""
    rows: dict[str, Row] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines()[1:], start=2):
        cells = line.split("\t")
        if len(cells) != 4 or not cells[1].isdigit() or cells[0] in rows:
            raise BadMark(f"{path.name}:{number}: want id, part, kind and text, each id once: {line[:60]!r}")
        rows[cells[0]] = Row(cells[0], int(cells[1]), cells[2], cells[3])
    return rows


def carriers(folder: Path) -> Iterator[Carrier]:
    """Every marked test below `folder`. Raises BadMark on an id that is no literal."""
    for path in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"), str(path))
        where = path.relative_to(folder.parent).as_posix()
        yield from _in_body(tree.body, where, _module_ids(tree.body, where))


def _in_body(body: Sequence[ast.stmt], where: str, inherited: tuple[str, ...]) -> Iterator[Carrier]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _in_body(node.body, where, (*inherited, *_ids(node.decorator_list, where)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            ids = (*inherited, *_ids(node.decorator_list, where))
            if ids:
                yield Carrier(f"{where}:{node.lineno}", node.name, tuple(dict.fromkeys(ids)))


def _module_ids(body: Sequence[ast.stmt], where: str) -> tuple[str, ...]:
    for node in body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets
        ):
            marks = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            return _ids(marks, where)
    return ()


def _ids(marks: Sequence[ast.expr], where: str) -> tuple[str, ...]:
    found: list[str] = []
    for mark in marks:
        if not ast.unparse(mark).startswith("pytest.mark.req"):
            continue
        literal = isinstance(mark, ast.Call) and mark.args and not mark.keywords
        for one in mark.args if literal and isinstance(mark, ast.Call) else [mark]:
            if not isinstance(one, ast.Constant) or not isinstance(one.value, str):
                raise BadMark(f"{where}:{one.lineno}: ids of req are literal texts, not {ast.unparse(one)}")
            found.append(one.value)
    return tuple(found)


def faults(found: Sequence[Carrier], rows: dict[str, Row]) -> Iterator[str]:
    """One line for each unknown id and each test with too many."""
    for one in found:
        yield from (
            f"{one.where}: {one.name}: no row {name} in {TABLE.name}" for name in one.ids if name not in rows
        )
        if len(one.ids) > MOST_IDS:
            yield f"{one.where}: {one.name} carries {len(one.ids)} rows; {MOST_IDS} at most, split the test"


def report(found: Sequence[Carrier], rows: dict[str, Row], part: int) -> Iterator[str]:
    """The rows of `part` that no test carries in full, the other parts as counts, the densest tests."""
    carried = {name for one in found for name in one.ids}
    missing = [row for row in rows.values() if row.part == part and row.id not in carried]
    yield from (f"{row.id:<5} {row.kind:<8} {row.text}" for row in missing)
    total, bare = (
        Counter(row.part for row in rows.values() if row.id not in without) for without in ((), carried)
    )
    for one in sorted(total):
        yield f"part {one}: {total[one] - bare[one]} of {total[one]} rows carried"
    dense = sorted((one for one in found if len(one.ids) > 1), key=lambda one: -len(one.ids))[:DENSEST]
    yield from (f"densest: {len(one.ids)} rows in {one.where} {one.name}" for one in dense)


def main(argv: Sequence[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument(
        "--part", type=int, default=1, help="the part whose bare rows are listed (default 1)"
    )
    options.add_argument("--tests", type=Path, default=ROOT / "tests", help=argparse.SUPPRESS)
    given = options.parse_args(argv)
    try:
        rows = read_table()
        found = list(carriers(given.tests))
    except BadMark as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    wrong = list(faults(found, rows))
    for line in (*report(found, rows, given.part), *(f"error: {one}" for one in wrong)):
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
