"""Coordinator: labelled GitHub issues become pull requests. Python 3.9 syntax: this file travels with the wrapper."""

__version__ = "0.1.0"
