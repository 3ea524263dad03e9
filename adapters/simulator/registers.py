"""Turns quantities into the registers of a meter, by the same map files that readers use.

Own code on purpose: a simulator that shared the reader's decoder would repeat its mistakes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_CODES = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_SUNSPEC_MARK = (0x5375, 0x6E53)
_SUNSPEC_COMMON = (1, 66)
_SUNSPEC_END = (0xFFFF, 0)
_SUNSPEC_LENGTH = {"2": 105, "21": 124}
_FINEST_EXPONENT = -2

Words = dict[int, int]
"""Register contents by zero-based address."""


class UnknownMeterError(ValueError):
    """There is no map for a meter model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Where one quantity lies and how it is coded."""

    at: int
    type: str
    scale: float = 1.0
    minus_at: int | None = None
    scale_at: int | None = None
    times: tuple[tuple[int, float], ...] = ()
    """Ratio registers and their scale; the simulated ratio is 1."""

    @property
    def size(self) -> int:
        """Number of registers."""
        return struct.calcsize(">" + _CODES[self.type]) // 2

    @property
    def is_float(self) -> bool:
        """Tell whether it holds a floating-point number."""
        return self.type.startswith("float")

    @property
    def is_signed(self) -> bool:
        """Tell whether it holds a whole number with a sign."""
        return self.type.startswith("int")

    @property
    def highest(self) -> int:
        """Largest number that it can hold, short of the marks for "no value"."""
        bits = self.size * 16
        # The highest word stays clear of 0x7FFF and 0xFFFF, which mark an overflow.
        return (1 << (bits - 1 if self.is_signed else bits)) - (1 << max(8, bits - 16)) - 1

    @property
    def lowest(self) -> int:
        """Smallest number that it can hold, short of the marks for "no value"."""
        return 1 - (1 << (self.size * 16 - 1)) if self.is_signed else 0

    def words(self, number: float, word_order: str) -> list[int]:
        """Code a number that is already in the register's own unit."""
        if self.is_float:
            raw = struct.pack(">" + _CODES[self.type], number)
        else:
            whole = min(self.highest, max(self.lowest, round(number)))
            raw = struct.pack(">" + _CODES[self.type], whole)
        return _in_order(raw, word_order)

    def no_value(self, word_order: str) -> list[int]:
        """Code the mark for "not measured"."""
        if self.is_float:
            return self.words(float("nan"), word_order)
        bits = self.size * 16
        mark = 1 << (bits - 1) if self.is_signed else (1 << bits) - 1
        return _in_order(mark.to_bytes(self.size * 2, "big"), word_order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All registers of a meter model."""

    table: str
    """`holding` or `input`."""
    word_order: str
    unsigned_currents: bool
    """Currents are magnitudes; only power tells the direction."""
    export_is_positive: bool
    max_block: int
    registers: Mapping[str, Register]
    constants: Mapping[int, int]
    """Registers that never change, by address."""

    def encode(self, quantities: Mapping[str, float]) -> Words:
        """Code quantities, named as in the map files; + flows towards the loads."""
        words: Words = dict(self.constants) | self._ratios()
        exponents = self._exponents(quantities)
        for address, exponent in exponents.items():
            words |= _at(address, Register(at=address, type="int16").words(exponent, "big"))
        for name, register in self.registers.items():
            if name not in quantities:
                continue
            number = self._as_counted(name, quantities[name]) / register.scale
            if register.scale_at is not None:
                number /= 10.0 ** exponents[register.scale_at]
            words |= self._placed(register, number)
        return words

    def without_values(self) -> Words:
        """Code "not measured" in every register."""
        words: Words = dict(self.constants) | self._ratios()
        for register in self.registers.values():
            words |= _at(register.at, register.no_value(self.word_order))
            if register.minus_at is not None:
                words |= _at(register.minus_at, register.no_value(self.word_order))
            if register.scale_at is not None:
                words[register.scale_at] = 0
        return words

    @property
    def span(self) -> tuple[int, int]:
        """First register and the one after the last; all between can be read."""
        addresses = list(self.without_values())
        return min(addresses), max(addresses) + 1

    def _ratios(self) -> Words:
        """Return the ratio registers: each says 1 in its own scale."""
        return {
            at: round(1.0 / scale)
            for register in self.registers.values()
            for at, scale in register.times
        }

    def _placed(self, register: Register, number: float) -> Words:
        if register.minus_at is None:
            return _at(register.at, register.words(number, self.word_order))
        plus = _at(register.at, register.words(max(0.0, number), self.word_order))
        minus = _at(register.minus_at, register.words(max(0.0, -number), self.word_order))
        return plus | minus

    def _as_counted(self, name: str, value: float) -> float:
        if name.startswith("current_") and self.unsigned_currents:
            return abs(value)
        if self.export_is_positive and name.startswith(("current_", "power_l", "power_total")):
            return -value
        return value

    def _exponents(self, quantities: Mapping[str, float]) -> dict[int, int]:
        """Choose powers of ten so that the largest value of each group fits."""
        exponents: dict[int, int] = {}
        for name, register in self.registers.items():
            if register.scale_at is None:
                continue
            largest = abs(quantities.get(name, 0.0)) / register.scale / register.highest
            needed = ceil(log10(largest)) if largest > 0 else _FINEST_EXPONENT
            known = exponents.get(register.scale_at, _FINEST_EXPONENT)
            exponents[register.scale_at] = max(known, needed)
        return exponents


def load_layout(model: str, maps_dir: Path | None) -> Layout:
    """Load the registers of a meter model.

    Args:
        model: For example `eastron/sdm630`.
        maps_dir: Folder with the map files; None: only the built-in model is known.

    Raises:
        UnknownMeterError: If there is no usable map.
    """
    path = None if maps_dir is None else maps_dir / f"{model}.yaml"
    if path is None or not path.is_file():
        if model == "eastron/sdm630":
            return SDM630
        raise UnknownMeterError(f"no map for meter model {model}")
    document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    if "refused" in document:
        raise UnknownMeterError(f"meter model {model}: {document['refused']}")
    registers, constants = (
        _sunspec(document)
        if "sunspec" in document
        else (
            _registers(document["points"], 0),
            {},
        )
    )
    return Layout(
        table=document["table"],
        word_order=document["word_order"],
        unsigned_currents=document["current_sign"] != "signed",
        export_is_positive=document["power_sign"] == "export_positive",
        max_block=document.get("max_block", 125),
        registers=registers,
        constants=constants,
    )


def _registers(points: Mapping[str, Any], base: int) -> dict[str, Register]:
    def shifted(address: int | None) -> int | None:
        return None if address is None else address + base

    return {
        name: Register(
            at=point["at"] + base,
            type=point["type"],
            scale=float(point.get("scale", 1.0)),
            minus_at=shifted(point.get("minus_at")),
            scale_at=shifted(point.get("scale_at")),
            times=tuple(
                (factor["at"] + base, float(factor.get("scale", 1.0)))
                for factor in point.get("times", ())
            ),
        )
        for name, point in points.items()
    }


def _sunspec(document: Mapping[str, Any]) -> tuple[dict[str, Register], Words]:
    """Lay out the marker, the common model and the first meter model of the map."""
    first = document["sunspec"]["bases"][0] if "bases" in document["sunspec"] else 40000
    model = document["sunspec"]["models"][0]
    number = model["ids"][0]
    length = _SUNSPEC_LENGTH.get(str(number)[:2], _SUNSPEC_LENGTH["2"])
    common = first + len(_SUNSPEC_MARK)
    meter = common + 2 + _SUNSPEC_COMMON[1]
    end = meter + 2 + length
    words: Words = {}
    for address, values in (
        (first, _SUNSPEC_MARK),
        (common, _SUNSPEC_COMMON),
        (meter, (number, length)),
        (end, _SUNSPEC_END),
    ):
        words |= _at(address, list(values))
    return _registers(model["points"], meter), words


def _in_order(raw: bytes, word_order: str) -> list[int]:
    words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
    return words if word_order == "big" else words[::-1]


def _at(address: int, words: list[int]) -> Words:
    return {address + offset: word for offset, word in enumerate(words)}


def _sdm630() -> Iterator[tuple[str, Register]]:
    for offset, phase in enumerate(("l1", "l2", "l3")):
        for name, at in (
            (f"voltage_{phase}_v", 0),
            (f"current_{phase}_a", 6),
            (f"power_{phase}_w", 12),
            (f"power_factor_{phase}", 30),
        ):
            yield name, Register(at=at + 2 * offset, type="float32")
    yield "power_total_w", Register(at=52, type="float32")
    yield "power_factor_total", Register(at=62, type="float32")
    yield "frequency_hz", Register(at=70, type="float32")
    yield "energy_import_wh", Register(at=72, type="float32", scale=1000.0)
    yield "energy_export_wh", Register(at=74, type="float32", scale=1000.0)


SDM630 = Layout(
    table="input",
    word_order="big",
    unsigned_currents=True,
    export_is_positive=False,
    max_block=60,
    registers=dict(_sdm630()),
    constants={},
)
"""The layout that is known without any map file."""
