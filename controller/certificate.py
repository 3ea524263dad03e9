"""The fallback certificate: proof that the site is safe when the controller is not there.

The argument. Every limit above an EVSE's fallback is a lease. Whatever happens to us - the process
dies, the meter is lost, the network is cut, all of it at the same time - one lease later each EVSE is
in one of two states:

* it holds leases: its lease has ended and it draws at most `fallback_a`;
* it does not hold leases: nothing is known, and it draws at most what it is built for, `max_a`.

The rest of the building draws at most `building_peak_a`. So on each phase of each circuit at most

    building worst case + sum of fallbacks + sum of ratings of EVSEs that hold no lease

can flow, and when that fits the rating of the protective device, nothing trips: not with all EVSEs
unreachable, and not with any part of them, because no term is negative. The controller's own
decisions rest on the same sum: an EVSE that cannot be reached counts with `Evse.unreachable_a`, so a
site that holds always has a feasible allocation, namely all EVSEs at their fallback.

What is deliberately not used: diversity, the rating of a child's breaker as a bound of what flows in
its parent (a breaker that has to act is the failure, not the proof), and `margin_a` (it saves commands,
not conductors). An EVSE counts on every grid phase it is wired to, whatever the vehicle uses.

The building behind a circuit draws at least as much at the worst as the circuits below it say: its
worst case is the larger of its own `building_peak_a` and the sum of its children's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.phases import PHASES, ZERO, Phase, PhaseCurrents
from controller.site import CircuitId, Evse, Site

TOLERANCE_A: Final = 1e-6
"""Rounding of sums; far below what any device can tell. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One phase of one circuit that could be overloaded when nobody controls it. All in [A]."""

    circuit: CircuitId
    phase: Phase
    limit_a: float
    building_a: float
    fallback_a: float
    rating_a: float
    """Of EVSEs that hold no lease."""

    @property
    def total_a(self) -> float:
        """Worst case of this phase. [A]"""
        return self.building_a + self.fallback_a + self.rating_a

    @property
    def missing_a(self) -> float:
        """How much the worst case exceeds the limit. [A]"""
        return self.total_a - self.limit_a


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitProof:
    """The worst case of one circuit without a controller, per grid phase. All in [A]."""

    circuit: CircuitId
    limit_a: PhaseCurrents
    building_a: PhaseCurrents
    """Worst case of everything below that is not one of our stations."""
    fallback_a: PhaseCurrents
    """Sum over the EVSEs below that hold leases."""
    rating_a: PhaseCurrents
    """Sum of `max_a` over the EVSEs below that hold no lease."""

    @property
    def total_a(self) -> PhaseCurrents:
        """The worst case. [A]"""
        return self.building_a + self.fallback_a + self.rating_a

    @property
    def slack_a(self) -> PhaseCurrents:
        """What is left below the limit; below 0 it does not hold. [A]"""
        return self.limit_a - self.total_a

    @property
    def holds(self) -> bool:
        """Tell whether no phase can be overloaded."""
        return self.total_a.fits(self.limit_a, tolerance_a=TOLERANCE_A)

    @property
    def shortfalls(self) -> tuple[Shortfall, ...]:
        """Return the phases that do not hold."""
        return tuple(
            Shortfall(
                circuit=self.circuit,
                phase=phase,
                limit_a=self.limit_a.of(phase),
                building_a=self.building_a.of(phase),
                fallback_a=self.fallback_a.of(phase),
                rating_a=self.rating_a.of(phase),
            )
            for phase in PHASES
            if self.total_a.of(phase) > self.limit_a.of(phase) + TOLERANCE_A
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The proof for every circuit, in id order."""

    circuits: Mapping[CircuitId, CircuitProof]

    @property
    def holds(self) -> bool:
        """Tell whether no conductor of the site can be overloaded without the controller."""
        return all(proof.holds for proof in self.circuits.values())

    @property
    def failures(self) -> tuple[Shortfall, ...]:
        """Return every phase of every circuit that does not hold."""
        return tuple(s for proof in self.circuits.values() for s in proof.shortfalls)


def certify(site: Site) -> Certificate:
    """Add up what can flow in every circuit when nobody controls it.

    Args:
        site: Circuits form trees: every parent exists and no circuit is above itself.

    Returns:
        A proof for every circuit, whether it holds or not.
    """
    building_a = _building_worst_case(site)
    return Certificate(
        circuits={
            circuit: CircuitProof(
                circuit=circuit,
                limit_a=site.circuits[circuit].limit_a,
                building_a=building_a[circuit],
                fallback_a=_sum(
                    PhaseCurrents.on(evse.grid_phases, evse.fallback_a)
                    for evse in below
                    if evse.holds_lease
                ),
                rating_a=_sum(
                    PhaseCurrents.on(evse.grid_phases, evse.max_a)
                    for evse in below
                    if not evse.holds_lease
                ),
            )
            for circuit, below in _evses_below(site).items()
        }
    )


def _evses_below(site: Site) -> dict[CircuitId, list[Evse]]:
    below: dict[CircuitId, list[Evse]] = {circuit: [] for circuit in sorted(site.circuits)}
    for evse in site.evses():
        for circuit in site.path_to_root(evse.circuit):
            below[circuit].append(evse)
    return below


def _building_worst_case(site: Site) -> dict[CircuitId, PhaseCurrents]:
    """Return, per circuit, the larger of its own figure and the sum of its children's. [A]"""
    depth = {circuit: len(site.path_to_root(circuit)) for circuit in site.circuits}
    worst_a: dict[CircuitId, PhaseCurrents] = {}
    of_children_a = dict.fromkeys(site.circuits, ZERO)
    for circuit in sorted(site.circuits, key=lambda c: (-depth[c], c)):
        own = site.circuits[circuit]
        worst_a[circuit] = own.building_peak_a.highest(of_children_a[circuit])
        if own.parent is not None:
            of_children_a[own.parent] += worst_a[circuit]
    return worst_a


def _sum(currents: Iterable[PhaseCurrents]) -> PhaseCurrents:
    return sum(currents, start=ZERO)
