"""What a model does with 0 A, and how long it takes to follow: known, learned, told and kept."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.ocpp.book import StationBook
from adapters.ocpp.quirks import Catalogue, ChargerModel
from adapters.ocpp.settling import Settling, learned_s
from adapters.ocpp.station_dialect import StationDialect
from adapters.ocpp.translation import DialectSettings, EvseWiring
from adapters.ocpp.v16 import V16Dialect
from adapters.ocpp.v201 import V201Dialect
from controller.commands import Applied, Rejected
from controller.desk import Desk, DeskRules
from controller.image import ProcessImage
from controller.site import EvseId, StationId
from controller.station import BehaviourFound, FallbackConfirmed, StationBehaviour, ZeroLimit
from tests.adapters.ocpp.connections import QUICK, Connection, limit, run
from tests.adapters.ocpp.scripted_station import ScriptedStation, received, stamp
from tests.controller.builders import a_site, an_evse
from tests.fakes.memory_store import MemoryStore
from tests.fakes.recording_desk import StillClock

EVSE = EvseId("CP1/1")
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
BOOT201 = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
BOTH = pytest.mark.parametrize(
    ("kind", "boot"), [(V16Dialect, BOOT), (V201Dialect, BOOT201)], ids=["1.6", "2.0.1"]
)


def a_book(**quirks: Any) -> StationBook:
    models = (ChargerModel(name="v", vendor="v", values=quirks),)
    catalogue = Catalogue(models=models, default=QUICK)
    return StationBook(clock=StillClock(), catalogue=catalogue, pending_boots=False)


def behaviours(site: Connection[Any]) -> list[StationBehaviour]:
    return [event.behaviour for event in site.desk.of(BehaviourFound)]


@BOTH
@pytest.mark.parametrize("zero_limit", [ZeroLimit.UNLIMITED, ZeroLimit.REFUSED])
def test_a_model_that_cannot_be_paused_is_told_and_never_sent_less_than_its_minimum(
    kind: type[StationDialect], boot: dict[str, Any], zero_limit: ZeroLimit
) -> None:
    async def body() -> None:
        site = Connection(kind, book=a_book(zero_limit=zero_limit))
        site.desk.fallbacks = dict.fromkeys(site.desk.fallbacks, 0.0)
        await site.tell("BootNotification", boot)
        await site.provision()
        refused = await site.dialect.apply(limit(0.0))
        taken = await site.dialect.apply(limit(6.0))
        sent = [p for p in site.profiles() if _least_a(p) < 6.0]

        assert behaviours(site)[-1].zero_limit is zero_limit
        assert isinstance(refused, Rejected)
        assert "no limit below 6 A" in refused.reason
        assert isinstance(taken, Applied)
        assert sent == []
        assert {e.fallback_a for e in site.desk.of(FallbackConfirmed)} == {6.0}

    run(body)


def _least_a(profile: dict[str, Any]) -> float:
    schedules = profile["chargingSchedule"]
    schedule = schedules[0] if isinstance(schedules, list) else schedules
    limits = [float(period["limit"]) for period in schedule["chargingSchedulePeriod"]]
    return min(limits) if schedule["chargingRateUnit"] == "A" else min(limits) / 690.0


def test_a_model_that_does_not_resume_may_still_be_paused_in_need() -> None:
    async def body() -> None:
        site = Connection(V16Dialect, book=a_book(zero_limit=ZeroLimit.STAYS_PAUSED))
        await site.tell("BootNotification", BOOT)
        await site.provision()

        assert behaviours(site)[-1].zero_limit is ZeroLimit.STAYS_PAUSED
        assert isinstance(await site.dialect.apply(limit(0.0)), Applied)

    run(body)


def refusing_zero(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    if action == "GetConfiguration":
        return {}
    is_zero = action == "SetChargingProfile" and _least_a(payload["csChargingProfiles"]) == 0
    return {"status": "Rejected" if is_zero else "Accepted"}


def test_a_refusal_of_0_a_is_learned_and_holds_for_the_model() -> None:
    async def body() -> None:
        book = a_book()
        site = Connection(V16Dialect, refusing_zero, book=book)
        await site.tell("BootNotification", BOOT)
        await site.provision()
        await site.dialect.apply(limit(10.0))
        for _ in range(2):
            assert isinstance(await site.dialect.apply(limit(0.0)), Rejected)
        await site.tell("Heartbeat", {})
        again = Connection(V16Dialect, refusing_zero, book=book)
        await again.tell("BootNotification", BOOT)

        assert behaviours(site)[-1].zero_limit is ZeroLimit.REFUSED
        assert behaviours(again)[-1].zero_limit is ZeroLimit.REFUSED

    run(body)


def test_one_refusal_or_a_station_that_refuses_everything_teaches_nothing() -> None:
    async def body() -> None:
        site = Connection(V16Dialect, refusing_zero, book=a_book())
        await site.tell("BootNotification", BOOT)
        await site.provision()
        await site.dialect.apply(limit(0.0))
        await site.dialect.apply(limit(0.0))

        assert {b.zero_limit for b in behaviours(site)} == {ZeroLimit.PAUSES}

    run(body)


# --- how long it takes to follow


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(4.0, 6.1)], 0.0),
        ([(4.0, 16.0), (14.0, 6.0)], 0.0),  # anywhere between 4 and 14 s: not proven slow
        ([(5.0, 16.0), (15.0, 15.0), (25.0, 6.2)], 25.0),
        ([(10.0 * n, 16.0) for n in range(1, 8)] + [(80.0, 6.0)], None),  # it does not follow
    ],
)
def test_only_a_sample_above_the_limit_proves_slowness(
    samples: list[tuple[float, float]], expected: float | None
) -> None:
    settling = Settling()
    settling.limited(EVSE, 6.0, drawn_a=16.0, now_s=100.0)
    found = [settling.sampled(EVSE, a, now_s=100.0 + at_s) for at_s, a in samples]

    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] == expected


def test_a_small_step_and_a_limit_that_came_later_prove_nothing() -> None:
    settling = Settling()
    settling.limited(EVSE, 15.0, drawn_a=16.0, now_s=0.0)
    small = settling.sampled(EVSE, 15.0, now_s=30.0)
    settling.limited(EVSE, 6.0, drawn_a=16.0, now_s=40.0)
    settling.limited(EVSE, 20.0, drawn_a=16.0, now_s=45.0)

    assert (small, settling.sampled(EVSE, 6.0, now_s=70.0)) == (None, None)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [([], None), ([40.0], None), ([40.0, 0.0], None), ([40.0, 20.0, 0.0], 20.0)],
)
def test_a_single_freak_teaches_nothing(observed: list[float], expected: float | None) -> None:
    assert learned_s(observed) == expected


def amps(site: Connection[Any], drawn_a: float) -> dict[str, Any]:
    value = {"value": f"{drawn_a:g}", "unit": "A", "measurand": "Current.Import", "phase": "L1"}
    return {
        "connectorId": 1,
        "transactionId": 1000002,
        "meterValue": [{"timestamp": stamp(site.clock), "sampledValue": [value]}],
    }


async def lowered_slowly(site: Connection[Any], took_s: int) -> None:
    """Charge with 16 A, be limited to 6 A, and follow only after `took_s`."""
    await site.dialect.apply(limit(16.0))
    site.clock.advance(10)
    await site.tell("MeterValues", amps(site, 16.0))
    await site.dialect.apply(limit(6.0))
    for at_s in range(5, took_s + 1, 5):
        site.clock.advance(5)
        await site.tell("MeterValues", amps(site, 6.0 if at_s >= took_s else 16.0))


def test_a_slow_station_is_learned_told_and_remembered_by_model() -> None:
    async def body() -> None:
        book = a_book()
        site = Connection(V16Dialect, book=book)
        await site.tell("BootNotification", BOOT)
        await site.provision()
        for _ in range(2):
            await lowered_slowly(site, 25)
        again = Connection(V16Dialect, book=book)
        await again.tell("BootNotification", BOOT)
        other = Connection(V16Dialect, book=book)
        await other.tell("BootNotification", {**BOOT, "firmwareVersion": "2"})

        assert behaviours(site)[-1].settle_s == 25.0
        assert behaviours(again)[-1].settle_s == 25.0
        assert behaviours(other)[-1].settle_s is None

    run(body)


# --- an end that comes late


def test_a_late_stop_of_an_assumed_end_is_the_one_record_with_its_own_figures() -> None:
    async def body() -> None:
        clock, store = StillClock(), MemoryStore()
        built = a_site(evses=[an_evse("CP1")])
        image = ProcessImage(site=built, clock=clock, wake=lambda reason: None)
        rules = DeskRules(accept_unknown_tokens=True)
        desk = Desk(site=built, image=image, store=store, clock=clock, rules=rules)

        def connected() -> V16Dialect:
            return V16Dialect(
                ScriptedStation("ocpp1.6"),
                desk=desk,
                clock=clock,
                settings=DialectSettings(wirings={EVSE: EvseWiring(max_a=32.0)}, quirks=QUICK),
                book=StationBook(clock=clock, pending_boots=False),
            )

        dialect = connected()
        start = {
            "connectorId": 1,
            "idTag": "CARD",
            "meterStart": 1000,
            "timestamp": stamp(clock),
        }
        answer = await dialect.on_call("StartTransaction", start, received(clock))
        tx = answer["transactionId"]
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await dialect.on_call("StatusNotification", status, received(clock))
        clock.advance(600)
        stopped_at = stamp(clock, 300)
        await dialect.on_call("Heartbeat", {}, received(clock))
        [guess] = await store.transactions(since=None, until=None, limit=9, offset=0)
        clock.advance(3600)
        stop = {
            "transactionId": tx,
            "meterStop": 9500,
            "timestamp": stopped_at,
            "reason": "EVDisconnected",
        }
        late = connected()
        for _ in range(2):
            await late.on_call("StopTransaction", stop, received(clock))
        [real] = await store.transactions(since=None, until=None, limit=9, offset=0)

        assert (guess.has_final_end, guess.energy_wh) == (False, 0.0)
        assert guess.ended_at is not None
        assert real.energy_wh == 8500.0
        assert real.ended_at is not None
        assert stamp_of(real.ended_at) == stopped_at
        assert real.end_reason == "EVDisconnected"
        assert image.freeze().stations[StationId("CP1")].evses[EVSE].transaction is None

    run(body)


def stamp_of(at: Any) -> str:
    return str(at.strftime("%Y-%m-%dT%H:%M:%SZ"))
