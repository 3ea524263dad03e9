"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros_of(at: datetime) -> int:
    """Return microseconds since 1970 in UTC, exactly."""
    return (at - EPOCH) // MICROSECOND


def datetime_of(micros: int) -> datetime:
    """Return the UTC time of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


class UtcTime(TypeDecorator[datetime]):
    """A time with zone, stored as microseconds since 1970 so that it sorts and round-trips exactly."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Encode."""
        return None if value is None else micros_of(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Decode."""
        return None if value is None else datetime_of(int(value))


METADATA = MetaData()

transactions = Table(
    "transactions",
    METADATA,
    Column("row", Integer, primary_key=True),
    Column("station", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("natural_key", Text, nullable=False),
    Column("evse", Text, nullable=False),
    Column("id_token", Text),
    Column("started_at", UtcTime, nullable=False),
    Column("start_wh", Float),
    Column("last_wh", Float),
    Column("ended_at", UtcTime),
    Column("end_reason", Text),
    Column("seq_no", Integer),
    Column("offline", Integer, nullable=False, server_default="0"),
    Column("max_a", Float),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("assumed_scale_ratio", Float),
    UniqueConstraint("station", "id", name="uq_transactions_station_id"),
    Index("ix_transactions_natural_key", "natural_key"),
    Index("ix_transactions_started_at", "started_at"),
    Index("ix_transactions_ended_at", "ended_at"),
    Index("ix_transactions_evse", "evse", "started_at"),
)

tokens = Table(
    "tokens",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("group_id", Text),
    Column("expires_at", UtcTime),
    Column("priority", Integer, nullable=False),
    Column("kind", Text, nullable=False, server_default="ISO14443"),
    Column("max_a", Float),
    Column("stations", Text, nullable=False, server_default="[]"),
    Column("concurrent", Integer),
)

stations = Table(
    "stations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("vendor", Text, nullable=False, server_default=""),
    Column("model", Text, nullable=False, server_default=""),
    Column("serial", Text, nullable=False, server_default=""),
    Column("firmware", Text, nullable=False, server_default=""),
    Column("protocol", Text, nullable=False, server_default=""),
    Column("last_boot_at", UtcTime),
    Column("secret_digest", Text),
)

station_security = Table(
    "station_security",
    METADATA,
    Column("station", Text, primary_key=True),
    Column("least_profile", Integer, nullable=False, server_default="0"),
    Column("certificate_name", Text),
    Column("certificates_from", UtcTime),
    Column("new_digest", Text),
)

users = Table(
    "users",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),
    Column("created_at", UtcTime),
    Column("last_seen_at", UtcTime),
)

api_tokens = Table(
    "api_tokens",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("created_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("last_used_at", UtcTime),
)

config_versions = Table(
    "config_versions",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("text", Text, nullable=False),
)

states = Table(
    "states",
    METADATA,
    Column("generation", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("ix_states_kind", "kind", "generation"),
)

alarms = Table(
    "alarms",
    METADATA,
    Column("row", Integer, primary_key=True),
    Column("code", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("begin_at", UtcTime, nullable=False),
    Column("end_at", UtcTime),
    Column("text", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("values_json", Text, nullable=False, server_default="{}"),
    UniqueConstraint("code", "subject", "begin_at", name="uq_alarms_code_subject_begin"),
    Index("ix_alarms_begin_at", "begin_at"),
)

audit_entries = Table(
    "audit_entries",
    METADATA,
    Column("row", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
)

series = Table(
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("measurement", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("fields", Text, nullable=False),
    UniqueConstraint("measurement", "tags", "fields", name="uq_series_measurement_tags_fields"),
)

samples = Table(
    "samples",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("series_id", Integer, nullable=False),
    Column("vals", Text, nullable=False),
    sqlite_autoincrement=True,
)

sample_blocks = Table(
    "sample_blocks",
    METADATA,
    Column("first_id", Integer, primary_key=True),
    Column("last_id", Integer, nullable=False),
    Column("min_at_ms", BigInteger, nullable=False),
    Column("max_at_ms", BigInteger, nullable=False),
    Column("bytes", Integer, nullable=False),
)

upload_ranges = Table(
    "upload_ranges",
    METADATA,
    Column("target", Text, primary_key=True),
    Column("first_id", Integer, primary_key=True),
    Column("last_id", Integer, nullable=False),
)

quarantined = Table(
    "quarantined",
    METADATA,
    Column("row", Integer, primary_key=True),
    Column("target", Text, nullable=False),
    Column("cursor", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("sample", Text, nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("target", "cursor", name="uq_quarantined_target_cursor"),
)

cycle_sites = Table(
    "cycle_sites",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

cycles = Table(
    "cycles",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("site_digest", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_cycles_at_ms", "at_ms"),
    sqlite_autoincrement=True,
)

rollups = Table(
    "rollups",
    METADATA,
    Column("tier_s", Integer, primary_key=True),
    Column("series_id", Integer, primary_key=True),
    Column("at_s", Integer, primary_key=True),
    Column("vals", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

rollup_state = Table(
    "rollup_state",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Integer, nullable=False),
)

documents = Table(
    "documents",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_documents_kind_updated_at", "kind", "updated_at"),
)

reasons = Table(
    "reasons",
    METADATA,
    Column("row", Integer, primary_key=True),
    Column("evse", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("code", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("bound_by", Text, nullable=False),
    Column("setpoint_a", Float, nullable=False),
    Column("wording", Text, nullable=False, server_default=""),
    Column("values_json", Text, nullable=False, server_default="{}"),
    UniqueConstraint("evse", "at", name="uq_reasons_evse_at"),
)

PRECIOUS = (
    transactions,
    tokens,
    stations,
    station_security,
    users,
    api_tokens,
    states,
    alarms,
    audit_entries,
    documents,
    config_versions,
)
"""Tables that are copied out of a damaged file."""

LARGE = (samples, cycles, rollups)
"""Tables too large to be read whole at every start."""

HEAD = "0009"
"""The newest migration."""
