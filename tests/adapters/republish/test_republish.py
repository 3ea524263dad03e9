"""The Modbus server as a PLC sees it: an independent client over a real socket."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from pymodbus.client import AsyncModbusTcpClient

from adapters.republish.registers import CIRCUITS_AT, EVSES_AT, registers
from adapters.republish.server import ListenError, RepublishServer, RepublishSettings
from controller.decision import Plan
from tests.controller.builders import Bench, a_site
from tests.controller.test_image import HandClock


class Shown:
    """A `Control` that shows one plan."""

    def __init__(self, plan: Plan | None) -> None:
        self.shown = plan

    def plan(self) -> Plan | None:
        return self.shown

    def alarms(self) -> tuple[object, ...]:
        return ()


def a_plan() -> Plan:
    return Bench(site=a_site()).plug_in("CP001/1").run(30.0).plan


def served(
    test: Callable[[RepublishServer, HandClock], Awaitable[None]],
    *,
    plan: Plan | None,
    clients: int = 8,
) -> None:
    async def run() -> None:
        clock = HandClock()
        clock.at_s = plan.now_s + 1.0 if plan is not None else 0.0
        server = RepublishServer(
            settings=RepublishSettings(host="127.0.0.1", port=0, clients=clients),
            control=Shown(plan),  # type: ignore[arg-type]
            clock=clock,
        )
        await server.start()
        try:
            await test(server, clock)
        finally:
            await server.stop()

    asyncio.run(run())


async def client_of(server: RepublishServer) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
    assert await client.connect()
    return client


def floats(client: AsyncModbusTcpClient, words: list[int]) -> list[float]:
    values = client.convert_from_registers(words, client.DATATYPE.FLOAT32)
    return values if isinstance(values, list) else [float(values)]  # type: ignore[arg-type,list-item]


def test_plc_reads_what_the_plan_says() -> None:
    plan = a_plan()
    circuit, evse = plan.circuits["main"], plan.evses["CP001/1"]  # type: ignore[index]

    async def test(server: RepublishServer, clock: HandClock) -> None:
        client = await client_of(server)
        head = (await client.read_holding_registers(0, count=9)).registers
        block = (await client.read_input_registers(CIRCUITS_AT, count=50, device_id=7)).registers
        charger = (await client.read_holding_registers(EVSES_AT, count=50)).registers
        client.close()
        assert head[:6] == [1, 0, 0, 1, 1, 3]
        assert (head[6] << 16) + head[7] == round(plan.at.timestamp())
        assert b"".join(w.to_bytes(2, "big") for w in block[:16]).rstrip(b"\0") == b"main"
        assert floats(client, block[18:24]) == pytest.approx(list(circuit.limit_a))
        assert floats(client, block[42:48]) == pytest.approx(list(circuit.headroom_a), rel=1e-5)
        assert floats(client, charger[24:28]) == pytest.approx([evse.setpoint_a, evse.committed_a])
        assert charger[17] == 1

    served(test, plan=plan)


def test_what_is_not_known_is_not_zero() -> None:
    words = registers(a_plan(), age_s=1.0, alarms=0)
    state_of_charge = (words[EVSES_AT + 32] << 16) + words[EVSES_AT + 33]
    assert math.isnan(float_of(state_of_charge))


def float_of(raw: int) -> float:
    import struct

    return float(struct.unpack(">f", raw.to_bytes(4, "big"))[0])


def test_every_write_is_refused_and_changes_nothing() -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        client = await client_of(server)
        before = (await client.read_holding_registers(0, count=16)).registers
        refused = [
            await client.write_register(0, 7),
            await client.write_registers(100, [1, 2, 3]),
            await client.write_coil(0, True),
            await client.write_coils(0, [True, False]),
            await client.mask_write_register(address=0, and_mask=0, or_mask=1),
            await client.readwrite_registers(
                read_address=0, read_count=1, write_address=0, values=[1]
            ),
        ]
        after = (await client.read_holding_registers(0, count=16)).registers
        client.close()
        assert {answer.exception_code for answer in refused} == {1}
        assert before == after

    served(test, plan=a_plan())


def test_registers_that_do_not_exist_are_refused() -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        client = await client_of(server)
        codes = [
            (await client.read_holding_registers(address, count=count)).exception_code
            for address, count in ((16, 1), (99, 2), (150, 1), (9999, 2), (65535, 1))
        ]
        client.close()
        assert codes == [2] * 5

    served(test, plan=a_plan())


def test_before_the_first_plan_there_is_no_value() -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        client = await client_of(server)
        code = (await client.read_holding_registers(0, count=2)).exception_code
        client.close()
        assert code == 4

    served(test, plan=None)


def test_age_grows_when_decisions_stop() -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        client = await client_of(server)
        clock.at_s += 59.0
        words = (await client.read_holding_registers(2, count=2)).registers
        client.close()
        assert words == [0, 60]

    served(test, plan=a_plan())


def test_connections_are_bounded_and_places_come_free() -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        first, second = await client_of(server), await client_of(server)
        for client in (first, second):
            assert not (await client.read_holding_registers(0, count=1)).isError()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        writer.close()
        second.close()
        await asyncio.sleep(0.05)
        third = await client_of(server)
        assert not (await third.read_holding_registers(0, count=1)).isError()
        first.close()
        third.close()

    served(test, plan=a_plan(), clients=2)


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes.fromhex("0001 0000 ffff 01 03"),
        bytes.fromhex("0001 0007 0006 01 03 0000 0001"),
        bytes.fromhex("0001 0000 0001 01"),
    ],
)
def test_what_is_no_modbus_loses_its_connection_only(frame: bytes) -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(frame)
        async with asyncio.timeout(2.0):
            assert await reader.read() == b""
        writer.close()
        client = await client_of(server)
        assert not (await client.read_holding_registers(0, count=1)).isError()
        client.close()

    served(test, plan=a_plan())


def test_taken_port_is_said_plainly() -> None:
    async def test(server: RepublishServer, clock: HandClock) -> None:
        other = RepublishServer(
            settings=RepublishSettings(host="127.0.0.1", port=server.port),
            control=Shown(None),  # type: ignore[arg-type]
            clock=clock,
        )
        with pytest.raises(ListenError, match=r"republish\.listen 127\.0\.0\.1:\d+: cannot listen"):
            await other.start()

    served(test, plan=a_plan())
