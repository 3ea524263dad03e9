"""How a simulated station misbehaves. All defects are data; the default station has none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StationHabits:
    """Defects of a station, each seen in the field."""

    ignores_limits: bool = False
    """It accepts profiles and charges with its rating."""
    rejects_tx_profile: bool = False
    rejects_max_profile: bool = False
    rejects_unit_ampere: bool = False
    """It takes limits in watts only."""
    rejects_all: bool = False
    """It rejects every profile."""
    ignores_valid_to: bool = False
    ignores_duration: bool = False
    forgets_profiles: bool = False
    """Profiles do not survive a reboot."""
    no_answer: bool = False
    """It does nothing that it is asked, and does not answer."""
    loses_answers: bool = False
    """It does what it is asked, and does not answer."""
    slow_answer_s: float = 0.0
    """It answers calls this late. [s]"""
    silent_meter: bool = False
    """It sends no meter values."""
    no_trigger: bool = False
    """It does not know TriggerMessage."""
    clock_skew_s: float = 0.0
    """Its clock is this much ahead. [s]"""
    reboots_every_s: float | None = None
    """It restarts by itself; transactions survive. [s]"""
    boots_on_reconnect: bool = False
    """It sends BootNotification whenever it connects."""


SOUND = StationHabits()
