"""Transactions remember that their end was assumed, so that the real one can take its place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("transactions") as transactions:
        transactions.add_column(sa.Column("assumed_scale_ratio", sa.Float))


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("transactions") as transactions:
        transactions.drop_column("assumed_scale_ratio")
