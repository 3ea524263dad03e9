"""The simulated site on real sockets: stations that dial the controller, meters that it reads.

One shared tick advances the physics, all stations and all meters, so that hundreds of stations
cost little.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from adapters.simulator.building import BuildingStep
from adapters.simulator.habits import SOUND, StationHabits
from adapters.simulator.meter import MeterFault, MeterServer, VirtualMeter
from adapters.simulator.registers import load_layout
from adapters.simulator.scenario import Scenario
from adapters.simulator.setup import Access, Setup
from adapters.simulator.station16 import Station16
from adapters.simulator.station201 import Station201
from adapters.simulator.station_common import VirtualStation
from adapters.simulator.truth import Truth
from adapters.simulator.vehicle import Vehicle
from adapters.simulator.world import World
from controller.phases import Phase
from controller.site import EvseId, MeterId, Site, StationId

TICK_S = 1.0
METER_REFRESH_S = 1.0
_STEP_MAX_S = 1.0
_CATCH_UP_MAX_S = 30.0
_STATIONS: Mapping[str, type[VirtualStation]] = {
    Station16.subprotocol: Station16,
    Station201.subprotocol: Station201,
}


class WireSimulator:
    """A simulated site that talks."""

    def __init__(
        self,
        *,
        site: Site,
        ocpp_url: str,
        secrets: Mapping[StationId, str],
        scenario: Scenario,
        seed: int,
        maps_dir: Path | None = None,
        meter_listen: Mapping[MeterId, tuple[str, int]] | None = None,
        protocols: Mapping[StationId, str] | None = None,
        access: Mapping[StationId, Access] | None = None,
        speed: float = 1.0,
        tick_s: float = TICK_S,
        meter_refresh_s: float = METER_REFRESH_S,
    ) -> None:
        """Build the site; nothing runs yet.

        Args:
            site: What is built.
            ocpp_url: Of the controller, without an identity: `ws://127.0.0.1:9000`.
            secrets: Password per station; a station without one sends none.
            scenario: What happens.
            seed: Of noise and jitter.
            maps_dir: Folder with the meter maps; without it only `eastron/sdm630` is known.
            meter_listen: Addresses of the meters; default: those of their `tcp://` connections.
            access: Way of single stations, where it differs from `ocpp_url` and `secrets`.
            protocols: `ocpp1.6` or `ocpp2.0.1` per station; default: alternating, 1.6 first.
            speed: Simulated seconds of physics per second. OCPP keeps real time.
            tick_s: Real time between two steps. [s]
            meter_refresh_s: Simulated time between two measurements of a meter. [s]
        """
        self.site = site
        self.world = World(site=site, scenario=scenario, seed=seed)
        self._scenario = scenario
        self._seed = seed
        self._speed = speed
        self._tick_s = tick_s
        self._meter_refresh_s = meter_refresh_s
        self._measured_s_ago = 0.0
        self._task: asyncio.Task[None] | None = None
        self._access = access or {}
        self.stations = self._build_stations(ocpp_url, secrets, protocols or {})
        self.meters: dict[MeterId, VirtualMeter] = {}
        self._servers: dict[MeterId, MeterServer] = {}
        self._build_meters(meter_listen or {}, maps_dir)

    def truth(self) -> Truth:
        """Return what is physically true now."""
        return self.world.truth()

    def meter_port(self, meter: MeterId) -> int:
        """Return the port on which a meter listens; 0 while it does not."""
        return self._servers[meter].port

    # Running.

    async def run(self) -> None:
        """Run the site until cancelled."""
        try:
            await self._listen()
            async with asyncio.TaskGroup() as group:
                for station in self.stations.values():
                    group.create_task(station.run())
                group.create_task(self._tick())
        finally:
            await self.stop_meters()

    async def start(self) -> None:
        """Run in the background; returns when the meters listen."""
        await self._listen()
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """End what `start` began; an error of the run is raised here."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _listen(self) -> None:
        for meter in self.meters.values():
            meter.refresh(0.0)
        for server in set(self._servers.values()):
            await server.start()

    async def stop_meters(self) -> None:
        """Take all meters off the network."""
        for server in set(self._servers.values()):
            await server.stop()

    async def _tick(self) -> None:
        last_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            self.advance(min(_CATCH_UP_MAX_S, now_s - last_s) * self._speed, time.time())
            last_s = now_s
            await asyncio.sleep(max(0.0, self._tick_s - (time.monotonic() - now_s)))

    def advance(self, dt_s: float, time_s: float) -> None:
        """Advance stations, physics and meters.

        Args:
            dt_s: Simulated time to pass. [s]
            time_s: Unix time, which stations live by. [s]
        """
        for station in self.stations.values():
            station.tick(time_s)
        left_s = dt_s
        while left_s > 0.0:
            step_s = min(left_s, _STEP_MAX_S)
            self.world.step(step_s)
            left_s -= step_s
        self._measured_s_ago += dt_s
        if self._measured_s_ago >= self._meter_refresh_s:
            for meter in self.meters.values():
                meter.refresh(self._measured_s_ago)
            self._measured_s_ago = 0.0

    # Controls while it runs.

    def building_step(self, phase: Phase, current_a: float, end_s: float | None = None) -> None:
        """Switch on a load of the building; negative current switches it off or feeds in. [A]

        Args:
            phase: Grid phase.
            current_a: What is added from now on. [A]
            end_s: Simulated time at which it ends; None: never. [s]
        """
        self.world.building_step(
            BuildingStep(phase=phase, current_a=current_a, start_s=self.world.time_s, end_s=end_s)
        )

    async def meter_fault(self, meter: MeterId, kind: MeterFault | None) -> None:
        """Let a meter fail; None heals it."""
        self.meters[meter].fault = kind
        if kind is MeterFault.UNPLUGGED:
            await self._servers[meter].stop()
        else:
            await self._servers[meter].start()

    def plug_in(self, evse: EvseId, vehicle: Vehicle) -> None:
        """Plug a vehicle in."""
        self.world.plug_in(evse, vehicle)

    def unplug(self, evse: EvseId) -> None:
        """Take a vehicle away."""
        self.world.unplug(evse)

    def kill_connection(self, station: StationId) -> None:
        """Cut a station's connection; it dials again."""
        self.stations[station].drop_connection()

    def set_habits(self, station: StationId, habits: StationHabits) -> None:
        """Let a station misbehave from now on."""
        self.stations[station].habits = habits

    def _build_stations(
        self, url: str, secrets: Mapping[StationId, str], protocols: Mapping[StationId, str]
    ) -> dict[StationId, VirtualStation]:
        stations: dict[StationId, VirtualStation] = {}
        for index, (id_, station) in enumerate(self.site.stations.items()):
            alternating = (Station16, Station201)[index % 2].subprotocol
            way = self._access.get(id_) or Access(url=url, password=secrets.get(id_))
            setup = Setup(
                station=station,
                chargers={evse.number: self.world.chargers[evse.id] for evse in station.evses},
                url=way.url,
                password=way.password,
                tls=way.tls,
                voltage_v=self.site.voltage_v,
                habits=self._scenario.habits.get(index, SOUND),
                seed=self._seed,
            )
            stations[id_] = _STATIONS[protocols.get(id_, alternating)](setup)
        return stations

    def _build_meters(
        self,
        listen: Mapping[MeterId, tuple[str, int]],
        maps_dir: Path | None,
    ) -> None:
        groups: dict[tuple[str, int, str], dict[int, VirtualMeter]] = {}
        group_of: dict[MeterId, tuple[str, int, str]] = {}
        for circuit in self.site.circuits.values():
            if circuit.meter is None:
                continue
            meter = self.site.meters[circuit.meter]
            host, port = listen.get(meter.id) or _address(meter.connection)
            virtual = VirtualMeter(
                layout=load_layout(meter.model, maps_dir),
                conductor=self.world.conductor(circuit.id),
                voltage_v=self.site.voltage_v,
                random=Random(f"{self._seed}/{meter.id}"),
            )
            self.meters[meter.id] = virtual
            # Meters share an address as units of one gateway; port 0 is a new one for each.
            group = (host, port, "" if port else meter.id)
            group_of[meter.id] = group
            groups.setdefault(group, {})[meter.unit] = virtual
        servers = {group: MeterServer(group[:2], meters) for group, meters in groups.items()}
        self._servers = {id_: servers[group] for id_, group in group_of.items()}


def _address(connection: str) -> tuple[str, int]:
    parts = urlsplit(connection)
    if parts.scheme != "tcp" or parts.hostname is None:
        raise ValueError(f"the simulator serves tcp:// meters only, not {connection}")
    return parts.hostname, parts.port if parts.port is not None else 502
