"""The streams of the agent CLIs in claude's shape, the normal form: one object of a stream in, the objects that claude
would have printed for it out. What a tongue does not know it gives back as it is: it is kept and counted, never
guessed. Standard library alone, Python 3.9: the wrapper reads with them too."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Mapping, Optional, Tuple

    Body = Mapping[str, Any]
    Tongue = Callable[[Body], Tuple[Body, ...]]

CLAUDE, TEXT, EITHER = "claude", "text", "either"
"""What a program may speak: claude's stream, plain words, or one of the two as it likes."""
FOREIGN = ("codex", "gemini", "opencode")
"""The others, each a module here: `normal` reads an object of the stream; `ended` and `refused`, where there are such,
read what else its program is known to tell."""
OWING = (CLAUDE, *FOREIGN)
"""Whoever speaks one of these owes a result event: an end without one is a failure whatever the exit code."""

LATE = ("codex", "gemini")
"""Whoever of them tells its tokens with its result alone: until then, and where there is none, they are not known."""


def tongue(speaks: str) -> Tongue:
    """How an object of this stream is read. Raises ValueError for a name that is none."""
    if speaks in FOREIGN:
        found: Tongue = _module(speaks).normal
        return found
    if speaks not in (CLAUDE, TEXT, EITHER):
        raise ValueError("nobody speaks %r" % speaks)
    return _as_it_is


def ended(speaks: str, code: Optional[int], stderr: str) -> str:
    """The class of an end that the stream does not explain, by the program's own exit codes and stderr; "" for none."""
    return _asked(speaks, "ended", code, stderr)


def refused(speaks: str, stderr: str) -> str:
    """The class of what kept the program waiting, by its stderr; "" for none."""
    return _asked(speaks, "refused", stderr)


def _asked(speaks: str, what: str, *given: object) -> str:
    found = getattr(_module(speaks), what, None) if speaks in FOREIGN else None
    return str(found(*given)) if found else ""


def _module(speaks: str) -> ModuleType:
    return import_module("%s.%s" % (__name__, speaks))


def _as_it_is(body: Body) -> Tuple[Body, ...]:
    return (body,)
