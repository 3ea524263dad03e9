"""The connection against a device that lies, stalls and hangs up: truth, or a failure, never else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic

import pytest

from adapters.modbus.client import Failure, FailureKind, ModbusConnection, Refusal, Registers
from adapters.modbus.connection import Endpoint, Transport
from adapters.modbus.frames import ReadRequest, Table, crc16
from tests.adapters.modbus import hostile
from tests.adapters.modbus.hostile import Fault, HostileMeter
from tests.ports import free_port

ANSWER_WITHIN_S = 0.12
REQUEST = ReadRequest(unit=1, table=Table.INPUT, address=50, count=10)
WORDS = {address: 1000 + address for address in range(200)}
TRUTH = Registers(words=tuple(range(1050, 1060)))

ANY_FRAMING: dict[str, Fault] = {
    "silence": hostile.silence,
    "closed": hostile.closed,
    "reset": hostile.reset,
    "half frame": hostile.half_frame,
    "half frame, then closed": hostile.half_then_closed,
    "wrong unit": hostile.wrong_unit,
    "wrong function": hostile.wrong_function,
    "exception of another function": hostile.exception_of_other_function,
    "fewer registers": hostile.fewer_registers,
    "more registers": hostile.more_registers,
    "bad byte count": hostile.bad_byte_count,
    "odd bytes": hostile.odd_bytes,
    "no registers": hostile.no_registers,
    "garbage before": hostile.garbage_before,
    "garbage only": hostile.garbage_only,
    "flood": hostile.flood,
    "foreign unit before": hostile.foreign_unit_before,
    "foreign answer": hostile.foreign_answer,
    "twice": hostile.twice,
    "late": hostile.late(1.3 * ANSWER_WITHIN_S),
    "http": hostile.http,
}
TCP_ONLY: dict[str, Fault] = {
    "wrong transaction": hostile.wrong_transaction,
    "transaction zero": hostile.transaction_zero,
    "short length field": hostile.short_length_field,
    "long length field": hostile.long_length_field,
}
RTU_ONLY: dict[str, Fault] = {
    "bad checksum": hostile.bad_checksum,
    "bad checksum, then good": hostile.bad_checksum_then_good,
}
CASES = [
    *((name, False, fault) for name, fault in (ANY_FRAMING | TCP_ONLY).items()),
    *((name, True, fault) for name, fault in (ANY_FRAMING | RTU_ONLY).items()),
]


def an_endpoint(port: int, *, rtu: bool = False) -> Endpoint:
    return Endpoint(
        transport=Transport.RTU_OVER_TCP if rtu else Transport.TCP,
        host="127.0.0.1",
        port=port,
        timeout_s=ANSWER_WITHIN_S,
    )


@pytest.fixture(params=[False, True], ids=["tcp", "rtu"])
def rtu(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize(
    ("fault", "rtu"),
    [(fault, rtu) for _, rtu, fault in CASES],
    ids=[f"{'rtu' if rtu else 'tcp'}: {name}" for name, rtu, _ in CASES],
)
def test_spoiled_answer_is_never_taken_and_the_next_one_is_right(fault: Fault, rtu: bool) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
                meter.faults.append(fault)
                spoiled = await connection.read(REQUEST, silence_s=0.0)
                # A whole right answer may come before the bytes that do not belong to it.
                assert isinstance(spoiled, Failure) or spoiled == TRUTH
                other = replace(REQUEST, address=70, count=12)
                right = Registers(words=tuple(range(1070, 1082)))
                assert right == await connection.read(other, silence_s=0.0)
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
            finally:
                await connection.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6, 10, 11])
def test_exception_is_an_answer(rtu: bool, code: int) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        meter.faults.append(hostile.exception(code))
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                assert Refusal(code=code) == await connection.read(REQUEST, silence_s=0.0)
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
                assert meter.accepted == 1
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_answer_in_single_bytes_is_whole(rtu: bool) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        meter.faults.append(hostile.single_bytes)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_late_answer_is_not_the_next_one_however_late_it_is(rtu: bool) -> None:
    """A plain gateway hands a late answer to whoever is connected when it comes."""

    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                for step in range(12):
                    meter.faults.append(hostile.late(ANSWER_WITHIN_S * (1.05 + step / 6)))
                    lost = await connection.read(REQUEST, silence_s=0.0)
                    assert isinstance(lost, Failure) or lost == TRUTH
                    other = replace(REQUEST, address=70 + step, count=12)
                    outcome = await connection.read(other, silence_s=0.01)
                    right = Registers(words=tuple(range(1070 + step, 1082 + step)))
                    assert isinstance(outcome, Failure) or outcome == right
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_late_answer_of_the_same_length_falls_into_the_quiet_time() -> None:
    """The line is slow: the answer to a lost request comes while the next one is under way."""

    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=True)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=True))
            try:
                meter.faults.append(hostile.late(1.5 * ANSWER_WITHIN_S))
                meter.faults.append(hostile.late(0.7 * ANSWER_WITHIN_S))
                assert isinstance(await connection.read(REQUEST, silence_s=0.0), Failure)
                other = replace(REQUEST, address=70)
                right = Registers(words=tuple(range(1070, 1080)))
                assert await connection.read(other, silence_s=0.0) == right
            finally:
                await connection.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [hostile.silence, hostile.half_frame, hostile.wrong_function])
def test_connection_does_not_outlive_a_doubt(rtu: bool, fault: Fault) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        meter.faults.append(fault)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                assert isinstance(await connection.read(REQUEST, silence_s=0.0), Failure)
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
                assert meter.accepted == 2
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_bytes_that_nobody_asked_for_cost_the_connection_and_no_sample(rtu: bool) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
                for writer in meter.writers:
                    writer.write(b"\x01\x04")
                await asyncio.sleep(0.02)
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
                assert meter.accepted == 2
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_silence_is_told_in_time_with_unit_and_mend() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, unit=5)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port))
            started_s = monotonic()
            outcome = await connection.read(REQUEST, silence_s=0.0)
            await connection.close()
            assert monotonic() - started_s < 2 * ANSWER_WITHIN_S
            assert outcome == Failure(
                kind=FailureKind.SILENCE,
                text="no answer from unit 1 within 0.12 s; check power, cable and unit id",
            )

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [hostile.closed, hostile.reset, hostile.half_then_closed])
def test_closed_connection_is_noticed_at_once(rtu: bool, fault: Fault) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        meter.faults.append(fault)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            started_s = monotonic()
            outcome = await connection.read(REQUEST, silence_s=0.0)
            await connection.close()
            assert monotonic() - started_s < ANSWER_WITHIN_S / 2
            assert isinstance(outcome, Failure)
            assert FailureKind.CLOSED is outcome.kind

    asyncio.run(scenario())


def test_connection_closed_while_idle_costs_no_sample(rtu: bool) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            try:
                await connection.read(REQUEST, silence_s=0.0)
                for writer in tuple(meter.writers):
                    writer.close()
                await asyncio.sleep(0.02)
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_refused_connection_names_the_place() -> None:
    async def scenario() -> None:
        async with HostileMeter().listening() as port:
            pass
        connection = ModbusConnection(an_endpoint(port))
        outcome = await connection.read(REQUEST, silence_s=0.0)
        assert isinstance(outcome, Failure)
        assert FailureKind.NO_CONNECTION is outcome.kind
        assert f"no connection to 127.0.0.1:{port}; check power, network" in outcome.text

    asyncio.run(scenario())


def test_missing_serial_device_is_named() -> None:
    async def scenario() -> None:
        endpoint = Endpoint(transport=Transport.SERIAL, device="/dev/does-not-exist")
        outcome = await ModbusConnection(endpoint).read(REQUEST, silence_s=0.0)
        assert isinstance(outcome, Failure)
        assert "/dev/does-not-exist cannot be opened; check" in outcome.text

    asyncio.run(scenario())


def test_cancelled_read_leaves_nothing_behind(rtu: bool) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=rtu)
        meter.faults.append(hostile.silence)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=rtu))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S / 3):
                    await connection.read(REQUEST, silence_s=0.0)
            await connection.close()
            assert {asyncio.current_task()} == {
                task for task in asyncio.all_tasks() if "serve" not in repr(task)
            }

    asyncio.run(scenario())


def test_silence_is_kept_between_requests() -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS)
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port))
            try:
                started_s = monotonic()
                for _ in range(4):
                    await connection.read(REQUEST, silence_s=0.05)
                assert monotonic() - started_s >= 3 * 0.05
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_checksum_of_a_real_frame() -> None:
    # Two SDM630 behind a transparent gateway: mbmd issue 63.
    assert crc16(bytes.fromhex("01040443 67af55e210")) == 0
    assert crc16(bytes.fromhex("01040443 67af55e211")) != 0


def test_real_frame_is_a_voltage() -> None:
    """The frame travels over a real socket, through the connection, to the value."""

    async def scenario() -> None:
        meter = HostileMeter(rtu=True)
        meter.faults.append(hostile.sends(lambda *_: bytes.fromhex("010404 4367af55 e210")))
        async with meter.listening() as port:
            connection = ModbusConnection(an_endpoint(port, rtu=True))
            try:
                request = ReadRequest(unit=1, table=Table.INPUT, address=0, count=2)
                outcome = await connection.read(request, silence_s=0.0)
                assert Registers(words=(0x4367, 0xAF55)) == outcome
            finally:
                await connection.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("transport", "baud", "count", "expected_s"),
    [
        (Transport.TCP, 9600, 125, 0.8),
        (Transport.RTU_OVER_TCP, 9600, 36, 0.477),
        (Transport.SERIAL, 2400, 125, 2.492),
        (Transport.SERIAL, 38400, 18, 0.326),
    ],
)
def test_wait_follows_the_time_on_the_wire(
    transport: Transport, baud: int, count: int, expected_s: float
) -> None:
    endpoint = Endpoint(transport=transport, host="h", device="d", baud=baud)
    assert expected_s == pytest.approx(endpoint.answer_within_s(count), abs=0.001)


async def _ends_of_a_stopped_read(port: int) -> list[bool]:
    """Stop a read to a device after 0, 1, 2 ... turns of the loop until it is done before the stop."""
    cancelled: list[bool] = []
    while True:
        connection = ModbusConnection(an_endpoint(port))
        reading = asyncio.create_task(connection.read(REQUEST, silence_s=0.0))
        for _ in range(len(cancelled)):
            await asyncio.sleep(0)
        if reading.done():
            return cancelled
        reading.cancel()
        await asyncio.wait({reading}, timeout=5.0)
        assert reading.done()
        cancelled.append(reading.cancelled())
        await connection.close()


def test_a_stop_is_never_lost_while_a_connection_is_refused() -> None:
    cancelled = asyncio.run(_ends_of_a_stopped_read(free_port()))

    assert len(cancelled) > 3, "there were turns to stop in"
    assert all(cancelled), f"lost in turn {cancelled.index(False)}"


def test_a_stop_is_never_lost_while_a_connection_is_made() -> None:
    async def stopped() -> list[bool]:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            return await _ends_of_a_stopped_read(server.sockets[0].getsockname()[1])

    cancelled = asyncio.run(stopped())

    assert len(cancelled) > 3, "there were turns to stop in"
    assert all(cancelled), f"lost in turn {cancelled.index(False)}"


def test_a_stopped_task_may_still_write_its_farewell() -> None:
    async def said_at_the_end() -> Registers | Refusal | Failure | None:
        said: Registers | Refusal | Failure | None = None
        async with HostileMeter(words=WORDS, rtu=False).listening() as port:
            connection = ModbusConnection(an_endpoint(port))

            async def serve() -> None:
                nonlocal said
                try:
                    await asyncio.Event().wait()
                finally:
                    said = await connection.read(REQUEST, silence_s=0.0)
                    await connection.close()

            serving = asyncio.create_task(serve())
            await asyncio.sleep(0)
            serving.cancel()
            await asyncio.wait({serving})
        return said

    assert asyncio.run(said_at_the_end()) == TRUTH
