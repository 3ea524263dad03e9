"""Controllable loads in the site file: what they become, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.config.loader import load_site_text
from adapters.config.problems import SiteFileError
from adapters.config.report import check_command
from adapters.loads import LoadMeters, load_specs, sample_of, without_loads
from adapters.modbus.loadmap import known_loads
from controller.phases import PhaseCurrents, PhaseRotation
from controller.readings import EvseSample, GridReading
from controller.site import CircuitId, EvseId, MeterId, StationId
from controller.station import EvseSampled, StationEvent
from tests.adapters.config.files import GOOD, load

BATTERY = (
    "{circuit: main, model: generic/plc, connection: 'tcp://127.0.0.1:1502', watchdog_s: 60, "
    "max_a: 16}"
)


def a_file(entry: str = BATTERY, *, name: str = "battery") -> str:
    return GOOD + f"loads:\n  {name}: {entry}\n"


def told(text: str) -> list[str]:
    try:
        load_site_text(text, Path("site.yaml"), known_loads=known_loads())
    except SiteFileError as error:
        return [f"{p.path}: {p.text}" for p in error.problems]
    return []


def test_a_load_is_a_station_that_takes_what_is_left() -> None:
    file = load(a_file())
    (evse,) = file.site.stations[StationId("battery")].evses
    assert (evse.is_load, evse.holds_lease, evse.fallback_a, evse.max_a) == (True, True, 0.0, 16.0)
    assert (evse.priority, evse.weight) == (-50, 0.01)
    (spec,) = load_specs(file)
    assert (spec.watchdog_s, spec.endpoint.place, spec.evse) == (60.0, "127.0.0.1:1502", evse)


@pytest.mark.parametrize(
    ("change", "counted_a"),
    [
        (("max_a: 16", "max_a: 16, fallback_a: 4"), 4.0),
        (("watchdog_s: 60, ", ""), 16.0),
        (("max_a: 16", "max_a: 16, holds_lease: false"), 16.0),
    ],
    ids=["fallback", "no watchdog", "watchdog not relied on"],
)
def test_the_certificate_counts_its_fallback_or_its_rating(
    change: tuple[str, str], counted_a: float
) -> None:
    without = load(GOOD).certificate.circuits[CircuitId("main")].total_a.l1_a
    text = a_file(BATTERY.replace(*change))
    assert load(text).certificate.circuits[CircuitId("main")].total_a.l1_a == without + counted_a


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (a_file(name="CP1"), "loads.CP1: CP1 is a station and a load"),
        (a_file(BATTERY.replace("main", "cellar")), "loads.battery.circuit: there is no circuit"),
        (a_file(BATTERY.replace("60", "200")), "loads.battery.watchdog_s: watchdog_s 200 is too"),
        (a_file(BATTERY.replace("plc", "plx")), "loads.battery.model: the model `generic/plx`"),
        (a_file(BATTERY.replace("plc", "limit")), "loads.battery.watchdog_s: this model has no"),
        (a_file(BATTERY.replace("watchdog_s: 60, ", "")), "loads.battery: `watchdog_s` is missing"),
        (a_file(BATTERY.replace("16}", "80}")), "loads.battery.max_a: max_a 80 is more than the"),
        (a_file(BATTERY.replace("16}", "16, meter: m}")), "loads.battery.meter: there is no meter"),
        (a_file(BATTERY.replace("16}", "16, fallback_a: 0.5}")), "loads.battery.fallback_a:"),
        (a_file(BATTERY.replace("16}", "16, phases: 1}")), "loads.battery: `rotation` is missing"),
        (a_file(BATTERY) + f"  heater: {BATTERY}\n", "loads.heater: the loads battery and heater"),
        (
            a_file(BATTERY.replace("tcp://127.0.0.1:1502", "rtu:///dev/ttyS1")).replace(
                "tcp://127.0.0.1:5020", "rtu:///dev/ttyS1"
            ),
            "loads.battery.connection: /dev/ttyS1 is the line of the meter main",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(text: str, problem: str) -> None:
    assert any(line.startswith(problem) for line in told(text)), told(text)


def test_a_good_load_is_accepted_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(a_file(BATTERY.replace("16}", "16, meter: main}")))
    assert check_command(path, known_loads=known_loads()) == 0
    assert "1 station, 2 EVSEs, 1 load" in capsys.readouterr().out


def test_vehicles_and_partners_see_no_loads() -> None:
    assert list(without_loads(load(a_file()).site).stations) == ["CP1"]


def test_a_meter_of_its_own_tells_its_current_at_its_terminals() -> None:
    (evse,) = load(a_file()).site.stations[StationId("battery")].evses
    reading = GridReading(
        current=PhaseCurrents(l1_a=5.0, l2_a=-3.0, l3_a=4.0), power_total_w=-200.0
    )
    told_of = sample_of(reading, replace(evse, rotation=PhaseRotation.STR))
    assert (told_of.terminal_a, told_of.power_w) == ((0.0, 4.0, 5.0), 0.0)
    one = sample_of(reading, replace(evse, rotation=PhaseRotation.TRS, phases=1))
    assert one.terminal_a == (4.0, 0.0, 0.0)


def test_readings_of_its_meter_go_on_and_are_told_of_the_load() -> None:
    text = a_file(BATTERY.replace("16}", "16, meter: main}"))
    kept: list[tuple[str, object]] = []
    told_of: list[StationEvent] = []

    class Sink:
        def put_reading(self, meter: MeterId, reading: GridReading) -> None:
            kept.append((meter, reading))

        def put_fault(self, meter: MeterId, fault: str) -> None:
            kept.append((meter, fault))

    meters = LoadMeters(sink=Sink(), post=told_of.append, file=load(text))
    reading = GridReading(current=PhaseCurrents.balanced(7.0))
    meters.put_reading(MeterId("main"), reading)
    meters.put_reading(MeterId("other"), reading)
    meters.put_fault(MeterId("main"), "no answer")
    assert kept == [("main", reading), ("other", reading), ("main", "no answer")]
    assert told_of == [
        EvseSampled(evse=EvseId("battery/1"), sample=EvseSample(terminal_a=(7.0, 7.0, 7.0)))
    ]
