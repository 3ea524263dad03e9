"""Against a server that was not written here."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from adapters.modbus.catalogue import load_map
from adapters.modbus.client import ModbusConnection
from adapters.modbus.connection import Endpoint, Transport
from adapters.modbus.reader import MeterReader, MeterSample
from tests.adapters.modbus.images import image_of


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
def test_ksem_is_read_from_another_server(rtu: bool) -> None:
    shown = image_of("kostal-ksem")
    words = [shown.words.get(address, 0) for address in range(520)]

    async def scenario() -> None:
        device = SimDevice(71, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)])
        server = ModbusTcpServer(
            device,
            address=("127.0.0.1", 0),
            framer=FramerType.RTU if rtu else FramerType.SOCKET,
        )
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        endpoint = Endpoint(
            transport=Transport.RTU_OVER_TCP if rtu else Transport.TCP, host="127.0.0.1", port=port
        )
        connection = ModbusConnection(endpoint)
        try:
            sample = await MeterReader(load_map(shown.model), unit=71).read(connection)
        finally:
            await connection.close()
            with suppress(asyncio.CancelledError):
                await server.shutdown()  # type: ignore[no-untyped-call]
        assert isinstance(sample, MeterSample), sample
        assert shown.values == pytest.approx(dict(sample.values), rel=1e-6)

    asyncio.run(scenario())
