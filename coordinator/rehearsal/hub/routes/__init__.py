"""The table of addresses the stand-in serves; what is not in it is 404, as at GitHub."""

from __future__ import annotations

from coordinator.rehearsal.hub.wire import Call, Reply

from . import comments, issues, labels, pulls, repositories
from .table import Route

TABLE: tuple[Route, ...] = (
    *repositories.ROUTES,
    *issues.ROUTES,
    *comments.ROUTES,
    *labels.ROUTES,
    *pulls.ROUTES,
)

__all__ = ["TABLE", "Call", "Reply", "Route", "find"]


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route for a method and a path, with the arguments in the path."""
    for route in TABLE:
        found = route.match(method, path)
        if found is not None:
            return route, found
    return None
