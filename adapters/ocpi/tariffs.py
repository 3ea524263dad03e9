"""The site's tariff as OCPI writes it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from adapters.ocpi.models import tariffs as ocpi
from adapters.ocpi.models.base import Price
from controller.pricing import (
    Dimension,
    Money,
    PriceComponent,
    Restrictions,
    Tariff,
    TariffElement,
    Weekday,
)


def to_ocpi(tariff: Tariff, *, party: tuple[str, str], updated_at: datetime) -> ocpi.Tariff:
    """Write a tariff."""
    return ocpi.Tariff(
        country_code=party[0],
        party_id=party[1],
        id=tariff.id,
        currency=tariff.currency,
        min_price=price_of(tariff.min_price),
        max_price=price_of(tariff.max_price),
        elements=[_element(e) for e in tariff.elements],
        last_updated=updated_at,
    )


def from_ocpi(tariff: ocpi.Tariff) -> Tariff:
    """Read a tariff.

    Raises:
        ValueError: A weekday that does not exist.
    """
    return Tariff(
        id=tariff.id,
        currency=tariff.currency,
        min_price=_money(tariff.min_price),
        max_price=_money(tariff.max_price),
        elements=tuple(
            TariffElement(
                components=tuple(_component(c) for c in element.price_components),
                restrictions=_restrictions(element.restrictions),
            )
            for element in tariff.elements
        ),
    )


def price_of(money: Money | None) -> Price | None:
    """Write an amount."""
    if money is None:
        return None
    return Price(excl_vat=money.excl_vat, incl_vat=money.incl_vat)


def _money(price: Price | None) -> Money | None:
    return None if price is None else Money(excl_vat=price.excl_vat, incl_vat=price.incl_vat)


def _component(component: ocpi.PriceComponent) -> PriceComponent:
    return PriceComponent(
        dimension=Dimension(component.type.value),
        price=component.price,
        vat_percent=component.vat,
        step_size=component.step_size,
    )


def _restrictions(limits: ocpi.TariffRestrictions | None) -> Restrictions:
    if limits is None:
        return Restrictions()
    return Restrictions(
        start_time=None if limits.start_time is None else time.fromisoformat(limits.start_time),
        end_time=_end(limits.end_time),
        start_date=None if limits.start_date is None else date.fromisoformat(limits.start_date),
        end_date=None if limits.end_date is None else date.fromisoformat(limits.end_date),
        min_kwh=limits.min_kwh,
        max_kwh=limits.max_kwh,
        min_current_a=limits.min_current,
        max_current_a=limits.max_current,
        min_power_kw=limits.min_power,
        max_power_kw=limits.max_power,
        min_duration_s=limits.min_duration,
        max_duration_s=limits.max_duration,
        weekdays=frozenset(_weekday(d) for d in limits.day_of_week or ()),
        is_reservation=limits.reservation is not None,
    )


def _end(text: str | None) -> time | None:
    """Read an end; at midnight the day ends anyway."""
    return None if text in (None, "24:00") else time.fromisoformat(text)


def _weekday(name: str) -> Weekday:
    if name not in Weekday.__members__:
        raise ValueError(f"{name} is not a day of the week")
    return Weekday[name]


def _element(element: TariffElement) -> ocpi.TariffElement:
    limits = _limits(element.restrictions)
    return ocpi.TariffElement(
        price_components=[
            ocpi.PriceComponent(
                type=ocpi.TariffDimensionType(c.dimension.value),
                price=c.price,
                vat=c.vat_percent,
                step_size=c.step_size,
            )
            for c in element.components
        ],
        restrictions=ocpi.TariffRestrictions.model_validate(limits) if limits else None,
    )


def _limits(limits: Restrictions) -> Mapping[str, Any]:
    written: dict[str, Any] = {
        "start_time": _clock(limits.start_time),
        "end_time": _clock(limits.end_time),
        "start_date": None if limits.start_date is None else limits.start_date.isoformat(),
        "end_date": None if limits.end_date is None else limits.end_date.isoformat(),
        "min_kwh": limits.min_kwh,
        "max_kwh": limits.max_kwh,
        "min_current": limits.min_current_a,
        "max_current": limits.max_current_a,
        "min_power": limits.min_power_kw,
        "max_power": limits.max_power_kw,
        "min_duration": limits.min_duration_s,
        "max_duration": limits.max_duration_s,
        "day_of_week": [d.name for d in Weekday if d in limits.weekdays] or None,
        "reservation": "RESERVATION" if limits.is_reservation else None,
    }
    return {k: v for k, v in written.items() if v is not None}


def _clock(at: time | None) -> str | None:
    return None if at is None else at.strftime("%H:%M")
