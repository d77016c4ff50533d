"""Alembic's entry: runs the steps on the one connection it is given, inside that connection's transaction.

There is no offline mode and no configuration file: opening.py is the only caller.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
