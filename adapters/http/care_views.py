"""Shows what waits, and what became of it."""

from __future__ import annotations

from typing import assert_never

from adapters.http import care_models as c
from adapters.http.problems import Problem, ProblemError, unavailable
from adapters.http.services import Services
from controller.care import PendingStation, StationCare, Upload
from controller.commands import Applied, CommandResult, NotConnected, Rejected, TimedOut
from controller.site import StationId


def care_of(services: Services) -> StationCare:
    """Return the services around stations.

    Raises:
        ProblemError: 503, this controller runs without them.
    """
    if services.care is None:
        raise unavailable(
            "Adoption, certificates and logs are not offered here.",
            "Run the controller with `wattkeeper run`.",
            code="not-offered",
        )
    return services.care


def pending_stations(services: Services) -> list[c.PendingOut]:
    """Show the stations that knock; none where there is no adoption."""
    care = services.care
    return [] if care is None else [_pending(p) for p in care.adoption.pending()]


async def approved_stations(services: Services) -> list[c.ApprovedOut]:
    """Show the stations that wait for the site file."""
    if services.care is None:
        return []
    approved = await services.bridge.run(services.care.adoption.approved())
    return [
        c.ApprovedOut(id=station, site_file=approval.site_file_entry())
        for station, approval in sorted(approved.items())
    ]


def _pending(station: PendingStation) -> c.PendingOut:
    stranger = station.stranger
    return c.PendingOut(
        id=stranger.identity,
        address=stranger.peer,
        protocol=stranger.protocol,
        security_profile=stranger.security_profile,
        has_password=stranger.has_password,
        certificate_names=sorted(stranger.certificate_names),
        first_at=station.first_at,
        last_at=station.last_at,
        attempts=station.attempts,
    )


def upload(entry: Upload) -> c.UploadOut:
    """Show an upload."""
    return c.UploadOut(
        id=entry.id,
        station=entry.station,
        kind=entry.kind,
        state=entry.state,
        name=entry.name,
        size_bytes=entry.size_bytes,
        sha256=entry.sha256,
        requested_by=entry.requested_by,
        requested_at=entry.requested_at,
        stored_at=entry.stored_at,
        file=f"/api/v1/uploads/{entry.id}/file" if entry.stored_at is not None else None,
    )


def require_applied(station: StationId, result: CommandResult) -> None:
    """Let an accepted action pass.

    Raises:
        ProblemError: 409 refused or not connected, 504 no answer in time.
    """
    match result:
        case Applied():
            return
        case Rejected(reason=reason):
            raise _failed(
                409,
                "refused-by-station",
                f"{station} refused: {reason}.",
                "Look at the state of the charger and at its log of frames.",
            )
        case NotConnected():
            raise _failed(
                409,
                "station-not-connected",
                f"{station} is not connected; nothing was changed.",
                "Check its power and network, then try again.",
            )
        case TimedOut():
            raise _failed(
                504,
                "no-answer",
                f"{station} did not answer in time; the action may still take effect.",
                "Look at the state of the charger before trying again.",
            )
        case _:
            assert_never(result)


def _failed(status: int, code: str, detail: str, mend: str) -> ProblemError:
    return ProblemError(
        Problem(status=status, code=code, title="Action failed", detail=detail, mend=mend)
    )
