"""The coordinator's memory in one SQLite file; SQLAlchemy and Alembic do not leave this folder."""

from coordinator.adapters.store.sql import SqlStore

__all__ = ["SqlStore"]
