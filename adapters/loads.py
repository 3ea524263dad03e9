"""Controllable loads beside charging stations: which port serves whom, and what their meters say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adapters.config.loader import SiteFile
from adapters.modbus.connection import parse_connection
from adapters.modbus.loaddevice import LoadSpec
from adapters.modbus.loadmap import load_map
from adapters.modbus.loads import Loads
from controller.commands import ActionRequest, CommandResult, SetLimit
from controller.ports import Fleet, MeterSink
from controller.readings import EvseSample, GridReading
from controller.site import Evse, MeterId, Site, StationId
from controller.station import EvseSampled, StationEvent


class SiteFleet:
    """Implements `Fleet` for charging stations and loads together."""

    def __init__(self, *, stations: Fleet, loads: Loads) -> None:
        self._stations = stations
        self._loads = loads

    async def apply(self, command: SetLimit) -> CommandResult:
        """Carry out one command where its station is reached."""
        return await self._port(StationId(command.evse.rpartition("/")[0])).apply(command)

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an operator's action where its station is reached."""
        return await self._port(request.station).act(request)

    def _port(self, station: StationId) -> Fleet:
        return self._loads if station in self._loads.stations else self._stations


class LoadMeters:
    """Passes readings on; one of a meter that measures a load is told of that load too."""

    def __init__(
        self, *, sink: MeterSink, post: Callable[[StationEvent], None], file: SiteFile | None
    ) -> None:
        self._sink = sink
        self._post = post
        self._measured: dict[MeterId, Evse] = {}
        if file is not None:
            self.follow(file)

    def follow(self, file: SiteFile) -> None:
        """Go on with the loads of another site file."""
        self._measured = {
            MeterId(entry.meter): file.site.stations[StationId(name)].evses[0]
            for name, entry in file.document.loads.items()
            if entry.meter is not None
        }

    def put_reading(self, meter: MeterId, reading: GridReading) -> None:
        """Deliver a plausible sample."""
        self._sink.put_reading(meter, reading)
        evse = self._measured.get(meter)
        if evse is not None:
            self._post(EvseSampled(evse=evse.id, sample=sample_of(reading, evse)))

    def put_fault(self, meter: MeterId, fault: str) -> None:
        """Say why there is no sample."""
        self._sink.put_fault(meter, fault)


def sample_of(reading: GridReading, evse: Evse) -> EvseSample:
    """Return what a load takes at its terminals; what it gives back counts as nothing. [A]"""
    wired = evse.rotation.order[: evse.phases]
    first, second, third = (
        max(0.0, reading.current.of(phase)) if phase in wired else 0.0
        for phase in evse.rotation.order
    )
    power_w = reading.power_total_w
    return EvseSample(
        terminal_a=(first, second, third),
        power_w=None if power_w is None else max(0.0, power_w),
    )


def load_specs(file: SiteFile | None) -> tuple[LoadSpec, ...]:
    """Return the loads of a site file, in order of their ids.

    Raises:
        ValueError: A model is unknown, or a connection cannot be understood.
    """
    if file is None:
        return ()
    return tuple(_spec(file, name) for name in sorted(file.document.loads))


def _spec(file: SiteFile, name: str) -> LoadSpec:
    entry = file.document.loads[name]
    found = load_map(entry.model)
    if entry.word_order is not None:
        found = found.model_copy(update={"word_order": entry.word_order})
    return LoadSpec(
        evse=file.site.stations[StationId(name)].evses[0],
        load_map=found,
        endpoint=parse_connection(entry.connection, found.default),
        unit=entry.unit,
        voltage_v=file.site.voltage_v,
        watchdog_s=entry.watchdog_s,
        has_meter=entry.meter is not None,
    )


def without_loads(site: Site) -> Site:
    """Return the site as vehicles see it."""
    vehicles = {name: station for name, station in site.stations.items() if not station.is_load}
    return replace(site, stations=vehicles)
