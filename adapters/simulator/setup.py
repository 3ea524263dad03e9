"""What a simulated station is made of."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.simulator.charger import Charger
from adapters.simulator.habits import SOUND, StationHabits
from controller.site import Station


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one station reaches the controller."""

    url: str
    """Without the identity."""
    password: str | None
    tls: ssl.SSLContext | None = None
    """For `wss://`; holds the client certificate where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a station is made of."""

    station: Station
    """Its identity and EVSEs."""
    chargers: Mapping[int, Charger]
    """Power electronics by EVSE number."""
    url: str
    """Of the controller, without the identity."""
    voltage_v: float
    """Nominal, line to neutral. [V]"""
    password: str | None = None
    """For HTTP basic authentication; None: none is sent."""
    tls: ssl.SSLContext | None = None
    habits: StationHabits = SOUND
    seed: int = 0
    """For jitter and ids."""
