"""What a decision remembers for the next one. Frozen; threaded through `decide`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.baseload import BaseLoad
from controller.decision import SiteMode
from controller.ledger import Account
from controller.phases import ZERO, PhaseCurrents, PhaseSet
from controller.site import CircuitId, EvseId, Site
from controller.thermal import Heating
from controller.transaction import TransactionId
from controller.values import replace
from controller.walltime import WallTime


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitMemory:
    """What is remembered of one circuit."""

    base: BaseLoad | None = None
    heat: PhaseCurrents = ZERO
    """Thermal state of the protective device per pole; 1 trips. Dimensionless."""
    heating: Heating | None = None
    """The stretch of constant current that led to it; None: not known."""
    is_shedding: bool = False
    """Its limit is lowered until the device has cooled."""
    worst: SiteMode = SiteMode.NORMAL
    """Worst meter mode since it was last good for long enough."""
    good_since_s: float | None = None
    recovered_s: float | None = None
    """When it last recovered from blind or fallback."""
    over_since_s: float | None = None
    """Since when more flows than its limit. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseMemory:
    """What is remembered of one EVSE."""

    account: Account = field(default_factory=Account)
    transaction: TransactionId | None = None
    arrived_s: float | None = None
    """When its transaction was first seen by this process. [s]"""
    vehicle_phases: PhaseSet | None = None
    """Grid phases that this vehicle was seen to use; None: not known, all may carry current."""
    demand_a: float | None = None
    """What the vehicle takes, when it leaves much unused; None: it takes what it gets. [A]"""
    under_since_s: float | None = None
    over_since_s: float | None = None
    """Since when it has drawn more than it was granted. [s]"""
    obeyed_since_s: float | None = None
    disobeys: bool = False
    running_since_s: float | None = None
    """Since when it has been granted at least its minimum. [s]"""
    waiting_since_s: float | None = None
    """Since when it has wanted current and had none. [s]"""
    ran_before: bool = False
    """Whether this transaction has had current before; then a pause is a rest."""
    asked_s: float | None = None
    """When its meter values were last asked for. [s]"""
    unanswered: int = 0
    """How often it was asked since its latest sample."""
    stop_asked_s: float | None = None
    """When its session was last asked to end; kept until the vehicle leaves or starts anew. [s]"""
    setpoint_a: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where one transaction stands in line, and its fairness account."""

    transaction: TransactionId | None = None
    in_line_s: float | None = None
    """Since when it is in line: it began to want current, or its last full turn ended. [s]"""
    surplus_ah: float = 0.0
    """What it was given beyond an equal share; below 0 it was given less. [Ah per phase]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Most stations were lost within a moment: the network, not they."""

    back_since_s: float | None = None
    """Since when most are back; None: they are not. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything remembered. A missing key is a fresh start for that circuit or EVSE."""

    started_s: float | None = None
    """When this process took its first decision. [s]"""
    decided_s: float | None = None
    circuits: Mapping[CircuitId, CircuitMemory] = field(default_factory=dict)
    evses: Mapping[EvseId, EvseMemory] = field(default_factory=dict)
    turns: Mapping[EvseId, Turn] = field(default_factory=dict)
    booked_s: float | None = None
    """When the fairness account was booked last. [s]"""
    clock: WallTime = field(default_factory=WallTime)
    outage: Outage | None = None
    """Most stations were lost at once; None: they were not, or have been back for a while."""

    def circuit(self, circuit: CircuitId) -> CircuitMemory:
        """Return what is remembered of a circuit."""
        return self.circuits.get(circuit, _NO_CIRCUIT)

    def evse(self, evse: EvseId) -> EvseMemory:
        """Return what is remembered of an EVSE."""
        return self.evses.get(evse, _NO_EVSE)

    def turn(self, evse: EvseId) -> Turn:
        """Return an EVSE's place in line."""
        return self.turns.get(evse, _NO_TURN)


def fitted_memory(memory: Memory, before: Site, after: Site) -> Memory:
    """Return what may still be believed when the site changes.

    A circuit whose meter or place in the tree is another has to learn its building's load anew; the
    heat of its device, and all grants of EVSEs that stay, are kept.
    """
    circuits = {}
    for name, remembered in memory.circuits.items():
        old, new = before.circuits.get(name), after.circuits.get(name)
        if new is None:
            continue
        is_same = old is not None and (old.meter, old.parent) == (new.meter, new.parent)
        circuits[name] = remembered if is_same else replace(remembered, base=None)
    return replace(
        memory,
        circuits=circuits,
        evses={e: m for e, m in memory.evses.items() if after.evse(e) is not None},
        turns={e: t for e, t in memory.turns.items() if after.evse(e) is not None},
    )


_NO_TURN = Turn()
_NO_CIRCUIT = CircuitMemory()
_NO_EVSE = EvseMemory()
