"""The plan, and what is known ahead: prices, forecasts, grid signals, demand limits, the policy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from adapters.http import planning_models as m
from adapters.http.models import PhaseLimits, Phases
from adapters.http.problems import Problem, ProblemError, not_found, unprocessable
from adapters.http.services import GridHeartbeat, Services, Uses, Who
from adapters.http.views import phases as shown_phases
from controller.demand import allowed_w, threshold_w
from controller.phases import PHASES, PhaseCurrents
from controller.planner import CircuitOutlook, SitePlan
from controller.planning import Planning
from controller.policies import PolicyName
from controller.signals import GridSignal, SignalError
from controller.site import CircuitId, EvseId
from controller.tariffs import Series, SeriesError, checked_series
from controller.timegrid import FloatArray

router = APIRouter(prefix="/api/v1", tags=["planning"])
Id = Annotated[m.SignalId, Path(alias="id")]


def _planning(services: Services) -> Planning:
    if services.planning is None:
        raise ProblemError(
            Problem(
                status=404,
                code="no-planner",
                title="No planner",
                detail="This controller runs without a planner.",
                mend="Start it with `wattkeeper run`, which always has one.",
            )
        )
    return services.planning


# --- the plan -------------------------------------------------------------------------------------


@router.get("/plan")
async def read_plan(services: Uses) -> m.PlanOut:
    """Return what is planned for the next 24 hours, per EVSE and per circuit."""
    planning = _planning(services)
    plan = planning.site_plan
    if plan is None:
        return _no_plan(planning)
    return m.PlanOut(
        made_at=plan.at,
        policy=m.Policy(plan.policy.value),
        slot_begin_at=list(plan.grid.instants()),
        slot_s=_rounded(plan.grid.length_h * 3600),
        price_per_kwh=None if plan.prices is None else list(plan.prices.per_kwh),
        price_note="" if plan.prices is None else plan.prices.note,
        energy_wh=round(plan.energy_wh),
        cost=_money(plan.planned_cost),
        cost_at_once=_money(plan.at_once_cost),
        evses=[_evse(plan, evse) for evse in sorted(plan.prospects)],
        circuits=[_circuit(c, outlook) for c, outlook in sorted(plan.circuits.items())],
    )


def _no_plan(planning: Planning) -> m.PlanOut:
    return m.PlanOut(
        made_at=None,
        policy=m.Policy(planning.policy.value),
        slot_begin_at=[],
        slot_s=[],
        price_per_kwh=None,
        price_note="",
        energy_wh=0.0,
        cost=None,
        cost_at_once=None,
        evses=[],
        circuits=[],
    )


def _evse(plan: SitePlan, evse: EvseId) -> m.PlannedEvse:
    prospect, asked = plan.prospects[evse], plan.guidance.evse(evse)
    return m.PlannedEvse(
        evse=evse,
        departure_at=prospect.departure_at,
        stated=prospect.is_stated,
        need_wh=round(prospect.need_wh),
        expected_wh=round(prospect.expected_wh),
        feasible=prospect.is_met,
        text=prospect.text,
        target_a=asked.target_a,
        note=asked.note,
        current_a=_rounded(plan.currents_a[evse]),
    )


def _circuit(circuit: CircuitId, outlook: CircuitOutlook) -> m.PlannedCircuit:
    return m.PlannedCircuit(
        circuit=circuit,
        limit_a=_by_phase(outlook.limit_a),
        building_a=_by_phase(outlook.building_a),
        charging_a=_by_phase(outlook.charging_a),
    )


def _by_phase(values: FloatArray) -> dict[str, list[float]]:
    return {p.value: _rounded(row) for p, row in zip(PHASES, values, strict=True)}


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(x), 2) for x in values]


def _money(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


# --- the policy -----------------------------------------------------------------------------------


@router.get("/policy")
async def read_policy(services: Uses) -> m.PolicyOut:
    """Return by what rule current is shared."""
    planning = _planning(services)
    return m.PolicyOut(
        name=m.Policy(planning.policy.value), configured=m.Policy(planning.configured.value)
    )


@router.put("/policy")
async def put_policy(asked: m.PolicyIn, services: Uses, who: Who) -> m.PolicyOut:
    """Pick a policy; it counts from the next plan, in some seconds, and outlives a restart."""
    policy = None if asked.name is None else PolicyName(asked.name.value)
    planning = _planning(services)
    await services.bridge.carry_out(planning.pick_policy(policy, who.name))
    return await read_policy(services)


# --- prices and forecasts -------------------------------------------------------------------------


@router.get("/prices")
async def read_prices(services: Uses) -> m.SeriesOut:
    """Return the prices given for instants; the tariff of the site file counts elsewhere."""
    return _series(_planning(services).prices)


@router.put("/prices")
async def put_prices(asked: m.SeriesIn, services: Uses, who: Who) -> m.SeriesOut:
    """Replace the prices, for example by the day-ahead market's. Prices per kWh, also below 0."""
    planning = _planning(services)
    series = _checked(asked, services, allows_negative=True)
    await services.bridge.carry_out(planning.put_prices(series, who.name))
    return _series(series)


@router.delete("/prices", status_code=204)
async def delete_prices(services: Uses, who: Who) -> Response:
    """Remove the prices given for instants."""
    await services.bridge.carry_out(_planning(services).put_prices(None, who.name))
    return Response(status_code=204)


@router.get("/pv-forecast")
async def read_pv_forecast(services: Uses) -> m.SeriesOut:
    """Return the forecast of the site's own surplus."""
    return _series(_planning(services).pv_w)


@router.put("/pv-forecast")
async def put_pv_forecast(asked: m.SeriesIn, services: Uses, who: Who) -> m.SeriesOut:
    """Replace the forecast of the power that PV leaves over. [W]."""
    planning = _planning(services)
    series = _checked(asked, services, allows_negative=False)
    await services.bridge.carry_out(planning.put_pv(series, who.name))
    return _series(series)


@router.delete("/pv-forecast", status_code=204)
async def delete_pv_forecast(services: Uses, who: Who) -> Response:
    """Remove the forecast."""
    await services.bridge.carry_out(_planning(services).put_pv(None, who.name))
    return Response(status_code=204)


def _checked(asked: m.SeriesIn, services: Services, *, allows_negative: bool) -> Series:
    try:
        return checked_series(
            begin_at=asked.begin_at,
            step_s=float(asked.step_s),
            values=asked.values,
            now=services.clock.now(),
            allows_negative=allows_negative,
        )
    except SeriesError as error:
        raise unprocessable(
            f"{error}.", "Send consecutive finite values for today or the next days."
        ) from None


def _series(series: Series | None) -> m.SeriesOut:
    if series is None:
        return m.SeriesOut(begin_at=None, end_at=None, step_s=None, values=[])
    return m.SeriesOut(
        begin_at=series.begin_at,
        end_at=series.end_at,
        step_s=series.step_s,
        values=list(series.values),
    )


# --- grid signals and demand ----------------------------------------------------------------------


@router.get("/grid-signals")
async def list_grid_signals(services: Uses) -> m.Signals:
    """Return the signals that have not ended."""
    signals = dict(_planning(services).signals)
    return m.Signals(items=[_signal(services, signals[i]) for i in sorted(signals)])


@router.get("/grid-signals/{id}")
async def read_grid_signal(signal_id: Id, services: Uses) -> m.SignalOut:
    """Return one signal."""
    signal = _planning(services).signals.get(signal_id)
    if signal is None:
        raise not_found("grid signal", signal_id)
    return _signal(services, signal)


@router.put("/grid-signals/{id}")
async def put_grid_signal(
    signal_id: Id, asked: m.SignalIn, services: Uses, who: Who
) -> m.SignalOut:
    """Limit a circuit for a time; building and vehicles count. It holds without any plan."""
    signal = GridSignal(
        id=signal_id,
        circuit=CircuitId(asked.circuit),
        begin_at=asked.begin_at,
        end_at=asked.end_at,
        limit_a=_limit(asked),
        limit_w=asked.limit_w,
        note=asked.note,
    )
    try:
        await services.bridge.carry_out(_planning(services).put_signal(signal, who.name))
    except SignalError as error:
        raise _bad_signal(error) from None
    if services.grid is not None:
        await services.bridge.carry_out(services.grid.limit_told())
    return _signal(services, signal)


@router.delete("/grid-signals/{id}", status_code=204)
async def delete_grid_signal(signal_id: Id, services: Uses, who: Who) -> Response:
    """Lift a signal before its end."""
    planning = _planning(services)
    if not await services.bridge.carry_out(planning.delete_signal(signal_id, who.name)):
        raise not_found("grid signal", signal_id)
    if services.grid is not None:
        await services.bridge.carry_out(services.grid.limit_told())
    return Response(status_code=204)


@router.get("/grid-heartbeat")
async def read_grid_heartbeat(services: Uses) -> m.HeartbeatOut:
    """Return how the heartbeat of the sender of grid signals is."""
    return _heartbeat(_grid(services))


@router.post("/grid-heartbeat")
async def post_grid_heartbeat(services: Uses) -> m.HeartbeatOut:
    """Take a heartbeat; once one came, a silence of `heartbeat_s` puts the failsafe limit in force."""
    grid = _grid(services)
    await services.bridge.carry_out(grid.beat())
    return _heartbeat(grid)


def _grid(services: Services) -> GridHeartbeat:
    if services.grid is None:
        raise ProblemError(
            Problem(
                status=404,
                code="no-grid-heartbeat",
                title="No heartbeat is expected",
                detail="The site file names no failsafe limit, so no heartbeat is missed.",
                mend="Add `grid_signal: {circuit: main, failsafe_w: 4200}` with the agreed limit.",
            )
        )
    return services.grid


def _heartbeat(grid: GridHeartbeat) -> m.HeartbeatOut:
    return m.HeartbeatOut.model_validate(
        {
            "state": grid.state,
            "heartbeat_s": grid.heartbeat_s,
            "failsafe_until": grid.failsafe_until_at,
        }
    )


def _bad_signal(error: SignalError) -> ProblemError:
    return unprocessable(f"{error}.", "Give a circuit, a time to come, and limit_a or limit_w.")


def _limit(asked: m.SignalIn) -> PhaseCurrents | None:
    match asked.limit_a:
        case None:
            return None
        case PhaseLimits() as limits:
            values = {p: getattr(limits, p.value) for p in PHASES}
            missing = [p.value for p, x in values.items() if x is None]
            if missing:
                raise _bad_signal(SignalError(f"limit_a has no {', '.join(missing)}"))
            return PhaseCurrents.from_mapping(values)
        case current_a:
            return PhaseCurrents.balanced(current_a)


def _signal(services: Services, signal: GridSignal) -> m.SignalOut:
    limit: Phases | None = None if signal.limit_a is None else shown_phases(signal.limit_a)
    return m.SignalOut(
        id=signal.id,
        circuit=signal.circuit,
        begin_at=signal.begin_at,
        end_at=signal.end_at,
        limit_a=limit,
        limit_w=signal.limit_w,
        note=signal.note,
        in_force=signal.is_in_force(services.clock.now()),
    )


@router.get("/demand")
async def read_demand(services: Uses) -> m.Demand:
    """Return demand limits, the running interval and the month's peak."""
    now = services.clock.now()
    return m.Demand(
        items=[
            m.DemandOut(
                circuit=circuit,
                interval_s=limit.interval_s,
                limit_w=limit.limit_w,
                threshold_w=round(threshold_w(state, limit)),
                interval_energy_wh=round(state.energy_wh),
                allowed_w=round(allowed_w(state, limit, at=now)),
                month=state.month,
                peak_w=round(state.peak_w),
            )
            for circuit, (limit, state) in sorted(_planning(services).demand().items())
        ]
    )
