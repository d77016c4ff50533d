"""The streams of the agent CLIs in claude's shape, the normal form: one object of a stream in, the objects that claude
would have printed for it out. What a tongue does not know it gives back as it is: it is kept and counted, never
guessed. Standard library alone, Python 3.9: the wrapper reads with them too."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Tuple

    Body = Mapping[str, Any]
    Tongue = Callable[[Body], Tuple[Body, ...]]

CLAUDE, TEXT, EITHER = "claude", "text", "either"
"""What a program may speak: claude's stream, plain words, or one of the two as it likes."""
FOREIGN = ("codex", "gemini", "opencode")
"""The others, each a module here with one function `normal`."""
OWING = (CLAUDE, *FOREIGN)
"""Whoever speaks one of these owes a result event: an end without one is a failure whatever the exit code."""


def tongue(speaks: str) -> Tongue:
    """How an object of this stream is read. Raises ValueError for a name that is none."""
    if speaks in FOREIGN:
        found: Tongue = import_module("%s.%s" % (__name__, speaks)).normal
        return found
    if speaks not in (CLAUDE, TEXT, EITHER):
        raise ValueError("nobody speaks %r" % speaks)
    return _as_it_is


def _as_it_is(body: Body) -> Tuple[Body, ...]:
    return (body,)
