"""How stations may connect, which were adopted, what tokens may do, local lists and uploads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_access"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = ("uploads", "local_lists", "adoptions", "station_security")
_TOKEN_COLUMNS = ("concurrent", "stations", "max_a", "kind")


def upgrade() -> None:
    """Create the tables and give tokens their limits."""
    op.create_table(
        "station_security",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("least_profile", sa.Integer, nullable=False, server_default="0"),
        sa.Column("certificate_name", sa.Text),
        sa.Column("certificates_from", sa.BigInteger),
        sa.Column("new_digest", sa.Text),
    )
    op.create_table(
        "adoptions",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("circuit", sa.Text),
        sa.Column("evses", sa.Text, nullable=False, server_default="[]"),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "local_lists",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("entries", sa.Text, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sa.Column("bytes", sa.Integer),
        sa.Column("sha256", sa.Text, nullable=False, server_default=""),
        sa.Column("stored_at", sa.BigInteger),
    )
    op.create_index("ix_uploads_requested_at", "uploads", ["requested_at"])
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(
            sa.Column("kind", sa.Text, nullable=False, server_default="ISO14443")
        )
        tokens.add_column(sa.Column("max_a", sa.Float))
        tokens.add_column(sa.Column("stations", sa.Text, nullable=False, server_default="[]"))
        tokens.add_column(sa.Column("concurrent", sa.Integer))


def downgrade() -> None:
    """Drop the tables and the limits."""
    with op.batch_alter_table("tokens") as tokens:
        for column in _TOKEN_COLUMNS:
            tokens.drop_column(column)
    for table in _TABLES:
        op.drop_table(table)
