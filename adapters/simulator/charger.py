"""The power part of one EVSE: pilot signal, contactor, wiring and energy register."""

from __future__ import annotations

from enum import Enum

from adapters.simulator.vehicle import PluggedVehicle, Vehicle
from controller.phases import ZERO, PhaseCurrents
from controller.site import Evse

PWM_HOLD_S = 5.0
"""A charger changes its pilot signal at most this often. [s]"""
PILOT_MIN_A = 6.0
"""The pilot signal cannot offer less; below it the charger pauses. Source: IEC 61851-1. [A]"""
_NO_CURRENT_A = 0.5


class ChargerState(Enum):
    """What an EVSE is physically doing."""

    EMPTY = "empty"
    WAITING = "waiting"
    """A vehicle is plugged in and nobody has permitted energy."""
    SUSPENDED_EVSE = "suspended_evse"
    """The EVSE offers nothing."""
    SUSPENDED_EV = "suspended_ev"
    """The EVSE offers and the vehicle takes nothing."""
    CHARGING = "charging"


class Charger:
    """One EVSE; a station sets `limit_a` and `permitted`, the world calls `step`."""

    def __init__(self, evse: Evse, *, pwm_hold_s: float = PWM_HOLD_S, register_wh: float = 0.0):
        self.evse = evse
        self.limit_a = evse.max_a
        """What the station allows now, per phase. [A]"""
        self.permitted = False
        self.powered = True
        self.plugged: PluggedVehicle | None = None
        self.pwm_a = 0.0
        """What the pilot signal says; 0: no signal. [A]"""
        self.energy_wh = register_wh
        """Register; it never goes back. [Wh]"""
        self.power_w = 0.0
        self.grid_a: PhaseCurrents = ZERO
        """Current on the phases of the grid. [A]"""
        self._pwm_hold_s = pwm_hold_s
        self._pwm_age_s = pwm_hold_s

    @property
    def used_phases(self) -> int:
        """Number of phases that the vehicle loads; without a vehicle, the wired ones."""
        if self.plugged is None:
            return self.evse.phases
        return min(self.evse.phases, self.plugged.vehicle.phases)

    @property
    def current_a(self) -> float:
        """Current in each used phase. [A]"""
        return self.plugged.current_a if self.plugged else 0.0

    @property
    def terminal_a(self) -> tuple[float, float, float]:
        """Current at the EVSE's own terminals L1, L2, L3. [A]"""
        drawn = (self.current_a,) * self.used_phases + (0.0, 0.0, 0.0)
        return drawn[0], drawn[1], drawn[2]

    @property
    def state(self) -> ChargerState:
        """What the EVSE is physically doing."""
        if self.plugged is None:
            return ChargerState.EMPTY
        if not self.permitted:
            return ChargerState.WAITING
        if self.current_a >= _NO_CURRENT_A:
            return ChargerState.CHARGING
        return ChargerState.SUSPENDED_EV if self.pwm_a > 0.0 else ChargerState.SUSPENDED_EVSE

    def plug_in(self, vehicle: Vehicle) -> None:
        """Plug a vehicle in; one that is there already is taken away first."""
        self.unplug()
        self.plugged = PluggedVehicle(vehicle)

    def unplug(self) -> None:
        """Take the vehicle away."""
        self.plugged = None
        self._open()

    def step(self, dt_s: float, voltage_v: float) -> None:
        """Advance pilot signal, vehicle and register.

        Args:
            dt_s: Length of the step. [s]
            voltage_v: Line to neutral. [V]
        """
        if self.plugged is None or not self.permitted or not self.powered:
            self._open()
            return
        self._signal(dt_s)
        current_a = self.plugged.step(self.pwm_a, dt_s)
        self.power_w = current_a * self.used_phases * voltage_v
        energy_wh = self.power_w * dt_s / 3600.0
        self.energy_wh += energy_wh
        self.plugged.charge(energy_wh)
        self.grid_a = self.evse.rotation.to_grid(self.terminal_a)

    def _signal(self, dt_s: float) -> None:
        self._pwm_age_s += dt_s
        target_a = min(self.limit_a, self.evse.max_a)
        if target_a < PILOT_MIN_A:
            target_a = 0.0
        if target_a != self.pwm_a and self._pwm_age_s >= self._pwm_hold_s:
            self.pwm_a = target_a
            self._pwm_age_s = 0.0

    def _open(self) -> None:
        if self.plugged is not None:
            self.plugged.cut()
        self.pwm_a = 0.0
        self._pwm_age_s = self._pwm_hold_s
        self.power_w = 0.0
        self.grid_a = ZERO
