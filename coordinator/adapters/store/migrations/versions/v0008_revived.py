"""How often a task left BLOCKED with what it has since its last attempt began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("revived", sa.Integer, nullable=False, server_default="0"))
