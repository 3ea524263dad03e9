"""Sites to test with."""

from __future__ import annotations

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
GARAGE = CircuitId("garage")
METER = MeterId("main")


def an_evse(
    station: str = "CP001",
    number: int = 1,
    *,
    circuit: CircuitId = MAIN,
    phases: int = 3,
    rotation: str = "RST",
    max_a: float = 32.0,
) -> Evse:
    return Evse(
        id=evse_id(StationId(station), number),
        station=StationId(station),
        number=number,
        circuit=circuit,
        phases=phases,
        rotation=PhaseRotation(rotation),
        min_a=6.0,
        max_a=max_a,
        step_a=0.1,
        fallback_a=6.0,
        holds_lease=True,
        priority=0,
    )


def a_circuit(
    id_: CircuitId = MAIN,
    *,
    parent: CircuitId | None = None,
    limit_a: float = 100.0,
    device: str = "mcb",
    building_a: float = 0.0,
    meter: MeterId | None = None,
) -> Circuit:
    return Circuit(
        id=id_,
        parent=parent,
        limit_a=PhaseCurrents.balanced(limit_a),
        device=ProtectiveDevice(device),
        meter=meter,
        building_peak_a=PhaseCurrents.balanced(building_a),
        margin_a=0.0,
    )


def a_site(
    *evses: Evse, circuits: tuple[Circuit, ...] | None = None, model: str = "eastron/sdm630"
) -> Site:
    chosen = evses or (an_evse(),)
    names = sorted({evse.station for evse in chosen})
    meter = Meter(id=METER, model=model, connection="tcp://127.0.0.1:0", unit=1)
    return Site(
        id="test",
        name="Test",
        timezone="UTC",
        voltage_v=230.0,
        circuits={c.id: c for c in circuits or (a_circuit(meter=METER, building_a=40.0),)},
        stations={
            name: Station(id=name, evses=tuple(e for e in chosen if e.station == name))
            for name in names
        },
        meters={METER: meter},
    )
