"""A controllable load on the line: limit, fallback and watchdog are written, and each is read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from adapters.modbus.client import Failure, FailureKind, Outcome, Refusal, Registers, WriteOutcome
from adapters.modbus.connection import Endpoint
from adapters.modbus.frames import ReadRequest, Table, WriteFunction, WriteRequest
from adapters.modbus.loadmap import LoadMap, Register
from controller.site import Evse

TOLERANCE_A: Final = 0.05
"""Half of the smallest step that anybody signals. [A]"""


class Line(Protocol):
    """What a device is asked through: one connection. One request at a time."""

    async def read(self, request: ReadRequest, *, silence_s: float) -> Outcome:
        """Read registers."""

    async def write(self, request: WriteRequest, *, silence_s: float) -> WriteOutcome:
        """Write holding registers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """A load as it is built and wired."""

    evse: Evse
    load_map: LoadMap
    endpoint: Endpoint
    unit: int
    voltage_v: float
    """Nominal line-to-neutral voltage. [V]"""
    watchdog_s: float | None
    """What its watchdog is set to; None: it has none and keeps its last limit. [s]"""
    has_meter: bool = False
    """A meter of its own measures it, so that its own word on its current is not needed."""


class DeviceError(Exception):
    """The device gave no useful answer. What was written may have arrived all the same."""


class RefusedError(DeviceError):
    """The device answered that it does not write this: nothing has changed."""


class UnsentError(DeviceError):
    """There is no connection: nothing was sent."""


class AstrayError(DeviceError):
    """The device holds more than it was told."""


class LoadDevice:
    """Speaks with one load in amperes per phase. For one task at a time."""

    def __init__(self, spec: LoadSpec, line: Line) -> None:
        self._spec = spec
        self._map = spec.load_map
        self._line = line

    async def set_up(self, limit_a: float) -> None:
        """Write the watchdog, the fallback and a limit.

        Raises:
            DeviceError: It cannot be relied on.
        """
        watchdog, evse = self._map.watchdog, self._spec.evse
        if watchdog is not None and self._spec.watchdog_s is not None:
            wanted_s = self._spec.watchdog_s
            await self._write(watchdog.timeout, wanted_s)
            timeout_s = await self._read(watchdog.timeout)
            if not 0 < timeout_s <= wanted_s:
                raise AstrayError(
                    f"its watchdog is set to {timeout_s:g} s instead of {wanted_s:g} s"
                )
            await self._write(watchdog.fallback, self._amount(evse.fallback_a))
            fallback_a = self._current_a(await self._read(watchdog.fallback))
            if exceeds(fallback_a, evse.fallback_a):
                raise AstrayError(
                    f"its fallback is {fallback_a:.1f} A instead of {evse.fallback_a:g} A"
                )
        await self.put(limit_a)

    async def put(self, limit_a: float) -> None:
        """Write a limit and read it back. [A]

        Raises:
            DeviceError: It is not sure that it is held.
        """
        await self._write(self._map.limit, self._amount(limit_a))
        held_a = await self.held_a()
        if exceeds(held_a, limit_a):
            raise AstrayError(f"it was told {limit_a:.1f} A and its register says {held_a:.1f} A")

    async def held_a(self) -> float:
        """Return the limit that it holds. [A]

        Raises:
            DeviceError: It cannot be read.
        """
        return self._current_a(await self._read(self._map.limit))

    async def measured_a(self) -> tuple[float, float, float] | None:
        """Return what it takes at its terminals; None: it does not tell. [A]

        What a battery gives back counts as nothing: nobody relies on it.

        Raises:
            DeviceError: It cannot be read.
        """
        measured = self._map.measured
        if measured is None or self._spec.has_meter:
            return None
        table = Table.HOLDING if measured.table == "holding" else Table.INPUT
        found_a = [0.0, 0.0, 0.0]
        for number, register in enumerate(measured.points()):
            if register is not None and number < self._spec.evse.phases:
                found_a[number] = max(0.0, await self._read(register, table))
        return (found_a[0], found_a[1], found_a[2])

    def rounded_a(self, limit_a: float) -> float:
        """Return what a limit is once its register has rounded it. [A]"""
        limit, order = self._map.limit, self._map.word_order
        amount = limit.decoded(limit.encoded(self._amount(limit_a), order), order)
        return self._current_a(amount if amount is not None else 0.0)

    def _amount(self, current_a: float) -> float:
        spec = self._spec
        return self._map.amount_of(current_a, phases=spec.evse.phases, voltage_v=spec.voltage_v)

    def _current_a(self, amount: float) -> float:
        spec = self._spec
        return self._map.current_a_of(amount, phases=spec.evse.phases, voltage_v=spec.voltage_v)

    async def _read(self, register: Register, table: Table = Table.HOLDING) -> float:
        request = ReadRequest(
            unit=self._spec.unit, table=table, address=register.at, count=register.type.size
        )
        match await self._line.read(request, silence_s=self._map.silence_s):
            case Registers(words=words):
                value = register.decoded(words, self._map.word_order)
                if value is None:
                    raise DeviceError(f"register {register.at} holds no number")
                return value
            case Refusal(code=code):
                raise DeviceError(
                    f"reading register {register.at} is refused with exception {code}"
                )
            case Failure(text=text):
                raise DeviceError(text)

    async def _write(self, register: Register, amount: float) -> None:
        is_single = self._map.write == "single"
        request = WriteRequest(
            unit=self._spec.unit,
            function=WriteFunction.SINGLE if is_single else WriteFunction.MULTIPLE,
            address=register.at,
            words=register.encoded(amount, self._map.word_order),
        )
        outcome = await self._line.write(request, silence_s=self._map.silence_s)
        if isinstance(outcome, Refusal):
            raise RefusedError(
                f"writing register {register.at} is refused with exception {outcome.code}"
            )
        if isinstance(outcome, Failure):
            if outcome.kind is FailureKind.NO_CONNECTION:
                raise UnsentError(outcome.text)
            raise DeviceError(outcome.text)


def exceeds(held_a: float, limit_a: float) -> bool:
    """Tell whether a limit is higher than another by more than rounding. [A]"""
    return held_a > limit_a + TOLERANCE_A
