"""The site of `wattkeeper demo`, built for any number of chargers."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

from adapters.config.editing import dumped
from adapters.config.loader import SiteFile, load_site_file
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


def demo_file(site: Site, folder: Path) -> SiteFile:
    """Write the demo's site into a file, so that its settings can be changed like any other's.

    The ports are those that were free; they stand nowhere.
    """
    path = folder / "demo.yaml"
    path.write_text(
        "# The site of the demo. Change it: what you save counts from the next cycle.\n"
        + dumped(_content(site)),
        encoding="utf-8",
    )
    return load_site_file(path)


def _content(site: Site) -> dict[str, Any]:
    return {
        "format": "site/1",
        "site": {"id": site.id, "name": site.name, "timezone": site.timezone},
        "meters": {
            m.id: {"model": m.model, "connection": m.connection, "unit": m.unit}
            for m in site.meters.values()
        },
        "circuits": {c.id: _circuit_content(c) for c in site.circuits.values()},
        "stations": {
            s.id: {
                "circuit": s.evses[0].circuit,
                "evses": {
                    str(e.number): {
                        "max_a": e.max_a,
                        "rotation": e.rotation.value,
                        "fallback_a": e.fallback_a,
                    }
                    for e in s.evses
                },
            }
            for s in site.stations.values()
        },
        "ocpp": {"unknown_tokens": "accept"},
        "store": {"path": "demo.db"},
    }


def _circuit_content(circuit: Circuit) -> dict[str, Any]:
    content: dict[str, Any] = {
        "limit_a": max(circuit.limit_a),
        "device": circuit.device.value,
        "margin_a": circuit.margin_a,
    }
    if circuit.parent is not None:
        content["parent"] = circuit.parent
    if circuit.meter is not None:
        content |= {"meter": circuit.meter, "building_peak_a": max(circuit.building_peak_a)}
    return content


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
