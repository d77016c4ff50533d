"""Fixtures of the scenarios: the yard."""

from tests.support.yard import yard

__all__ = ["yard"]
