"""Every executor keeps one contract: this machine, and another host whose far end a shell of this machine runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.executor_contract import ExecutorContract
from tests.support.executor_yard import Yard, far_yard, local_yard


class TestThisMachine(ExecutorContract):
    @pytest.fixture
    def yard(self, tmp_path: Path) -> Iterator[Yard]:
        with local_yard(tmp_path) as made:
            yield made


class TestAnotherHost(ExecutorContract):
    @pytest.fixture
    def yard(self, tmp_path: Path) -> Iterator[Yard]:
        with far_yard(tmp_path) as made:
            yield made


class TestAnotherHostThatAThreadLooksAt(ExecutorContract):
    @pytest.fixture
    def yard(self, tmp_path: Path) -> Iterator[Yard]:
        with far_yard(tmp_path, background=True) as made:
            yield made
