"""Polling over real sockets: faults are told, samples come back, no wrong value is ever delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.modbus.catalogue import load_map
from adapters.modbus.plausibility import MeterLimits
from adapters.modbus.reader import MeterPoller
from controller.readings import GridReading
from controller.site import Meter, MeterId
from tests.adapters.modbus import hostile
from tests.adapters.modbus.hostile import Fault, HostileMeter
from tests.adapters.modbus.images import image_of

SDM630 = image_of("eastron-sdm630").words
LIMITS = MeterLimits(max_a=63.0)


class RealClock:
    def monotonic_s(self) -> float:
        return monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Deliveries:
    """A sink that keeps everything and wakes those who wait."""

    readings: list[tuple[MeterId, GridReading]] = field(default_factory=list)
    faults: list[tuple[MeterId, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    at_s: list[float] = field(default_factory=list)

    def put_reading(self, meter: MeterId, reading: GridReading) -> None:
        self.readings.append((meter, reading))
        self.at_s.append(monotonic())
        self.changed.set()

    def put_fault(self, meter: MeterId, fault: str) -> None:
        self.faults.append((meter, fault))
        self.changed.set()

    async def until(self, condition: Callable[[], bool], within_s: float = 8.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def readings_after_now(self, count: int) -> None:
        target = len(self.readings) + count
        await self.until(lambda: len(self.readings) >= target)


def a_meter(port: int, **changes: Any) -> Meter:
    fields: dict[str, Any] = {
        "id": MeterId("main"),
        "model": "eastron/sdm630",
        "connection": f"tcp://127.0.0.1:{port}?timeout_s=0.15",
        "unit": 1,
        "interval_s": 0.05,
    }
    return Meter(**(fields | changes))


def polled(meter: Meter, limits: MeterLimits = LIMITS) -> tuple[Meter, Any, MeterLimits]:
    # The silence of a serial line would only make the tests slow.
    return meter, load_map(meter.model).model_copy(update={"silence_s": 0.0}), limits


async def polling(
    meters: list[tuple[Meter, Any, MeterLimits]], scenario: Callable[[Deliveries], Awaitable[None]]
) -> Deliveries:
    sink = Deliveries()
    task = asyncio.create_task(MeterPoller(meters=meters, sink=sink, clock=RealClock()).run())
    try:
        await scenario(sink)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return sink


def test_reading_carries_signs_units_and_fingerprint() -> None:
    async def scenario() -> GridReading:
        async with HostileMeter(words=SDM630).listening() as port:
            sink = await polling([polled(a_meter(port))], lambda sink: sink.readings_after_now(2))
        assert sink.readings[0] == sink.readings[1]
        return sink.readings[0][1]

    reading = asyncio.run(scenario())
    assert tuple(reading.current) == pytest.approx((41.25, -3.5, 12.75))
    assert reading.voltage_v == pytest.approx((231.4, 229.9, 230.6))
    assert reading.power_w == pytest.approx((9450.0, -760.0, 2850.0))
    assert reading.power_total_w == pytest.approx(11540.0)
    assert reading.frequency_hz == pytest.approx(50.0)
    assert reading.power_factor == pytest.approx(0.96)
    assert reading.energy_import_wh == pytest.approx(1234500.0)
    assert reading.energy_export_wh == pytest.approx(345600.0)
    assert len(reading.fingerprint) == 16


def test_fingerprint_changes_with_any_register() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=dict(SDM630))
        async with meter.listening() as port:

            async def turn(sink: Deliveries) -> None:
                await sink.readings_after_now(1)
                meter.words[18] = 1  # a register without a point
                await sink.readings_after_now(2)

            sink = await polling([polled(a_meter(port))], turn)
        assert sink.readings[0][1].fingerprint != sink.readings[-1][1].fingerprint

    asyncio.run(scenario())


FAULTS: dict[str, tuple[Fault, str]] = {
    "silence": (hostile.silence, "no answer from unit 1 within 0.15 s; check power, cable"),
    "closed": (hostile.closed, "closed the connection instead of answering"),
    "busy": (hostile.exception(6), "exception 6: the device is busy"),
    "gateway": (hostile.exception(11), "exception 11: the gateway got no answer"),
    "function": (hostile.wrong_function, "it answers function 3 instead of 4"),
    "short": (hostile.fewer_registers, "it carries 104 bytes instead of 108"),
    "unit": (hostile.wrong_unit, "it comes from unit 2 instead of 1"),
    "transaction": (hostile.transaction_zero, "it carries transaction id 0 instead of"),
    "late": (hostile.late(0.2), "no answer from unit 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_told_with_place_and_mend_and_readings_come_back(name: str) -> None:
    fault, text = FAULTS[name]

    async def scenario() -> None:
        meter = HostileMeter(words=SDM630)
        async with meter.listening() as port:

            async def spoil(sink: Deliveries) -> None:
                await sink.readings_after_now(1)
                meter.faults.append(fault)
                await sink.until(lambda: bool(sink.faults))
                await sink.readings_after_now(2)

            sink = await polling([polled(a_meter(port))], spoil)
        assert len({reading for _, reading in sink.readings}) == 1
        assert [meter_id for meter_id, _ in sink.faults] == ["main"]
        assert sink.faults[0][1].startswith(
            f"meter main at tcp://127.0.0.1:{port}?timeout_s=0.15: "
        )
        assert text in sink.faults[0][1]

    asyncio.run(scenario())


def test_lasting_fault_is_logged_at_its_begin_and_at_its_end() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=SDM630)
        meter.faults.extend([hostile.closed] * 4)
        async with meter.listening() as port:
            await polling([polled(a_meter(port))], lambda sink: sink.readings_after_now(2))

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [(line["event"], line["meter"]) for line in logs] == [
        ("meter.silent", "main"),
        ("meter.back", "main"),
    ]
    assert "closed the connection" in logs[0]["fault"]


def test_retries_slow_down_to_three_seconds_at_most() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=SDM630)
        meter.faults.extend([hostile.closed] * 100)
        async with meter.listening() as port:

            async def wait(sink: Deliveries) -> None:
                await sink.until(lambda: len(sink.faults) >= 4)

            started_s = monotonic()
            await polling([polled(a_meter(port))], wait)
            # 0.2 + 0.4 + 0.8 s between the first and the fourth.
            assert 1.3 < monotonic() - started_s < 2.5

    asyncio.run(scenario())


def test_meter_that_is_down_at_start_and_goes_down_later_comes_back() -> None:
    async def scenario() -> None:
        async with HostileMeter().listening() as port:
            pass

        async def outage(sink: Deliveries) -> None:
            await sink.until(lambda: len(sink.faults) >= 2)
            async with HostileMeter(words=SDM630).listening(port):
                await sink.readings_after_now(2)
            faults = len(sink.faults)
            await sink.until(lambda: len(sink.faults) >= faults + 2)
            async with HostileMeter(words=SDM630).listening(port):
                await sink.readings_after_now(2)

        sink = await polling([polled(a_meter(port))], outage)
        assert all("check power" in text or "closed" in text for _, text in sink.faults)

    asyncio.run(scenario())


def test_implausible_sample_is_a_fault_and_no_reading() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=dict(SDM630))
        async with meter.listening() as port:

            async def spoil(sink: Deliveries) -> None:
                await sink.readings_after_now(1)
                meter.words[0] = 0x4500  # 2 kV
                await sink.until(lambda: len(sink.faults) >= 2)
                meter.words[0] = SDM630[0]
                await sink.readings_after_now(1)

            sink = await polling([polled(a_meter(port))], spoil)
        assert all(230 < reading.voltage_v[0] < 232 for _, reading in sink.readings)  # type: ignore[index]
        assert (
            "the voltage of L1, 2054.4 V, is neither 161 to 299 V nor 0; check the model"
            in (sink.faults[0][1])
        )

    asyncio.run(scenario())


class Flickering(HostileMeter):
    """Every second sample carries 2 kV."""

    def word(self, address: int) -> int:
        rounds = sum(asked.address == 0 for asked in self.asked)
        return 0x4500 if address == 0 and rounds % 2 else super().word(address)


def test_who_sends_wrong_numbers_every_second_time_is_not_believed_at_all() -> None:
    async def scenario() -> tuple[list[int], str]:
        meter = Flickering(words=dict(SDM630))
        readings: list[int] = []
        async with meter.listening() as port:

            async def doubted(sink: Deliveries) -> None:
                await sink.until(lambda: "not believed" in (sink.faults or [("", "")])[-1][1])
                readings.append(len(sink.readings))
                told = len(sink.faults)
                await sink.until(lambda: len(sink.faults) >= told + 6)
                readings.append(len(sink.readings))

            sink = await polling([polled(a_meter(port))], doubted)
        return readings, next(text for _, text in sink.faults if "not believed" in text)

    readings, doubt = asyncio.run(scenario())
    assert readings[0] > 0
    assert readings[1] == readings[0], "the right ones are not delivered either"
    assert "it sent something wrong in 3 of its last 3 seconds" in doubt
    assert "the last wrong one: the voltage of L1, 2054.4 V" in doubt


def test_not_a_number_is_no_reading() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=SDM630 | {8: 0x7FC0, 9: 0})
        async with meter.listening() as port:

            async def wait(sink: Deliveries) -> None:
                await sink.until(lambda: bool(sink.faults))

            sink = await polling([polled(a_meter(port))], wait)
        assert sink.readings == []
        assert "there is no current of L2" in sink.faults[0][1]

    asyncio.run(scenario())


def test_reset_counter_costs_one_sample() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=dict(SDM630))
        async with meter.listening() as port:

            async def replace_meter(sink: Deliveries) -> None:
                await sink.readings_after_now(1)
                meter.words[72] = meter.words[73] = 0
                await sink.until(lambda: bool(sink.faults))
                await sink.readings_after_now(2)

            sink = await polling([polled(a_meter(port))], replace_meter)
        assert len(sink.faults) == 1
        assert "energy_import_wh went back from 1234500 to 0 Wh" in sink.faults[0][1]

    asyncio.run(scenario())


@pytest.mark.parametrize("max_count", [20, 8, 2])
def test_meter_that_serves_only_short_reads_is_read_in_pieces(max_count: int) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=SDM630, max_count=max_count)
        async with meter.listening() as port:
            sink = await polling([polled(a_meter(port))], lambda sink: sink.readings_after_now(3))
        assert sink.faults == []
        assert tuple(sink.readings[0][1].current) == pytest.approx((41.25, -3.5, 12.75))
        rounds = [index for index, asked in enumerate(meter.asked) if asked.address == 0]
        # What the meter refused once is not asked again.
        assert all(asked.count <= max_count for asked in meter.asked[rounds[-1] :])

    asyncio.run(scenario())


def test_meter_without_optional_registers_is_read_without_them() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=SDM630, served_from=range(54))
        async with meter.listening() as port:
            sink = await polling([polled(a_meter(port))], lambda sink: sink.readings_after_now(2))
        reading = sink.readings[0][1]
        assert reading.power_total_w == pytest.approx(11540.0)
        assert (reading.frequency_hz, reading.energy_import_wh) == (None, None)

    asyncio.run(scenario())


def test_meter_without_phase_power_is_a_fault_not_a_guess() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=SDM630, served_from=range(16))
        async with meter.listening() as port:

            async def wait(sink: Deliveries) -> None:
                await sink.until(lambda: len(sink.faults) >= 2)

            sink = await polling([polled(a_meter(port))], wait)
        assert sink.readings == []
        assert (
            "registers 16 to 17 with power_l3_w are refused with exception 2" in (sink.faults[0][1])
        )

    asyncio.run(scenario())


def test_defect_of_the_sink_does_not_end_the_polling() -> None:
    class Breaking(Deliveries):
        def put_reading(self, meter: MeterId, reading: GridReading) -> None:
            super().put_reading(meter, reading)
            if len(self.readings) == 1:
                raise RuntimeError("broken on purpose")

    async def scenario() -> None:
        sink = Breaking()
        async with HostileMeter(words=SDM630).listening() as port:
            poller = MeterPoller(meters=[polled(a_meter(port))], sink=sink, clock=RealClock())
            task = asyncio.create_task(poller.run())
            await sink.readings_after_now(3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert "an internal defect, RuntimeError: broken on purpose" in sink.faults[0][1]

    with capture_logs():
        asyncio.run(scenario())


def test_meters_behind_one_gateway_take_turns_on_one_connection() -> None:
    async def scenario() -> None:
        gateway = HostileMeter(words=SDM630, rtu=True)
        gateway.unit = 7
        async with gateway.listening() as port:
            connection = f"rtu+tcp://127.0.0.1:{port}?timeout_s=0.1"
            meters = [
                polled(a_meter(port, id=MeterId("alive"), connection=connection, unit=7)),
                polled(a_meter(port, id=MeterId("dead"), connection=connection, unit=8)),
            ]

            async def wait(sink: Deliveries) -> None:
                await sink.until(lambda: len(sink.faults) >= 2 and len(sink.readings) >= 6)

            sink = await polling(meters, wait)
            assert {meter for meter, _ in sink.readings} == {"alive"}
            assert {meter for meter, _ in sink.faults} == {"dead"}

    asyncio.run(scenario())


def test_different_settings_on_one_line_are_refused() -> None:
    meters = [
        polled(a_meter(1, id=MeterId("a"), connection="rtu:///dev/ttyUSB0?baud=9600")),
        polled(a_meter(1, id=MeterId("b"), connection="rtu:///dev/ttyUSB0?baud=19200")),
    ]
    with pytest.raises(
        ValueError, match=r"meters a .*baud=9600.* and b .*baud=19200.* on one line"
    ):
        MeterPoller(meters=meters, sink=Deliveries(), clock=RealClock())


def test_interval_is_kept_on_the_monotonic_clock() -> None:
    async def scenario() -> None:
        async with HostileMeter(words=SDM630).listening() as port:
            meter = a_meter(port, interval_s=0.1)
            sink = await polling([polled(meter)], lambda sink: sink.readings_after_now(11))
        assert sink.at_s[10] - sink.at_s[0] == pytest.approx(1.0, abs=0.15)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["sunspec-meter-203", "sunspec-meter-213"])
def test_sunspec_meter_is_found_and_found_again_after_it_moved(name: str) -> None:
    shown = image_of(name)

    async def scenario() -> None:
        meter = HostileMeter(words=dict(shown.words))
        async with meter.listening() as port:

            async def move(sink: Deliveries) -> None:
                await sink.readings_after_now(2)
                base = min(meter.words)
                first, rest = base + 4 + 66, {}
                for address, word in meter.words.items():
                    rest[address + 10 if address >= first else address] = word
                rest[base + 3] = 76
                meter.words = rest
                await sink.until(lambda: bool(sink.faults))
                await sink.readings_after_now(2)

            sink = await polling([polled(a_meter(port, model=shown.model))], move)
        currents = {tuple(round(a, 2) for a in reading.current) for _, reading in sink.readings}
        assert currents == {(41.25, -3.5, 12.75)}
        assert "the SunSpec model at register" in sink.faults[0][1]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({}, "there is no SunSpec mark at registers 40000, 0, 50000"),
        (
            {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 66, 40070: 0xFFFF},
            "its SunSpec models are 1, and no meter is among them",
        ),
    ],
)
def test_device_without_sunspec_meter_says_so(words: dict[int, int], text: str) -> None:
    async def scenario() -> None:
        async with HostileMeter(words=words).listening() as port:

            async def wait(sink: Deliveries) -> None:
                await sink.until(lambda: bool(sink.faults))

            sink = await polling([polled(a_meter(port, model="sunspec/meter"))], wait)
        assert text in sink.faults[0][1]

    asyncio.run(scenario())


def test_storm_of_faults_never_delivers_a_wrong_value() -> None:
    """Every register is its own truth: any mix-up would show as another reading."""
    storm = [
        hostile.wrong_function,
        hostile.fewer_registers,
        hostile.more_registers,
        hostile.bad_byte_count,
        hostile.garbage_before,
        hostile.foreign_answer,
        hostile.twice,
        hostile.late(0.12),
        hostile.closed,
        hostile.half_frame,
        hostile.bad_checksum,
    ]

    async def scenario() -> None:
        meter = HostileMeter(words=SDM630, rtu=True)
        async with meter.listening() as port:
            connection = f"rtu+tcp://127.0.0.1:{port}?timeout_s=0.08"

            async def rage(sink: Deliveries) -> None:
                for fault in storm:
                    meter.faults.append(fault)
                    await sink.readings_after_now(1)

            limits = MeterLimits(max_a=inf)
            sink = await polling([polled(a_meter(port, connection=connection), limits)], rage)
        assert len({reading for _, reading in sink.readings}) == 1

    asyncio.run(scenario())
