"""PV surplus: some EVSEs may use only what the site would export, above what they have in any case.

What is exported counts on all phases together, as the energy meter of the grid counts it. Limits of
conductors are not touched: surplus never makes room beyond a circuit's own limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller import baseload
from controller.assess import Assessment, CircuitState
from controller.decision import SiteMode
from controller.draw import Draw
from controller.site import CircuitId, Evse, EvseId, Site
from optimizer.problem import Budget, Load


def surplus_budgets(
    site: Site, assessment: Assessment, draws: Mapping[EvseId, Draw], loads: Iterable[Load]
) -> tuple[Budget, ...]:
    """Return one budget per grid connection with EVSEs that charge from surplus."""
    below: dict[CircuitId, list[tuple[Evse, Load]]] = {}
    for load in loads:
        evse = draws[EvseId(load.id)].evse
        if evse.solar_min_a is not None:
            below.setdefault(site.path_to_root(evse.circuit)[-1], []).append((evse, load))
    return tuple(
        Budget(
            id=f"surplus:{root}",
            available_a=max(_surplus_a(site, assessment.circuits[root], draws), _in_any_case_a(of)),
            loads=frozenset(load.id for _, load in of),
        )
        for root, of in sorted(below.items())
    )


def _surplus_a(site: Site, root: CircuitState, draws: Mapping[EvseId, Draw]) -> float:
    """Return what the site would export if nobody charged from surplus; 0 while not known. [A]

    Sum over the phases. Other EVSEs go first, with what they may draw.
    """
    base = root.memory.base
    if root.mode is not SiteMode.NORMAL or root.circuit.meter is None or base is None:
        return 0.0
    others_a = sum(
        sum(draw.committed)
        for draw in draws.values()
        if draw.evse.solar_min_a is None
        and draw.is_charging
        and site.path_to_root(draw.evse.circuit)[-1] == root.circuit.id
    )
    surplus_a = -sum(baseload.value(base)) - others_a
    return surplus_a if surplus_a > 0 else 0.0


def _in_any_case_a(of: Iterable[tuple[Evse, Load]]) -> float:
    return sum((evse.solar_min_a or 0.0) * len(load.phases) for evse, load in of)
