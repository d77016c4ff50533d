"""Fixtures of the tests on real parts: a scripted model for the real agents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.model_server import ModelServer, serving


@pytest.fixture
def scripted() -> Iterator[ModelServer]:
    """A model of this test alone: its scenarios may count requests. Whatever no scenario knows fails the test."""
    with serving() as server:
        yield server
    assert server.strays == []
