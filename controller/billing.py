"""Who is billed by which tariff, and what each session costs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from controller.metering import Curve, usages
from controller.pricing import Bill, Tariff, bill
from controller.records import TokenRecord
from controller.transaction import IdToken, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Somebody whose sessions are billed together."""

    id: str
    name: str
    tariff: str | None = None
    groups: frozenset[str] = frozenset()
    """Groups of tokens, casefolded."""
    tokens: frozenset[str] = frozenset()
    """Single tokens, casefolded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """The site's tariffs and tenants."""

    currency: str
    tariff: str
    """Of everybody without one of their own."""
    tariffs: Mapping[str, Tariff]
    tenants: tuple[Tenant, ...] = ()

    @property
    def standard(self) -> Tariff:
        """Return the site's own tariff."""
        return self.tariffs[self.tariff]

    def tariff_of(self, tenant: Tenant | None) -> Tariff:
        """Return the tariff of a tenant."""
        name = tenant.tariff if tenant is not None and tenant.tariff is not None else self.tariff
        return self.tariffs[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Which group each token of the site's list is in, casefolded."""

    by_token: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[TokenRecord]) -> Groups:
        """Read them off the list."""
        return cls(
            by_token={r.id.casefold(): r.group.casefold() for r in records if r.group is not None}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledSession:
    """A session, whose it is and what it costs."""

    transaction: Transaction
    tenant: Tenant | None
    tariff: Tariff
    bill: Bill


def tenant_of(billing: Billing, token: IdToken | None, groups: Groups) -> Tenant | None:
    """Find whose a token is: named itself before by its group; the first tenant counts."""
    if token is None:
        return None
    name = token.casefold()
    group = groups.by_token.get(name)
    named = (t for t in billing.tenants if name in t.tokens)
    grouped = (t for t in billing.tenants if group is not None and group in t.groups)
    return next(named, None) or next(grouped, None)


def billed(
    transaction: Transaction,
    curve: Curve,
    *,
    billing: Billing,
    groups: Groups,
    zone: ZoneInfo,
    now: datetime,
) -> BilledSession:
    """Price a session by its tenant's tariff."""
    tenant = tenant_of(billing, transaction.id_token, groups)
    tariff = billing.tariff_of(tenant)
    return BilledSession(
        transaction=transaction,
        tenant=tenant,
        tariff=tariff,
        bill=bill(tariff, usages(transaction, curve, now=now), zone=zone),
    )
