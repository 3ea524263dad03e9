"""The keys of billing and roaming."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from adapters.config import spelling
from adapters.config.keybase import Keys, Label, Listen, Name, Variable

Price = Annotated[float, Field(ge=0, le=1_000_000)]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Day = Annotated[str, Field(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
WeekdayName = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class PriceEntry(Keys):
    """A price for one dimension."""

    type: Literal["energy", "time", "parking_time", "flat"] = Field(examples=["energy"])
    """`energy` per kWh, `time` per hour of charging, `parking_time` per hour without it, `flat` once."""
    price: Price = Field(examples=[0.45])
    """Amount without VAT, in the currency of the section."""
    vat_percent: float | None = Field(None, ge=0, le=100, examples=[25])
    """Value added tax; absent: not known, which differs from 0. [%]"""
    step_size: int = Field(1, ge=1, le=86_400)
    """Smallest amount that is billed: Wh for energy, seconds for times."""


class WhenEntry(Keys):
    """When prices count; absent keys do not restrict. Times and days are the site's own."""

    start_time: ClockTime | None = Field(None, examples=['"22:00"'])
    """From this time of day on."""
    end_time: ClockTime | None = Field(None, examples=['"06:00"'])
    """Until before this time of day; at or before start_time it is the next day's."""
    start_date: Day | None = Field(None, examples=['"2026-12-24"'])
    """From this day on."""
    end_date: Day | None = Field(None, examples=['"2026-12-27"'])
    """Until before this day."""
    weekdays: list[WeekdayName] = Field(default_factory=list, examples=["[saturday, sunday]"])
    """On these days of the week."""
    min_kwh: float | None = Field(None, ge=0, le=10_000, examples=[10])
    """After so much energy. [kWh]"""
    max_kwh: float | None = Field(None, ge=0, le=10_000, examples=[10])
    """Before so much energy. [kWh]"""
    min_duration_s: int | None = Field(None, ge=0, le=1_000_000, examples=[3600])
    """After so much time since the start. [s]"""
    max_duration_s: int | None = Field(None, ge=0, le=1_000_000, examples=[3600])
    """Before so much time since the start. [s]"""


class ElementEntry(Keys):
    """Prices that count together; of each dimension the first that matches counts."""

    prices: list[PriceEntry] = Field(min_length=1, examples=["[{type: energy, price: 0.45}]"])
    """Its prices."""
    when: WhenEntry = WhenEntry()
    """When they count."""


class TariffEntry(Keys):
    """A tariff."""

    elements: list[ElementEntry] = Field(min_length=1, examples=["[{prices: [...]}]"])
    """Its elements, the first match of each dimension counts."""
    min_price: Price | None = Field(None, examples=[1])
    """A session costs at least so much, without VAT."""
    max_price: Price | None = Field(None, examples=[50])
    """A session costs at most so much, without VAT."""


class TenantEntry(Keys):
    """Somebody whose sessions are billed together."""

    name: Label = Field(examples=["Acme AB"])
    """Name on the bill."""
    tariff: Name | None = Field(None, examples=["staff"])
    """Its tariff, where it differs from the site's."""
    groups: list[Label] = Field(default_factory=list, examples=["[ACME]"])
    """Groups of tokens that belong to it."""
    tokens: list[Label] = Field(default_factory=list, examples=["[04A1B2C3]"])
    """Single tokens that belong to it."""


class BillingSection(Keys):
    """What charging costs; without this section nothing is priced."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(examples=["EUR"])
    """Currency of all prices (ISO 4217)."""
    tariff: Name = Field(examples=["standard"])
    """Id of the tariff that counts where no tenant has its own."""
    tariffs: dict[Name, TariffEntry] = Field(
        min_length=1, examples=["{standard: {elements: [...]}}"]
    )
    """Tariffs by id."""
    tenants: dict[Name, TenantEntry] = Field(default_factory=dict)
    """Who is billed, by id; everybody else is billed by token."""


class UpstreamSection(Keys):
    """The operator's own back office: every station's connection is relayed to it."""

    url: Annotated[str, Field(pattern="^wss?://[^ ]+$")] = Field(
        examples=["wss://csms.example/ocpp"]
    )
    """Where stations would connect without Wattkeeper, without their identity."""
    password_env: Variable | None = Field(None, examples=["WATTKEEPER_UPSTREAM_PASSWORD"])
    """Name of the environment variable with the password of stations that have none of their own."""
    authority_file: Label | None = Field(None, examples=["tls/csms-ca.pem"])
    """Certificates that its certificate may come from; absent: the system's."""


class OcpiSection(Keys):
    """Roaming by OCPI: other companies' drivers charge here."""

    listen: Listen = Field("127.0.0.1:9100", examples=["127.0.0.1:9100"])
    """Address and port; put a reverse proxy with a certificate before it."""
    url: Annotated[str, AfterValidator(spelling.check_url)] = Field(
        examples=["https://depot.example/ocpi"]
    )
    """How partners reach it."""
    country_code: Annotated[str, Field(pattern="^[A-Z]{2}$")] = Field(examples=["SE"])
    """Country of the operator's party id (ISO 3166-1 alpha-2)."""
    party_id: Annotated[str, Field(pattern="^[A-Z0-9]{3}$")] = Field(examples=["WKP"])
    """The operator's party id."""
    operator: Label = Field(examples=["Depot Nord AB"])
    """Name of the operator."""
    website: Label | None = Field(None, examples=["https://depot.example"])
    """Page of the operator."""
    address: Annotated[str, Field(min_length=1, max_length=45)] = Field(
        examples=["Industrigatan 1"]
    )
    """Street and number of the site."""
    city: Annotated[str, Field(min_length=1, max_length=45)] = Field(examples=["Umeå"])
    """Town of the site."""
    postal_code: Annotated[str, Field(max_length=10)] | None = Field(None, examples=["903 20"])
    """Postal code of the site."""
    country: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(examples=["SWE"])
    """Country of the site (ISO 3166-1 alpha-3)."""
    latitude: float = Field(ge=-90, le=90, examples=[63.825])
    """Degrees north."""
    longitude: float = Field(ge=-180, le=180, examples=[20.263])
    """Degrees east."""
    publish: bool = True
    """Drivers' apps may show the site."""
    connector_standard: Annotated[str, Field(pattern="^[A-Z0-9_]{1,40}$")] = "IEC_62196_T2"
    """What the sockets are, in OCPI's words."""
    connector_format: Literal["SOCKET", "CABLE"] = "SOCKET"
    """Whether cables are fixed."""
    allow_private_partners: bool = False
    """Partners may live on private addresses and speak plain HTTP: for tests and closed networks."""
