"""How single values of a site file are spelled: names, addresses, connections, rotations.

Each `parse_` function returns the value taken apart; each `check_` function returns the text as it is.
Both raise `Misspelled`, which carries what is wrong and what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from difflib import get_close_matches
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic_core import PydanticCustomError

from controller.phases import PhaseRotation
from controller.policies import PRIORITY_CLASSES

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$"
STATION_PATTERN: Final = r"^[!-~]{1,48}$"
EVSE_NUMBER_PATTERN: Final = r"^[1-9][0-9]?$"
MODEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
VARIABLE_PATTERN: Final = r"^[A-Z_][A-Z0-9_]{0,63}$"

_CONNECTION_FORMS: Final = (
    "write tcp://HOST:PORT, udp://HOST:PORT, rtu+tcp://HOST:PORT or "
    "rtu:///dev/ttyUSB0?baud=9600&parity=N"
)
_SERIAL_OPTIONS: Final = ("baud", "parity", "stopbits", "timeout_s")
_BAUDS: Final = ("1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200")
_CHOICES: Final = {"baud": _BAUDS, "parity": ("N", "E", "O"), "stopbits": ("1", "2")}
_SINGLE_PHASE: Final = {
    "L1": PhaseRotation.RST,
    "R": PhaseRotation.RST,
    "L2": PhaseRotation.STR,
    "S": PhaseRotation.STR,
    "L3": PhaseRotation.TRS,
    "T": PhaseRotation.TRS,
}


def misspelled(text: str, mend: str) -> PydanticCustomError:
    """Build the error that says what is wrong and what to write instead."""
    return PydanticCustomError("misspelled", "{text}", {"text": text, "mend": mend})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where a server waits for connections."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """What a connection text names: a device, or a host and a port."""

    place: str
    is_serial: bool
    options: tuple[tuple[str, str], ...]
    """Sorted options of a serial line."""


def check_name(text: str) -> str:
    """Accept ids of sites, circuits and meters: they stand in addresses and time series."""
    if not re.fullmatch(NAME_PATTERN, text):
        raise misspelled(
            f"{_shown(text)} is no id",
            "use letters, digits, dot, dash and underscore, at most 48, no blanks; "
            "put the full name into site.name or a comment",
        )
    return text


def check_station_id(text: str) -> str:
    """Accept an OCPP identity: it is the last part of the address that the station calls."""
    bad = sorted({c for c in text if c in "/?#%" or not "!" <= c <= "~"})
    if bad or not text:
        found = f" contains {', '.join(repr(c) for c in bad)}" if bad else " is empty"
        raise misspelled(
            f"the station id {_shown(text)}{found}",
            "write the identity that is set in the station itself; "
            "letters, digits, dash, dot and underscore always work",
        )
    if len(text) > 48:
        raise misspelled(
            f"the station id has {len(text)} characters",
            "OCPP allows 48; shorten it in the station",
        )
    return text


def check_evse_number(text: str) -> str:
    """Accept an EVSE or connector number."""
    if not re.fullmatch(EVSE_NUMBER_PATTERN, text):
        raise misspelled(
            f"{_shown(text)} is no EVSE number",
            "number the EVSEs (connectors in OCPP 1.6) of a station 1, 2, ... as the station does",
        )
    return text


def check_timezone(text: str) -> str:
    """Accept a name of the IANA time zone database."""
    try:
        ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        near = get_close_matches(text, sorted(available_timezones()), n=1)
        hint = f"did you mean `{near[0]}`?" if near else "write it like Europe/Stockholm"
        raise misspelled(f"{_shown(text)} is no time zone", hint) from None
    return text


def parse_listen(text: str) -> ListenAddress:
    """Take `host:port` apart; IPv6 hosts stand in brackets."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if not match or not 1 <= int(match[3]) <= 65535:
        raise misspelled(
            f"{_shown(text)} is no address to listen on",
            'write "host:port", for example "127.0.0.1:9000", or "0.0.0.0:9000" for every network',
        )
    return ListenAddress(host=match[1] or match[2], port=int(match[3]))


def check_listen(text: str) -> str:
    """Accept `host:port`."""
    parse_listen(text)
    return text


def check_model(text: str) -> str:
    """Accept the path of a register map: it names a file and must not leave the catalogue."""
    if not re.fullmatch(MODEL_PATTERN, text):
        raise misspelled(
            f"{_shown(text)} is no meter model",
            "write the path of a file under config/meters/ without .yaml, for example eastron/sdm630",
        )
    return text


def parse_connection(text: str) -> Bus:
    """Take a meter's connection apart."""
    try:
        parts = urlsplit(text)
        port = 502 if parts.port is None else parts.port
    except ValueError:
        raise misspelled(f"{_shown(text)} is no connection", _CONNECTION_FORMS) from None
    if parts.scheme == "rtu":
        return _serial_bus(text, parts)
    if (
        parts.scheme not in ("tcp", "udp", "rtu+tcp")
        or not parts.hostname
        or parts.username is not None
    ):
        raise misspelled(f"{_shown(text)} is no connection", _CONNECTION_FORMS)
    if not 1 <= port <= 65535 or parts.path not in ("", "/") or re.search(r"\s", text):
        raise misspelled(f"{_shown(text)} is no connection", _CONNECTION_FORMS)
    return Bus(place=f"{parts.hostname}:{port}", is_serial=False, options=_options(text, parts))


def check_connection(text: str) -> str:
    """Accept a meter's connection."""
    parse_connection(text)
    return text


def _serial_bus(text: str, parts: SplitResult) -> Bus:
    if parts.netloc or not parts.path.startswith("/") or len(parts.path) < 2:
        raise misspelled(
            f"{_shown(text)} names no serial device",
            "write three slashes and the device: rtu:///dev/ttyUSB0?baud=9600&parity=N",
        )
    return Bus(place=parts.path, is_serial=True, options=_options(text, parts))


def _options(text: str, parts: SplitResult) -> tuple[tuple[str, str], ...]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key, value in options.items():
        if key not in _SERIAL_OPTIONS:
            near = get_close_matches(key, _SERIAL_OPTIONS, n=1)
            hint = (
                f"did you mean `{near[0]}`?" if near else f"known are {', '.join(_SERIAL_OPTIONS)}"
            )
            raise misspelled(f"{_shown(text)} has the unknown option `{key}`", hint)
        allowed = _CHOICES.get(key)
        if allowed and value.upper() not in allowed:
            raise misspelled(f"{key}={value} is not possible", f"write one of {', '.join(allowed)}")
    wait = options.get("timeout_s")
    if wait is not None and not re.fullmatch(r"[0-9]{1,2}(\.[0-9]+)?", wait):
        raise misspelled(f"timeout_s={wait} is no time", "write seconds, for example timeout_s=1.5")
    return tuple(sorted(options.items()))


def parse_rotation(text: str) -> PhaseRotation:
    """Read `RST` and its permutations, or the one grid phase of a single-phase EVSE."""
    if text in _SINGLE_PHASE:
        return _SINGLE_PHASE[text]
    try:
        return PhaseRotation(text)
    except ValueError:
        raise misspelled(
            f"{_shown(text)} is no phase rotation",
            "write RST, RTS, SRT, STR, TRS or TSR: the grid phases at the terminals L1, L2, L3; "
            "for a single-phase EVSE just L1, L2 or L3",
        ) from None


def check_rotation(text: str) -> str:
    """Accept a phase rotation."""
    parse_rotation(text)
    return text


def names_one_phase(rotation: str) -> bool:
    """Tell whether a rotation names a single grid phase only."""
    return rotation in _SINGLE_PHASE


def check_security_profile(profile: int) -> int:
    """Accept the OCPP security profiles."""
    if profile not in (0, 1, 2, 3):
        raise misspelled(
            f"there is no security profile {profile}",
            "write 1 (password), 2 (TLS and password), 3 (TLS with client certificates) or 0 (none)",
        )
    return profile


def check_variable(text: str) -> str:
    """Accept the name of an environment variable. The text is never shown: it may be a secret."""
    if not re.fullmatch(VARIABLE_PATTERN, text):
        raise misspelled(
            "this is not the name of an environment variable",
            "write the NAME of the variable that holds the secret, for example "
            "WATTKEEPER_INFLUX_TOKEN, and never the secret itself",
        )
    return text


def check_url(text: str) -> str:
    """Accept the address of a server. A user and password in it are refused and not shown."""
    try:
        parts = urlsplit(text)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        parts, has_port = urlsplit(""), False
    if parts.username is not None or parts.password is not None:
        raise misspelled(
            "a user or password stands in the address",
            "remove it from the address; name variables with user_env and password_env, or token_env",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise misspelled(f"{_shown(text)} is no address", 'write it like "http://127.0.0.1:8086"')
    if re.search(r"\s", text):
        raise misspelled(f"{_shown(text)} contains a blank", "remove the blank")
    return text


def check_mailbox(text: str) -> str:
    """Accept a plain mail address."""
    if not re.fullmatch(r"[^@\s<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,190}", text):
        raise misspelled(f"{_shown(text)} is no mail address", "write it like ops@example.org")
    return text


def check_time_of_day(text: str) -> str:
    """Accept a time of day."""
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise misspelled(f"{_shown(text)} is no time of day", 'write it in quotes, like "22:00"')
    return text


def check_mqtt_url(text: str) -> str:
    """Accept the address of an MQTT broker, without user and password."""
    match = re.fullmatch(r"mqtts?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:([0-9]{1,5}))?/?", text)
    if not match or (match[3] and not 1 <= int(match[3]) <= 65535):
        raise misspelled(
            f"{_shown(text)} is no address of a broker"
            if "@" not in text
            else "a user or password stands in the address",
            'write it like "mqtt://127.0.0.1:1883" or "mqtts://broker.example:8883", the user into '
            "username and the name of a variable into password_env",
        )
    return text


def check_topic(text: str) -> str:
    """Accept the beginning of an MQTT topic."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", text) or len(text) > 100:
        raise misspelled(f"{_shown(text)} is no topic", "write it like wattkeeper or site/energy")
    return text


def check_filled(text: str) -> str:
    """Accept any text that is not blank."""
    if not text.strip() or not text.isprintable():
        raise misspelled("the text is blank or has control characters", "write a name")
    return text


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57] + "...")


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = f"({'|'.join(WEEKDAYS)})"
DAYS_PATTERN = f"^{_DAY}(-{_DAY})?(,{_DAY}(-{_DAY})?)*$"
CLOCK_PATTERN = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"


def priority_of(value: object) -> object:
    """Turn a named priority class into its number; leave the rest to the bounds."""
    if isinstance(value, bool):
        raise misspelled(
            "a priority is no yes or no", "write a whole number, or low, normal, high or urgent"
        )
    return PRIORITY_CLASSES.get(value, value) if isinstance(value, str) else value


def check_days(text: str) -> str:
    """Check weekdays."""
    if not re.fullmatch(DAYS_PATTERN, text):
        raise misspelled(f"{_shown(text)} are no weekdays", "write them like mon-fri or sat,sun")
    return text


def parse_days(text: str) -> frozenset[int]:
    """Return the days of a checked text; 0 is Monday. A range may go over Sunday."""
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin = WEEKDAYS.index(first)
        count = (WEEKDAYS.index(last or first) - begin) % 7 + 1
        days |= {(begin + n) % 7 for n in range(count)}
    return frozenset(days)


def check_clock(text: str) -> str:
    """Check a time of day."""
    if not re.fullmatch(CLOCK_PATTERN, text):
        raise misspelled(f"{_shown(text)} is no time of day", "write it like '06:00'")
    return text


def parse_clock(text: str) -> time:
    """Return a checked time of day; 24:00 is 00:00."""
    hour, _, minute = text.partition(":")
    return time(int(hour) % 24, int(minute))
