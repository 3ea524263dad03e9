"""What operators and tokens want of an EVSE, over what is configured."""

from __future__ import annotations

from controller.operator import EvseOverride
from controller.site import Evse, EvseId
from controller.snapshot import Snapshot
from controller.transaction import Transaction

_NO_OVERRIDE = EvseOverride()


def override_of(snapshot: Snapshot, evse: EvseId) -> EvseOverride:
    """Return the operator's wishes for an EVSE."""
    return snapshot.overrides.evses.get(evse, _NO_OVERRIDE)


def wanted_a(snapshot: Snapshot, evse: Evse) -> float:
    """Return the most an EVSE may be given: its rating, an operator's or its token's maximum. [A]."""
    running = _running(snapshot, evse)
    limits_a = (
        override_of(snapshot, evse.id).max_a,
        running.max_a if running is not None else None,
    )
    return min([evse.max_a, *(limit_a for limit_a in limits_a if limit_a is not None)])


def priority_of(snapshot: Snapshot, evse: Evse) -> int:
    """Return who is served first: an operator's word, else the token's, else the configured one."""
    override = override_of(snapshot, evse.id).priority
    if override is not None:
        return override
    running = _running(snapshot, evse)
    return running.priority if running is not None and running.priority else evse.priority


def _running(snapshot: Snapshot, evse: Evse) -> Transaction | None:
    station = snapshot.stations.get(evse.station)
    view = station.evses.get(evse.id) if station is not None else None
    return view.transaction if view is not None else None


def is_shut(snapshot: Snapshot, evse: Evse) -> bool:
    """Tell whether an operator wants it to take nothing: paused, or a maximum below its minimum."""
    return override_of(snapshot, evse.id).paused or wanted_a(snapshot, evse) < evse.min_a
