"""Bodies of the maintenance actions of stations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EvseNumber = Annotated[int, Field(ge=1, le=1000)]
Url = Annotated[str, Field(min_length=8, max_length=512, pattern=r"^(https?|ftps?|sftp)://")]


class MaintenanceRequest(BaseModel):
    """What an action needs. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid")

    def parameters(self) -> dict[str, Any]:
        """Return what was given, in the names of the action."""
        return self.model_dump(exclude_none=True, exclude={"evse"})


class AvailabilityRequest(MaintenanceRequest):
    """Put a station, an EVSE or one of its connectors in or out of service."""

    operative: bool
    evse: EvseNumber | None = None
    connector: EvseNumber | None = None


class ReservationRequest(MaintenanceRequest):
    """Keep an EVSE free for an id token."""

    reservation_id: Annotated[int, Field(ge=0, le=2**31 - 1)]
    id_token: Annotated[str, Field(min_length=1, max_length=36)]
    expires_at: datetime
    evse: EvseNumber | None = None
    group: Annotated[str, Field(min_length=1, max_length=36)] | None = None
    connector_type: Annotated[str, Field(min_length=1, max_length=20)] | None = None


class FirmwareRequest(MaintenanceRequest):
    """Update a station's firmware. Never during a transaction of the station."""

    location: Url
    retrieve_at: datetime | None = None
    install_at: datetime | None = None
    signing_certificate: Annotated[str, Field(min_length=1, max_length=5500)] | None = None
    signature: Annotated[str, Field(min_length=1, max_length=800)] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    retry_interval_s: Annotated[int, Field(ge=0, le=86_400)] | None = None


class ConfigurationRequest(MaintenanceRequest):
    """Write configuration: keys of 1.6, `Component.Variable` of 2.0.1."""

    values: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=200)],
            Annotated[str, Field(max_length=2500)],
        ],
        Field(min_length=1, max_length=500),
    ]
    keep: bool = False
    """Write it again whenever the station is found to differ; false: an earlier wish ends."""


class ReportRequest(MaintenanceRequest):
    """Ask a station to describe itself; what it sends is kept."""

    kind: Literal["configuration", "full", "summary"] = "full"


class DataTransferRequest(MaintenanceRequest):
    """Send a vendor's own message."""

    vendor_id: Annotated[str, Field(min_length=1, max_length=255)]
    message_id: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    data: Any = None


class CallRequest(MaintenanceRequest):
    """Send any message of the station's OCPP version, checked against its schema."""

    message: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9]+$")]
    payload: dict[str, Any]


class EvseRequest(MaintenanceRequest):
    """Where."""

    evse: EvseNumber | None = None
