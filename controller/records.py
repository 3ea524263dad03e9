"""Records that outlive the process: tokens, audit, samples, users. Plain values for the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from controller.site import EvseId, StationId
from controller.transaction import IdToken, Transaction, TransactionId


class TokenStatus(Enum):
    """Answer to an id token: 1.6 AuthorizationStatus and 2.0.1 AuthorizationStatusEnumType share these."""

    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    INVALID = "invalid"
    CONCURRENT_TX = "concurrent_tx"


class TokenKind(Enum):
    """What an id token is: OCPP 2.0.1 IdTokenEnumType; 1.6 knows no difference."""

    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    EMAID = "eMAID"
    CENTRAL = "Central"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    MAC_ADDRESS = "MacAddress"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """An RFID card or other id token known at this site."""

    id: IdToken
    status: TokenStatus = TokenStatus.ACCEPTED
    label: str = ""
    group: IdToken | None = None
    expires_at: datetime | None = None
    priority: int = 0
    kind: TokenKind = TokenKind.ISO14443
    max_a: float | None = None
    """The most that its sessions may draw per phase; None: what the EVSE may. [A]"""
    stations: tuple[StationId, ...] = ()
    """Where it may charge; empty: everywhere."""
    concurrent: int | None = None
    """How many sessions it may run at once, or its group's members together; None: any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenImport:
    """What an import of tokens changed."""

    added: int
    changed: int
    same: int
    deleted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Whether a token may charge."""

    status: TokenStatus
    expires_at: datetime | None = None
    group: IdToken | None = None
    priority: int = 0
    max_a: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionOpened:
    """A station reports the start of a transaction, perhaps late, perhaps again."""

    station: StationId
    evse: EvseId
    id: TransactionId | None
    """None for 1.6: we choose it."""
    id_token: IdToken | None
    at: datetime
    meter_wh: float | None
    seq_no: int | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionNoted:
    """A running transaction was heard of: a new register value, a token, a sequence number."""

    station: StationId
    id: TransactionId
    at: datetime
    meter_wh: float | None = None
    id_token: IdToken | None = None
    seq_no: int | None = None
    evse: EvseId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionClosed:
    """A station reports the end of a transaction, perhaps one we never saw."""

    station: StationId
    id: TransactionId
    at: datetime
    meter_wh: float | None
    reason: str
    id_token: IdToken | None = None
    evse: EvseId | None = None
    seq_no: int | None = None
    scale_ratio: float = 1.0
    """Factor that makes the transaction's registers Wh, where the station mislabels its meter."""
    offline: bool = False
    is_assumed: bool = False
    """True: the station has reported no end; one has to be booked because the vehicle is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionReceipt:
    """The stored transaction and whether its token may charge. Durable when returned."""

    transaction: Transaction
    authorization: Authorization
    repeated: bool = False
    """True: this report had been stored before."""


class Role(Enum):
    """What a user may do, in rising order."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account. Password hashes and token digests stay inside the store."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who changed what. Values are JSON text, secrets never among them."""

    at: datetime
    actor: str
    action: str
    subject: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row of a time series: measurement, tags and fields as in `docs/timeseries.md`.

    Field types are fixed per name: a field is always a float, or always an int, or always text.
    """

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float | int | str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledSample:
    """A stored sample and its place in the spool."""

    cursor: int
    sample: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPoint:
    """One point of a history query."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRecord:
    """A station as stored: what it said at its last boot."""

    id: StationId
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    protocol: str = ""
    last_boot_at: datetime | None = None
    has_secret: bool = False
