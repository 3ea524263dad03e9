"""The hostile list against a whole running controller on real sockets: nobody else may notice.

Full counts run with `-m long`; the suite runs the same scenes at reduced counts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from adapters.bootstrap import RunningController, RunSettings
from adapters.http.settings import HttpSettings
from adapters.ocpp.settings import OcppSettings
from controller.policy import Policy
from controller.site import EvseId, StationId
from tests.adapters.ocpp.rig import basic, until
from tests.controller.builders import a_circuit, a_site

A, B = StationId("CP001"), StationId("CP002")
SECRET = "correct-horse-battery"
LIMIT_A = 26.0


class Charger:
    """A scripted 1.6 station: accepts everything, and says what a test wants."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._number = 0
        self.limits: list[float] = []
        self.purposes: list[str] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for message in self._socket:
            frame = json.loads(message)
            if frame[0] == 2:
                self._note(frame[3])
                await self._socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
            elif frame[1] in self._answers:
                self._answers.pop(frame[1]).set_result(frame)

    def _note(self, payload: dict[str, Any]) -> None:
        profile = payload.get("csChargingProfiles")
        if profile is not None:
            period = profile["chargingSchedule"]["chargingSchedulePeriod"][0]
            self.limits.append(period["limit"])
            self.purposes.append(profile["chargingProfilePurpose"])

    async def tell(self, action: str, payload: dict[str, Any]) -> Any:
        self._number += 1
        unique = str(self._number)
        answer = asyncio.get_running_loop().create_future()
        self._answers[unique] = answer
        await self._socket.send(json.dumps([2, unique, action, payload]))
        async with asyncio.timeout(10):
            return (await answer)[2]

    async def plug_in(self, start_wh: int = 1000) -> int:
        await self.tell("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
        await self.tell(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        )
        answer = await self.tell(
            "StartTransaction",
            {"connectorId": 1, "idTag": "CARD", "meterStart": start_wh, "timestamp": stamp()},
        )
        number = answer["transactionId"]
        assert isinstance(number, int)
        return number

    async def measure(self, transaction: int, *values: dict[str, str], at: str = "") -> None:
        entry = {"timestamp": at or stamp(), "sampledValue": list(values)}
        await self.tell(
            "MeterValues",
            {"connectorId": 1, "transactionId": transaction, "meterValue": [entry]},
        )

    async def raw(self, text: str) -> None:
        """Send a frame as it is."""
        await self._socket.send(text)

    async def close(self) -> None:
        await self._socket.close()


def stamp(shift: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + shift).strftime("%Y-%m-%dT%H:%M:%SZ")


class Site:
    def __init__(self, controller: RunningController) -> None:
        self.controller = controller

    async def charger(
        self, station: str, *, password: str = SECRET, local_addr: tuple[str, int] | None = None
    ) -> Charger:
        socket = await connect(
            f"ws://127.0.0.1:{self.controller.ocpp.port}/{station}",
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
            additional_headers=basic(station, password),
            proxy=None,
            close_timeout=0.5,
            local_addr=local_addr,
        )
        return Charger(socket)

    def setpoint_a(self, station: str) -> float:
        plan = self.controller.operations.plan()
        assert plan is not None
        return plan.evses[EvseId(f"{station}/1")].setpoint_a

    def live(self, station: str) -> tuple[float | None, float | None]:
        """The live estimate of current and energy. [A], [Wh]"""
        plan = self.controller.operations.plan()
        assert plan is not None
        status = plan.evses[EvseId(f"{station}/1")]
        drawn_a = None if status.drawn_a is None else max(status.drawn_a)
        return drawn_a, status.energy_wh

    def committed_a(self) -> float:
        plan = self.controller.operations.plan()
        assert plan is not None
        return max(plan.circuits[a_circuit().id].committed_a)

    def is_shared(self, fair_a: float) -> bool:
        """Tell whether both have their share, and nothing is committed beyond the limit."""
        shares = [self.setpoint_a(s) for s in (A, B)]
        return all(abs(s - fair_a) < 0.2 for s in shares) and self.committed_a() <= LIMIT_A

    def alarms(self) -> set[tuple[str, str]]:
        return {
            (a.condition.code, a.condition.subject) for a in self.controller.operations.alarms()
        }


@asynccontextmanager
async def a_running_site(folder: Path, *, stations: int = 2) -> AsyncIterator[Site]:
    limit_a = LIMIT_A + 6.0 * (stations - 2)  # the fallbacks of the further ones besides
    circuit = a_circuit(limit_a=limit_a, meter=None, building_peak_a=0.0)
    run = RunSettings(
        site=a_site(circuits=[circuit], evses=stations),
        policy=Policy(interval_s=0.5, increase_interval_s=0.5, settle_s=1.0),
        ocpp=OcppSettings(port=0, close_timeout_s=0.5),
        http=HttpSettings(host="127.0.0.1", port=0),
        store_path=folder / "w.db",
        influx=None,
        accept_unknown_tokens=True,
    )
    async with RunningController(run) as controller:
        for station in run.site.stations:
            await controller.store.set_station_secret(station, SECRET)
        await until(controller.operations.plan)
        yield Site(controller)


def play(
    folder: Path,
    scene: Callable[[Site], Awaitable[None]],
    *,
    stations: int = 2,
    within_s: float = 100.0,
) -> None:
    async def run() -> None:
        async with asyncio.timeout(within_s), a_running_site(folder, stations=stations) as site:
            await scene(site)

    asyncio.run(run())


@pytest.mark.parametrize("ids", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_a_station_cannot_touch_anothers_transaction(tmp_path: Path, ids: int) -> None:
    """Item 7."""

    async def scene(site: Site) -> None:
        a, b = await site.charger(A), await site.charger(B)
        own, target = await a.plug_in(), await b.plug_in()
        guesses = [target, *range(1, ids)]
        for number in guesses:
            await a.measure(number, {"value": "999999", "unit": "Wh"})
            await a.tell(
                "StopTransaction",
                {"transactionId": number, "meterStop": 5, "timestamp": stamp(), "idTag": "CARD"},
            )
        running = await site.controller.store.open_transactions()
        await until(lambda: ("FOREIGN_TRANSACTIONS", A) in site.alarms())

        assert {(t.station, t.id) for t in running} >= {(B, str(target))}
        (theirs,) = [t for t in running if t.station == B]
        assert (theirs.start_wh, theirs.last_wh) == (1000.0, 1000.0)
        assert {t.id for t in running if t.station == A} <= {str(own)}
        assert not any(subject == B for _, subject in site.alarms())
        await a.close()
        await b.close()

    play(tmp_path, scene)


@pytest.mark.parametrize("frames", [60, pytest.param(500, marks=pytest.mark.long)])
def test_replayed_frames_book_nothing_twice(tmp_path: Path, frames: int) -> None:
    """Item 8: starts, values and ends again after a reconnect; three frames a round."""
    rounds = -(-frames // 3)

    async def scene(site: Site) -> None:
        charger = await site.charger(A)
        running = await charger.plug_in()
        await until(lambda: site.setpoint_a(A) > 0)
        drawn = {"value": "13", "unit": "A", "measurand": "Current.Import"}
        await charger.measure(running, drawn, {"value": "1200", "unit": "Wh"})
        await until(lambda: site.live(A) == (13.0, 200.0))
        recorded: list[tuple[str, dict[str, Any]]] = []
        for n in range(rounds):
            at = stamp(timedelta(seconds=n - 7200))
            start = {"connectorId": 1, "idTag": "CARD", "meterStart": n * 100, "timestamp": at}
            number = (await charger.tell("StartTransaction", start))["transactionId"]
            sample = {"value": str(n * 100 + 20), "unit": "Wh"}
            values = {
                "connectorId": 1,
                "transactionId": number,
                "meterValue": [{"timestamp": at, "sampledValue": [sample]}],
            }
            stop = {"transactionId": number, "meterStop": n * 100 + 50, "timestamp": at}
            recorded += [
                ("StartTransaction", start),
                ("MeterValues", values),
                ("StopTransaction", stop),
            ]
            await charger.tell("MeterValues", values)
            await charger.tell("StopTransaction", stop)
        before, estimate = await booked(site), site.live(A)
        await charger.close()
        again = await site.charger(A)
        await again.tell("Heartbeat", {})
        for action, payload in recorded[:frames]:
            await again.tell(action, payload)
        await asyncio.sleep(1.2)  # two more cycles, in which the estimate could have moved

        assert await booked(site) == before
        assert site.live(A) == estimate
        assert len(before) == rounds + 1
        await again.close()

    play(tmp_path, scene)


async def booked(site: Site) -> list[tuple[str, float | None]]:
    listed = await site.controller.store.transactions(since=None, until=None, limit=1000, offset=0)
    return [(t.id, t.energy_wh) for t in listed]


HOSTILE_VALUES: list[tuple[str, list[dict[str, str]]]] = [
    ("energy back", [{"value": "-5", "unit": "Wh"}]),
    ("energy jump", [{"value": "1001000", "unit": "Wh"}]),
    ("kWh as Wh", [{"value": "1.2", "unit": "Wh"}]),
    ("mA as A", [{"value": "16000", "unit": "A", "measurand": "Current.Import", "phase": "L1"}]),
    (
        "L1-N",
        [{"value": "3", "unit": "A", "measurand": "Current.Import", "phase": "L1-N"}],
    ),
    ("negative", [{"value": "-16", "unit": "A", "measurand": "Current.Import", "phase": "L1"}]),
    ("NaN", [{"value": "NaN", "unit": "A", "measurand": "Current.Import", "phase": "L1"}]),
    ("inf", [{"value": "1e999", "unit": "A", "measurand": "Current.Import"}]),
    ("text", [{"value": "abc", "unit": "A", "measurand": "Current.Import"}]),
]
SHIFTS = [sign * timedelta(days=days) for days in (1 / 24, 1, 365 * 50) for sign in (-1, 1)]


def test_nonsense_values_and_times_raise_no_limit(tmp_path: Path) -> None:
    """Items 9 and 10: values first, then the same at wrong times, while another one charges."""

    async def scene(site: Site) -> None:
        a, b = await site.charger(A), await site.charger(B)
        own, other = await a.plug_in(), await b.plug_in()
        fair_a = LIMIT_A / 2
        await until(lambda: site.is_shared(fair_a), timeout_s=40)
        drawn = {"value": "13", "unit": "A", "measurand": "Current.Import"}
        await b.measure(other, drawn)
        b.limits.clear()
        for name, values in HOSTILE_VALUES:
            await a.measure(own, *values)
            assert site.committed_a() <= LIMIT_A + 0.05, name
        await until(lambda: ("METER_IMPLAUSIBLE", f"{A}/1") in site.alarms())
        for shift in SHIFTS:
            await a.measure(own, drawn, at=stamp(shift))
            await a.tell("Heartbeat", {})
            assert site.committed_a() <= LIMIT_A + 0.05, shift
        await asyncio.sleep(1.2)  # two more cycles, so that what was said could have had an effect

        assert [limit for limit in b.limits if limit > fair_a + 0.2] == []
        assert site.committed_a() <= LIMIT_A + 0.05
        running = await site.controller.store.open_transactions()
        assert {t.station for t in running} == {A, B}
        energies = [t.energy_wh or 0.0 for t in running if t.station == A]
        assert max(energies) < 100_000.0
        await a.close()
        await b.close()

    play(tmp_path, scene)


@pytest.mark.parametrize("count", [120, pytest.param(1000, marks=pytest.mark.long)])
def test_invented_identities_leave_no_trace(tmp_path: Path, count: int) -> None:
    """Item 4: 404, then slowed down; nothing is stored and little is remembered."""

    async def scene(site: Site) -> None:
        statuses = []
        for n in range(count):
            try:
                await site.charger(f"GHOST{n}")
            except InvalidStatus as refused:
                statuses.append(refused.response.status_code)
        real = await site.charger(A)

        assert set(statuses) == {404, 429}
        assert len(statuses) == count
        assert [r.id for r in await site.controller.store.stations()] == [A, B]
        assert len(site.controller.stations.adoption.pending()) <= 16
        assert await real.tell("Heartbeat", {})
        await real.close()

    play(tmp_path, scene)
