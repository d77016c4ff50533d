"""What a task needs to go from one provider to the next, what an attempt tells of it, and what its tokens cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("spent", sa.Text, nullable=False, server_default="[]"))
    for name in ("switch_from", "fallback_reason"):
        op.add_column("attempts", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("attempts", sa.Column("usage_tokens_cached", sa.Integer))
