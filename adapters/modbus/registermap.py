"""What a meter's registers mean: the map file, its checks, and the pure decoder.

A map names points from a closed vocabulary with units, so that no value can arrive in another unit
by accident. Addresses are zero-based, as they travel on the wire. A register that says "no value"
makes its point absent; it never becomes 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from math import isfinite
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

PointName: TypeAlias = Literal[
    "voltage_l1_v",
    "voltage_l2_v",
    "voltage_l3_v",
    "current_l1_a",
    "current_l2_a",
    "current_l3_a",
    "power_l1_w",
    "power_l2_w",
    "power_l3_w",
    "power_total_w",
    "power_factor_l1",
    "power_factor_l2",
    "power_factor_l3",
    "power_factor_total",
    "frequency_hz",
    "energy_import_wh",
    "energy_export_wh",
]

VOLTAGES: Final[tuple[PointName, ...]] = ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v")
CURRENTS: Final[tuple[PointName, ...]] = ("current_l1_a", "current_l2_a", "current_l3_a")
POWERS: Final[tuple[PointName, ...]] = ("power_l1_w", "power_l2_w", "power_l3_w")

Decoded: TypeAlias = Mapping[PointName, float]
"""Values of the points that carry one, in the units of their names. Absent: no value."""

Block: TypeAlias = tuple[int, int]
"""First register and number of registers."""

Address = Annotated[int, Field(ge=0, le=65535)]

_READ_MAX: Final = 125
_ADDRESS_MAX: Final = 65535
_SCALE_EXPONENT_MAX: Final = 10


class RegisterType(Enum):
    """How a value is laid out in registers."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def size(self) -> int:
        """Number of registers."""
        return int(self.value[-2:]) // 16

    @property
    def code(self) -> str:
        """Format character of `struct`."""
        return _CODES[self]


_CODES: Final = {
    RegisterType.INT16: "h",
    RegisterType.UINT16: "H",
    RegisterType.INT32: "i",
    RegisterType.UINT32: "I",
    RegisterType.INT64: "q",
    RegisterType.UINT64: "Q",
    RegisterType.FLOAT32: "f",
    RegisterType.FLOAT64: "d",
}

# What makers send for "not measured". Signed types also lose their largest value: several makers
# use it as the mark, and no meter reaches it.
_NO_VALUE: Final[Mapping[RegisterType, frozenset[int]]] = {
    RegisterType.INT16: frozenset({-0x8000, 0x7FFF}),
    RegisterType.UINT16: frozenset({0xFFFF}),
    RegisterType.INT32: frozenset({-0x80000000, 0x7FFFFFFF}),
    RegisterType.UINT32: frozenset({0xFFFFFFFF}),
    RegisterType.INT64: frozenset({-0x8000000000000000, 0x7FFFFFFFFFFFFFFF}),
    RegisterType.UINT64: frozenset({0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF}),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_NO_RATIO: Final = frozenset({0, 0x7FFF, 0x8000, 0xFFFF})


class Factor(_Strict):
    """A register that holds a ratio, such as that of the current transformers."""

    at: Address
    scale: float = Field(default=1.0, allow_inf_nan=False, gt=0)


class Point(_Strict):
    """Where a value lies and how it is coded."""

    at: Address
    minus_at: Address | None = None
    """Register of a second value of the same type to be subtracted: export beside import."""
    type: RegisterType
    scale: float = Field(default=1.0, allow_inf_nan=False, gt=0)
    """Factor from the register's count to the unit in the point's name."""
    scale_at: Address | None = None
    """Register with a signed power of ten that scales as well (SunSpec)."""
    invalid: tuple[int, ...] = ()
    """Further raw values that mean "no value", besides those that its type always has."""
    times: tuple[Factor, ...] = ()
    """Registers that the value is multiplied by: transformer ratios that are set in the device."""
    sign_only: bool = False
    """Its amount cannot be relied on; only the direction is used."""

    def spans(self) -> tuple[Block, ...]:
        """Return every stretch of registers that the value needs."""
        size = self.type.size
        spans = [(self.at, size)]
        if self.minus_at is not None:
            spans.append((self.minus_at, size))
        if self.scale_at is not None:
            spans.append((self.scale_at, 1))
        spans.extend((factor.at, 1) for factor in self.times)
        return tuple(spans)

    def shifted(self, base: int) -> Point:
        """Return the same point with its registers counted from `base`."""
        return self.model_copy(
            update={
                "at": self.at + base,
                "minus_at": None if self.minus_at is None else self.minus_at + base,
                "scale_at": None if self.scale_at is None else self.scale_at + base,
                "times": tuple(
                    factor.model_copy(update={"at": factor.at + base}) for factor in self.times
                ),
            }
        )


class SunSpecModel(_Strict):
    """The points of SunSpec models that share one layout; offsets from the model's number."""

    ids: tuple[int, ...] = Field(min_length=1)
    points: dict[PointName, Point]


class SunSpec(_Strict):
    """Where to look for the chain of SunSpec models, and which of them measure the grid."""

    bases: tuple[Address, ...] = (40000, 0, 50000)
    models: tuple[SunSpecModel, ...] = Field(min_length=1)

    def points(self, model_id: int) -> dict[PointName, Point] | None:
        """Return the points of a model, with offsets; None: it does not measure the grid."""
        return next((model.points for model in self.models if model_id in model.ids), None)


class Identity(_Strict):
    """A register by which the device tells what it is; only `meter detect` asks."""

    at: Address
    type: RegisterType = RegisterType.UINT16
    among: tuple[int, ...] = Field(min_length=1)
    """What it holds in this model."""


class BusDefaults(_Strict):
    """How the meter leaves the factory."""

    unit: int = Field(default=1, ge=0, le=255)
    baud: int = Field(default=9600, gt=0)
    parity: Literal["N", "E", "O"] = "N"


class MeterMap(_Strict):
    """A meter's register map, as in `config/meters/<maker>/<model>.yaml`."""

    format: Literal["meter-map/1"]
    maker: str
    model: str
    source: str = Field(min_length=10)
    evidence: int = Field(ge=1)
    """Number of independent sources that agree on the registers."""
    notes: tuple[str, ...] = ()
    table: Literal["holding", "input"]
    word_order: Literal["big", "little"]
    max_block: int = Field(default=_READ_MAX, ge=1, le=_READ_MAX)
    """Most registers that the meter serves in one read."""
    max_gap: int = Field(default=16, ge=0)
    """Most registers without a point that one read may bridge."""
    silence_s: float = Field(default=0.05, ge=0, le=5)
    """Pause that the meter needs before each request. [s]"""
    default: BusDefaults = BusDefaults()
    current_sign: Literal["from_power", "signed", "magnitude"]
    """`from_power`: currents are magnitudes and take the sign of their phase's active power.
    `magnitude`: the device tells no direction per phase, so that all counts as import."""
    power_sign: Literal["import_positive", "export_positive"]
    """Direction that the meter counts as positive, for power and for signed currents."""
    blocks: tuple[tuple[Address, Annotated[int, Field(ge=1, le=_READ_MAX)]], ...] = ()
    """Reads to use instead of those that follow from the points: [first register, count]."""
    identity: Identity | None = None
    points: dict[PointName, Point] = {}
    sunspec: SunSpec | None = None

    @model_validator(mode="after")
    def _has_what_protection_needs(self) -> Self:
        if bool(self.points) == (self.sunspec is not None):
            raise ValueError("give either points or a sunspec section")
        layouts = [self.points] if self.sunspec is None else [m.points for m in self.sunspec.models]
        for layout in layouts:
            missing = [name for name in self.required if name not in layout]
            if missing:
                raise ValueError(f"points {', '.join(missing)} are needed and missing")
        return self

    @model_validator(mode="after")
    def _blocks_are_readable(self) -> Self:
        blocks = self.read_blocks()
        for name, point in self.points.items():
            for span in point.spans():
                if not any(_covers(block, span) for block in blocks):
                    raise ValueError(f"no block of at most {self.max_block} registers holds {name}")
        if any(count > self.max_block for _, count in blocks):
            raise ValueError(f"a block is longer than max_block, {self.max_block} registers")
        counts = [count for _, count in blocks]
        if len(set(counts)) != len(counts):
            # A late answer to one read must never fit the next one.
            raise ValueError(
                f"two blocks have the same length; set blocks: so that {counts} differ"
            )
        return self

    def deviating(self, *, word_order: str | None, register_offset: int) -> MeterMap:
        """Return the map of a device that differs from it in word order or by an offset.

        Raises:
            ValueError: The offset leads out of the registers, or a SunSpec map was to be shifted.
        """
        if register_offset and self.sunspec is not None:
            raise ValueError("a SunSpec device is found by its mark; it has no register_offset")
        points = {name: point.shifted(register_offset) for name, point in self.points.items()}
        ends = [end for p in points.values() for at, n in p.spans() for end in (at, at + n - 1)]
        if any(not 0 <= end <= _ADDRESS_MAX for end in ends):
            raise ValueError(f"register_offset {register_offset} leads out of 0 to {_ADDRESS_MAX}")
        return self.model_copy(
            update={
                "word_order": word_order or self.word_order,
                "points": points,
                "blocks": tuple((at + register_offset, n) for at, n in self.blocks),
            }
        )

    @property
    def points_for_signs(self) -> frozenset[PointName]:
        """Points whose amount is not to be relied on."""
        return frozenset(name for name, point in self.points.items() if point.sign_only)

    @property
    def required(self) -> tuple[PointName, ...]:
        """Points without which no reading is possible."""
        return CURRENTS + POWERS if self.current_sign == "from_power" else CURRENTS

    def read_blocks(self) -> tuple[Block, ...]:
        """Return the reads that fetch all points."""
        if self.blocks:
            return self.blocks
        spans = (span for point in self.points.values() for span in point.spans())
        return coalesce(spans, max_block=self.max_block, max_gap=self.max_gap)

    def located(self, model_id: int, base: int) -> MeterMap | None:
        """Return a plain map for a SunSpec model whose number stands in register `base`."""
        points = None if self.sunspec is None else self.sunspec.points(model_id)
        if points is None:
            return None
        last = max(start + count for point in points.values() for start, count in point.spans())
        return self.model_copy(
            update={
                "sunspec": None,
                "points": {name: point.shifted(base) for name, point in points.items()},
                "blocks": ((base, last),),
            }
        )


class RefusedMeter(_Strict):
    """A meter that is known and cannot protect a conductor; the file says why."""

    format: Literal["meter-map/1"]
    maker: str
    model: str
    refused: str = Field(min_length=10)


def coalesce(spans: Iterable[Block], *, max_block: int, max_gap: int) -> tuple[Block, ...]:
    """Join stretches of registers into few reads, in ascending order.

    Args:
        spans: What to read.
        max_block: Most registers in one read.
        max_gap: Most registers that nobody asked for between two neighbours of one read.
    """
    blocks: list[Block] = []
    for start, count in sorted(spans):
        end = start + count
        if blocks:
            first, length = blocks[-1]
            joined = max(first + length, end) - first
            if start - (first + length) <= max_gap and joined <= max_block:
                blocks[-1] = (first, joined)
                continue
        blocks.append((start, count))
    return tuple(blocks)


def _covers(block: Block, span: Block) -> bool:
    return block[0] <= span[0] and span[0] + span[1] <= block[0] + block[1]


def decode(meter_map: MeterMap, words: Mapping[int, int]) -> dict[PointName, float]:
    """Turn registers into values, as the meter counts them.

    Args:
        meter_map: The map; SunSpec maps only after `located`.
        words: Register contents by zero-based address, 0 to 65535 each.

    Returns:
        The points that have a value. Registers not read and "no value" marks leave a point out.
    """
    decoded: dict[PointName, float] = {}
    for name, point in meter_map.points.items():
        value = _value(point, words, meter_map.word_order)
        if value is not None:
            decoded[name] = value
    return decoded


def _value(point: Point, words: Mapping[int, int], word_order: str) -> float | None:
    count = _count(point, point.at, words, word_order)
    if count is None:
        return None
    if point.minus_at is not None:
        subtrahend = _count(point, point.minus_at, words, word_order)
        if subtrahend is None:
            return None
        count -= subtrahend
    exponent, ratio = _exponent(point, words), _ratio(point, words)
    return (
        None if exponent is None or ratio is None else _scaled(count * ratio, point.scale, exponent)
    )


def _ratio(point: Point, words: Mapping[int, int]) -> float | None:
    """Return the product of the ratio registers; 1 without any; None: one of them holds none."""
    ratio = 1.0
    for factor in point.times:
        word = words.get(factor.at)
        if word is None or word in _NO_RATIO:
            return None
        ratio *= word * factor.scale
    return ratio


def _count(point: Point, at: int, words: Mapping[int, int], word_order: str) -> int | float | None:
    """Return the number in the registers from `at`; None: there is no value."""
    raw = [words.get(at + offset) for offset in range(point.type.size)]
    present = [word for word in raw if word is not None]
    if len(present) != len(raw):
        return None
    number = number_of(present, point.type, word_order)
    if isinstance(number, float):
        return number
    if number in _NO_VALUE.get(point.type, ()) or number in point.invalid:
        return None
    # Carlo Gavazzi marks an overflow in the high word alone; no meter counts that far.
    if point.type is RegisterType.INT32 and number >> 16 == 0x7FFF:
        return None
    return number


def number_of(words: Sequence[int], kind: RegisterType, word_order: str) -> int | float:
    """Return the number that registers hold, marks and NaN included."""
    ordered = words if word_order == "big" else tuple(reversed(words))
    number: int | float = struct.unpack(
        f">{kind.code}", b"".join(word.to_bytes(2, "big") for word in ordered)
    )[0]
    return number


def _exponent(point: Point, words: Mapping[int, int]) -> int | None:
    """Return the power of ten of `scale_at`; 0 without one; None: it is not usable."""
    if point.scale_at is None:
        return 0
    word = words.get(point.scale_at)
    if word is None:
        return None
    exponent = int(number_of((word,), RegisterType.INT16, "big"))
    return exponent if abs(exponent) <= _SCALE_EXPONENT_MAX else None


def _scaled(count: int | float, scale: float, exponent: int) -> float | None:
    value = count * scale
    value = value * 10**exponent if exponent >= 0 else value / 10**-exponent
    return value if isfinite(value) else None


def signed(meter_map: MeterMap, values: Decoded) -> dict[PointName, float]:
    """Turn the meter's signs into ours: + flows towards the loads.

    A phase whose power is absent counts as import, the side that protects the conductor.
    """
    turned = dict(values)
    factor = -1.0 if meter_map.power_sign == "export_positive" else 1.0
    for name in (*POWERS, "power_total_w"):
        if name in turned:
            turned[name] = factor * turned[name] + 0.0
    for current, power in zip(CURRENTS, POWERS, strict=True):
        if current not in turned:
            continue
        if meter_map.current_sign == "signed":
            turned[current] = factor * turned[current] + 0.0
        elif meter_map.current_sign == "magnitude":
            turned[current] = abs(turned[current])
        else:
            exporting = turned.get(power, 0.0) < 0.0
            turned[current] = -abs(turned[current]) if exporting else abs(turned[current])
    return {n: v for n, v in turned.items() if n not in meter_map.points_for_signs}
