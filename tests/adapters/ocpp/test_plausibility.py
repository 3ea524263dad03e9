"""Values that cannot be are used for nothing, and told; the true end is booked all the same."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.ocpp.book import StationBook
from controller.decision import Condition
from controller.station import EvseSampled, EvseState, EvseStateChanged, TransactionChanged
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, run
from tests.adapters.ocpp.scripted_station import stamp
from tests.fakes.recording_desk import StillClock


class Sink:
    """Conditions in force."""

    def __init__(self) -> None:
        self.active: dict[tuple[str, str], str] = {}

    def begin(self, condition: Condition) -> None:
        self.active[condition.code, condition.subject] = condition.text

    def end(self, code: str, subject: str) -> None:
        self.active.pop((code, subject), None)


class Scene:
    """A 1.6 station in a transaction that began at 1000 Wh, ten minutes ago."""

    def __init__(self) -> None:
        self.sink = Sink()
        book = StationBook(clock=StillClock(), sink=self.sink, pending_boots=False)
        self.site = Connection(V16Dialect, book=book)

    async def begin(self) -> None:
        start = {
            "connectorId": 1,
            "idTag": "C",
            "meterStart": 1000,
            "timestamp": stamp(self.site.clock),
        }
        await self.site.tell("StartTransaction", start)
        self.site.clock.advance(600)

    async def measure(self, *values: dict[str, str]) -> None:
        element = {"timestamp": stamp(self.site.clock), "sampledValue": list(values)}
        payload = {"connectorId": 1, "transactionId": 1000002, "meterValue": [element]}
        await self.site.tell("MeterValues", payload)
        self.site.clock.advance(61)

    async def stop(self, meter_wh: int) -> None:
        stop = {
            "transactionId": 1000002,
            "meterStop": meter_wh,
            "timestamp": stamp(self.site.clock),
        }
        await self.site.tell("StopTransaction", stop)

    @property
    def told(self) -> str:
        return self.sink.active.get(("METER_IMPLAUSIBLE", "CP1/1"), "")

    @property
    def noted(self) -> list[float | None]:
        return [n.meter_wh for n in self.site.desk.noted]


@pytest.fixture
def scene() -> Scene:
    return Scene()


ABSURD: dict[str, dict[str, str]] = {
    "mA sent as A": {"value": "16000", "unit": "A", "measurand": "Current.Import", "phase": "L1"},
    "negative": {"value": "-16", "unit": "A", "measurand": "Current.Import", "phase": "L1"},
    "NaN": {"value": "NaN", "unit": "A", "measurand": "Current.Import", "phase": "L1"},
    "infinite": {"value": "1e999", "unit": "A", "measurand": "Current.Import"},
    "text": {"value": "abc", "unit": "W", "measurand": "Power.Active.Import"},
    "negative register": {"value": "-5", "unit": "Wh"},
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_value_that_cannot_be_is_told_at_once_and_used_for_nothing(
    scene: Scene, name: str
) -> None:
    async def body() -> None:
        await scene.begin()
        await scene.measure(ABSURD[name])

        assert "reports what cannot be" in scene.told
        assert scene.site.desk.of(EvseSampled) == []

    run(body)


@pytest.mark.parametrize(
    ("register_wh", "why"), [("1001000", "rose by 1000000 Wh"), ("-1", ""), ("0", "")]
)
def test_a_register_that_jumps_or_goes_back_is_not_booked(
    scene: Scene, register_wh: str, why: str
) -> None:
    async def body() -> None:
        await scene.begin()
        await scene.measure({"value": "1500", "unit": "Wh"})
        await scene.measure({"value": register_wh, "unit": "Wh"})
        await scene.measure({"value": "2000", "unit": "Wh"})
        await scene.stop(2500)

        assert why in scene.told
        assert 1001000.0 not in scene.noted
        assert scene.site.desk.closed[-1].meter_wh == 2500.0

    run(body)


def test_an_end_that_cannot_be_leaves_the_last_register_and_is_told(scene: Scene) -> None:
    async def body() -> None:
        await scene.begin()
        await scene.measure({"value": "1500", "unit": "Wh"})
        await scene.stop(5_000_000)

        assert scene.site.desk.closed[-1].meter_wh is None
        assert "booked without it" in scene.told

    run(body)


@pytest.mark.parametrize(
    "sample",
    [
        {"value": "16", "unit": "A", "measurand": "Current.Import", "phase": "L1-N"},
        {"value": "", "unit": "A", "measurand": "Current.Import"},  # left out, as some do
        {"value": "50", "measurand": "Frequency"},
        {"value": "40", "unit": "Celsius", "measurand": "Temperature"},
        {"value": "1500", "unit": "Wh"},
        {"value": "8", "unit": "kWh"},
    ],
)
def test_what_stations_really_send_is_no_alarm(scene: Scene, sample: dict[str, str]) -> None:
    async def body() -> None:
        await scene.begin()
        await scene.measure(sample)

        assert scene.told == ""

    run(body)


def test_a_fast_charger_and_a_long_session_are_believed(scene: Scene) -> None:
    async def body() -> None:
        await scene.begin()
        scene.site.clock.advance(6 * 3600)
        await scene.stop(1000 + 130_000)  # 22 kW for six hours

        assert scene.site.desk.closed[-1].meter_wh == 131_000.0
        assert scene.told == ""

    run(body)


def test_it_ends_when_the_values_are_right_again(scene: Scene) -> None:
    async def body() -> None:
        await scene.begin()
        await scene.measure(ABSURD["NaN"])
        was_told = scene.told != ""
        scene.site.book.clock.advance(601)  # type: ignore[attr-defined]
        scene.site.book.expire()

        assert (was_told, scene.told) == (True, "")

    run(body)


def test_version_2_0_1_books_and_tells_alike() -> None:
    async def body() -> None:
        sink = Sink()
        book = StationBook(clock=StillClock(), sink=sink, pending_boots=False)
        site = Connection(V201Dialect, book=book)

        def event(kind: str, seq: int, wh: float) -> dict[str, Any]:
            value = {"value": wh, "measurand": "Energy.Active.Import.Register"}
            return {
                "eventType": kind,
                "timestamp": stamp(site.clock),
                "triggerReason": "MeterValuePeriodic",
                "seqNo": seq,
                "transactionInfo": {"transactionId": "abc"},
                "evse": {"id": 1, "connectorId": 1},
                "meterValue": [{"timestamp": stamp(site.clock), "sampledValue": [value]}],
            }

        await site.tell("TransactionEvent", event("Started", 0, 1000.0))
        site.clock.advance(120)
        await site.tell("TransactionEvent", event("Updated", 1, 1_001_000.0))
        site.clock.advance(120)
        await site.tell("TransactionEvent", event("Ended", 2, 1800.0))

        assert ("METER_IMPLAUSIBLE", "CP1/1") in sink.active
        assert [n.meter_wh for n in site.desk.noted if n.meter_wh] == []
        assert site.desk.closed[-1].meter_wh == 1800.0
        assert EvseState.FAULTED not in {e.state for e in site.desk.of(EvseStateChanged)}

    run(body)


def test_a_queued_transaction_of_before_does_not_take_the_place_of_the_running_one(
    scene: Scene,
) -> None:
    async def body() -> None:
        await scene.begin()
        site = scene.site
        known = len(site.desk.of(TransactionChanged))
        old = {
            "connectorId": 1,
            "idTag": "D",
            "meterStart": 500,
            "timestamp": stamp(site.clock, 7200.0),
        }
        number = (await site.tell("StartTransaction", old))["transactionId"]
        value = {"timestamp": stamp(site.clock, 7000.0), "sampledValue": [{"value": "700"}]}
        await site.tell(
            "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [value]}
        )
        told = {e.transaction.id for e in site.desk.of(TransactionChanged)[known:]}
        stop = {"transactionId": number, "meterStop": 900, "timestamp": stamp(site.clock, 6000.0)}
        await site.tell("StopTransaction", stop)

        assert str(number) not in told
        assert site.desk.closed[-1].meter_wh == 900.0
        assert [str(t) for _, t in site.dialect._intake.running_transactions()] == ["1000002"]

    run(body)
