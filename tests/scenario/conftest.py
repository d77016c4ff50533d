"""Fixtures of the scenarios: the yard, and a clock that can be put forward."""

from tests.support.stories import later
from tests.support.yard import yard

__all__ = ["later", "yard"]
