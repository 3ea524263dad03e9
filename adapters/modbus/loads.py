"""All controllable loads of a site. Carries out the controller's commands for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from adapters.modbus.client import ModbusConnection
from adapters.modbus.loaddevice import LoadDevice, LoadSpec
from adapters.modbus.loadlink import LoadLink
from controller.commands import ActionRequest, CommandResult, NotConnected, Rejected, SetLimit
from controller.ports import Clock, ConditionSink
from controller.site import StationId
from controller.station import StationEvent

_NO_ACTION = "a load takes limits only: pause it, or set its maximum"


class Loads:
    """Implements `Fleet` for stations that are loads. Loads on one line share its connection."""

    def __init__(
        self,
        *,
        post: Callable[[StationEvent], None],
        conditions: ConditionSink,
        clock: Clock,
    ) -> None:
        """Start with no load."""
        self._post = post
        self._conditions = conditions
        self._clock = clock
        self._lines: dict[str, tuple[ModbusConnection, asyncio.Lock]] = {}
        self._links: dict[StationId, LoadLink] = {}
        self._tasks: dict[StationId, asyncio.Task[None]] = {}

    @property
    def stations(self) -> frozenset[StationId]:
        """The stations that are loads."""
        return frozenset(self._links)

    def link(self, station: StationId) -> LoadLink:
        """Return a load's link.

        Raises:
            KeyError: No such load.
        """
        return self._links[station]

    def announce(self, specs: Iterable[LoadSpec]) -> None:
        """Tell the controller of loads. Before its first decision."""
        for spec in specs:
            self._add(spec)

    def start(self) -> None:
        """Begin to speak with those that are not spoken with yet."""
        for station, link in self._links.items():
            if station not in self._tasks:
                task = asyncio.create_task(link.run(), name=f"load {station}")
                self._tasks[station] = task

    async def follow(self, specs: Iterable[LoadSpec]) -> None:
        """Go on with other loads: those that change or go are brought to their fallback first."""
        wanted = {spec.evse.station: spec for spec in specs}
        gone = [s for s, link in self._links.items() if wanted.get(s) != link.spec]
        for station in gone:
            await self._end(station)
            await self._links.pop(station).leave()
        self.announce(spec for station, spec in wanted.items() if station not in self._links)
        self.start()

    async def stop(self) -> None:
        """Speak no more; leases and watchdogs end by themselves."""
        for station in list(self._tasks):
            await self._end(station)
        for connection, _ in self._lines.values():
            await connection.close()

    async def apply(self, command: SetLimit) -> CommandResult:
        """Carry out one command."""
        link = self._links.get(StationId(command.evse.rpartition("/")[0]))
        return NotConnected() if link is None else await link.apply(command)

    async def act(self, request: ActionRequest) -> CommandResult:
        """Refuse an operator's action: there is no such thing."""
        return Rejected(reason=_NO_ACTION)

    def _add(self, spec: LoadSpec) -> None:
        place = spec.endpoint.place
        if place not in self._lines:
            self._lines[place] = (ModbusConnection(spec.endpoint), asyncio.Lock())
        line, turn = self._lines[place]
        link = LoadLink(
            spec,
            device=LoadDevice(spec, line),
            turn=turn,
            post=self._post,
            conditions=self._conditions,
            clock=self._clock,
        )
        self._links[spec.evse.station] = link
        link.announce(self._clock.now())

    async def _end(self, station: StationId) -> None:
        task = self._tasks.pop(station, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
