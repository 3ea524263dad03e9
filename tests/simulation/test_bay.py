"""A vehicle at a charging point of the simulated site."""

from __future__ import annotations

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.bay import Bay
from adapters.simulator.lockstep.lines import Line
from adapters.simulator.vehicle import Vehicle
from tests.controller.builders import a_site


def test_what_a_welded_contactor_lets_through_moves_with_the_vehicle_and_ends_with_the_repair() -> (
    None
):
    site = a_site(evses=1)
    agenda = Agenda()
    line = Line(next(iter(site.circuits.values())), None)
    bay = Bay(next(iter(site.evses())), line, agenda=agenda, voltage_v=230.0)
    single_phase = Vehicle(name="compact", phases=1)

    bay.leak(10.0)
    assert line.current_a == (10.0, 10.0, 10.0)
    bay.plug_in(single_phase)
    assert line.current_a == (10.0, 0.0, 0.0)
    bay.unplug()
    assert line.current_a == (10.0, 10.0, 10.0)
    bay.leak(0.0)

    assert line.current_a == (0.0, 0.0, 0.0)
