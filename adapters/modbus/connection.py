"""Where a meter is: the connection text of the site file, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import parse_qs, urlsplit

from adapters.modbus.registermap import BusDefaults

_TCP_ANSWER_S: Final = 0.8
_RTU_ANSWER_S: Final = 0.3
_DEFAULT_PORT: Final = 502
_FORMS: Final = (
    "tcp://HOST:PORT, udp://HOST:PORT, rtu+tcp://HOST:PORT or rtu:///dev/ttyUSB0?baud=9600&parity=N"
)
_OPTIONS: Final = frozenset({"baud", "parity", "stopbits", "timeout_s"})


class ConnectionTextError(ValueError):
    """A connection text that cannot be understood; says what is wrong and what is expected."""


class Transport(Enum):
    """How frames travel; the value is the scheme."""

    TCP = "tcp"
    UDP = "udp"
    RTU_OVER_TCP = "rtu+tcp"
    SERIAL = "rtu"

    @property
    def is_rtu(self) -> bool:
        """Tell whether frames carry no transaction id, so that a late answer looks like a good one."""
        return self in (Transport.RTU_OVER_TCP, Transport.SERIAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A bus or a device on the network."""

    transport: Transport
    host: str = ""
    port: int = _DEFAULT_PORT
    device: str = ""
    baud: int = 9600
    parity: str = "N"
    stopbits: int = 1
    timeout_s: float | None = None
    """Longest wait for an answer, where the default does not suit a slow gateway. [s]"""

    @property
    def place(self) -> str:
        """The physical thing that only one task may use at a time."""
        return self.device or f"{self.host}:{self.port}"

    def answer_within_s(self, count: int) -> float:
        """Return how long to wait for an answer of `count` registers. [s]"""
        if self.timeout_s is not None:
            return self.timeout_s
        if not self.transport.is_rtu:
            return _TCP_ANSWER_S
        # 8 bytes of request, 5 of frame and 2 per register, each with start, parity and stop bits.
        bits = 10 + (self.parity != "N") + (self.stopbits - 1)
        frame_s = (8 + 5 + 2 * count) * bits / self.baud
        return 2 * frame_s + _RTU_ANSWER_S


def parse_connection(text: str, defaults: BusDefaults) -> Endpoint:
    """Take a connection text apart.

    Args:
        text: As in the site file.
        defaults: What the meter uses where the text says nothing.

    Raises:
        ConnectionTextError: The text has no valid form.
    """
    try:
        parts = urlsplit(text)
        transport = Transport(parts.scheme)
        port = _DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise ConnectionTextError(f"connection {text!r} is not {_FORMS}") from error
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise ConnectionTextError(
            f"connection {text!r}: {', '.join(unknown)} unknown; known are {', '.join(sorted(_OPTIONS))}"
        )
    if transport is Transport.SERIAL and (parts.netloc or len(parts.path) < 2):
        raise ConnectionTextError(f"connection {text!r} names no serial device; give {_FORMS}")
    if transport is not Transport.SERIAL and (not parts.hostname or parts.path not in ("", "/")):
        raise ConnectionTextError(f"connection {text!r} names no host; give {_FORMS}")
    return Endpoint(
        transport=transport,
        host=parts.hostname or "",
        port=port,
        device=parts.path if transport is Transport.SERIAL else "",
        baud=int(_number(text, options, "baud", float(defaults.baud), 300, 4_000_000)),
        parity=_choice(text, options, "parity", defaults.parity, ("N", "E", "O")),
        stopbits=int(_choice(text, options, "stopbits", "1", ("1", "2"))),
        timeout_s=_number(text, options, "timeout_s", 0.0, 0.05, 30.0) or None,
    )


def _number(
    text: str, options: dict[str, str], key: str, default: float, least: float, most: float
) -> float:
    if key not in options:
        return default
    try:
        value = float(options[key])
    except ValueError as error:
        raise ConnectionTextError(f"connection {text!r}: {key} is not a number") from error
    if not least <= value <= most:
        raise ConnectionTextError(f"connection {text!r}: {key} is not within {least:g} to {most:g}")
    return value


def _choice(
    text: str, options: dict[str, str], key: str, default: str, allowed: tuple[str, ...]
) -> str:
    value = options.get(key, default).upper()
    if value not in allowed:
        raise ConnectionTextError(f"connection {text!r}: {key} is not one of {', '.join(allowed)}")
    return value
