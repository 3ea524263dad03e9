"""What operators do for stations besides limits: adopt them, change their secrets, fetch their logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from controller.commands import CommandResult
from controller.rollouts import RolloutDesk
from controller.site import StationId


class OfflineTokens(Enum):
    """Who may charge at a station that has no connection."""

    NONE = "none"
    LISTED = "listed"
    ALL = "all"


class SigningRefused(Exception):  # noqa: N818 - an outcome, named as it is read in an except clause
    """A certificate is not made; the text says why."""


class CertificateSigner(Protocol):
    """An authority that signs stations' requests. Blocks; call it off the loop."""

    def sign(self, csr_pem: str, identity: str, names: frozenset[str], now: datetime) -> str:
        """Return the certificate with its chain, PEM.

        Raises:
            SigningRefused: The request is not fit.
        """


# --- adoption -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """An unknown station's handshake that is well formed; an operator may want it."""

    identity: str
    peer: str
    protocol: str
    security_profile: int
    has_password: bool
    certificate_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStation:
    """A station that knocks and waits for an operator. It is not let in, so it gets nothing."""

    stranger: Stranger
    first_at: datetime
    last_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedEvse:
    """What must be known of an EVSE before it may charge."""

    number: int
    max_a: float
    phases: int = 3
    rotation: str | None = None
    """`RST` to `TSR`, single-phase `L1` to `L3`; None: `RST`."""
    fallback_a: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An operator's decision to take a station in. The site file stays the truth of circuits."""

    circuit: str
    evses: tuple[AdoptedEvse, ...]

    def site_file_entry(self) -> dict[str, Any]:
        """Return what belongs below `stations.<id>` in the site file."""
        return {"circuit": self.circuit, "evses": {str(e.number): _entry(e) for e in self.evses}}


def _entry(evse: AdoptedEvse) -> dict[str, Any]:
    entry: dict[str, Any] = {"max_a": evse.max_a, "phases": evse.phases}
    if evse.rotation is not None:
        entry["rotation"] = evse.rotation
    if evse.fallback_a is not None:
        entry["fallback_a"] = evse.fallback_a
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """An approved station. The secret is shown this once and kept as a digest only."""

    station: StationId
    secret: str
    approval: Approval
    in_site_file: bool = False
    """Whether its entry stands in the site file and is in force; else it has to be added by hand."""


class Adoption(Protocol):
    """Unknown stations and what operators decided about them."""

    def pending(self) -> tuple[PendingStation, ...]:
        """Return those that wait, by identity. Safe from any thread."""

    async def approve(self, station: StationId, approval: Approval, actor: str) -> Adopted:
        """Take a station in, whether or not it has knocked yet.

        Raises:
            KeyError: There is no such circuit.
            ValueError: It is in the site file already, an EVSE makes no sense, or the site file would
                not be valid with it.
        """

    async def reject(self, station: StationId, actor: str) -> None:
        """Turn a station away for good, until it is approved.

        Raises:
            ValueError: It is in the site file.
        """

    async def approved(self) -> Mapping[StationId, Approval]:
        """Return what was approved and is not in the site file yet."""


# --- secrets, certificates ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StationAnswer:
    """How a station answered, for operators."""

    result: CommandResult
    payload: Mapping[str, Any] = field(default_factory=dict)
    """The answer, names of the wire; empty when there is none."""


class SecretRotation(Protocol):
    """Gives stations new passwords."""

    async def rotate(self, station: StationId, actor: str) -> CommandResult:
        """Send a new password; the old one is valid until the station uses the new one."""


class CertificateUse(Enum):
    """What an authority's certificate in a station is for."""

    CSMS_ROOT = "csms_root"
    MANUFACTURER_ROOT = "manufacturer_root"


class StationCertificates(Protocol):
    """Certificates inside stations."""

    async def installed(self, station: StationId, use: CertificateUse) -> StationAnswer:
        """List by hash."""

    async def install(
        self, station: StationId, use: CertificateUse, pem: str, actor: str
    ) -> StationAnswer:
        """Install an authority's certificate."""

    async def delete(
        self, station: StationId, hash_data: Mapping[str, str], actor: str
    ) -> StationAnswer:
        """Delete the certificate with these hashes."""

    async def renew(self, station: StationId, actor: str) -> StationAnswer:
        """Ask the station to request a new client certificate."""


# --- logs -----------------------------------------------------------------------------------------


class LogKind(Enum):
    """Which log a station is asked for."""

    DIAGNOSTICS = "diagnostics"
    SECURITY = "security"


class UploadState(Enum):
    """What became of an upload."""

    EXPECTED = "expected"
    STORED = "stored"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that a station was asked for."""

    id: str
    station: StationId
    kind: LogKind
    state: UploadState
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    name: str = ""
    """As the station called it, without any path."""
    size_bytes: int | None = None
    sha256: str = ""
    stored_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """Which part of a log is wanted. Times are UTC."""

    kind: LogKind = LogKind.DIAGNOSTICS
    since: datetime | None = None
    until: datetime | None = None


class StationLogs(Protocol):
    """Asks stations for logs and keeps what they send."""

    async def request(
        self, station: StationId, request: LogRequest, actor: str
    ) -> tuple[Upload | None, StationAnswer]:
        """Ask for a log; the upload is None when the station was not asked or refused."""

    async def uploads(self, station: StationId | None) -> tuple[Upload, ...]:
        """List, newest first."""

    async def content(self, upload: str) -> tuple[Upload, str]:
        """Return a stored upload and the path of its file.

        Raises:
            KeyError: There is none, or nothing came.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StationCare:
    """All of it."""

    adoption: Adoption
    secrets: SecretRotation
    certificates: StationCertificates
    logs: StationLogs | None = None
    rollouts: RolloutDesk | None = None
