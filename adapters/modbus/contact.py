"""A contact at an input of a Modbus I/O module: closed, open, or not known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from adapters.modbus.client import Failure, ModbusConnection, Outcome, Refusal
from adapters.modbus.connection import parse_connection
from adapters.modbus.frames import ReadRequest, Table
from adapters.modbus.registermap import BusDefaults
from controller.errors import ContactLostError

_SILENCE_S = 0.01
"""Longer than the pause between two frames on any line. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPlace:
    """Where a contact is."""

    connection: str
    """Of the module, as of a meter."""
    unit: int
    is_coil: bool
    """The module shows its inputs as coils; else as discrete inputs."""
    address: int
    """Zero-based number of the input."""


class Module:
    """A connection to one module, shared by the contacts there: many serve no more than one."""

    def __init__(self, connection: str) -> None:
        """Prepare to connect.

        Raises:
            ConnectionTextError: The connection cannot be understood.
        """
        self._connection = ModbusConnection(parse_connection(connection, BusDefaults()))
        self._turn = asyncio.Lock()

    async def read(self, request: ReadRequest) -> Outcome:
        """Read when it is this one's turn."""
        async with self._turn:
            return await self._connection.read(request, silence_s=_SILENCE_S)

    async def close(self) -> None:
        """Close the connection; who reads again opens it."""
        async with self._turn:
            await self._connection.close()


class Contact:
    """One input of a module."""

    def __init__(self, place: ContactPlace, module: Module) -> None:
        """Prepare to read."""
        self._module = module
        table = Table.COIL if place.is_coil else Table.DISCRETE
        self._request = ReadRequest(unit=place.unit, table=table, address=place.address, count=1)

    async def is_closed(self) -> bool:
        """Tell whether current flows through the contact now.

        Raises:
            ContactLostError: The module gave no answer that can be trusted.
        """
        outcome = await self._module.read(self._request)
        match outcome:
            case Failure(text=text):
                raise ContactLostError(text)
            case Refusal(code=code):
                raise ContactLostError(
                    f"input {self._request.address} is refused with exception {code}; check `input`, "
                    "`table` and `unit`"
                )
            case _:
                return outcome.words[0] == 1

    async def close(self) -> None:
        """Close the connection to its module."""
        await self._module.close()
