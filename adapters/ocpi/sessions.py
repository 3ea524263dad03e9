"""Transactions as OCPI sessions and CDRs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from adapters.ocpi.ids import PublicIds
from adapters.ocpi.locations import CONNECTOR, cdr_location_of
from adapters.ocpi.models.base import Price
from adapters.ocpi.models.sessions import (
    AuthMethod,
    Cdr,
    CdrDimension,
    CdrToken,
    ChargingPeriod,
    Session,
    SessionStatus,
    SignedData,
)
from adapters.ocpi.models.tokens import Token
from adapters.ocpi.settings import OcpiSettings
from adapters.ocpi.tariffs import price_of, to_ocpi
from controller.pricing import Bill, Dimension, PricedPeriod, Tariff
from controller.site import Site
from controller.transaction import Transaction

KWH = Decimal("0.001")
HOURS = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed when a session began; kept with it."""

    token: Token
    auth_method: AuthMethod
    authorization_reference: str | None
    tariff: Tariff
    tariff_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and whose the sessions are."""

    site: Site
    settings: OcpiSettings
    ids: PublicIds


def session_of(
    transaction: Transaction, *, terms: Terms, bill: Bill, place: Place, now: datetime
) -> Session:
    """Write a session as it stands."""
    is_over = transaction.ended_at is not None
    return Session(
        country_code=place.settings.country_code,
        party_id=place.settings.party_id,
        id=place.ids.session(transaction.station, transaction.id),
        start_date_time=transaction.started_at,
        end_date_time=transaction.ended_at,
        kwh=energy_kwh(bill.periods),
        cdr_token=cdr_token_of(terms.token),
        auth_method=terms.auth_method,
        authorization_reference=terms.authorization_reference,
        location_id=place.site.id[:36],
        evse_uid=place.ids.uid(transaction.evse),
        connector_id=CONNECTOR,
        currency=terms.tariff.currency,
        charging_periods=periods_of(bill.periods, terms.tariff),
        total_cost=price_of(bill.total),
        status=SessionStatus.COMPLETED if is_over else SessionStatus.ACTIVE,
        last_updated=now,
    )


def cdr_of(
    transaction: Transaction,
    *,
    terms: Terms,
    bill: Bill,
    place: Place,
    now: datetime,
    signed: SignedData | None = None,
) -> Cdr | None:
    """Write what is billed; None: its EVSE is not in the site file any more."""
    evse = place.site.evse(transaction.evse)
    if evse is None or transaction.ended_at is None:
        return None
    settings = place.settings
    session = place.ids.session(transaction.station, transaction.id)
    costs = bill.by_dimension
    parking_h = hours(p for p in bill.periods if p.usage.is_parking)
    return Cdr(
        country_code=settings.country_code,
        party_id=settings.party_id,
        id=session,
        start_date_time=transaction.started_at,
        end_date_time=max(transaction.ended_at, transaction.started_at),
        session_id=session,
        cdr_token=cdr_token_of(terms.token),
        auth_method=terms.auth_method,
        authorization_reference=terms.authorization_reference,
        cdr_location=cdr_location_of(evse, site=place.site, settings=settings, ids=place.ids),
        currency=terms.tariff.currency,
        tariffs=[to_ocpi(terms.tariff, party=settings.party, updated_at=terms.tariff_at)],
        charging_periods=periods_of(bill.periods, terms.tariff) or [_nothing(transaction, terms)],
        signed_data=signed,
        total_cost=Price(excl_vat=bill.total.excl_vat, incl_vat=bill.total.incl_vat),
        total_fixed_cost=price_of(costs[Dimension.FLAT]),
        total_energy=energy_kwh(bill.periods),
        total_energy_cost=price_of(costs[Dimension.ENERGY]),
        total_time=hours(bill.periods),
        total_time_cost=price_of(costs[Dimension.TIME]),
        total_parking_time=parking_h,
        total_parking_cost=price_of(costs[Dimension.PARKING_TIME]),
        last_updated=now,
    )


def credit_of(cdr: Cdr, *, now: datetime, number: int = 1) -> Cdr:
    """Write the CDR that takes another one back: all amounts negative, as `mod_cdrs` says."""
    data = cdr.model_dump()
    for name, value in data.items():
        if name.startswith("total_") and name.endswith("cost") and value is not None:
            data[name] = {k: None if v is None else -v for k, v in value.items()}
    return Cdr.model_validate(
        {
            **data,
            "id": f"{cdr.id[:36]}-C{number}"[:39],
            "credit": True,
            "credit_reference_id": cdr.id,
            "last_updated": now,
        }
    )


def cdr_token_of(token: Token) -> CdrToken:
    """Write who charged."""
    return CdrToken(
        country_code=token.country_code,
        party_id=token.party_id,
        uid=token.uid,
        type=token.type,
        contract_id=token.contract_id,
    )


def periods_of(periods: Sequence[PricedPeriod], tariff: Tariff) -> list[ChargingPeriod]:
    """Write the stretches; cumulative rounding, so that their energy adds up to the total."""
    written = []
    upto_wh, given_kwh = Decimal(0), Decimal(0)
    for period in periods:
        usage = period.usage
        upto_wh += usage.energy_wh
        upto_kwh = (upto_wh / 1000).quantize(KWH)
        kind = "PARKING_TIME" if usage.is_parking else "TIME"
        duration_h = (usage.duration_s / 3600).quantize(HOURS)
        written.append(
            ChargingPeriod(
                start_date_time=usage.begin,
                dimensions=[
                    CdrDimension(type="ENERGY", volume=upto_kwh - given_kwh),
                    CdrDimension(type=kind, volume=duration_h),
                ],
                tariff_id=tariff.id,
            )
        )
        given_kwh = upto_kwh
    return written


def energy_kwh(periods: Sequence[PricedPeriod]) -> Decimal:
    """Return the energy of all stretches, to the Wh. [kWh]."""
    total_wh = sum((p.usage.energy_wh for p in periods), Decimal(0))
    return (total_wh / 1000).quantize(KWH)


def hours(periods: Iterable[PricedPeriod]) -> Decimal:
    """Return the time of stretches. [h]."""
    total_s = sum((p.usage.duration_s for p in periods), Decimal(0))
    return (total_s / 3600).quantize(HOURS)


def _nothing(transaction: Transaction, terms: Terms) -> ChargingPeriod:
    """Write a session without length: a CDR needs a period."""
    return ChargingPeriod(
        start_date_time=transaction.started_at,
        dimensions=[CdrDimension(type="ENERGY", volume=Decimal(0))],
        tariff_id=terms.tariff.id,
    )
