"""What operators, tokens, vehicles and stations want of an EVSE, over what is configured."""

from __future__ import annotations

from dataclasses import replace

from controller.operator import EvseOverride
from controller.site import Evse, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseView

_NO_OVERRIDE = EvseOverride()
_HOT = frozenset({"HighTemperature", "TemperatureSensor.Problem"})
HOT_RATIO = 0.5
"""Part of its rating that a station gets which is too hot (fault matrix)."""


def override_of(snapshot: Snapshot, evse: EvseId) -> EvseOverride:
    """Return the wishes for an EVSE: the operator's, and the vehicle's own where he has none."""
    return override_with(snapshot, evse, view_of(snapshot, evse))


def override_with(snapshot: Snapshot, evse: EvseId, view: EvseView | None) -> EvseOverride:
    """Return the wishes for an EVSE whose view is at hand."""
    override = snapshot.overrides.evses.get(evse, _NO_OVERRIDE)
    if view is None or view.needs is None:
        return override
    departure_at, energy_wh = override.departure_at, override.energy_need_wh
    return replace(
        override,
        departure_at=departure_at if departure_at is not None else view.needs.departure_at,
        energy_need_wh=energy_wh if energy_wh is not None else view.needs.energy_wh,
    )


def view_of(snapshot: Snapshot, evse: EvseId) -> EvseView | None:
    """Return the latest about an EVSE; None: its station is unknown."""
    configured = snapshot.site.evse(evse)
    station = snapshot.stations.get(configured.station) if configured is not None else None
    return station.evses.get(evse) if station is not None else None


def wanted_a(snapshot: Snapshot, evse: Evse) -> float:
    """Return the most an EVSE may be given: its rating, or a lower maximum that somebody set. [A].

    An operator may have set one, a roaming partner or back office, the token that charges, or
    something else at the station that limits it. A hot station gets half of its rating.
    """
    view = view_of(snapshot, evse.id)
    return wanted_with_a(evse, override_with(snapshot, evse.id, view), view)


def wanted_with_a(evse: Evse, override: EvseOverride, view: EvseView | None) -> float:
    """Return the same with wishes and view at hand. [A]"""
    running = view.transaction if view is not None else None
    if override is _NO_OVERRIDE and view is not None and view.error_code is None:
        token_a = running.max_a if running is not None else None
        if token_a is None and view.external_limit_a is None:
            return evse.max_a
    limits_a = (
        override.max_a,
        override.partner_max_a,
        override.upstream_max_a,
        running.max_a if running is not None else None,
        view.external_limit_a if view is not None else None,
        max(evse.min_a, evse.max_a * HOT_RATIO) if view and view.error_code in _HOT else None,
    )
    return min([evse.max_a, *(limit_a for limit_a in limits_a if limit_a is not None)])


def priority_of(snapshot: Snapshot, evse: Evse) -> int:
    """Return who is served first: an operator's word, else the token's, else the configured one."""
    view = view_of(snapshot, evse.id)
    return priority_with(evse, override_with(snapshot, evse.id, view), view)


def priority_with(evse: Evse, override: EvseOverride, view: EvseView | None) -> int:
    """Return who is served first, with wishes and view at hand."""
    if override.priority is not None:
        return override.priority
    running = view.transaction if view is not None else None
    return running.priority if running is not None and running.priority else evse.priority


def is_shut(snapshot: Snapshot, evse: Evse) -> bool:
    """Tell whether an operator wants it to take nothing: paused, or a maximum below its minimum."""
    return override_of(snapshot, evse.id).paused or wanted_a(snapshot, evse) < evse.min_a
