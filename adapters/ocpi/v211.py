"""The same objects as OCPI 2.1.1 writes them. Source: OCPI 2.1.1-d2."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
_LOCATION_DROPPED = frozenset(
    {"country_code", "party_id", "publish", "publish_allowed_to", "parking_type"}
)
_CONNECTOR_DROPPED = frozenset({"max_electric_power", "tariff_ids", "max_voltage", "max_amperage"})
_KNOWN_CAPABILITIES = frozenset(
    {"CHARGING_PROFILE_CAPABLE", "REMOTE_START_STOP_CAPABLE", "RFID_READER", "UNLOCK_CAPABLE"}
)


def location(data: Json) -> Json:
    """Write a location."""
    kept = {k: v for k, v in data.items() if k not in _LOCATION_DROPPED}
    return {**kept, "type": "OTHER", "evses": [evse(e) for e in data.get("evses", [])]}


def evse(data: Json) -> Json:
    """Write an EVSE."""
    return {
        **data,
        "capabilities": [c for c in data.get("capabilities", []) if c in _KNOWN_CAPABILITIES],
        "connectors": [connector(c) for c in data["connectors"]],
    }


def connector(data: Json) -> Json:
    """Write a connector."""
    kept = {k: v for k, v in data.items() if k not in _CONNECTOR_DROPPED}
    tariffs = data.get("tariff_ids") or [None]
    made = {**kept, "voltage": data["max_voltage"], "amperage": data["max_amperage"]}
    power = made["power_type"]
    made["power_type"] = "AC_3_PHASE" if power == "AC_2_PHASE" else power
    return made if tariffs[0] is None else {**made, "tariff_id": tariffs[0]}


def session(data: Json, place: Json | None) -> Json:
    """Write a session; the location is embedded with the one EVSE. None: it is not known now."""
    site = place if place is not None else {"id": data["location_id"], "evses": []}
    site = {**site, "evses": [e for e in site["evses"] if e["uid"] == data["evse_uid"]]}
    made = {
        "id": data["id"],
        "start_datetime": data["start_date_time"],
        "kwh": data["kwh"],
        "auth_id": data["cdr_token"]["contract_id"],
        "auth_method": method(data["auth_method"]),
        "location": site,
        "currency": data["currency"],
        "charging_periods": [period(p) for p in data.get("charging_periods", [])],
        "status": data["status"],
        "last_updated": data["last_updated"],
    }
    if "end_date_time" in data:
        made["end_datetime"] = data["end_date_time"]
    if "total_cost" in data:
        made["total_cost"] = data["total_cost"]["excl_vat"]
    return made


def cdr(data: Json) -> Json:
    """Write a CDR."""
    place = data["cdr_location"]
    made = {
        "id": data["id"][:36],
        "start_date_time": data["start_date_time"],
        "stop_date_time": data["end_date_time"],
        "auth_id": data["cdr_token"]["contract_id"],
        "auth_method": method(data["auth_method"]),
        "location": {
            "id": place["id"],
            "type": "OTHER",
            "name": place.get("name", ""),
            "address": place["address"],
            "city": place["city"],
            "postal_code": place.get("postal_code", ""),
            "country": place["country"],
            "coordinates": place["coordinates"],
            "evses": [
                {
                    "uid": place["evse_uid"],
                    "evse_id": place["evse_id"],
                    "status": "CHARGING",
                    "last_updated": data["last_updated"],
                }
            ],
            "last_updated": data["last_updated"],
        },
        "currency": data["currency"],
        "tariffs": [tariff(t) for t in data.get("tariffs", [])],
        "charging_periods": [period(p) for p in data["charging_periods"]],
        "total_cost": data["total_cost"]["excl_vat"],
        "total_energy": data["total_energy"],
        "total_time": data["total_time"],
        "last_updated": data["last_updated"],
    }
    if "total_parking_time" in data:
        made["total_parking_time"] = data["total_parking_time"]
    return made


def tariff(data: Json) -> Json:
    """Write a tariff: prices without VAT, no least and most."""
    dropped = {"country_code", "party_id", "min_price", "max_price", "type"}
    elements = [
        {
            **e,
            "price_components": [
                {k: v for k, v in c.items() if k != "vat"} for c in e["price_components"]
            ],
        }
        for e in data["elements"]
    ]
    return {**{k: v for k, v in data.items() if k not in dropped}, "elements": elements}


def period(data: Json) -> Json:
    """Write a stretch; tariffs are not named in it."""
    return {k: v for k, v in data.items() if k != "tariff_id"}


def method(name: str) -> str:
    """Write how a session was allowed; commands did not exist there."""
    return "AUTH_REQUEST" if name == "COMMAND" else name


def token_in(data: Json, *, country: str, party: str) -> Json:
    """Read a token: whose it is stands in the address."""
    made = {**data, "country_code": country, "party_id": party}
    if "auth_id" in made:
        made["contract_id"] = made.pop("auth_id")
    return made


def token_out(data: Json) -> Json:
    """Write a token."""
    dropped = {"country_code", "party_id", "contract_id", "group_id", "energy_contract"}
    return {**{k: v for k, v in data.items() if k not in dropped}, "auth_id": data["contract_id"]}


def command_in(data: Json, *, country: str, party: str) -> Json:
    """Read a command: its token says nothing of the party."""
    token = data.get("token")
    if not isinstance(token, dict):
        return data
    return {**data, "token": token_in(token, country=country, party=party)}
