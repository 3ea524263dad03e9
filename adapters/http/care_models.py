"""Requests and answers about adoption, secrets, certificates and logs of stations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from adapters.http.models import Answer, Instant, InstantIn, Request, Stations, Text, example
from controller.care import CertificateUse, LogKind, UploadState


class PendingOut(Answer):
    """A station that knocks and is not let in."""

    id: str
    address: str = Field(description="Where it connects from.")
    protocol: str
    security_profile: int
    has_password: bool = Field(description="It sent a password; which one nobody here knows.")
    certificate_names: list[str] = Field(description="CN and SAN of its client certificate.")
    first_at: Instant
    last_at: Instant
    attempts: int


class ApprovedOut(Answer):
    """An approved station that is not in the site file yet."""

    id: str
    site_file: dict[str, Any] = Field(description="What belongs below `stations.<id>`.")


class AllStations(Stations):
    """Stations by id, and those that wait for an operator or for the site file."""

    pending: list[PendingOut] = Field(description="They knock and wait for an operator.")
    approved: list[ApprovedOut] = Field(description="They wait for the site file.")


class EvseIn(Request):
    """What must be known of an EVSE before it may charge."""

    number: Annotated[int, Field(ge=1, le=1000)] = 1
    max_a: Annotated[float, Field(gt=0, le=1000)]
    phases: Annotated[int, Field(ge=1, le=3)] = 3
    rotation: Annotated[Text, Field(max_length=3)] | None = None
    fallback_a: Annotated[float, Field(ge=0, le=1000)] | None = None


class ApprovalIn(Request):
    """Which circuit feeds a station, and its EVSEs."""

    model_config = example(circuit="garage-a", evses=[{"number": 1, "max_a": 32, "phases": 3}])

    circuit: Annotated[Text, Field(min_length=1, max_length=100)]
    evses: Annotated[list[EvseIn], Field(min_length=1, max_length=100)]


class AdoptedOut(Answer):
    """An approved station; the secret is shown this once."""

    id: str
    secret: str = Field(description="Its OCPP password. Type it into the station now.")
    site_file: dict[str, Any] = Field(description="What belongs below `stations.<id>`.")
    in_site_file: bool = Field(
        description="Whether that stands in the site file and is in force; else add it by hand."
    )


class CertificateIn(Request):
    """An authority's certificate for a station."""

    use: CertificateUse = CertificateUse.CSMS_ROOT
    certificate: Annotated[str, Field(min_length=1, max_length=5500)] = Field(
        description="PEM, at most 5500 characters."
    )


class HashIn(Request):
    """Which certificate, as the station lists it."""

    hash_algorithm: Annotated[Text, Field(max_length=10)]
    issuer_name_hash: Annotated[Text, Field(max_length=128)]
    issuer_key_hash: Annotated[Text, Field(max_length=128)]
    serial_number: Annotated[Text, Field(max_length=40)]


class CertificateOut(Answer):
    """A certificate inside a station, by its hashes."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


class CertificatesOut(Answer):
    """Certificates inside a station."""

    items: list[CertificateOut]


class LogIn(Request):
    """Which log, and from when to when."""

    model_config = example(kind="diagnostics")

    kind: LogKind = LogKind.DIAGNOSTICS
    since: InstantIn | None = None
    until: InstantIn | None = None


class UploadOut(Answer):
    """A file that a station was asked for."""

    id: str
    station: str
    kind: LogKind
    state: UploadState
    name: str
    size_bytes: int | None
    sha256: str
    requested_by: str
    requested_at: Instant
    stored_at: Instant | None
    file: str | None = Field(description="Where to download it; null: nothing came yet.")


class UploadsOut(Answer):
    """Files of stations, newest first."""

    items: list[UploadOut]
    next_offset: int | None
