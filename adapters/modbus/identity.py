"""What a device says of itself: a model code, or the maker's name in SunSpec's common model."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from adapters.modbus.client import Registers
from adapters.modbus.fit import Fit
from adapters.modbus.frames import ReadRequest, Table
from adapters.modbus.reader import Line
from adapters.modbus.registermap import Block, MeterMap, number_of

_SUNS: Final = (0x5375, 0x6E53)
_MAKER: Final = (4, 16)
"""Place of the maker's name after the mark, in registers. Source: SunSpec common model 1."""
_ANY_MAKER: Final = "SunSpec"


def weighed(fit: Fit, is_said: bool | None) -> Fit:
    """Return the fit with what the device says of itself; None: it says nothing."""
    if is_said is None:
        return fit
    if not is_said:
        return replace(fit, unconfirmed=fit.unconfirmed + 1)
    evidence = (*fit.evidence, "the device says that it is this model")
    return replace(fit, confirmed=fit.confirmed + 1, evidence=evidence)


async def says_what_it_is(line: Line, meter_map: MeterMap, unit: int) -> bool | None:
    """Ask the device what it is; None: the map has no way to ask, or there is no answer."""
    if meter_map.sunspec is not None:
        return await _says_maker(line, meter_map, unit)
    identity = meter_map.identity
    if identity is None:
        return None
    words = await _words(line, meter_map, unit, (identity.at, identity.type.size))
    if not words or not any(words):
        return None
    return number_of(words, identity.type, meter_map.word_order) in identity.among


async def _says_maker(line: Line, meter_map: MeterMap, unit: int) -> bool | None:
    if meter_map.sunspec is None or meter_map.maker == _ANY_MAKER:
        return None
    for base in meter_map.sunspec.bases:
        if await _words(line, meter_map, unit, (base, len(_SUNS))) != _SUNS:
            continue
        words = await _words(line, meter_map, unit, (base + _MAKER[0], _MAKER[1]))
        raw = b"".join(word.to_bytes(2, "big") for word in words)
        name = raw.decode("ascii", errors="replace").strip(" \0").lower()
        return meter_map.maker.lower() in name if name else None
    return None


async def _words(line: Line, meter_map: MeterMap, unit: int, block: Block) -> tuple[int, ...]:
    table = Table.HOLDING if meter_map.table == "holding" else Table.INPUT
    request = ReadRequest(unit=unit, table=table, address=block[0], count=block[1])
    outcome = await line.read(request, silence_s=meter_map.silence_s)
    return outcome.words if isinstance(outcome, Registers) else ()
