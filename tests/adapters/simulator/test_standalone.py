from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.simulator.charger import ChargerState
from adapters.simulator.meter import MeterFault
from adapters.simulator.standalone import (
    CIRCUIT,
    METER,
    a_parser,
    a_scenario,
    a_simulator,
    a_site,
    control,
)
from controller.phases import Phase
from controller.site import EvseId, StationId

ROOT = Path(__file__).parents[3]


def test_the_process_prints_the_truth_and_takes_controls() -> None:
    command = [sys.executable, "-m", "adapters.simulator", "--chargers", "2", "--every", "0.2"]
    command += ["--meter", "127.0.0.1:0", "--ocpp-url", "ws://127.0.0.1:1", "--seconds", "20"]
    controls = [
        {"do": "building_step", "phase": "l2", "current_a": 11.0},
        {"do": "plug_in", "evse": "CP002/1", "vehicle": {"name": "van"}},
        {"do": "nothing"},
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["meter_port"] > 0
        process.stdin.writelines(json.dumps(entry) + "\n" for entry in controls)
        process.stdin.flush()
        lines = [json.loads(process.stdout.readline()) for _ in range(10)]
        process.stdin.write('{"do": "stop"}\n')
        process.stdin.flush()
        lines += [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    truths = [line for line in lines if "time_s" in line]
    assert any("unknown control" in line.get("error", "") for line in lines)
    assert truths[-1]["evses"]["CP002/1"]["vehicle"] == "van"
    building_a = truths[-1]["circuits"]["main"]["building_a"]
    assert building_a[1] > building_a[0] + 5.0


def test_arguments_shape_the_site() -> None:
    options = ["--chargers", "3", "--limit-a", "63", "--rotate", "--prefix", "X", "--max-a", "16"]
    site = a_site(a_parser().parse_args(options))
    assert list(site.stations) == ["X001", "X002", "X003"]
    assert [evse.rotation.value for evse in site.evses()] == ["RST", "STR", "TRS"]
    assert {evse.max_a for evse in site.evses()} == {16.0}


@pytest.mark.parametrize("name", ["demo", "steady", "random"])
def test_every_scenario_can_be_chosen(name: str) -> None:
    options = ["--scenario", name, "--habit", "CP002=ignores_limits"]
    arguments = a_parser().parse_args(options)
    scenario = a_scenario(arguments, a_site(arguments))
    assert scenario.name.startswith(name)
    assert scenario.habits[1].ignores_limits


def test_controls_reach_the_site() -> None:
    simulator = a_simulator(a_parser().parse_args(["--meter", "127.0.0.1:0"]))
    evse = EvseId("CP001/1")

    async def run() -> None:
        await control(simulator, {"do": "meter_fault", "kind": "frozen"})
        await control(simulator, {"do": "plug_in", "evse": evse, "vehicle": {"name": "van"}})
        assert simulator.truth().evses[evse].state is ChargerState.WAITING
        await control(simulator, {"do": "unplug", "evse": evse})
        await control(simulator, {"do": "kill_connection", "station": "CP001"})
        habits = {"silent_meter": True}
        await control(simulator, {"do": "set_habits", "station": "CP001", "habits": habits})
        step = {"do": "building_step", "phase": "l3", "current_a": 9.0, "for_s": 5}
        await control(simulator, step)
        await simulator.stop_meters()

    asyncio.run(run())
    assert simulator.meters[METER].fault is MeterFault.FROZEN
    assert simulator.truth().evses[evse].vehicle is None
    assert simulator.stations[StationId("CP001")].habits.silent_meter
    before_a = simulator.truth().circuits[CIRCUIT].current_a
    simulator.world.step(1.0)
    after_a = simulator.truth().circuits[CIRCUIT].current_a
    assert after_a.of(Phase.L3) - before_a.of(Phase.L3) == pytest.approx(9.0, abs=1.0)
