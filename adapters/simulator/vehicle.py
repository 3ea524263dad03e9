"""Electric vehicles: what they take from what they are offered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_FULL_A = 1.0
_NO_CURRENT_A = 0.5


class Sleep(Enum):
    """What a vehicle does after a long pause."""

    NEVER = "never"
    UNTIL_OFFERED = "until_offered"
    """It takes current again only after an offer has stood for `wake_s`."""
    FOR_GOOD = "for_good"
    """It does not resume until it is plugged in again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle as it arrives."""

    name: str
    card: str | None = "04A1B200000000"
    """RFID card that its driver presents. None: it waits for a remote start."""
    phases: int = 3
    max_a: float = 16.0
    """Rating of the on-board charger, per phase. [A]"""
    min_a: float = 6.0
    """It stops when it is offered less. [A]"""
    battery_wh: float = 60_000.0
    soc_ratio: float = 0.3
    """State of charge on arrival, 0 to 1."""
    target_soc_ratio: float = 1.0
    taper_soc_ratio: float = 0.8
    """Above this the battery takes less and less."""
    take_ratio: float = 1.0
    """Share of the offer that it really takes."""
    response_s: float = 2.0
    """Time until it acts on a new offer; IEC 61851-1 allows 5 s. [s]"""
    start_s: float = 3.0
    """Time from the first offer to the first current. [s]"""
    ramp_a_per_s: float = 4.0
    sleep: Sleep = Sleep.NEVER
    sleep_after_s: float = 120.0
    wake_s: float = 60.0
    tells_soc: bool = False

    def need_wh(self) -> float:
        """Return the energy that is missing to the target. [Wh]"""
        return max(0.0, self.target_soc_ratio - self.soc_ratio) * self.battery_wh


class PluggedVehicle:
    """A vehicle while it is plugged in: battery, reaction and sleep."""

    def __init__(self, vehicle: Vehicle) -> None:
        self.vehicle = vehicle
        self.soc_ratio = vehicle.soc_ratio
        self.current_a = 0.0
        self._heard_a = 0.0
        self._pending_a = 0.0
        self._wait_s = 0.0
        self._paused_s = 0.0
        self._asleep = False
        self._has_drawn = False

    @property
    def is_full(self) -> bool:
        """Tell whether the battery has reached its target."""
        return self.soc_ratio >= self.vehicle.target_soc_ratio

    def step(self, offered_a: float, dt_s: float) -> float:
        """React to what the EVSE offers.

        Args:
            offered_a: Current that the pilot signal allows, per phase; 0: no offer. [A]
            dt_s: Length of the step. [s]

        Returns:
            Current per used phase at the end of the step. [A]
        """
        self._listen(offered_a, dt_s)
        self._doze(offered_a, dt_s)
        wanted_a = self._wanted_a()
        if wanted_a > self.current_a:
            self.current_a = min(wanted_a, self.current_a + self.vehicle.ramp_a_per_s * dt_s)
        else:
            self.current_a = wanted_a
        self._has_drawn = self._has_drawn or self.current_a > _NO_CURRENT_A
        return self.current_a

    def cut(self) -> None:
        """Lose the supply at once: the contactor opened or the circuit is dead."""
        self.current_a = self._heard_a = self._pending_a = self._wait_s = 0.0

    def charge(self, energy_wh: float) -> None:
        """Put energy into the battery. [Wh]"""
        self.soc_ratio = min(1.0, self.soc_ratio + energy_wh / self.vehicle.battery_wh)

    def _listen(self, offered_a: float, dt_s: float) -> None:
        if offered_a != self._pending_a:
            starts = self._pending_a == 0.0
            self._pending_a = offered_a
            # A further change must not postpone the reaction to the one before it for ever.
            if self._wait_s <= 0.0:
                self._wait_s = self.vehicle.start_s if starts else self.vehicle.response_s
        self._wait_s -= dt_s
        if self._wait_s <= 0.0:
            self._heard_a = self._pending_a

    def _doze(self, offered_a: float, dt_s: float) -> None:
        sleep = self.vehicle.sleep
        if sleep is Sleep.NEVER or not self._has_drawn:
            return
        if offered_a < self.vehicle.min_a:
            self._paused_s = max(0.0, self._paused_s) + dt_s
            self._asleep = self._asleep or self._paused_s >= self.vehicle.sleep_after_s
        elif self._asleep and sleep is Sleep.UNTIL_OFFERED:
            self._paused_s = min(0.0, self._paused_s) - dt_s
            self._asleep = -self._paused_s < self.vehicle.wake_s
        else:
            self._paused_s = 0.0

    def _wanted_a(self) -> float:
        if self._asleep or self.is_full or self._heard_a < self.vehicle.min_a:
            return 0.0
        wanted_a = min(self._heard_a * self.vehicle.take_ratio, self._battery_a())
        return wanted_a if wanted_a >= _FULL_A else 0.0

    def _battery_a(self) -> float:
        taper = self.vehicle.taper_soc_ratio
        if self.soc_ratio <= taper or taper >= 1.0:
            return self.vehicle.max_a
        # The last percent is trickled, or a battery would never be full.
        return max(_FULL_A, self.vehicle.max_a * (1.0 - self.soc_ratio) / (1.0 - taper))
