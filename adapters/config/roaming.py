"""Billing as domain values, and the rules that its keys have to keep together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal

from adapters.config.problems import Finding, KeyPath, Spot
from adapters.config.roaming_keys import (
    BillingSection,
    ElementEntry,
    OcpiSection,
    TariffEntry,
    WhenEntry,
)
from controller.billing import Billing, Tenant
from controller.pricing import (
    Dimension,
    Money,
    PriceComponent,
    Restrictions,
    Tariff,
    TariffElement,
    Weekday,
)


def to_billing(section: BillingSection | None) -> Billing | None:
    """Build the tariffs and tenants; None: nothing is priced."""
    if section is None:
        return None
    return Billing(
        currency=section.currency,
        tariff=section.tariff,
        tariffs={
            name: to_tariff(name, entry, section.currency)
            for name, entry in section.tariffs.items()
        },
        tenants=tuple(
            Tenant(
                id=name,
                name=entry.name,
                tariff=entry.tariff,
                groups=frozenset(g.casefold() for g in entry.groups),
                tokens=frozenset(t.casefold() for t in entry.tokens),
            )
            for name, entry in section.tenants.items()
        ),
    )


def to_tariff(name: str, entry: TariffEntry, currency: str) -> Tariff:
    """Build one tariff."""
    return Tariff(
        id=name,
        currency=currency,
        elements=tuple(_element(e) for e in entry.elements),
        min_price=_amount(entry.min_price),
        max_price=_amount(entry.max_price),
    )


def roaming_findings(
    billing: BillingSection | None, ocpi: OcpiSection | None, *, is_priced: bool
) -> Iterator[Finding]:
    """Return every broken rule of both sections."""
    if ocpi is not None:
        if not is_priced:
            yield Finding(
                path=("ocpi",),
                text="roaming needs prices",
                mend="add a section `billing` with a currency and a tariff; a free one has "
                "`{type: flat, price: 0}`",
                spot=Spot.KEY,
            )
        if ocpi.url.startswith("http://") and not ocpi.allow_private_partners:
            yield Finding(
                path=("ocpi", "url"),
                text="partners are not reached without TLS",
                mend="write https://, and put a reverse proxy with a certificate before it",
            )
    if billing is None:
        return
    named: list[tuple[KeyPath, str]] = [(("billing", "tariff"), billing.tariff)]
    named += [
        (("billing", "tenants", tenant, "tariff"), entry.tariff)
        for tenant, entry in billing.tenants.items()
        if entry.tariff is not None
    ]
    for path, tariff in named:
        if tariff not in billing.tariffs:
            yield Finding(
                path=path,
                text=f"there is no tariff `{tariff}`",
                mend=f"known here are {', '.join(sorted(billing.tariffs))}",
            )


def _element(entry: ElementEntry) -> TariffElement:
    return TariffElement(
        components=tuple(
            PriceComponent(
                dimension=Dimension(p.type.upper()),
                price=_decimal(p.price),
                vat_percent=None if p.vat_percent is None else _decimal(p.vat_percent),
                step_size=p.step_size,
            )
            for p in entry.prices
        ),
        restrictions=_restrictions(entry.when),
    )


def _restrictions(when: WhenEntry) -> Restrictions:
    return Restrictions(
        start_time=None if when.start_time is None else time.fromisoformat(when.start_time),
        end_time=None if when.end_time is None else time.fromisoformat(when.end_time),
        start_date=None if when.start_date is None else date.fromisoformat(when.start_date),
        end_date=None if when.end_date is None else date.fromisoformat(when.end_date),
        min_kwh=None if when.min_kwh is None else _decimal(when.min_kwh),
        max_kwh=None if when.max_kwh is None else _decimal(when.max_kwh),
        min_duration_s=when.min_duration_s,
        max_duration_s=when.max_duration_s,
        weekdays=frozenset(Weekday[name.upper()] for name in when.weekdays),
    )


def _amount(value: float | None) -> Money | None:
    return None if value is None else Money(excl_vat=_decimal(value), incl_vat=None)


def _decimal(value: float) -> Decimal:
    """Read a number as it was written: 0.45 and not its nearest binary fraction."""
    return Decimal(str(value))
