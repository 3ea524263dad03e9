"""Samples with their spool, and cycle records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("measurement", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.UniqueConstraint(
            "measurement", "tags", "fields", name="uq_series_measurement_tags_fields"
        ),
    )
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("series_id", sa.Integer, nullable=False),
        sa.Column("vals", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sample_blocks",
        sa.Column("first_id", sa.Integer, primary_key=True),
        sa.Column("last_id", sa.Integer, nullable=False),
        sa.Column("min_at_ms", sa.BigInteger, nullable=False),
        sa.Column("max_at_ms", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
    )
    op.create_table(
        "upload_ranges",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("first_id", sa.Integer, primary_key=True),
        sa.Column("last_id", sa.Integer, nullable=False),
    )
    op.create_table(
        "quarantined",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("cursor", sa.Integer, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("sample", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.UniqueConstraint("target", "cursor", name="uq_quarantined_target_cursor"),
    )
    op.create_table(
        "cycle_sites",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "cycles",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("site_digest", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cycles_at_ms", "cycles", ["at_ms"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("cycles")
    op.drop_table("cycle_sites")
    op.drop_table("quarantined")
    op.drop_table("upload_ranges")
    op.drop_table("sample_blocks")
    op.drop_table("samples")
    op.drop_table("series")
