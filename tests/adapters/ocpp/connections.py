"""Builders of connected stations for the tests of both dialects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from adapters.ocpp.book import StationBook
from adapters.ocpp.quirks import Quirks
from adapters.ocpp.station_dialect import StationDialect
from adapters.ocpp.translation import DialectSettings, EvseWiring
from adapters.ocpp.v16 import V16Dialect
from adapters.ocpp.v21 import V21Dialect
from adapters.ocpp.v201 import V201Dialect
from controller.commands import SetLimit
from controller.records import TokenStatus
from controller.site import EvseId
from controller.transaction import TransactionId
from tests.adapters.ocpp.scripted_station import (
    Script,
    ScriptedStation,
    accept_everything,
    assert_valid,
    received,
)
from tests.fakes.recording_desk import RecordingDesk, StillClock

D = TypeVar("D", bound=StationDialect)
PROTOCOLS: dict[type[StationDialect], str] = {
    V16Dialect: "ocpp1.6",
    V201Dialect: "ocpp2.0.1",
    V21Dialect: "ocpp2.1",
}
QUICK = Quirks(boot_wait_s=0.0, boot_settle_s=0.0)


class Connection(Generic[D]):
    """A dialect between a scripted station and a recording desk."""

    def __init__(
        self,
        kind: type[D],
        script: Script = accept_everything,
        *,
        evses: int = 2,
        tokens: Mapping[str, TokenStatus] | None = None,
        answer_delay_s: float = 0.0,
        timeout_s: float = 5.0,
        book: StationBook | None = None,
        station: str = "CP1",
        quirks: Quirks = QUICK,
    ) -> None:
        protocol = PROTOCOLS[kind]
        names = [f"{station}/{n}" for n in range(1, evses + 1)]
        self.clock = StillClock()
        self.desk = RecordingDesk(dict.fromkeys(names, 6.0), tokens=tokens)
        self.book = book or StationBook(clock=self.clock, pending_boots=False)
        self.station = ScriptedStation(protocol, script, station=station)
        self.dialect = kind(
            self.station,
            desk=self.desk,
            clock=self.clock,
            settings=DialectSettings(
                command_timeout_s=timeout_s,
                answer_delay_s=answer_delay_s,
                wirings={EvseId(n): EvseWiring(phases=3, max_a=32.0) for n in names},
                quirks=quirks,
            ),
            book=self.book,
        )

    async def tell(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a CALL as the station; request and answer are checked against the schemas."""
        assert_valid(self.station.protocol, action, payload)
        answer = await self.dialect.on_call(action, payload, received(self.clock))
        assert_valid(self.station.protocol, action, answer, answer=True)
        return answer

    async def provision(self) -> None:
        """Run the background task until it has nothing more to do."""
        task = asyncio.ensure_future(self.dialect.on_open())
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def profiles(self) -> list[dict[str, Any]]:
        """Return the profiles sent, without their envelope."""
        body = "csChargingProfiles" if self.station.protocol == "ocpp1.6" else "chargingProfile"
        return [p[body] for p in self.station.sent("SetChargingProfile")]


def limit(
    limit_a: float,
    transaction: str | None = "1000002",
    *,
    evse: str = "CP1/1",
    lease_s: float = 300.0,
) -> SetLimit:
    """Command a limit."""
    return SetLimit(
        evse=EvseId(evse),
        limit_a=limit_a,
        lease_s=lease_s,
        transaction=None if transaction is None else TransactionId(transaction),
        cause="test",
    )


def run(body: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await body()

    asyncio.run(bounded())


__all__ = ["Connection", "V16Dialect", "V201Dialect", "limit", "run"]
