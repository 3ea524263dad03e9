"""Alarms and reasons keep what their sentences name, so that they can be said in any language."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("alarms", _values())
    op.add_column("reasons", _values())
    op.add_column("reasons", sa.Column("wording", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("reasons") as reasons:
        reasons.drop_column("wording")
        reasons.drop_column("values_json")
    with op.batch_alter_table("alarms") as alarms:
        alarms.drop_column("values_json")


def _values() -> sa.Column[str]:
    return sa.Column("values_json", sa.Text, nullable=False, server_default="{}")
