"""Accounts with dates, API tokens with names and ends, versions of the configuration, reasons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("users", sa.Column("created_at", sa.BigInteger))
    op.add_column("users", sa.Column("last_seen_at", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("label", sa.Text, nullable=False, server_default=""))
    op.add_column("api_tokens", sa.Column("created_at", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("expires_at", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("last_used_at", sa.BigInteger))
    op.create_table(
        "config_versions",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "reasons",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("evse", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("bound_by", sa.Text, nullable=False),
        sa.Column("setpoint_a", sa.Float, nullable=False),
        sa.UniqueConstraint("evse", "at", name="uq_reasons_evse_at"),
    )
    op.create_index("ix_transactions_evse", "transactions", ["evse", "started_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_transactions_evse", "transactions")
    op.drop_table("reasons")
    op.drop_table("config_versions")
    for column in ("label", "created_at", "expires_at", "last_used_at"):
        op.drop_column("api_tokens", column)
    for column in ("created_at", "last_seen_at"):
        op.drop_column("users", column)
