"""Transactions keep what their token allowed, so that a restart does not lift it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("transactions") as transactions:
        transactions.add_column(sa.Column("max_a", sa.Float))
        transactions.add_column(
            sa.Column("priority", sa.Integer, nullable=False, server_default="0")
        )


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("transactions") as transactions:
        transactions.drop_column("priority")
        transactions.drop_column("max_a")
