"""Transactions, tokens, stations, accounts, states, alarms and audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "transactions",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("natural_key", sa.Text, nullable=False),
        sa.Column("evse", sa.Text, nullable=False),
        sa.Column("id_token", sa.Text),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("start_wh", sa.Float),
        sa.Column("last_wh", sa.Float),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_reason", sa.Text),
        sa.Column("seq_no", sa.Integer),
        sa.Column("offline", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("station", "id", name="uq_transactions_station_id"),
    )
    op.create_index("ix_transactions_natural_key", "transactions", ["natural_key"])
    op.create_index("ix_transactions_started_at", "transactions", ["started_at"])
    op.create_index("ix_transactions_ended_at", "transactions", ["ended_at"])
    op.create_table(
        "tokens",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("group_id", sa.Text),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("priority", sa.Integer, nullable=False),
    )
    op.create_table(
        "stations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("vendor", sa.Text, nullable=False, server_default=""),
        sa.Column("model", sa.Text, nullable=False, server_default=""),
        sa.Column("serial", sa.Text, nullable=False, server_default=""),
        sa.Column("firmware", sa.Text, nullable=False, server_default=""),
        sa.Column("protocol", sa.Text, nullable=False, server_default=""),
        sa.Column("last_boot_at", sa.BigInteger),
        sa.Column("secret_digest", sa.Text),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
    )
    op.create_table(
        "api_tokens",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("user", sa.Text, nullable=False),
    )
    op.create_table(
        "states",
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
    )
    op.create_index("ix_states_kind", "states", ["kind", "generation"])
    op.create_table(
        "alarms",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("begin_at", sa.BigInteger, nullable=False),
        sa.Column("end_at", sa.BigInteger),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.UniqueConstraint("code", "subject", "begin_at", name="uq_alarms_code_subject_begin"),
    )
    op.create_index("ix_alarms_begin_at", "alarms", ["begin_at"])
    op.create_table(
        "audit_entries",
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("audit_entries")
    op.drop_table("alarms")
    op.drop_table("states")
    op.drop_table("api_tokens")
    op.drop_table("users")
    op.drop_table("stations")
    op.drop_table("tokens")
    op.drop_table("transactions")
