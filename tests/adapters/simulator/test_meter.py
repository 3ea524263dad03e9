from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from adapters.simulator import meter as meter_module
from adapters.simulator.building import BuildingHabits
from adapters.simulator.meter import MeterFault, MeterServer, VirtualMeter
from adapters.simulator.registers import SDM630
from adapters.simulator.scenario import Scenario
from adapters.simulator.world import World
from tests.adapters.simulator.sites import MAIN, a_site

UNIT = 7


def a_meter() -> VirtualMeter:
    scenario = Scenario(name="test", building=BuildingHabits(base_ratio=0.5, noise_ratio=0.0))
    world = World(site=a_site(), scenario=scenario, seed=1)
    world.step(1.0)
    meter = VirtualMeter(
        layout=SDM630, conductor=world.conductor(MAIN), voltage_v=230.0, random=Random(1)
    )
    meter.refresh(1.0)
    return meter


def a_request(start: int, count: int, *, function: int = 4, unit: int = UNIT) -> bytes:
    return struct.pack(">HHHBBHH", 99, 0, 6, unit, function, start, count)


async def ask(port: int, request: bytes, *, wait_s: float = 0.3) -> bytes | None:
    """Return the answer from the unit id on; None: there was none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(wait_s):
            header = await reader.readexactly(6)
            transaction, protocol, length = struct.unpack(">HHH", header)
            assert (transaction, protocol) == (99, 0)
            return await reader.readexactly(length)
    except TimeoutError:
        return None
    finally:
        writer.close()


def serve(meter: VirtualMeter, test: Callable[[MeterServer], Awaitable[None]]) -> None:
    async def run() -> None:
        server = MeterServer(("127.0.0.1", 0), {UNIT: meter})
        await server.start()
        try:
            await test(server)
        finally:
            await server.stop()

    asyncio.run(run())


def currents_a(answer: bytes | None) -> tuple[float, ...]:
    assert answer is not None
    assert answer[:3] == bytes([UNIT, 4, 12])
    return struct.unpack(">3f", answer[3:])


def test_the_truth_arrives_with_a_little_noise() -> None:
    async def test(server: MeterServer) -> None:
        seen_a = currents_a(await ask(server.port, a_request(6, 6)))
        assert seen_a == pytest.approx((20.0,) * 3, abs=0.3)
        assert len(set(seen_a)) == 3

    serve(a_meter(), test)


def test_registers_are_never_the_same_twice() -> None:
    async def test(server: MeterServer) -> None:
        first = await ask(server.port, a_request(0, 12))
        meter.refresh(1.0)
        assert await ask(server.port, a_request(0, 12)) != first

    meter = a_meter()
    serve(meter, test)


@pytest.mark.parametrize(
    ("request_", "exception"),
    [
        (a_request(6, 6, function=3), b"\x83\x01"),
        (a_request(6, 6, function=16), b"\x90\x01"),
        (a_request(5000, 2), b"\x84\x02"),
        (a_request(60, 40), b"\x84\x02"),
        (a_request(0, 0), b"\x84\x03"),
        (a_request(0, 62), b"\x84\x03"),
    ],
)
def test_what_it_does_not_serve_is_an_exception(request_: bytes, exception: bytes) -> None:
    async def test(server: MeterServer) -> None:
        assert await ask(server.port, request_) == bytes([UNIT]) + exception

    serve(a_meter(), test)


def test_a_foreign_unit_gets_no_answer() -> None:
    async def test(server: MeterServer) -> None:
        assert await ask(server.port, a_request(6, 6, unit=1)) is None

    serve(a_meter(), test)


def test_a_frozen_meter_repeats_itself() -> None:
    async def test(server: MeterServer) -> None:
        first = await ask(server.port, a_request(0, 12))
        meter.fault = MeterFault.FROZEN
        meter.refresh(1.0)
        assert await ask(server.port, a_request(0, 12)) == first

    meter = a_meter()
    serve(meter, test)


def test_a_meter_may_have_no_values() -> None:
    async def test(server: MeterServer) -> None:
        meter.fault = MeterFault.NAN
        meter.refresh(1.0)
        assert all(
            current_a != current_a
            for current_a in currents_a(await ask(server.port, a_request(6, 6)))
        )

    meter = a_meter()
    serve(meter, test)


def test_turned_transformers_show_in_the_power() -> None:
    async def test(server: MeterServer) -> None:
        meter.fault = MeterFault.SIGN_FLIPPED
        meter.refresh(1.0)
        answer = await ask(server.port, a_request(12, 2))
        assert answer is not None
        assert struct.unpack(">f", answer[3:])[0] == pytest.approx(-20 * 230 * 0.98, rel=0.05)

    meter = a_meter()
    serve(meter, test)


def test_a_broken_meter_answers_with_an_exception() -> None:
    async def test(server: MeterServer) -> None:
        meter.fault = MeterFault.EXCEPTION
        assert await ask(server.port, a_request(6, 6)) == bytes([UNIT, 0x84, 4])

    meter = a_meter()
    serve(meter, test)


def test_silence_and_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "SLOW_ANSWER_S", 0.2)

    async def test(server: MeterServer) -> None:
        meter.fault = MeterFault.SILENT
        assert await ask(server.port, a_request(6, 6)) is None
        meter.fault = MeterFault.SLOW
        assert await ask(server.port, a_request(6, 6), wait_s=0.1) is None
        assert await ask(server.port, a_request(6, 6), wait_s=1.0) is not None

    meter = a_meter()
    serve(meter, test)


def test_an_unplugged_meter_is_gone_and_comes_back_at_its_port() -> None:
    async def test(server: MeterServer) -> None:
        port = server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await server.stop()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await ask(port, a_request(6, 6))
        await server.start()
        assert server.port == port
        assert await ask(port, a_request(6, 6)) is not None

    serve(a_meter(), test)
