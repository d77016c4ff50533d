"""Who changed an issue's words, what trusted people said of it, and how far it was begun when its words were pinned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("pin_begun", sa.Integer, nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("heard", sa.Text, nullable=False, server_default=""))
    op.add_column("vets", sa.Column("edits", sa.Text, nullable=False, server_default="[]"))
    op.add_column("vets", sa.Column("times", sa.Integer, nullable=False, server_default="1"))
    for name in ("blind", "sha256"):
        op.add_column("vets", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name in ("retried_at", "missing_until", "asked_at"):
        op.add_column("vets", sa.Column(name, sa.Text))
