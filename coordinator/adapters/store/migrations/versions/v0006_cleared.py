"""What a person let pass of a task's work, and why its branch was held back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("cleared", sa.Text, nullable=False, server_default="[]"))
    op.add_column("tasks", sa.Column("withheld", sa.Text, nullable=False, server_default=""))
