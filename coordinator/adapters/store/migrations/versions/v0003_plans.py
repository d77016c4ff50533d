"""What a task of a plan belongs to, and which stage of its workflow it stands at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("plan", "repo", "workflow"):
        op.add_column("tasks", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name in ("stage", "sent_back"):
        op.add_column("tasks", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("stage", sa.Text, nullable=False, server_default=""))
