"""Who is billed by which tariff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from controller.billing import Billing, Groups, Tenant, billed, tenant_of
from controller.metering import Curve
from controller.pricing import Dimension, PriceComponent, Tariff, TariffElement
from controller.records import TokenRecord
from controller.site import EvseId, StationId
from controller.transaction import IdToken, Transaction, TransactionId

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def tariff(name: str, price: str) -> Tariff:
    component = PriceComponent(dimension=Dimension.ENERGY, price=Decimal(price))
    return Tariff(id=name, currency="EUR", elements=(TariffElement(components=(component,)),))


RULES = Billing(
    currency="EUR",
    tariff="standard",
    tariffs={"standard": tariff("standard", "0.40"), "staff": tariff("staff", "0.10")},
    tenants=(
        Tenant(id="acme", name="Acme", tariff="staff", groups=frozenset({"fleet"})),
        Tenant(id="boss", name="Boss", tokens=frozenset({"04ab"})),
    ),
)
GROUPS = Groups.of(
    [
        TokenRecord(id=IdToken("04CD"), group=IdToken("FLEET")),
        TokenRecord(id=IdToken("04AB"), group=IdToken("FLEET")),
        TokenRecord(id=IdToken("04EF")),
    ]
)


@pytest.mark.parametrize(
    ("token", "tenant", "cost"),
    [("04cd", "acme", "1"), ("04AB", "boss", "4"), ("04EF", None, "4"), (None, None, "4")],
)
def test_a_token_named_itself_counts_before_its_group(
    token: str | None, tenant: str | None, cost: str
) -> None:
    id_token = None if token is None else IdToken(token)
    session = Transaction(
        id=TransactionId("1"),
        station=StationId("CP1"),
        evse=EvseId("CP1/1"),
        id_token=id_token,
        started_at=START,
        start_wh=0.0,
        last_wh=10_000.0,
        ended_at=START + timedelta(hours=1),
    )

    found = tenant_of(RULES, id_token, GROUPS)
    made = billed(
        session, Curve(), billing=RULES, groups=GROUPS, zone=ZoneInfo("UTC"), now=session.started_at
    )

    assert (found.id if found is not None else None) == tenant
    assert made.bill.total.excl_vat == Decimal(cost)
