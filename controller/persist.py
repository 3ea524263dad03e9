"""Memory and overrides as JSON text. Monotonic times are kept as ages, so that they survive a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from controller import baseload, ledger
from controller.baseload import BaseLoad, PhaseBase
from controller.ledger import Account, Grant, GrantState
from controller.memory import CircuitMemory, EvseMemory, Memory, Turn
from controller.operator import EvseOverride, Overrides
from controller.phases import Phase, PhaseCurrents
from controller.site import CircuitId, EvseId
from controller.transaction import TransactionId

FORMAT = "memory/1"
BASE_KEPT_S = 60.0
"""After a longer stop the building's load is estimated anew: leases end meanwhile, and what is then
granted again must fit beside what the building takes now. [s]"""
RESTART_HEADSTART_S = 60.0
"""Part of the time of small rises that a restart need not wait. [s]"""


def memory_to_text(memory: Memory, *, now_s: float, at: datetime) -> str:
    """Write what must survive a restart: grants, vehicles' phases, turns, heat."""
    evses = {e: _evse_out(m, now_s) for e, m in memory.evses.items()}
    circuits = {c: _circuit_out(m) for c, m in memory.circuits.items()}
    turns = {e: _turn_out(t, now_s) for e, t in memory.turns.items()}
    return json.dumps(
        {
            "format": FORMAT,
            "at": at.isoformat(),
            "evses": evses,
            "circuits": circuits,
            "turns": turns,
        }
    )


def memory_from_text(text: str, *, now_s: float, at: datetime) -> Memory:
    """Read a memory of an earlier run.

    Raises:
        ValueError: The text is not a memory of this format.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"memory has format {data['format']}, not {FORMAT}")
        down_s = max(0.0, (at - datetime.fromisoformat(data["at"])).total_seconds())
        zero_s = now_s - down_s
        return Memory(
            evses={EvseId(e): _evse_in(m, zero_s, now_s=now_s) for e, m in data["evses"].items()},
            circuits={
                CircuitId(c): _circuit_in(m, now_s=now_s, down_s=down_s)
                for c, m in data["circuits"].items()
            },
            # Absent in what versions before turns were kept have written.
            turns={EvseId(e): _turn_in(t, zero_s) for e, t in data.get("turns", {}).items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"memory is damaged: {error!r}") from error


def _circuit_out(memory: CircuitMemory) -> dict[str, Any]:
    base = memory.base
    return {
        "heat": list(memory.heat),
        "base": list(baseload.value(base)) if base is not None else None,
    }


def _circuit_in(data: Mapping[str, Any], *, now_s: float, down_s: float) -> CircuitMemory:
    """Restore a circuit; a restart counts as a recovery, so that rises are small for a while."""
    base = data["base"] if down_s <= BASE_KEPT_S else None
    return CircuitMemory(
        heat=_currents(data["heat"]),
        base=_base(base) if base is not None else None,
        recovered_s=now_s - RESTART_HEADSTART_S,
    )


def _base(values: list[float]) -> BaseLoad:
    l1, l2, l3 = (PhaseBase(value_a=float(x)) for x in values)
    return (l1, l2, l3)


def _evse_out(memory: EvseMemory, now_s: float) -> dict[str, Any]:
    phases = memory.vehicle_phases
    return {
        "transaction": memory.transaction,
        "phases": [p.value for p in phases] if phases is not None else None,
        "running": _age(memory.running_since_s, now_s),
        "waiting": _age(memory.waiting_since_s, now_s),
        "ran": memory.ran_before,
        "stop": _age(memory.stop_asked_s, now_s),
        "raised": _age(memory.account.raised_s, now_s),
        "grants": [
            {
                "limit_a": g.limit_a,
                "sent": _age(g.sent_s, now_s),
                "until": _age(g.until_s, now_s),
                "state": g.state.value,
                "confirmed": _age(g.confirmed_s, now_s),
                "transaction": g.transaction,
            }
            for g in memory.account.grants
        ],
    }


def _evse_in(data: Mapping[str, Any], zero_s: float, *, now_s: float) -> EvseMemory:
    """Restore an EVSE.

    How long we were down is known from the wall clock only, and that may have jumped: grants are
    taken to be as young as when they were saved, so that none is given up before its lease has ended.
    """
    grants = tuple(
        Grant(
            limit_a=float(g["limit_a"]),
            sent_s=now_s - float(g["sent"]),
            until_s=_time(g["until"], now_s),
            state=GrantState(g["state"]),
            confirmed_s=_time(g["confirmed"], now_s),
            transaction=_maybe(g["transaction"], TransactionId),
        )
        for g in data["grants"]
    )
    phases = data["phases"]
    account = Account(grants=grants, raised_s=_time(data["raised"], zero_s))
    return EvseMemory(
        account=ledger.restored(account),
        transaction=_maybe(data["transaction"], TransactionId),
        vehicle_phases=tuple(Phase(p) for p in phases) if phases is not None else None,
        running_since_s=_time(data["running"], zero_s),
        waiting_since_s=_time(data["waiting"], zero_s),
        ran_before=bool(data.get("ran", False)),
        stop_asked_s=_time(data.get("stop"), zero_s),
    )


def _turn_out(turn: Turn, now_s: float) -> dict[str, Any]:
    return {
        "transaction": turn.transaction,
        "in_line": _age(turn.in_line_s, now_s),
        "surplus_ah": turn.surplus_ah,
    }


def _turn_in(data: Mapping[str, Any], zero_s: float) -> Turn:
    return Turn(
        transaction=_maybe(data["transaction"], TransactionId),
        in_line_s=_time(data["in_line"], zero_s),
        surplus_ah=float(data["surplus_ah"]),
    )


def overrides_to_text(overrides: Overrides) -> str:
    """Write operator overrides."""
    return json.dumps(
        {
            "circuits": {c: list(limit) for c, limit in overrides.circuit_limit_a.items()},
            "evses": {e: _override_out(o) for e, o in overrides.evses.items()},
        }
    )


def overrides_from_text(text: str) -> Overrides:
    """Read operator overrides.

    Raises:
        ValueError: The text is damaged.
    """
    try:
        data = json.loads(text)
        return Overrides(
            circuit_limit_a={CircuitId(c): _currents(x) for c, x in data["circuits"].items()},
            evses={EvseId(e): _override_in(o) for e, o in data["evses"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"overrides are damaged: {error!r}") from error


def _override_out(override: EvseOverride) -> dict[str, Any]:
    departure = override.departure_at
    return {
        "priority": override.priority,
        "max_a": override.max_a,
        "partner_max_a": override.partner_max_a,
        "upstream_max_a": override.upstream_max_a,
        "paused": override.paused,
        "departure_at": departure.isoformat() if departure is not None else None,
        "energy_need_wh": override.energy_need_wh,
    }


def _override_in(data: Mapping[str, Any]) -> EvseOverride:
    return replace(
        EvseOverride(
            priority=data["priority"],
            max_a=data["max_a"],
            partner_max_a=data.get("partner_max_a"),
            upstream_max_a=data.get("upstream_max_a"),
            paused=bool(data["paused"]),
            energy_need_wh=data["energy_need_wh"],
        ),
        departure_at=_maybe(data["departure_at"], datetime.fromisoformat),
    )


def _age(time_s: float | None, now_s: float) -> float | None:
    return None if time_s is None else now_s - time_s


def _time(age_s: float | None, zero_s: float) -> float | None:
    return None if age_s is None else zero_s - float(age_s)


T = TypeVar("T")


def _maybe(value: Any, make: Callable[[Any], T]) -> T | None:
    return None if value is None else make(value)


def _currents(values: list[float]) -> PhaseCurrents:
    l1_a, l2_a, l3_a = (float(x) for x in values)
    return PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a)
