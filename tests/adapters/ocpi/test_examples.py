"""Objects as partners write them: read, and written again as the same JSON.

The specification's own example files are not kept here. `WATTKEEPER_OCPI_EXAMPLES` names a folder of them: files whose
names begin as in `OBJECTS`, one object or a list of objects in each.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.ocpi.models import credentials, locations, sessions, tariffs, tokens
from adapters.ocpi.models.base import OcpiModel
from adapters.ocpi.tariffs import from_ocpi

OBJECTS: dict[str, type[OcpiModel]] = {
    "cdr": sessions.Cdr,
    "credentials": credentials.Credentials,
    "location": locations.Location,
    "session": sessions.Session,
    "tariff": tariffs.Tariff,
    "token": tokens.Token,
    "version_details": credentials.VersionDetails,
    "versions": credentials.Version,
}
VARIABLE = "WATTKEEPER_OCPI_EXAMPLES"
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z?")
AT = "2026-03-02T08:00:00Z"

TOKEN = {
    "country_code": "NL",
    "party_id": "EXM",
    "uid": "04A1B2C3",
    "type": "RFID",
    "contract_id": "NL-EXM-C00000001-X",
    "visual_number": "EXM-0001",
    "issuer": "Example Mobility",
    "group_id": "EXM-G1",
    "valid": True,
    "whitelist": "ALLOWED_OFFLINE",
    "language": "nl",
    "default_profile_type": "GREEN",
    "energy_contract": {"supplier_name": "Wind & Sun", "contract_id": "77"},
    "last_updated": AT,
}
CDR_TOKEN = {k: TOKEN[k] for k in ("country_code", "party_id", "uid", "type", "contract_id")}
TARIFF = {
    "country_code": "SE",
    "party_id": "WKP",
    "id": "night",
    "currency": "EUR",
    "type": "REGULAR",
    "tariff_alt_text": [{"language": "sv", "text": "Billigare på natten."}],
    "tariff_alt_url": "https://depot.example/prices",
    "min_price": {"excl_vat": 0.5, "incl_vat": 0.625},
    "max_price": {"excl_vat": 40},
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": 0.2, "vat": 25.0, "step_size": 1},
                {"type": "FLAT", "price": 1, "step_size": 1},
            ],
            "restrictions": {
                "start_time": "22:00",
                "end_time": "24:00",
                "start_date": "2026-01-01",
                "end_date": "2027-01-01",
                "min_kwh": 1.5,
                "max_power": 22,
                "max_duration": 7200,
                "day_of_week": ["MONDAY", "SUNDAY"],
            },
        },
        {
            "price_components": [{"type": "TIME", "price": 5, "step_size": 300}],
            "restrictions": {"reservation": "RESERVATION"},
        },
    ],
    "energy_mix": {"is_green_energy": True},
    "tax_included": "NO",
    "last_updated": AT,
}
CONNECTOR = {
    "id": "1",
    "standard": "IEC_62196_T2_COMBO",
    "format": "CABLE",
    "power_type": "DC",
    "max_voltage": 920,
    "max_amperage": 400,
    "max_electric_power": 150000,
    "tariff_ids": ["night"],
    "capabilities": ["ISO_15118_20_PLUG_AND_CHARGE"],
    "last_updated": AT,
}
LOCATION = {
    "country_code": "SE",
    "party_id": "WKP",
    "id": "depot",
    "publish": False,
    "publish_allowed_to": [{"uid": "04A1B2C3", "type": "RFID"}],
    "address": "Industrigatan 1",
    "city": "Umeå",
    "country": "SWE",
    "coordinates": {"latitude": "63.82500", "longitude": "-20.263001"},
    "related_locations": [
        {
            "latitude": "63.82501",
            "longitude": "20.26301",
            "name": {"language": "sv", "text": "Grind"},
        }
    ],
    "parking_places": [{"id": "p1", "vehicle_types": ["PERSONAL_VEHICLE"]}],
    "evses": [
        {
            "uid": "e1",
            "evse_id": "SE*WKP*E1",
            "status": "CHARGING",
            "status_schedule": [],
            "capabilities": ["RFID_READER", "A_NEW_ONE"],
            "connectors": [CONNECTOR],
            "parking": ["p1", {"parking_id": "p2", "evse_position": "LEFT"}],
            "floor_level": "-1",
            "images": [
                {
                    "url": "https://depot.example/e1.png",
                    "category": "CHARGER",
                    "type": "png",
                    "width": 40,
                }
            ],
            "last_updated": AT,
        }
    ],
    "facilities": ["PARKING_LOT"],
    "time_zone": "Europe/Stockholm",
    "opening_times": {"twentyfourseven": False, "regular_hours": [{"weekday": 1}]},
    "last_updated": "2026-03-02T08:00:00.250Z",
}
PERIODS = [
    {"start_date_time": AT, "dimensions": [{"type": "ENERGY", "volume": 7.001}], "tariff_id": "t"}
]
SESSION = {
    "country_code": "SE",
    "party_id": "WKP",
    "id": "s1",
    "start_date_time": AT,
    "kwh": 0,
    "cdr_token": CDR_TOKEN,
    "auth_method": "COMMAND",
    "authorization_reference": "ref-1",
    "location_id": "depot",
    "evse_uid": "e1",
    "connector_id": "1",
    "currency": "EUR",
    "charging_periods": PERIODS,
    "total_cost": {"excl_vat": 2.5},
    "status": "PENDING",
    "last_updated": AT,
}
CDR = {
    "country_code": "SE",
    "party_id": "WKP",
    "id": "c1",
    "start_date_time": AT,
    "end_date_time": "2026-03-02T09:30:00Z",
    "session_id": "s1",
    "cdr_token": CDR_TOKEN,
    "auth_method": "WHITELIST",
    "cdr_location": {
        "id": "depot",
        "address": "Industrigatan 1",
        "city": "Umeå",
        "country": "SWE",
        "coordinates": {"latitude": "63.82500", "longitude": "20.26300"},
        "evse_uid": "e1",
        "evse_id": "SE*WKP*E1",
        "connector_id": "1",
        "connector_standard": "IEC_62196_T2",
        "connector_format": "SOCKET",
        "connector_power_type": "AC_3_PHASE",
    },
    "currency": "EUR",
    "tariffs": [TARIFF],
    "charging_periods": PERIODS,
    "signed_data": {
        "encoding_method": "OCMF",
        "signed_values": [{"nature": "Start", "plain_data": "a", "signed_data": "b"}],
    },
    "total_cost": {"excl_vat": 4.0, "incl_vat": 5.0},
    "total_energy": 15.342,
    "total_time": 1.5,
    "total_parking_time": 0.25,
    "credit": True,
    "credit_reference_id": "c0",
    "last_updated": AT,
}
ROLE = {
    "role": "EMSP",
    "party_id": "EXM",
    "country_code": "NL",
    "business_details": {"name": "Example Mobility", "website": "https://example.com"},
}
OWN: tuple[tuple[str, Any], ...] = (
    ("token", TOKEN),
    ("tariff", TARIFF),
    ("location", LOCATION),
    ("session", SESSION),
    ("cdr", CDR),
    (
        "credentials",
        {"token": "t-1", "url": "https://example.com/v", "hub_party_id": "NLHUB", "roles": [ROLE]},
    ),
    (
        "version_details",
        {
            "version": "2.2.1",
            "endpoints": [
                {"identifier": "cdrs", "role": "RECEIVER", "url": "https://example.com/cdrs"}
            ],
        },
    ),
    ("versions", [{"version": "2.2.1", "url": "https://example.com/2.2.1"}]),
)


def given() -> list[Any]:
    """Return name and content: the folder's files, else our own objects."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return [pytest.param(name, value, id=name) for name, value in OWN]
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        raise ValueError(f"{VARIABLE}: there are no *.json files in {folder}")
    return [pytest.param(f.stem, json.loads(f.read_text("utf-8")), id=f.stem) for f in files]


def model_of(name: str) -> type[OcpiModel]:
    return next(OBJECTS[k] for k in sorted(OBJECTS, key=len, reverse=True) if name.startswith(k))


def plain(value: Any) -> Any:
    """Return JSON in which equal numbers and equal instants are equal."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value)).normalize()
    if isinstance(value, str) and INSTANT.fullmatch(value):
        return datetime.fromisoformat(value.removesuffix("Z") + "+00:00")
    return value


@pytest.mark.parametrize(("name", "content"), given())
def test_an_object_is_written_as_it_was_read(name: str, content: Any) -> None:
    objects = content if isinstance(content, list) else [content]

    written = [model_of(name).model_validate(o).as_json() for o in objects]

    assert plain(json.loads(json.dumps(written))) == plain(objects)


def test_an_end_at_24_00_is_the_end_of_the_day() -> None:
    restrictions = from_ocpi(tariffs.Tariff.model_validate(TARIFF)).elements[0].restrictions

    assert (str(restrictions.start_time), restrictions.end_time) == ("22:00:00", None)


@pytest.mark.parametrize("missing", ["country_code", "party_id", "uid", "last_updated"])
def test_a_token_without_its_owner_is_refused(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        tokens.Token.model_validate({k: v for k, v in TOKEN.items() if k != missing})
