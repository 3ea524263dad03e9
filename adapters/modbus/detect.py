"""Finds out which meter answers: transport, unit, model, word order, offset. Only ever reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from adapters.modbus.catalogue import known_models, load_map
from adapters.modbus.client import Failure, FailureKind, ModbusConnection, Outcome, Refusal
from adapters.modbus.connection import ConnectionTextError, Endpoint, Transport, parse_connection
from adapters.modbus.fit import Confidence, Fit, judged
from adapters.modbus.frames import ReadRequest, Table
from adapters.modbus.identity import says_what_it_is, weighed
from adapters.modbus.reader import MeterFault, MeterReader, MeterSample
from adapters.modbus.registermap import BusDefaults, Decoded, MeterMap, decode, signed

SECONDS: Final = 180.0
"""Longest search, unless more is asked for. [s]"""
PAUSE_S: Final = 0.02
_LIKELY_UNITS: Final = (1, 2, 3, 71, 100, 200, 247, 240, 30, 126, 0)
_ALL_UNITS: Final = tuple(dict.fromkeys((*_LIKELY_UNITS, *range(4, 247))))
_SILENCE_S: Final = 0.25
"""How long a unit is waited for on a network while looking for it. [s]"""
_SERIAL_SETTINGS: Final = (
    (9600, "N"), (9600, "E"), (19200, "N"), (19200, "E"), (38400, "N"), (2400, "N"), (115200, "N"),
)  # fmt: skip
_NO_PATH: Final = frozenset({10, 11})
"""Exceptions of a gateway that finds nobody behind it."""
_SILENT_READS: Final = 3
_STRANGERS: Final = 3
"""Units that answer and are no meter, after which the search ends."""
_AGAIN_S: Final = 1.0
"""Devices that serve one connection take so long to notice that the last one was closed. [s]"""
_GATEWAY: Final = {Transport.TCP: Transport.RTU_OVER_TCP, Transport.RTU_OVER_TCP: Transport.TCP}


class NothingFoundError(Exception):
    """No meter was found; the text says how far the search came and what to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that explains what the device answers."""

    model: str
    unit: int
    connection: str
    """As the site file takes it."""
    word_order: str | None
    """None: as in the map."""
    register_offset: int
    fit: Fit
    values: Decoded
    meter_map: MeterMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the search found."""

    best: Candidate
    twins: tuple[Candidate, ...]
    """Models that explain the answers equally well: their registers are the same here."""
    others: tuple[Candidate, ...]
    """Models that explain less of them."""
    confidence: Confidence
    reads: int


@dataclass(slots=True, kw_only=True)
class _Search:
    """What has been tried so far."""

    step: Callable[[str], None]
    pause_s: float
    reads: int = 0
    answered: dict[str, list[int]] = field(default_factory=dict)
    """Units that answered, by connection."""


class _Counting:
    """A connection that remembers answers: maps of one maker ask for the same registers."""

    def __init__(self, endpoint: Endpoint, search: _Search, presence: ReadRequest | None) -> None:
        self._presence = presence
        self._is_mute = presence is None
        self._line = ModbusConnection(endpoint)
        self._is_bus = endpoint.transport.is_rtu
        self._search = search
        self._known: dict[ReadRequest, Outcome] = {}
        self._silent = 0
        """Reads in a row that nobody answered."""

    async def read(self, request: ReadRequest, *, silence_s: float) -> Outcome:
        """Read, or repeat what was answered before."""
        known = self._known.get(request)
        if known is not None:
            return known
        outcome = await self._asked(request, silence_s)
        if isinstance(outcome, Failure) and not (self._is_mute and _is_silence(outcome)):
            # One answer that was lost or spoiled says nothing about the model.
            if outcome.kind is FailureKind.NO_CONNECTION:
                await asyncio.sleep(_AGAIN_S)
            outcome = await self._asked(request, silence_s)
        self._silent = self._silent + 1 if _is_silence(outcome) else 0
        self._known[request] = outcome
        return outcome

    async def is_gone(self) -> bool:
        """Tell whether the device has left. Some only leave unanswered what they do not know."""
        if self._silent < _SILENT_READS or self._presence is None:
            return False
        outcome = await self._asked(self._presence, 0.0)
        self._is_mute, self._silent = not _is_silence(outcome), 0
        return not self._is_mute

    async def _asked(self, request: ReadRequest, silence_s: float) -> Outcome:
        self._search.reads += 1
        pause_s = silence_s if self._is_bus else min(silence_s, self._search.pause_s)
        return await self._line.read(request, silence_s=pause_s)

    async def close(self) -> None:
        """Close the line."""
        await self._line.close()


def _is_silence(outcome: Outcome) -> bool:
    kinds = (FailureKind.SILENCE, FailureKind.NO_CONNECTION)
    return isinstance(outcome, Failure) and outcome.kind in kinds


async def detect(
    connection: str,
    *,
    unit: int | None = None,
    seconds: float = SECONDS,
    pause_s: float = PAUSE_S,
    step: Callable[[str], None] = lambda text: None,
) -> Finding:
    """Find the meter behind a connection. Never writes.

    Args:
        connection: As in the site file; without a scheme it is a host with or without a port.
        unit: Unit id; None: search for it.
        seconds: Longest search. [s]
        pause_s: Least time between two requests on a network; a bus gets what its maps ask for. [s]
        step: Told what is being tried.

    Raises:
        ConnectionTextError: The connection cannot be understood.
        NothingFoundError: No meter was found in that time.
    """
    search = _Search(step=step, pause_s=pause_s)
    found: list[Candidate] = []
    try:
        async with asyncio.timeout(seconds):
            for text, endpoint in _endpoints(connection):
                found = await _on(text, endpoint, unit, search)
                if found or search.answered:
                    break
    except TimeoutError:
        raise NothingFoundError(_nothing(connection, unit, search, seconds)) from None
    if not found:
        raise NothingFoundError(_nothing(connection, unit, search, None))
    return _ranked(found, search.reads)


def _endpoints(connection: str) -> Iterator[tuple[str, Endpoint]]:
    """Yield the connections to try: the one given, and what else its place may speak."""
    text = connection if "://" in connection else f"tcp://{connection}"
    given = parse_connection(text, BusDefaults())
    if given.transport is Transport.SERIAL:
        yield from _serial_lines(text, given)
        return
    yield text, given
    other = _GATEWAY.get(given.transport)
    if other is not None:
        yield text.replace(given.transport.value, other.value, 1), replace(given, transport=other)


def _serial_lines(text: str, given: Endpoint) -> Iterator[tuple[str, Endpoint]]:
    """Yield line settings; those that the text names are not varied."""
    for baud, parity in _SERIAL_SETTINGS:
        has_baud, has_parity = "baud=" in text, "parity=" in text
        if (has_baud and baud != _SERIAL_SETTINGS[0][0]) or (has_parity and parity != "N"):
            continue
        line = replace(
            given,
            baud=given.baud if has_baud else baud,
            parity=given.parity if has_parity else parity,
        )
        base = text.partition("?")[0]
        yield f"{base}?baud={line.baud}&parity={line.parity}", line


async def _on(text: str, endpoint: Endpoint, unit: int | None, search: _Search) -> list[Candidate]:
    """Try the units of one connection until one of them is a meter."""
    is_found_at_once = endpoint.transport is not Transport.SERIAL
    units = (unit,) if unit is not None else _ALL_UNITS if is_found_at_once else _ALL_UNITS[:40]
    for each in units:
        search.step(f"{text}, unit {each}")
        answer = await _is_there(endpoint, each, search)
        if answer is None:
            return []
        if answer is False and (unit is None or not is_found_at_once):
            continue
        if answer is False:
            # Somebody knows that it is there: perhaps it leaves unanswered what it does not know.
            return await _models(text, _hasty(endpoint), each, None, search)
        search.answered.setdefault(text, []).append(each)
        found = await _models(text, endpoint, each, answer, search)
        if found:
            return found
        if len(search.answered[text]) >= _STRANGERS and unit is None:
            # A device that answers to every unit is no meter of ours at any of them.
            return []
    return []


async def _is_there(
    endpoint: Endpoint, unit: int, search: _Search
) -> ReadRequest | Literal[False] | None:
    """Return a read that a unit answers, however; False: none; None: there is no connection."""
    line = ModbusConnection(_hasty(endpoint))
    try:
        for table in (Table.HOLDING, Table.INPUT):
            search.reads += 1
            request = ReadRequest(unit=unit, table=table, address=0, count=2)
            outcome = await line.read(request, silence_s=search.pause_s)
            match outcome:
                case Failure(kind=FailureKind.NO_CONNECTION):
                    return None
                case Failure(kind=FailureKind.SILENCE) if unit in _LIKELY_UNITS:
                    continue
                case Failure(kind=FailureKind.SILENCE) | Failure(kind=FailureKind.CLOSED):
                    return False
                case Refusal(code=code) if code in _NO_PATH:
                    return False
                case Failure():
                    continue
                case _:
                    return request
    finally:
        await line.close()
    return False


def _hasty(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with a short wait, where there may be nobody to wait for."""
    if endpoint.timeout_s is not None or endpoint.transport is Transport.SERIAL:
        return endpoint
    return replace(endpoint, timeout_s=_SILENCE_S)


async def _models(
    text: str, endpoint: Endpoint, unit: int, presence: ReadRequest | None, search: _Search
) -> list[Candidate]:
    """Read by every map; where none fits, once more one register beside.

    `presence` is a read that the device answers; None: none is known.
    """
    line = _Counting(endpoint, search, presence)
    found: list[Candidate] = []
    try:
        for offset in (0, 1, -1) if presence is not None else (0,):
            for model in sorted(known_models()):
                search.step(f"{text}, unit {unit}: {model}")
                candidate = await _tried(line, model, unit, offset)
                if candidate is not None:
                    found.append(replace(candidate, connection=text))
                if await line.is_gone():
                    return found
            if found:
                return found
    finally:
        await line.close()
    return found


async def _tried(line: _Counting, model: str, unit: int, offset: int) -> Candidate | None:
    """Read by one map in both word orders; its own one wins."""
    own = load_map(model)
    try:
        shifted = own.deviating(word_order=None, register_offset=offset)
    except ValueError:
        return None
    reader = MeterReader(shifted, unit)
    poll = await reader.read(line)
    if isinstance(poll, MeterFault):
        return None
    for order in (None, "little" if own.word_order == "big" else "big"):
        values, meter_map = _read_as(reader, poll, order)
        fit = judged(meter_map, values)
        if fit is not None:
            fit = weighed(fit, await says_what_it_is(line, own, unit))
            return Candidate(
                model=model,
                unit=unit,
                connection="",
                word_order=order,
                register_offset=offset,
                fit=fit,
                values=values,
                meter_map=own,
            )
    return None


def _read_as(reader: MeterReader, poll: MeterSample, order: str | None) -> tuple[Decoded, MeterMap]:
    """Decode the same registers in another word order."""
    located = reader.located
    if order is None:
        return poll.values, located
    turned = located.deviating(word_order=order, register_offset=0)
    return signed(turned, decode(turned, poll.words)), turned


def _ranked(found: Sequence[Candidate], reads: int) -> Finding:
    ranked = sorted(
        found, key=lambda c: (c.word_order is not None, *c.fit.rank, -c.meter_map.evidence, c.model)
    )
    best = ranked[0]
    twins = tuple(c for c in ranked[1:] if _is_twin(c, best))
    others = tuple(c for c in ranked[1:] if c not in twins)
    is_ambiguous = any(dict(c.values) != dict(best.values) for c in twins)
    confidence = Confidence.LOW if is_ambiguous else best.fit.confidence
    return Finding(best=best, twins=twins, others=others, confidence=confidence, reads=reads)


def _is_twin(candidate: Candidate, best: Candidate) -> bool:
    """Tell whether a model explains the answers as well as the best one."""
    return candidate.fit.rank == best.fit.rank and candidate.word_order == best.word_order


def _nothing(connection: str, unit: int | None, search: _Search, seconds: float | None) -> str:
    if search.answered:
        units = ", ".join(str(u) for us in search.answered.values() for u in us[:5])
        text = (
            f"unit {units} answers, and no model of the catalogue fits; if the meter is loaded and "
            "supplied, write a map for it (docs/how-to/add-a-meter.md)"
        )
        if unit is None and any(len(us) >= _STRANGERS for us in search.answered.values()):
            text += "; the search ended there: give --unit to look at another one"
    elif seconds is not None:
        text = f"nothing was found in {seconds:g} s; give --unit, or --seconds for longer"
    else:
        text = (
            f"nobody answers as {'any unit' if unit is None else f'unit {unit}'}; check power, "
            "cable, address, and that Modbus is switched on in the device"
        )
    return f"meter at {connection}: {text}"


__all__ = ["Candidate", "ConnectionTextError", "Finding", "NothingFoundError", "detect"]
