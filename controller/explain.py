"""Why each EVSE has what it has, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.assess import Assessment
from controller.decision import Reason, ReasonCode, SiteMode
from controller.draw import Draw
from controller.memory import EvseMemory
from controller.phases import Phase
from controller.pose import is_shut, override_of, wanted_a
from controller.site import CircuitId
from controller.snapshot import Snapshot
from controller.station import EvseState, LeaseMode
from optimizer.problem import Allocation, Binding, BindingCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one EVSE in this cycle."""

    target_a: float
    held_a: float
    """What it was granted after this cycle's commands. [A]"""


def reason_for(
    draw: Draw,
    *,
    snapshot: Snapshot,
    assessment: Assessment,
    memory: EvseMemory,
    allocation: Allocation | None,
    outcome: Outcome,
) -> Reason:
    """Explain one EVSE."""
    early = _reason_outside(draw, snapshot, assessment, memory)
    if early is not None:
        return early
    planned = _reason_plan(draw, snapshot, outcome)
    if planned is not None:
        return planned
    if outcome.target_a - outcome.held_a >= 0.5:
        return Reason(
            code=ReasonCode.WAITING_RISE,
            text=f"Rises to {outcome.target_a:.1f} A as soon as others have given way.",
            values={"target_a": f"{outcome.target_a:.1f}"},
        )
    binding = allocation.binding.get(draw.evse.id) if allocation is not None else None
    if memory.demand_a is not None and (
        binding is None or binding.cause is BindingCause.OWN_MAXIMUM
    ):
        return _reason_demand(draw, memory)
    if binding is None:
        return Reason(
            code=ReasonCode.CIRCUIT_FULL, text="Held at its fallback.", wording="fallback"
        )
    return _reason_binding(draw, binding, snapshot, assessment)


def _reason_plan(draw: Draw, snapshot: Snapshot, outcome: Outcome) -> Reason | None:
    """Say that the plan lets a vehicle wait: for its turn, for cheaper hours or for the sun."""
    guidance = snapshot.guidance
    asked = guidance.evse(draw.evse.id)
    is_asked = asked.target_a is not None and asked.target_a < draw.evse.min_a
    if outcome.target_a > 0 or not is_asked or not guidance.holds(snapshot.now_s):
        return None
    text = f"By the plan ({guidance.policy.replace('_', ' ')}) it {asked.note}."
    return Reason(
        code=ReasonCode.WAITING_TURN,
        text=text,
        wording="plan",
        values={"policy": guidance.policy, "note": asked.note},
    )


def _reason_outside(
    draw: Draw, snapshot: Snapshot, assessment: Assessment, memory: EvseMemory
) -> Reason | None:
    checks = (
        _reason_connection(draw, snapshot, memory),
        _reason_state(draw),
        _reason_operator(draw, snapshot),
        _reason_mode(draw, assessment),
    )
    return next((reason for reason in checks if reason is not None), None)


def _reason_connection(draw: Draw, snapshot: Snapshot, memory: EvseMemory) -> Reason | None:
    if not draw.connected:
        return Reason(
            code=ReasonCode.NOT_CONNECTED,
            text=f"The station is not connected; {draw.committed_a:.1f} A stay reserved for it.",
            values={"committed_a": f"{draw.committed_a:.1f}"},
        )
    mode = snapshot.stations[draw.evse.station].lease_mode
    if mode is LeaseMode.UNCONTROLLABLE or memory.disobeys:
        return Reason(
            code=ReasonCode.NOT_CONTROLLABLE,
            text=f"The station does not follow limits; {draw.committed_a:.1f} A are reserved.",
            values={"committed_a": f"{draw.committed_a:.1f}"},
        )
    return None


def _reason_state(draw: Draw) -> Reason | None:
    if draw.view.state is EvseState.FAULTED:
        code = draw.view.error_code or "no code"
        text = f"The station reports a fault: {code}."
        return Reason(code=ReasonCode.FAULTED, text=text, values={"fault": code})
    if draw.view.state is EvseState.UNAVAILABLE:
        return Reason(code=ReasonCode.UNAVAILABLE, text="Taken out of service.")
    if not draw.is_charging:
        return Reason(code=ReasonCode.NO_VEHICLE, text="No vehicle is charging.")
    return None


def _reason_operator(draw: Draw, snapshot: Snapshot) -> Reason | None:
    if override_of(snapshot, draw.evse.id).paused:
        text = f"Paused by an operator.{_floor_text(draw)}"
        return Reason(code=ReasonCode.PAUSED, text=text)
    if is_shut(snapshot, draw.evse):
        text = f"An operator's maximum is below the {draw.evse.min_a:g} A that charging needs."
        return Reason(
            code=ReasonCode.OPERATOR_MAXIMUM,
            text=text,
            wording="too_low",
            values={"min_a": f"{draw.evse.min_a:g}"},
        )
    return None


def _floor_text(draw: Draw) -> str:
    """Say why an EVSE that should have nothing has something."""
    if draw.floor_a == 0:
        return ""
    return f" It cannot be paused and gets {draw.floor_a:g} A; stop its session to end that."


def _reason_mode(draw: Draw, assessment: Assessment) -> Reason | None:
    mode = assessment.modes[draw.evse.id]
    if mode is SiteMode.FALLBACK:
        return Reason(
            code=ReasonCode.METER_LOST,
            text="The grid meter has been lost for long; held at its fallback.",
            wording="fallback",
        )
    if mode is SiteMode.BLIND:
        return Reason(
            code=ReasonCode.METER_LOST,
            text="The grid meter is lost; the building counts with its worst case.",
        )
    return None


def _reason_demand(draw: Draw, memory: EvseMemory) -> Reason:
    if draw.view.state is EvseState.SUSPENDED_EV:
        return Reason(
            code=ReasonCode.VEHICLE_FINISHED, text="The vehicle takes nothing; it may be full."
        )
    return Reason(
        code=ReasonCode.VEHICLE_TAKES_LESS,
        text=f"The vehicle takes less; {memory.demand_a or 0.0:.1f} A are kept for it.",
        values={"demand_a": f"{memory.demand_a or 0.0:.1f}"},
    )


def _reason_binding(
    draw: Draw, binding: Binding, snapshot: Snapshot, assessment: Assessment
) -> Reason:
    if binding.cause is BindingCause.OWN_MAXIMUM:
        return _reason_maximum(draw, snapshot)
    where = where_text(binding.node, binding.phase)
    if binding.phase is None:
        return _reason_budget(draw, binding)
    if binding.cause is BindingCause.UNBALANCE:
        text = f"{where} may not exceed another phase by more than the unbalance limit."
        return Reason(code=ReasonCode.CIRCUIT_FULL, text=text, bound_by=where, wording="unbalance")
    if binding.cause is BindingCause.NOT_ADMITTED:
        return Reason(
            code=ReasonCode.WAITING_TURN,
            text=f"Waits for its turn: {where} has no room for another "
            f"{draw.evse.min_a:.0f} A.{_floor_text(draw)}",
            bound_by=where,
            values={"min_a": f"{draw.evse.min_a:.0f}"},
        )
    return _reason_full(where, binding, assessment)


def _reason_full(where: str, binding: Binding, assessment: Assessment) -> Reason:
    values = _limit_values(binding, assessment)
    told = ": {limit_a} A limit, {building_a} A taken by the building" if values else ""
    return Reason(
        code=ReasonCode.CIRCUIT_FULL,
        text=f"{where} is full{told.format_map(values)}.",
        bound_by=where,
        values=values,
    )


def _reason_budget(draw: Draw, binding: Binding) -> Reason:
    """Explain a limit on all phases together: the site's surplus, or a total of the plan."""
    name, _, circuit = (binding.node or "").partition(":")
    wording = "surplus" if name == "surplus" else "budget"
    what = "the site's surplus" if name == "surplus" else f"what the plan gives {circuit or name}"
    if binding.cause is BindingCause.NOT_ADMITTED:
        text = f"Waits: {what} has no room for another {draw.evse.min_a:.0f} A."
        return Reason(
            code=ReasonCode.WAITING_TURN,
            text=text,
            bound_by=binding.node or "",
            wording=wording,
            values={"budget": circuit or name, "min_a": f"{draw.evse.min_a:.0f}"},
        )
    return Reason(
        code=ReasonCode.CIRCUIT_FULL,
        text=f"{what[0].upper()}{what[1:]} is used up.",
        bound_by=binding.node or "",
        wording=wording,
        values={"budget": circuit or name},
    )


def _reason_maximum(draw: Draw, snapshot: Snapshot) -> Reason:
    wanted = wanted_a(snapshot, draw.evse)
    override = override_of(snapshot, draw.evse.id)
    if wanted == override.upstream_max_a:
        return Reason(
            code=ReasonCode.OPERATOR_MAXIMUM,
            text="At the limit that the back office set.",
            wording="back_office",
        )
    if wanted == override.partner_max_a:
        return Reason(
            code=ReasonCode.OPERATOR_MAXIMUM,
            text="At the limit that a roaming partner set.",
            wording="partner",
        )
    planned = _reason_plan_maximum(draw, snapshot, wanted)
    if planned is not None:
        return planned
    if wanted < draw.evse.max_a:
        return Reason(code=ReasonCode.OPERATOR_MAXIMUM, text="At the maximum that an operator set.")
    return Reason(code=ReasonCode.OWN_MAXIMUM, text="At the rating of the EVSE.")


def _reason_plan_maximum(draw: Draw, snapshot: Snapshot, wanted_most_a: float) -> Reason | None:
    """Say that the plan gives a vehicle no more now, because the rest can come later."""
    guidance = snapshot.guidance
    cap_a = guidance.evse(draw.evse.id).cap_a
    if cap_a is None or cap_a >= wanted_most_a or not guidance.holds(snapshot.now_s):
        return None
    policy = guidance.policy.replace("_", " ")
    return Reason(
        code=ReasonCode.OWN_MAXIMUM,
        text=f"By the plan ({policy}) it gets no more than {cap_a:.1f} A now; the rest comes later.",
        wording="plan",
        values={"policy": guidance.policy, "limit_a": f"{cap_a:.1f}"},
    )


def _limit_values(binding: Binding, assessment: Assessment) -> dict[str, str]:
    if binding.node is None or binding.phase is None:
        return {}
    state = assessment.circuits[CircuitId(binding.node)]
    return {
        "limit_a": f"{state.limit.of(binding.phase):.0f}",
        "building_a": f"{state.building.of(binding.phase):.0f}",
    }


def where_text(node: str | None, phase: Phase | None) -> str:
    """Name a circuit and phase as `garage-a L1`."""
    if node is None:
        return ""
    return f"{node} {phase.name}" if phase is not None else node


def bindings(allocation: Allocation | None) -> Mapping[str, tuple[CircuitId, Phase]]:
    """Return the circuit and phase that binds, for each load that one binds."""
    if allocation is None:
        return {}
    return {
        load: (CircuitId(b.node), b.phase)
        for load, b in allocation.binding.items()
        if b.node is not None and b.phase is not None
    }
