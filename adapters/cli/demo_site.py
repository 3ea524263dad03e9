"""The site of `wattkeeper demo`, built for any number of chargers."""

from __future__ import annotations

from itertools import cycle

from controller.phases import PhaseCurrents, PhaseRotation
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    Meter,
    MeterId,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
    evse_id,
)

MAIN = CircuitId("main")
METER = MeterId("main")
BUILDING_SHARE = 0.45
"""Part of the grid connection that the building takes at most."""
ROTATIONS = (PhaseRotation.RST, PhaseRotation.STR, PhaseRotation.TRS)


def demo_site(chargers: int, *, meter_port: int) -> Site:
    """Return a depot with one metered connection and two garages, sized for the chargers.

    The connection is tight on purpose, so that there is something to share: 12.5 A per charger, of
    which the building may take its part, while every fallback still fits (the certificate).
    """
    main_a = max(80.0, round(12.5 * chargers, -1))
    garage_a = max(40.0, main_a / 2)
    half = (chargers + 1) // 2
    circuits = {
        MAIN: Circuit(
            id=MAIN,
            parent=None,
            limit_a=PhaseCurrents.balanced(main_a),
            device=ProtectiveDevice.MCCB,
            meter=METER,
            building_peak_a=PhaseCurrents.balanced(round(main_a * BUILDING_SHARE)),
            margin_a=1.0,
        ),
        **{g: _garage(g, garage_a) for g in (CircuitId("garage-a"), CircuitId("garage-b"))},
    }
    rotation = cycle(ROTATIONS)
    stations = {}
    for number in range(1, chargers + 1):
        garage = CircuitId("garage-a" if number <= half else "garage-b")
        station = StationId(f"CP{number:03d}")
        stations[station] = _station(station, garage, next(rotation))
    meter = Meter(
        id=METER,
        model="eastron/sdm630",
        connection=f"tcp://127.0.0.1:{meter_port}",
        unit=1,
    )
    return Site(
        id="demo",
        name="Demo depot",
        timezone="UTC",
        voltage_v=230.0,
        circuits=circuits,
        stations=stations,
        meters={METER: meter},
    )


def _garage(garage: CircuitId, limit_a: float) -> Circuit:
    return Circuit(
        id=garage,
        parent=MAIN,
        limit_a=PhaseCurrents.balanced(limit_a),
        device=ProtectiveDevice.MCB,
        meter=None,
        building_peak_a=PhaseCurrents.balanced(0.0),
        margin_a=0.0,
    )


def _station(station: StationId, circuit: CircuitId, rotation: PhaseRotation) -> Station:
    evse = Evse(
        id=evse_id(station, 1),
        station=station,
        number=1,
        circuit=circuit,
        phases=3,
        rotation=rotation,
        min_a=6.0,
        max_a=32.0,
        step_a=0.1,
        fallback_a=6.0,
        holds_lease=True,
        priority=0,
    )
    return Station(id=station, evses=(evse,))
