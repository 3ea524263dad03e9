"""One EVSE and the vehicle in it, changing at events instead of steps.

The same behaviour as `charger` and `vehicle`, which are stepped for sites on real sockets: a pilot
signal that changes at most every five seconds, a vehicle that answers late, ramps, tapers, sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.simulator.charger import PILOT_MIN_A, PWM_HOLD_S
from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.lines import Line
from adapters.simulator.vehicle import Sleep, Vehicle
from controller.phases import PHASES
from controller.site import Evse

RAMP_STEP_S = 2.0
"""A rising current is drawn as steps of this length. [s]"""
SOC_STEP = 0.02
"""A tapering battery takes less in steps of this much charge. [1]"""
FULL = 1e-6
DRAWING_A = 0.5
ARRIVAL_S = 45.0
"""For so long after it was plugged in nobody can have governed a vehicle's current. [s]"""


class Car:
    """A vehicle while it is plugged in."""

    def __init__(self, vehicle: Vehicle, plugged_s: float) -> None:
        """Arrive with the vehicle's charge."""
        self.vehicle = vehicle
        self.plugged_s = plugged_s
        self.soc = vehicle.soc_ratio
        self.heard_a = 0.0
        self.is_listening = False
        self.is_asleep = False
        self.has_drawn = False
        self.energy_wh = 0.0
        self.waited_s = 0.0
        """For how long it has wanted energy and had none. [s]"""
        self.full_s: float | None = None

    def wanted_a(self) -> float:
        """Return what it takes of what it has heard. [A]"""
        vehicle = self.vehicle
        if self.is_asleep or self.heard_a < vehicle.min_a:
            return 0.0
        if self.soc >= vehicle.target_soc_ratio - FULL:
            return 0.0
        wanted_a = min(self.heard_a * vehicle.take_ratio, self._battery_a())
        return round(wanted_a, 3) if wanted_a >= 1.0 else 0.0

    def _battery_a(self) -> float:
        vehicle = self.vehicle
        taper = vehicle.taper_soc_ratio
        if self.soc < taper + FULL or taper >= 1.0:
            return vehicle.max_a
        steps = int((self.soc - taper + FULL) / SOC_STEP)
        left = max(0.0, 1.0 - taper - steps * SOC_STEP) / (1.0 - taper)
        return max(1.0, vehicle.max_a * left)

    def next_soc(self) -> float:
        """Return the charge at which its appetite changes next."""
        vehicle = self.vehicle
        if self.soc < vehicle.taper_soc_ratio - FULL:
            return min(vehicle.taper_soc_ratio, vehicle.target_soc_ratio)
        steps = int((self.soc - vehicle.taper_soc_ratio + FULL) / SOC_STEP) + 1
        return min(vehicle.taper_soc_ratio + steps * SOC_STEP, vehicle.target_soc_ratio)


class Bay:
    """One EVSE: what its station allows, what the pilot says, what the vehicle takes."""

    def __init__(self, evse: Evse, line: Line, *, agenda: Agenda, voltage_v: float) -> None:
        """Start empty."""
        self.evse = evse
        self.path: Sequence[Line] = line.path
        self.car: Car | None = None
        self.limit_a = evse.max_a
        """What the station allows. [A]"""
        self.permitted = False
        self.pwm_a = 0.0
        self.current_a = 0.0
        self.foreign_a = 0.0
        self.disobeys_a: float | None = None
        """It draws so much whatever it is told; None: it obeys. [A]"""
        self.is_governed = True
        """A limit of ours, or the fallback, is in force; else it draws what it is built for."""
        self.leak_a = 0.0
        """What flows through a contactor that does not open. [A]"""
        self.energy_wh = 0.0
        self.on_current: Callable[[Bay, float], None] = lambda bay, before_a: None
        self.on_flow: Callable[[], object] = lambda: None
        self._agenda = agenda
        self._voltage_v = voltage_v
        self._pwm_s = float("-inf")
        self._energy_s = 0.0
        self._stamp = 0
        self._battery_plan = 0
        self._rank = tuple(PHASES.index(p) for p in evse.rotation.order)

    @property
    def phases(self) -> tuple[int, ...]:
        """Grid phases that carry current, as indices."""
        used = (
            self.evse.phases if self.car is None else min(self.evse.phases, self.car.vehicle.phases)
        )
        return self._rank[:used]

    # --- from outside -----------------------------------------------------------------------------

    def plug_in(self, vehicle: Vehicle) -> None:
        """Plug a vehicle in."""
        self.unplug()
        self._seat(Car(vehicle, self._agenda.now_s))
        self._agenda.after(ARRIVAL_S, self._stamped(self.recount))

    def unplug(self) -> None:
        """Take the vehicle away."""
        self._draw(0.0)
        self._seat(None)
        self.permitted = False
        self._open()

    def _seat(self, car: Car | None) -> None:
        """Change the vehicle; what flows through a welded contactor goes on, on the phases of the new one."""
        leak_a, self.leak_a = self.leak_a, 0.0
        if leak_a > 0.0:
            self._draw(0.0)
        self.car, self.leak_a = car, leak_a
        if leak_a > 0.0:
            self._draw(leak_a)

    def allow(self, limit_a: float) -> None:
        """Take a new limit of the station. [A]"""
        if limit_a != self.limit_a:
            self.limit_a = limit_a
            self._signal()

    def permit(self, permitted: bool) -> None:
        """Let energy flow, or not."""
        if permitted == self.permitted:
            return
        self.permitted = permitted
        if permitted:
            self._signal()
        else:
            self._open()

    def disobey(self, current_a: float | None) -> None:
        """Offer so much whatever the station allows; None: obey again. [A]"""
        self.disobeys_a = current_a
        self.recount()
        self._signal()

    def leak(self, leak_a: float) -> None:
        """Carry so much through a contactor that does not open; 0: it is mended. [A]"""
        self.leak_a = leak_a
        if self.permitted and self.car is not None:
            self._draw(self.current_a)
            self._follow()
        else:
            self._draw(leak_a)
        self.recount()

    # --- pilot signal -----------------------------------------------------------------------------

    def _open(self) -> None:
        self._stamp += 1
        self.pwm_a = 0.0
        self._pwm_s = float("-inf")
        if self.car is not None:
            self.car.heard_a = 0.0
            self.car.is_listening = False
        self._draw(self.leak_a)

    def _signal(self) -> None:
        if self.car is None or not self.permitted:
            return
        allowed_a = self.disobeys_a if self.disobeys_a is not None else self.limit_a
        target_a = min(allowed_a, self.evse.max_a)
        if target_a < PILOT_MIN_A:
            target_a = 0.0
        if target_a == self.pwm_a:
            return
        wait_s = self._pwm_s + PWM_HOLD_S - self._agenda.now_s
        if wait_s > 1e-9:
            self._agenda.after(wait_s, self._stamped(self._signal))
            return
        starts = self.pwm_a == 0.0
        self.pwm_a = target_a
        self._pwm_s = self._agenda.now_s
        self._tell(self.car, starts)

    def _tell(self, car: Car, starts: bool) -> None:
        vehicle = car.vehicle
        if not car.is_listening:
            car.is_listening = True
            delay_s = vehicle.start_s if starts else vehicle.response_s
            if self.pwm_a == 0.0:
                delay_s = min(delay_s, 3.0)  # then the contactor opens under load
            self._agenda.after(delay_s, self._stamped(self._hear))
        if vehicle.sleep is Sleep.NEVER:
            return
        if self.pwm_a < vehicle.min_a and car.has_drawn:
            self._agenda.after(vehicle.sleep_after_s, self._stamped(self._doze))
        elif car.is_asleep and vehicle.sleep is Sleep.UNTIL_OFFERED:
            self._agenda.after(vehicle.wake_s, self._stamped(self._wake))

    def _hear(self) -> None:
        if self.car is not None:
            self.car.is_listening = False
            self.car.heard_a = self.pwm_a
            self._follow()

    def _doze(self) -> None:
        if self.car is not None and self.pwm_a < self.car.vehicle.min_a:
            self.car.is_asleep = True
            self._follow()

    def _wake(self) -> None:
        if self.car is not None and self.pwm_a >= self.car.vehicle.min_a:
            self.car.is_asleep = False
            self._follow()

    # --- current ----------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Draw what is wanted: at once when it is less, in steps when it is more."""
        car = self.car
        if car is None or not self.permitted:
            return
        self.count_energy()
        wanted_a = car.wanted_a()
        if wanted_a > self.current_a:
            step_a = car.vehicle.ramp_a_per_s * RAMP_STEP_S
            if self.current_a + step_a < wanted_a:
                self._draw(round(self.current_a + step_a, 3))
                self._agenda.after(RAMP_STEP_S, self._stamped(self._follow))
                return
        self._draw(wanted_a)
        self._plan_battery(car)

    def _plan_battery(self, car: Car) -> None:
        if self.current_a <= 0.0:
            return
        self._battery_plan += 1
        missing_wh = (car.next_soc() - car.soc) * car.vehicle.battery_wh
        power_w = self.current_a * len(self.phases) * self._voltage_v
        plan, follow = self._battery_plan, self._stamped(self._follow_battery)
        self._agenda.after(
            max(1.0, missing_wh / power_w * 3600.0),
            lambda: follow() if plan == self._battery_plan else None,
        )

    def _follow_battery(self) -> None:
        car = self.car
        if car is None:
            return
        self.count_energy()
        if car.soc >= car.vehicle.target_soc_ratio - FULL and car.full_s is None:
            car.full_s = self._agenda.now_s
        if abs(car.wanted_a() - self.current_a) > 1e-6:
            self._follow()
        else:
            self._plan_battery(car)

    def count_energy(self) -> None:
        """Bring the registers up to now."""
        now_s = self._agenda.now_s
        elapsed_s, self._energy_s = now_s - self._energy_s, now_s
        energy_wh = self.current_a * len(self.phases) * self._voltage_v * elapsed_s / 3600.0
        self.energy_wh += energy_wh
        if self.car is not None:
            self.car.energy_wh += energy_wh
            if self.current_a <= 0.0 and self.car.soc < self.car.vehicle.target_soc_ratio - FULL:
                self.car.waited_s += elapsed_s
            self.car.soc = min(1.0, self.car.soc + energy_wh / self.car.vehicle.battery_wh)

    def _draw(self, current_a: float) -> None:
        current_a = max(current_a, self.leak_a)
        before_a = self.current_a
        self.count_energy()
        self.current_a = current_a
        self._flow(current_a - before_a)
        if current_a > DRAWING_A and self.car is not None:
            self.car.has_drawn = True
        if current_a != before_a:
            self.on_current(self, before_a)

    def recount(self) -> None:
        """Judge anew how much of its current no command governs."""
        self._flow(0.0)

    def _flow(self, delta_a: float) -> None:
        foreign_a = self._foreign_a()
        foreign_delta_a, self.foreign_a = foreign_a - self.foreign_a, foreign_a
        if delta_a == 0.0 and foreign_delta_a == 0.0:
            return
        now_s = self._agenda.now_s
        for line in self.path:
            for index in self.phases:
                line.change(index, delta_a, foreign_delta_a, now_s)
        if delta_a != 0.0:
            self.on_flow()

    def _foreign_a(self) -> float:
        """Return the part of its current that nobody can have governed. [A]"""
        if self.current_a <= 0.0:
            return 0.0
        if not self.is_governed or self.car is None:
            return self.current_a
        if self.disobeys_a is not None:
            return max(0.0, self.current_a - self.limit_a)
        if self._agenda.now_s - self.car.plugged_s < ARRIVAL_S - 1e-9:
            return min(self.current_a, self.evse.fallback_a)
        return min(self.current_a, self.leak_a)

    # --- events that may have become void ---------------------------------------------------------

    def _stamped(self, action: Callable[[], None]) -> Callable[[], None]:
        """Return an action that does nothing once the contactor has opened since."""
        stamp, car = self._stamp, self.car

        def act() -> None:
            if self._stamp == stamp and self.car is car:
                action()

        return act
