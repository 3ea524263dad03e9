"""Roll-ups of samples."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rollups",
        sa.Column("tier_s", sa.Integer, primary_key=True),
        sa.Column("series_id", sa.Integer, primary_key=True),
        sa.Column("at_s", sa.Integer, primary_key=True),
        sa.Column("vals", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollup_state",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("rollup_state")
    op.drop_table("rollups")
