"""How the controller behaves: thresholds and times. Frozen; from the site file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All tunables of a decision. Defaults are the product's; sources in `docs/safety.md`."""

    name: str = "equal_share"
    """By what rule current is shared; see `controller.policies`."""
    interval_s: float = 2.0
    lease_s: float = 300.0

    meter_hold_s: float = 3.0
    """Older: no increase."""
    meter_blind_s: float = 10.0
    """Older: the building counts with its worst case."""
    meter_fallback_s: float = 30.0
    """Older: every EVSE below falls to its fallback."""
    meter_frozen_s: float = 30.0
    """Bit-identical for so long while vehicles draw: the meter is frozen and counts as lost."""
    recovery_good_s: float = 30.0
    """Good data needed after blind or fallback before anything rises."""
    recovery_ramp_a: float = 8.0
    """Largest rise per EVSE and increase interval while recovering. [A]"""

    increase_interval_s: float = 30.0
    """An EVSE's limit rises at most so often, a transaction's first rise excepted."""
    command_interval_s: float = 5.0
    """Increases to one EVSE are at least so far apart; decreases never wait."""
    increase_dead_band_a: float = 1.0
    decrease_dead_band_a: float = 0.1
    calls_per_s: float = 20.0
    """Increases and renewals on the whole site; decreases are never throttled."""
    settle_s: float = 10.0
    """Time that EVSE and vehicle have to follow a confirmed limit (5 s + 5 s)."""
    command_timeout_s: float = 10.0

    sample_interval_s: float = 10.0
    """Meter values asked of stations."""
    ask_after_s: float = 15.0
    """Older while charging: the station is asked for its meter values, at most so often. [s]"""
    sample_stale_s: float = 45.0
    """Older: the EVSE is assumed to draw what it may."""
    reclaim_after_s: float = 60.0
    """A vehicle that leaves more than `reclaim_gap_a` unused for so long gives it back."""
    reclaim_gap_a: float = 2.0
    reclaim_room_a: float = 2.0
    """Left above what a vehicle takes, so that it can ask for more by taking it. [A]"""
    disobey_after_s: float = 15.0
    disobey_gap_a: float = 1.0
    disobey_ratio: float = 0.1
    obey_for_s: float = 120.0
    """A disobedient station is trusted again after obeying for so long."""
    stop_disobedient: bool = True
    """End a disobedient station's session when its circuit stays above its rating otherwise."""

    min_on_s: float = 900.0
    """A vehicle that was started is not paused for fairness before that."""
    min_off_s: float = 60.0
    """A vehicle that was paused is not started again before that."""
    steady_a: float = 0.5
    """Setpoints are not moved by so little for fairness alone. [A]"""
    max_wait_s: float = 4200.0
    """A vehicle that waited for so long goes before every priority, and is due in every plan."""
    newcomers: int = 1
    """Idle EVSEs per circuit whose fallback is kept free for a vehicle that plugs in."""
    rush_s: float = 60.0
    """As many more are kept free as vehicles came in this time: arrivals come in rushes. [s]"""

    thermal_shed_ratio: float = 0.5
    """Heat of a device, from steady rated load (0) to tripping (1), above which its limit is lowered."""
    thermal_shed_to_ratio: float = 0.9
    """Fraction of the rating used while it cools down to half the threshold."""
    solver_deadline_s: float = 1.0
