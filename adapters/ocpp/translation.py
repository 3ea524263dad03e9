"""Settings that both OCPP versions share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.ocpp.quirks import Quirks
from controller.site import EvseId, StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseWiring:
    """How an EVSE is built, as far as meter values and limits in watts need it."""

    phases: int = 3
    """Phases wired: 1, 2 or 3."""
    max_a: float | None = None
    """Rating per phase; None: unknown, nothing is judged by it. [A]"""
    min_a: float = 6.0
    """Least that charging needs per phase. [A]"""
    voltage_v: float = 230.0
    """Nominal line-to-neutral voltage. [V]"""
    dc_w_per_a: float | None = None
    """DC only: the power at the vehicle for one ampere per phase of the feed. [W/A]"""

    @property
    def w_per_a(self) -> float:
        """What a limit of one ampere per phase is in watts. [W/A]"""
        return self.phases * self.voltage_v if self.dc_w_per_a is None else self.dc_w_per_a

    @property
    def rating_w(self) -> float | None:
        """Power at the rating on all wired phases. [W]"""
        return None if self.max_a is None else self.max_a * self.phases * self.voltage_v


@dataclass(frozen=True, slots=True, kw_only=True)
class DialectSettings:
    """What the translation asks of stations, and how long it waits for them."""

    sample_interval_s: int = 10
    heartbeat_interval_s: int = 300
    websocket_ping_s: int = 30
    clock_aligned_s: int = 900
    command_timeout_s: float = 10.0
    answer_delay_s: float = 0.05
    """Time after a handler's return in which its answer has certainly been sent. [s]"""
    retry_s: float = 60.0
    """Pause before provisioning is tried again when a station did not answer. [s]"""
    wirings: Mapping[EvseId, EvseWiring] = field(default_factory=dict)
    """EVSEs not listed count as three-phase with an unknown rating."""
    quirks: Quirks = field(default_factory=Quirks)

    @property
    def shortest_sample_s(self) -> int:
        """Interval of meter values that we ask for: ours, or the shortest the model keeps to. [s]"""
        return max(self.sample_interval_s, self.quirks.sample_interval_s or 0)

    def is_dc(self, station: StationId) -> bool:
        """Tell whether a station has a DC outlet."""
        return any(
            wiring.dc_w_per_a is not None
            for evse, wiring in self.wirings.items()
            if evse.rpartition("/")[0] == station
        )

    def wiring(self, evse: EvseId) -> EvseWiring:
        """Return how an EVSE is wired."""
        return self.wirings.get(evse, EvseWiring())
