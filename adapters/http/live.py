"""The latest published state of the controller, read by reference."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.http.problems import not_found, unavailable
from controller.decision import CircuitStatus, EvseStatus, Plan
from controller.operator import EvseOverride, Overrides
from controller.ports import Control
from controller.site import CircuitId, Evse, EvseId, StationId, evse_id
from controller.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One consistent enough view: the plan, what it was made from, and the overrides in force."""

    plan: Plan
    snapshot: Snapshot
    overrides: Overrides

    def circuit(self, name: str) -> CircuitStatus:
        """Find a circuit.

        Raises:
            ProblemError: 404.
        """
        status = self.plan.circuits.get(CircuitId(name))
        if status is None:
            raise not_found("circuit", name)
        return status

    def evse(self, station: str, number: int) -> EvseStatus:
        """Find an EVSE.

        Raises:
            ProblemError: 404.
        """
        evse = evse_id(StationId(station), number)
        status = self.plan.evses.get(evse)
        if status is None:
            raise not_found("EVSE", evse)
        return status

    def built(self, evse: EvseId) -> Evse | None:
        """Find an EVSE's place in the site file."""
        return self.snapshot.site.evse(evse)

    def override(self, evse: EvseId) -> EvseOverride:
        """Return the wishes in force for an EVSE."""
        return self.overrides.evses.get(evse, EvseOverride())


def read_live(control: Control) -> Live:
    """Read the latest state.

    Raises:
        ProblemError: 503, before the first cycle.
    """
    plan = control.plan()
    snapshot = control.snapshot()
    if plan is None or snapshot is None:
        raise unavailable(
            "The controller has not finished its first cycle.",
            "Wait a few seconds; /readyz tells when it has.",
            code="not-ready",
        )
    return Live(plan=plan, snapshot=snapshot, overrides=control.overrides())
