"""Calculated meters: sums, differences, and what stations report. Pure.

A calculated reading is as old as the oldest of its parts, so that the ladder of stale meters works
on it without a rule of its own. A part that was never read leaves the whole without a reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.phases import ZERO
from controller.readings import GridReading, Reading
from controller.site import Evse, MeterId, Site, StationId, VirtualMeter
from controller.snapshot import MeterView
from controller.station import EvseState, StationView

_Three = tuple[float, float, float]
_IDLE_STATES = frozenset({EvseState.AVAILABLE, EvseState.RESERVED, EvseState.UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one meter or EVSE adds."""

    factor: float
    """+1 or -1."""
    view: MeterView

    @property
    def value(self) -> GridReading | None:
        return self.view.reading.value if self.view.reading is not None else None


def calculated(
    site: Site,
    meters: Mapping[MeterId, MeterView],
    stations: Mapping[StationId, StationView],
    now_s: float,
) -> dict[MeterId, MeterView]:
    """Return the views of all calculated meters.

    Args:
        site: What is built; a calculated meter comes after its parts.
        meters: Views of the meters that are read.
        stations: Views of the stations.
        now_s: Monotonic time. [s]
    """
    known = dict(meters)
    for meter in site.virtual_meters.values():
        known[meter.id] = _view(_parts(meter, site, known, stations, now_s))
    return {meter: known[meter] for meter in site.virtual_meters}


def dependents(site: Site, meter: MeterId) -> tuple[MeterId, ...]:
    """Return the calculated meters that change with a meter."""
    touched = {meter}
    for virtual in site.virtual_meters.values():
        if touched & set(virtual.parts):
            touched.add(virtual.id)
    return tuple(m for m in site.virtual_meters if m in touched)


def _parts(
    meter: VirtualMeter,
    site: Site,
    known: Mapping[MeterId, MeterView],
    stations: Mapping[StationId, StationView],
    now_s: float,
) -> list[_Part]:
    empty = MeterView()
    return [
        *(_Part(factor=1.0, view=known.get(m, empty)) for m in meter.plus),
        *(_Part(factor=-1.0, view=known.get(m, empty)) for m in meter.minus),
        *(
            _Part(factor=1.0, view=_station_view(evse, stations.get(station), now_s))
            for station in meter.stations
            if station in site.stations
            for evse in site.stations[station].evses
        ),
    ]


def _station_view(evse: Evse, station: StationView | None, now_s: float) -> MeterView:
    """Return what an EVSE's own meter says. One without a vehicle draws nothing, as of now."""
    if station is None:
        return MeterView()
    view = station.evses[evse.id]
    if station.connected and view.transaction is None and view.state in _IDLE_STATES:
        idle = Reading(value=GridReading(current=ZERO), taken_s=now_s)
        return MeterView(reading=idle, changed_s=now_s)
    sample = view.sample
    if sample is None or sample.value.terminal_a is None:
        return MeterView(fault=f"{evse.id} reports no currents")
    reading = GridReading(current=evse.rotation.to_grid(sample.value.terminal_a))
    # A vehicle may draw the same for hours: the same value again is no sign of a frozen meter.
    return MeterView(
        reading=Reading(value=reading, taken_s=sample.taken_s), changed_s=sample.taken_s
    )


def _view(parts: Sequence[_Part]) -> MeterView:
    fault = "; ".join(dict.fromkeys(p.view.fault for p in parts if p.view.fault))
    readings = [p.view.reading for p in parts if p.view.reading is not None]
    if not parts or len(readings) < len(parts):
        return MeterView(fault=fault or "not all of its parts have been read yet")
    changed = [p.view.changed_s for p in parts if p.view.changed_s is not None]
    return MeterView(
        reading=Reading(value=_reading(parts), taken_s=min(r.taken_s for r in readings)),
        changed_s=min(changed, default=None),
        fault=fault,
    )


def _reading(parts: Sequence[_Part]) -> GridReading:
    current = ZERO
    for part in parts:
        if part.value is not None:
            current = current + part.value.current.scaled(part.factor)
    first = parts[0].value
    return GridReading(
        current=current,
        voltage_v=first.voltage_v if first is not None else None,
        frequency_hz=first.frequency_hz if first is not None else None,
        power_w=_per_phase(parts),
        power_total_w=_total(parts),
    )


def _total(parts: Sequence[_Part]) -> float | None:
    powers = [(p.factor, p.value.power_total_w if p.value is not None else None) for p in parts]
    known = [sign * power_w for sign, power_w in powers if power_w is not None]
    return sum(known) if len(known) == len(parts) else None


def _per_phase(parts: Sequence[_Part]) -> _Three | None:
    known = list(_signed_powers(parts))
    if len(known) < len(parts):
        return None
    l1_w, l2_w, l3_w = (sum(column) for column in zip(*known, strict=True))
    return l1_w, l2_w, l3_w


def _signed_powers(parts: Sequence[_Part]) -> Iterator[_Three]:
    for part in parts:
        if part.value is not None and part.value.power_w is not None:
            l1_w, l2_w, l3_w = part.value.power_w
            yield part.factor * l1_w, part.factor * l2_w, part.factor * l3_w
