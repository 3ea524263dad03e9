"""Adopting stations, and their secrets and certificates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query

from adapters.http import care_models as c
from adapters.http import models as m
from adapters.http.care_views import care_of, require_applied
from adapters.http.live import read_live
from adapters.http.problems import Problem, ProblemError, not_found, unprocessable
from adapters.http.services import Services, Uses, Who
from controller.care import AdoptedEvse, Approval, CertificateUse, StationAnswer
from controller.site import StationId

router = APIRouter(prefix="/api/v1/stations", tags=["stations"])
Name = Annotated[str, Path(alias="id", min_length=1, max_length=48, pattern=r"^[^\s/?#%]+$")]
_WAIT_S = 35.0
"""A station may take long to check and store a certificate. [s]"""


@router.post("/{id}/approve")
async def approve_station(
    station: Name, asked: c.ApprovalIn, services: Uses, who: Who
) -> c.AdoptedOut:
    """Take an unknown station in and make its password, shown this once.

    Its entry is written into the site file and put in force, as any change is. Where the controller
    may not write the file, `in_site_file` is false: the station may connect once you have added it.
    """
    approval = Approval(
        circuit=asked.circuit,
        evses=tuple(AdoptedEvse(**evse.model_dump()) for evse in asked.evses),
    )
    work = care_of(services).adoption.approve(StationId(station), approval, who.name)
    try:
        adopted = await services.bridge.carry_out(
            work, timeout_s=services.settings.change_timeout_s
        )
    except KeyError:
        known = ", ".join(sorted(read_live(services.control).snapshot.site.circuits)[:20])
        raise unprocessable(
            f"circuit: there is no circuit {asked.circuit}.", f"Name one of {known}."
        ) from None
    except ValueError as error:
        raise _conflict(str(error)) from None
    return c.AdoptedOut(
        id=station,
        secret=adopted.secret,
        site_file=approval.site_file_entry(),
        in_site_file=adopted.in_site_file,
    )


@router.post("/{id}/reject", status_code=204)
async def reject_station(station: Name, services: Uses, who: Who) -> None:
    """Turn an unknown station away; it is not shown again unless it is approved."""
    try:
        await services.bridge.carry_out(
            care_of(services).adoption.reject(StationId(station), who.name)
        )
    except ValueError as error:
        raise _conflict(str(error)) from None


@router.post("/{id}/secret")
async def rotate_secret(station: Name, services: Uses, who: Who) -> m.ActionOut:
    """Send the station a new password; the old one is valid until it has used the new one."""
    _require_known(services, station)
    result = await services.bridge.carry_out(
        care_of(services).secrets.rotate(StationId(station), who.name), timeout_s=_WAIT_S
    )
    require_applied(StationId(station), result)
    return m.ActionOut(action="rotate_secret", subject=station, result="applied")


@router.get("/{id}/certificates")
async def list_certificates(
    station: Name,
    services: Uses,
    use: Annotated[CertificateUse, Query()] = CertificateUse.CSMS_ROOT,
) -> c.CertificatesOut:
    """Ask the station which authorities' certificates it holds."""
    _require_known(services, station)
    answer = await services.bridge.carry_out(
        care_of(services).certificates.installed(StationId(station), use), timeout_s=_WAIT_S
    )
    require_applied(StationId(station), answer.result)
    return c.CertificatesOut(
        items=[
            c.CertificateOut(
                hash_algorithm=str(item.get("hashAlgorithm", "")),
                issuer_name_hash=str(item.get("issuerNameHash", "")),
                issuer_key_hash=str(item.get("issuerKeyHash", "")),
                serial_number=str(item.get("serialNumber", "")),
            )
            for item in answer.payload.get("items", ())
        ]
    )


@router.post("/{id}/certificates")
async def install_certificate(
    station: Name, asked: c.CertificateIn, services: Uses, who: Who
) -> m.ActionOut:
    """Install an authority's certificate in the station."""
    _require_known(services, station)
    answer = await services.bridge.carry_out(
        care_of(services).certificates.install(
            StationId(station), asked.use, asked.certificate, who.name
        ),
        timeout_s=_WAIT_S,
    )
    return _done(station, "install_certificate", answer)


@router.post("/{id}/certificates/delete")
async def delete_certificate(
    station: Name,
    asked: Annotated[c.HashIn, Body()],
    services: Uses,
    who: Who,
) -> m.ActionOut:
    """Delete a certificate from the station, by the hashes it is listed with."""
    _require_known(services, station)
    hash_data = {
        "hashAlgorithm": asked.hash_algorithm,
        "issuerNameHash": asked.issuer_name_hash,
        "issuerKeyHash": asked.issuer_key_hash,
        "serialNumber": asked.serial_number,
    }
    answer = await services.bridge.carry_out(
        care_of(services).certificates.delete(StationId(station), hash_data, who.name),
        timeout_s=_WAIT_S,
    )
    return _done(station, "delete_certificate", answer)


@router.post("/{id}/certificates/renew")
async def renew_certificate(station: Name, services: Uses, who: Who) -> m.ActionOut:
    """Ask the station to make a new key and request a certificate for it."""
    _require_known(services, station)
    answer = await services.bridge.carry_out(
        care_of(services).certificates.renew(StationId(station), who.name), timeout_s=_WAIT_S
    )
    return _done(station, "renew_certificate", answer)


def _done(station: str, action: str, answer: StationAnswer) -> m.ActionOut:
    require_applied(StationId(station), answer.result)
    return m.ActionOut(action=action, subject=station, result="applied")


def _require_known(services: Services, station: str) -> None:
    if StationId(station) not in read_live(services.control).snapshot.site.stations:
        raise not_found("station", station)


def _conflict(detail: str) -> ProblemError:
    return ProblemError(
        Problem(
            status=409,
            code="cannot-adopt",
            title="Not adopted",
            detail=f"{detail}.",
            mend="Look at the site file; stations in it are changed there.",
        )
    )
