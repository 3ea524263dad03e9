"""How stations may connect, and what tokens may do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TOKEN_COLUMNS = ("concurrent", "stations", "max_a", "kind")


def upgrade() -> None:
    """Create the table and give tokens their limits."""
    op.create_table(
        "station_security",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("least_profile", sa.Integer, nullable=False, server_default="0"),
        sa.Column("certificate_name", sa.Text),
        sa.Column("certificates_from", sa.BigInteger),
        sa.Column("new_digest", sa.Text),
    )
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(sa.Column("kind", sa.Text, nullable=False, server_default="ISO14443"))
        tokens.add_column(sa.Column("max_a", sa.Float))
        tokens.add_column(sa.Column("stations", sa.Text, nullable=False, server_default="[]"))
        tokens.add_column(sa.Column("concurrent", sa.Integer))


def downgrade() -> None:
    """Drop the table and the limits."""
    with op.batch_alter_table("tokens") as tokens:
        for column in _TOKEN_COLUMNS:
            tokens.drop_column(column)
    op.drop_table("station_security")
