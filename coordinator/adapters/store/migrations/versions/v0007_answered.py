"""Whether the model of an attempt answered; of those before, as far as their tokens tell."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("answered", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE attempts SET answered = 1 WHERE usage_tokens_out > 0")
