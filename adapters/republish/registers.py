"""The published registers: `docs/modbus-server.md`. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Final

from controller.decision import CircuitStatus, EvseStatus, Plan, SiteMode
from controller.phases import PhaseCurrents
from controller.station import EvseState

VERSION: Final = 1
CIRCUITS_AT: Final = 100
EVSES_AT: Final = 10_000
BLOCK: Final = 50
"""Registers per circuit and per EVSE."""
MOST_CIRCUITS: Final = (EVSES_AT - CIRCUITS_AT) // BLOCK
MOST_EVSES: Final = (65_536 - EVSES_AT) // BLOCK
NAME_REGISTERS: Final = 16
_MODES: Final = tuple(SiteMode)
_STATES: Final = tuple(EvseState)
_UNKNOWN: Final = math.nan


def registers(plan: Plan, *, age_s: float, alarms: int) -> dict[int, int]:
    """Return the content of every register that means something, by zero-based address.

    Args:
        plan: The latest plan.
        age_s: How old it is. [s]
        alarms: How many alarms are in force.
    """
    circuits = sorted(plan.circuits.values(), key=lambda c: c.id)[:MOST_CIRCUITS]
    evses = sorted(plan.evses.values(), key=lambda e: e.id)[:MOST_EVSES]
    words = {
        0: VERSION,
        1: _MODES.index(plan.mode),
        4: len(circuits),
        5: len(evses),
        8: min(alarms, 0xFFFF),
    }
    _put(words, 2, struct.pack(">I", min(round(age_s), 0xFFFFFFFF)))
    _put(words, 6, struct.pack(">I", round(plan.at.timestamp())))
    for place, circuit in enumerate(circuits):
        _circuit(words, CIRCUITS_AT + BLOCK * place, circuit)
    for place, evse in enumerate(evses):
        _evse(words, EVSES_AT + BLOCK * place, evse)
    return words


def _circuit(words: dict[int, int], at: int, circuit: CircuitStatus) -> None:
    _put(words, at, _name(circuit.id))
    words[at + 16] = _MODES.index(circuit.mode)
    words[at + 17] = 0
    currents = (
        circuit.limit_a,
        circuit.measured_a,
        circuit.building_a,
        circuit.committed_a,
        circuit.headroom_a,
    )
    numbers = [value for current in currents for value in _phases(current)]
    _put(words, at + 18, _floats([*numbers, _number(circuit.measured_age_s)]))


def _evse(words: dict[int, int], at: int, evse: EvseStatus) -> None:
    _put(words, at, _name(evse.id))
    words[at + 16] = _STATES.index(evse.state)
    words[at + 17] = int(evse.connected)
    single = (evse.setpoint_a, evse.committed_a, evse.power_w, evse.energy_wh, evse.soc_percent)
    numbers = [*_phases(evse.drawn_a), *(_number(value) for value in single)]
    _put(words, at + 18, _floats(numbers))
    words.update(dict.fromkeys(range(at + 34, at + BLOCK), 0))


def _phases(current: PhaseCurrents | None) -> tuple[float, ...]:
    return tuple(current) if current is not None else (_UNKNOWN,) * 3


def _number(value: float | None) -> float:
    return _UNKNOWN if value is None else value


def _floats(numbers: Iterable[float]) -> bytes:
    values = tuple(numbers)
    return struct.pack(f">{len(values)}f", *values)


def _name(text: str) -> bytes:
    size = 2 * NAME_REGISTERS
    return text.encode("ascii", errors="replace")[:size].ljust(size, b"\0")


def _put(words: dict[int, int], at: int, raw: bytes) -> None:
    for offset in range(0, len(raw), 2):
        words[at + offset // 2] = int.from_bytes(raw[offset : offset + 2], "big")
