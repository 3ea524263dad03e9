"""After a session nothing is made up: a register that has risen in it tells of no current afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from controller.station import EvseSampled, TransactionChanged
from tests.adapters.ocpp.connections import Connection, V16Dialect, run
from tests.adapters.ocpp.test_v16 import meter_values, start

WH_PER_INTERVAL = 11_040.0 * 10.0 / 3600.0
CURRENTS = [{"value": "16", "measurand": "Current.Import", "phase": p} for p in ("L1", "L2", "L3")]
Value = dict[str, Any]


def register(wh: float) -> Value:
    return {"value": f"{wh:.0f}"}


POWER_ZERO = {"value": "0", "measurand": "Power.Active.Import"}
KINDS: dict[str, tuple[list[Value], list[Value]]] = {
    "the register alone": ([], []),
    "a power that stays 0": ([POWER_ZERO], [POWER_ZERO]),
    "currents in sessions only": (CURRENTS, []),
}
"""What a station sends beside its register: in sessions, and outside of them."""


@pytest.mark.parametrize("status", ["Available", "Finishing", "Faulted"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_station_answers_after_a_session_is_no_current_of_the_session(
    kind: str, status: str
) -> None:
    within, outside = KINDS[kind]
    drawn_a: list[float | None] = []

    async def body() -> None:
        site, wh = Connection(V16Dialect), 1000.0
        state: Value = {"connectorId": 1, "errorCode": "NoError"}
        await site.tell("StatusNotification", state | {"status": "Charging"})
        await site.tell("StartTransaction", start(site))
        number = int(site.desk.of(TransactionChanged)[-1].transaction.id)
        for _ in range(12):
            site.clock.advance(10)
            wh += WH_PER_INTERVAL
            values = meter_values(site, register(wh), *within, transactionId=number)
            await site.tell("MeterValues", values)
        drawn_a.append(drawn_in(site))
        stop = {"transactionId": number, "meterStop": int(wh), "reason": "EVDisconnected"}
        stamp = meter_values(site)["meterValue"][0]["timestamp"]
        await site.tell("StopTransaction", stop | {"timestamp": stamp})
        await site.tell("StatusNotification", state | {"status": status})
        for _ in range(6):
            site.clock.advance(15)
            told = len(site.desk.of(EvseSampled))
            await site.tell("MeterValues", meter_values(site, register(wh), *outside))
            if len(site.desk.of(EvseSampled)) > told:
                drawn_a.append(drawn_in(site))

    run(body)
    assert drawn_a[0] == pytest.approx(16.0, abs=0.5)
    assert [a for a in drawn_a[1:] if a] == []
    assert len(drawn_a) > 1


def drawn_in(site: Connection) -> float | None:
    """Return the current of the latest sample; None: it tells none. [A]"""
    terminal_a = site.desk.of(EvseSampled)[-1].sample.terminal_a
    return max(terminal_a) if terminal_a is not None else None


def test_who_drew_for_seconds_between_two_reports_and_was_paused_is_not_told_to_draw_on() -> None:
    """On a loaded machine five of twenty vehicles were so accused of ignoring their pause."""
    nothing = [{**current, "value": "0"} for current in CURRENTS]
    drawn_a: list[float | None] = []

    async def body() -> None:
        site = Connection(V16Dialect)
        state: Value = {"connectorId": 1, "errorCode": "NoError"}
        await site.tell("StatusNotification", state | {"status": "Charging"})
        await site.tell("StartTransaction", start(site))
        number = int(site.desk.of(TransactionChanged)[-1].transaction.id)
        for wh in (1001, 1026, 1026, 1026, 1026):
            values = meter_values(site, register(wh), *nothing, POWER_ZERO, transactionId=number)
            await site.tell("MeterValues", values)
            drawn_a.append(drawn_in(site))
            site.clock.advance(10)

    run(body)
    over = [a for a in drawn_a if a]
    assert len(over) <= 2, "shorter than the 15 s after which the controller accuses"
    assert drawn_a[3:] == [0.0, 0.0]


def test_a_power_and_current_that_stay_0_are_still_read_from_the_register() -> None:
    nothing = [{**current, "value": "0"} for current in CURRENTS]
    drawn_a: list[float | None] = []

    async def body() -> None:
        site, wh = Connection(V16Dialect), 1001.0
        await site.tell("StartTransaction", start(site))
        number = int(site.desk.of(TransactionChanged)[-1].transaction.id)
        for _ in range(12):
            values = meter_values(site, register(wh), *nothing, POWER_ZERO, transactionId=number)
            await site.tell("MeterValues", values)
            drawn_a.append(drawn_in(site))
            site.clock.advance(10)
            wh += WH_PER_INTERVAL

    run(body)
    assert drawn_a[1:] == pytest.approx([16.0] * 11, abs=0.6)


@pytest.mark.parametrize("renewed_s", [30, 60])
def test_a_register_that_is_renewed_rarely_still_contradicts_a_0(renewed_s: int) -> None:
    """16 A on three phases, reported as 0: a 0 in between would clear it of every suspicion."""
    nothing = [{**current, "value": "0"} for current in CURRENTS]
    drawn_a: list[float | None] = []

    async def body() -> None:
        site = Connection(V16Dialect)
        await site.tell("StartTransaction", start(site))
        number = int(site.desk.of(TransactionChanged)[-1].transaction.id)
        for at_s in range(0, 300, 10):
            wh = 1000.0 + int(11_040 * (at_s // renewed_s * renewed_s) / 3600)
            values = meter_values(site, register(wh), *nothing, POWER_ZERO, transactionId=number)
            await site.tell("MeterValues", values)
            drawn_a.append(drawn_in(site))
            site.clock.advance(10)

    run(body)
    assert min(a or 0.0 for a in drawn_a[2 * renewed_s // 10 + 2 :]) > 10.0
