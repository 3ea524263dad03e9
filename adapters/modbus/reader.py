"""Reads meters for as long as the site runs: one task per line, faults told and outlived."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Protocol, TypeAlias

import structlog

from adapters.modbus.client import (
    Failure,
    FailureKind,
    ModbusConnection,
    Outcome,
    Refusal,
    Registers,
)
from adapters.modbus.connection import Endpoint, parse_connection
from adapters.modbus.credit import Credit
from adapters.modbus.frames import ReadRequest, Table
from adapters.modbus.plausibility import MeterLimits, implausible
from adapters.modbus.registermap import (
    CURRENTS,
    POWERS,
    VOLTAGES,
    Block,
    Decoded,
    MeterMap,
    PointName,
    coalesce,
    decode,
    signed,
)
from controller.phases import PhaseCurrents
from controller.ports import Clock, MeterSink
from controller.readings import GridReading
from controller.site import Meter

_log = structlog.get_logger()

_RETRY_FIRST_S: Final = 0.2
_RETRY_MAX_S: Final = 3.0
_SHARED_RETRY_MAX_S: Final = 10.0
"""On a line with other meters: each attempt on a dead one costs the others time. [s]"""
_SUNS: Final = (0x5375, 0x6E53)
_CHAIN_END: Final = 0xFFFF
_CHAIN_MAX: Final = 64


class Line(Protocol):
    """What a reader asks: one connection."""

    async def read(self, request: ReadRequest, *, silence_s: float) -> Outcome:
        """Read registers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSample:
    """What one poll brought. The values carry our signs and are not judged yet."""

    values: Decoded
    fingerprint: str
    """Digest of the raw registers."""
    words: Mapping[int, int]
    """The raw registers by address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFault:
    """Why one poll brought nothing."""

    text: str
    """What happened and what to check; the place is not part of it."""
    kind: FailureKind | None = None
    """None: the device answered, and the answer is of no use."""


Poll: TypeAlias = MeterSample | MeterFault


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where the meter's points really are."""

    meter_map: MeterMap
    mark: tuple[int, int] | None = None
    """A register and what it must hold: the number of the SunSpec model that was found there."""


class MeterReader:
    """Reads one meter by its map. Remembers what the device refuses while the connection holds."""

    def __init__(self, meter_map: MeterMap, unit: int) -> None:
        self._map = meter_map
        self._unit = unit
        self._layout: _Layout | None = None
        self._blocks: list[Block] = []

    @property
    def located(self) -> MeterMap:
        """The map with every point at its register, once the device has been read."""
        return self._map if self._layout is None else self._layout.meter_map

    async def read(self, connection: Line) -> Poll:
        """Read all points once."""
        poll = await self._read(connection)
        if isinstance(poll, MeterFault):
            self._layout = None
        return poll

    async def _read(self, connection: Line) -> Poll:
        if self._layout is None:
            layout = await self._locate(connection)
            if isinstance(layout, MeterFault):
                return layout
            self._layout = layout
            self._blocks = list(layout.meter_map.read_blocks())
        meter_map, mark = self._layout.meter_map, self._layout.mark
        words = await self._words(connection, meter_map)
        if isinstance(words, MeterFault):
            return words
        if mark is not None and words.get(mark[0], mark[1]) != mark[1]:
            return MeterFault(
                text=f"the SunSpec model at register {mark[0]} has moved; looking again"
            )
        values = signed(meter_map, decode(meter_map, words))
        return MeterSample(values=values, fingerprint=_fingerprint(words), words=words)

    async def _words(self, connection: Line, meter_map: MeterMap) -> dict[int, int] | MeterFault:
        """Read all blocks; those that the device refuses are read in smaller pieces from now on."""
        words: dict[int, int] = {}
        pending, accepted = list(self._blocks), list[Block]()
        while pending:
            block = pending.pop(0)
            outcome = await self._ask(connection, block)
            match outcome:
                case Registers():
                    accepted.append(block)
                    words.update(enumerate(outcome.words, start=block[0]))
                case Refusal() if outcome.is_about_registers:
                    pieces = _pieces(meter_map, block)
                    lost = _required_in(meter_map, block) if not pieces else []
                    if lost:
                        return _refused(
                            outcome, f"registers {_named(block)} with {', '.join(lost)}"
                        )
                    pending[:0] = pieces
                case Refusal():
                    return _refused(outcome, f"registers {_named(block)}")
                case Failure():
                    return MeterFault(text=outcome.text, kind=outcome.kind)
        self._blocks = accepted
        return words

    async def _locate(self, connection: Line) -> _Layout | MeterFault:
        """Return the plain map; with SunSpec, walk the chain of models to find where it starts."""
        if self._map.sunspec is None:
            return _Layout(meter_map=self._map)
        refused: MeterFault | None = None
        for base in self._map.sunspec.bases:
            mark = await self._ask(connection, (base, len(_SUNS)))
            match mark:
                case Registers(words=words) if words == _SUNS:
                    return await self._walk(connection, base + len(_SUNS))
                case Failure():
                    return MeterFault(text=mark.text, kind=mark.kind)
                case Refusal() if not mark.is_about_registers:
                    refused = _refused(mark, f"register {base}")
                case _:
                    pass
        bases = ", ".join(str(base) for base in self._map.sunspec.bases)
        return refused or MeterFault(
            text=f"there is no SunSpec mark at registers {bases}; "
            "check the unit id, and that SunSpec is switched on in the device"
        )

    async def _walk(self, connection: Line, start: int) -> _Layout | MeterFault:
        at, passed = start, list[str]()
        while len(passed) < _CHAIN_MAX and at < _CHAIN_END:
            header = await self._ask(connection, (at, 2))
            if isinstance(header, Failure):
                return MeterFault(text=header.text, kind=header.kind)
            if isinstance(header, Refusal):
                break
            model_id, length = header.words
            if model_id == _CHAIN_END:
                break
            found = self._map.located(model_id, at)
            if found is not None:
                return _Layout(meter_map=found, mark=(at, model_id))
            passed.append(str(model_id))
            at += 2 + length
        return MeterFault(
            text=f"its SunSpec models are {', '.join(passed) or 'none'}, and no meter is among them; "
            "check the unit id of the meter"
        )

    async def _ask(self, connection: Line, block: Block) -> Registers | Refusal | Failure:
        table = Table.HOLDING if self._map.table == "holding" else Table.INPUT
        request = ReadRequest(unit=self._unit, table=table, address=block[0], count=block[1])
        return await connection.read(request, silence_s=self._map.silence_s)


def _pieces(meter_map: MeterMap, block: Block) -> list[Block]:
    """Divide a refused block: first at registers without a point, then in halves of its values.

    Every piece is smaller than the block, so that dividing comes to an end; a single value gives none.
    """
    spans = sorted(
        {
            span
            for point in meter_map.points.values()
            for span in point.spans()
            if _starts_in(block, span)
        }
    )
    dense = coalesce(spans, max_block=meter_map.max_block, max_gap=0)
    if dense != (block,):
        return list(dense)
    middle = len(spans) // 2
    halves = (spans[:middle], spans[middle:]) if middle else ()
    return [
        piece
        for half in halves
        for piece in coalesce(half, max_block=meter_map.max_block, max_gap=0)
    ]


def _starts_in(block: Block, span: Block) -> bool:
    return block[0] <= span[0] < block[0] + block[1]


def _required_in(meter_map: MeterMap, block: Block) -> list[PointName]:
    return [
        name
        for name in meter_map.required
        if any(_starts_in(block, span) for span in meter_map.points[name].spans())
    ]


def _named(block: Block) -> str:
    return f"{block[0]} to {block[0] + block[1] - 1}"


def _refused(refusal: Refusal, what: str) -> MeterFault:
    meanings = {
        1: "the device does not know this kind of read; check the model",
        2: "the device does not have them; check the model",
        3: "the device does not read so many; check the model",
        4: "the device reports a failure of its own",
        6: "the device is busy",
        10: "the gateway has no path to the unit; check its configuration",
        11: "the gateway got no answer from the unit; check cable and unit id",
    }
    meaning = meanings.get(refusal.code, "check the model and the unit id")
    return MeterFault(text=f"{what} are refused with exception {refusal.code}: {meaning}")


def _fingerprint(words: Mapping[int, int]) -> str:
    raw = b"".join(words[address].to_bytes(2, "big") for address in sorted(words))
    return blake2b(raw, digest_size=8).hexdigest()


def grid_reading(sample: MeterSample) -> GridReading:
    """Turn a plausible sample into the controller's value."""
    values = sample.values
    return GridReading(
        current=PhaseCurrents(
            l1_a=values[CURRENTS[0]], l2_a=values[CURRENTS[1]], l3_a=values[CURRENTS[2]]
        ),
        voltage_v=_three(values, VOLTAGES),
        power_w=_three(values, POWERS),
        power_total_w=values.get("power_total_w"),
        frequency_hz=values.get("frequency_hz"),
        power_factor=values.get("power_factor_total"),
        energy_import_wh=values.get("energy_import_wh"),
        energy_export_wh=values.get("energy_export_wh"),
        fingerprint=sample.fingerprint,
    )


def _three(values: Decoded, names: Sequence[PointName]) -> tuple[float, float, float] | None:
    first, second, third = (values.get(name) for name in names)
    if first is None or second is None or third is None:
        return None
    return first, second, third


@dataclass(slots=True, kw_only=True)
class _Polled:
    """A meter in the rounds of its line."""

    meter: Meter
    reader: MeterReader
    limits: MeterLimits
    due_s: float
    retry_s: float = _RETRY_FIRST_S
    before: Decoded | None = None
    credit: Credit = field(default_factory=Credit)
    wrong: str = ""
    """Why its last wrong sample cannot be true."""
    silent_since_s: float | None = None


@dataclass(slots=True, kw_only=True)
class _Line:
    """A serial line, gateway or device, and the meters that are reached through it."""

    endpoint: Endpoint
    polled: list[_Polled] = field(default_factory=list)


class MeterPoller:
    """Polls meters and delivers each sample or fault. Every line has one task of its own."""

    def __init__(
        self,
        *,
        meters: Sequence[tuple[Meter, MeterMap, MeterLimits]],
        sink: MeterSink,
        clock: Clock,
    ) -> None:
        """Prepare to poll.

        Raises:
            ConnectionTextError: A connection cannot be understood.
            ValueError: Meters on one line are configured with different line settings.
        """
        self._sink = sink
        self._clock = clock
        self._lines = _lines(meters, clock.monotonic_s())

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(self._serve(line))
            await asyncio.Event().wait()

    async def _serve(self, line: _Line) -> None:
        connection = ModbusConnection(line.endpoint)
        try:
            while True:
                polled = min(line.polled, key=lambda each: each.due_s)
                await asyncio.sleep(max(0.0, polled.due_s - self._clock.monotonic_s()))
                started_s = self._clock.monotonic_s()
                if await self._poll(polled, connection):
                    polled.retry_s = _RETRY_FIRST_S
                    polled.due_s = started_s + polled.meter.interval_s
                else:
                    polled.due_s = self._clock.monotonic_s() + polled.retry_s
                    most_s = _RETRY_MAX_S if len(line.polled) == 1 else _SHARED_RETRY_MAX_S
                    polled.retry_s = min(2 * polled.retry_s, most_s)
        finally:
            await connection.close()

    async def _poll(self, polled: _Polled, connection: ModbusConnection) -> bool:
        """Poll one meter and deliver; tell whether there was a plausible sample, believed or not."""
        is_plausible = False
        try:
            poll = await polled.reader.read(connection)
            fault = self._judged(polled, poll)
            is_plausible = fault is None
            fault = fault or _doubted(polled)
            if fault is None and isinstance(poll, MeterSample):
                self._sink.put_reading(polled.meter.id, grid_reading(poll))
                self._end_silence(polled)
                return True
        except Exception as error:  # noqa: BLE001 - a defect must not end the reading of all meters
            _log.exception("meter.defect", meter=polled.meter.id)
            await connection.close()
            fault = f"an internal defect, {type(error).__name__}: {error}; please report it"
        text = f"meter {polled.meter.id} at {polled.meter.connection}: {fault}"
        self._begin_silence(polled, text)
        self._sink.put_fault(polled.meter.id, text)
        return is_plausible

    def _judged(self, polled: _Polled, poll: Poll) -> str | None:
        """Return why a poll is of no use; None: it is good."""
        if isinstance(poll, MeterFault):
            return poll.text
        reasons = implausible(poll.values, polled.limits, polled.before)
        # Also of a rejected sample: a counter that was reset costs one sample, not all that follow.
        polled.before = poll.values
        polled.credit.book(self._clock.monotonic_s(), is_plausible=not reasons)
        if not reasons:
            return None
        polled.wrong = (
            f"{'; '.join(reasons)}; check the model, the wiring and the transformer ratio"
        )
        return polled.wrong

    def _begin_silence(self, polled: _Polled, text: str) -> None:
        if polled.silent_since_s is None:
            polled.silent_since_s = self._clock.monotonic_s()
            _log.warning("meter.silent", meter=polled.meter.id, fault=text)

    def _end_silence(self, polled: _Polled) -> None:
        if polled.silent_since_s is not None:
            silent_s = self._clock.monotonic_s() - polled.silent_since_s
            polled.silent_since_s = None
            _log.info("meter.back", meter=polled.meter.id, silent_s=round(silent_s, 1))


def _doubted(polled: _Polled) -> str | None:
    """Return why a plausible sample is not believed; None: it is."""
    doubt = polled.credit.doubt()
    return f"{doubt}; the last wrong one: {polled.wrong}" if doubt is not None else None


def _lines(meters: Sequence[tuple[Meter, MeterMap, MeterLimits]], now_s: float) -> list[_Line]:
    """Group meters by what they are reached through.

    Raises:
        ValueError: Meters on one line are configured with different line settings.
    """
    lines: dict[str, _Line] = {}
    for meter, meter_map, limits in sorted(meters, key=lambda each: each[0].id):
        endpoint = parse_connection(meter.connection, meter_map.default)
        line = lines.setdefault(endpoint.place, _Line(endpoint=endpoint))
        if line.endpoint != endpoint:
            first = line.polled[0].meter
            raise ValueError(
                f"meters {first.id} ({first.connection}) and {meter.id} ({meter.connection}) are on "
                "one line with different settings; give both the same"
            )
        line.polled.append(
            _Polled(
                meter=meter,
                reader=MeterReader(meter_map, meter.unit),
                limits=limits,
                due_s=now_s,
            )
        )
    return list(lines.values())
