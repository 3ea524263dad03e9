"""The simulated site as a process of its own, for tests that run the controller in another one."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.simulator import scenario as scenarios
from adapters.simulator.habits import StationHabits
from adapters.simulator.meter import MeterFault
from adapters.simulator.scenario import Scenario
from adapters.simulator.vehicle import Vehicle
from adapters.simulator.wire import WireSimulator
from controller.phases import Phase, PhaseCurrents, PhaseRotation
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    EvseId,
    Meter,
    MeterId,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
    evse_id,
)

SECRETS_VARIABLE = "WATTKEEPER_SIMULATOR_SECRETS"
METER = MeterId("main")
CIRCUIT = CircuitId("main")

_EPILOGUE = f"""
Stations are <prefix>001, <prefix>002, ... with one EVSE each on one circuit `main`; they alternate
between OCPP 1.6 and 2.0.1. Passwords come from the environment variable {SECRETS_VARIABLE}, a JSON
object of station id to password. Standard output carries one JSON object per line: first
{{"meter_port": N}}, then the physical truth every --every seconds and once at the end.

Standard input takes controls, one JSON object per line:
{{"do": "building_step", "phase": "l1", "current_a": 30}}    "for_s": 20 ends it again
{{"do": "meter_fault", "kind": "frozen"}}                    null heals it
{{"do": "plug_in", "evse": "CP001/1", "vehicle": {{"name": "van", "phases": 3, "max_a": 32}}}}
{{"do": "unplug", "evse": "CP001/1"}}
{{"do": "kill_connection", "station": "CP001"}}
{{"do": "set_habits", "station": "CP001", "habits": {{"ignores_limits": true}}}}
{{"do": "stop"}}
"""


def a_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.simulator",
        description="A simulated site on real sockets; prints the physical truth as JSON lines.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--chargers", type=int, default=4, help="number of stations (default: 4)")
    add("--ocpp-url", default="ws://127.0.0.1:9000", help="of the controller, without identity")
    add("--meter", default="127.0.0.1:5020", help="HOST:PORT to serve Modbus TCP on; port 0: any")
    add("--meter-model", default="eastron/sdm630", help="map of the meter")
    add("--unit", type=int, default=1, help="Modbus unit id (default: 1)")
    add("--maps-dir", type=Path, help="folder with meter maps; without it: SDM630 only")
    add("--seconds", type=float, help="end after this time; default: until stopped")
    add("--scenario", choices=("demo", "steady", "random"), default="demo")
    add("--seed", type=int, default=1)
    add("--speed", type=float, default=1.0, help="simulated seconds of physics per second")
    add("--prefix", default="CP", help="of the station ids")
    add("--limit-a", type=float, default=100.0, help="rating of the circuit [A]")
    add("--device", choices=[d.value for d in ProtectiveDevice], default="mcb")
    add("--building-a", type=float, default=40.0, help="worst case of the building [A]")
    add("--max-a", type=float, default=32.0, help="rating of each EVSE [A]")
    add("--rotate", action="store_true", help="turn the phases of each second and third EVSE")
    add("--protocol", choices=("alternate", "ocpp1.6", "ocpp2.0.1"), default="alternate")
    add("--habit", action="append", default=[], metavar="ID=NAME", help="a defect of a station")
    add("--every", type=float, default=1.0, help="seconds between two lines of truth")
    return parser


def a_site(arguments: argparse.Namespace) -> Site:
    """Build the site that the arguments describe."""
    turns = (PhaseRotation.RST, PhaseRotation.STR, PhaseRotation.TRS)
    stations: dict[StationId, Station] = {}
    for index in range(arguments.chargers):
        id_ = StationId(f"{arguments.prefix}{index + 1:03}")
        evse = Evse(
            id=evse_id(id_, 1),
            station=id_,
            number=1,
            circuit=CIRCUIT,
            phases=3,
            rotation=turns[index % 3] if arguments.rotate else PhaseRotation.RST,
            min_a=6.0,
            max_a=arguments.max_a,
            step_a=0.1,
            fallback_a=6.0,
            holds_lease=True,
            priority=0,
        )
        stations[id_] = Station(id=id_, evses=(evse,))
    circuit = Circuit(
        id=CIRCUIT,
        parent=None,
        limit_a=PhaseCurrents.balanced(arguments.limit_a),
        device=ProtectiveDevice(arguments.device),
        meter=METER,
        building_peak_a=PhaseCurrents.balanced(arguments.building_a),
        margin_a=0.0,
    )
    meter = Meter(
        id=METER,
        model=arguments.meter_model,
        connection=f"tcp://{arguments.meter}",
        unit=arguments.unit,
    )
    return Site(
        id="simulated",
        name="Simulated site",
        timezone="UTC",
        voltage_v=230.0,
        circuits={CIRCUIT: circuit},
        stations=stations,
        meters={METER: meter},
    )


def a_scenario(arguments: argparse.Namespace, site: Site) -> Scenario:
    """Choose the script that the arguments name."""
    if arguments.scenario == "random":
        chosen = scenarios.random(arguments.chargers, arguments.seed)
    else:
        presets = {"demo": scenarios.demo, "steady": scenarios.steady}
        chosen = presets[arguments.scenario](arguments.chargers)
    index_of = {id_: index for index, id_ in enumerate(site.stations)}
    habits: dict[int, StationHabits] = {}
    for text in arguments.habit:
        station, _, name = text.partition("=")
        index = index_of[StationId(station)]
        habits[index] = replace(habits.get(index, StationHabits()), **{name: True})
    return replace(chosen, habits=habits)


def a_simulator(arguments: argparse.Namespace) -> WireSimulator:
    """Build the simulator that the arguments describe."""
    site = a_site(arguments)
    protocols = None
    if arguments.protocol != "alternate":
        protocols = dict.fromkeys(site.stations, arguments.protocol)
    return WireSimulator(
        site=site,
        ocpp_url=arguments.ocpp_url,
        secrets=json.loads(os.environ.get(SECRETS_VARIABLE, "{}")),
        scenario=a_scenario(arguments, site),
        seed=arguments.seed,
        maps_dir=arguments.maps_dir,
        protocols=protocols,
        speed=arguments.speed,
    )


async def control(simulator: WireSimulator, command: dict[str, Any]) -> None:
    """Carry out one control; see the help of the command line.

    Raises:
        KeyError: If something is missing or not known.
        ValueError: If a value is not known.
    """
    match command["do"]:
        case "building_step":
            for_s = command.get("for_s")
            simulator.building_step(
                Phase(command["phase"]),
                float(command["current_a"]),
                None if for_s is None else simulator.world.time_s + for_s,
            )
        case "meter_fault":
            kind = command["kind"]
            await simulator.meter_fault(METER, None if kind is None else MeterFault(kind))
        case "plug_in":
            simulator.plug_in(EvseId(command["evse"]), Vehicle(**command["vehicle"]))
        case "unplug":
            simulator.unplug(EvseId(command["evse"]))
        case "kill_connection":
            simulator.kill_connection(StationId(command["station"]))
        case "set_habits":
            habits = StationHabits(**command["habits"])
            simulator.set_habits(StationId(command["station"]), habits)
        case unknown:
            raise ValueError(f"unknown control {unknown}")


def _write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _has_controls() -> bool:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()


async def _listen(simulator: WireSimulator) -> None:
    """Carry out controls from standard input until it says stop; its end stops nothing."""
    if not _has_controls():
        await asyncio.Event().wait()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        try:
            command = json.loads(line)
            if command["do"] == "stop":
                return
            await control(simulator, command)
        except (KeyError, TypeError, ValueError) as error:
            _write({"error": repr(error)})
    await asyncio.Event().wait()


async def _report(simulator: WireSimulator, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        _write(simulator.truth().to_json())


async def run(arguments: argparse.Namespace) -> None:
    """Run the site for as long as the arguments say."""
    simulator = a_simulator(arguments)
    await simulator.start()
    _write({"meter_port": simulator.meter_port(METER)})
    report = asyncio.create_task(_report(simulator, arguments.every))
    try:
        async with asyncio.timeout(arguments.seconds):
            await _listen(simulator)
    except TimeoutError:
        pass
    finally:
        report.cancel()
        await simulator.stop()
        _write(simulator.truth().to_json())


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    arguments = a_parser().parse_args(argv)
    try:
        asyncio.run(run(arguments))
    except KeyboardInterrupt:
        return 0
    return 0
