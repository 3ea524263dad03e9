"""Domain values as people and programs see them. Pure: same input, same answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite

from adapters.http import models as m
from adapters.http.live import Live
from adapters.http.roles import Principal
from controller.decision import Alarm, CircuitStatus, EvseStatus, Plan, Reason
from controller.phases import PhaseCurrents
from controller.records import AuditEntry, Role, StationRecord, TokenRecord
from controller.site import EvseId, StationId
from controller.station import FrameLogged, LeaseMode, StationView
from controller.transaction import IdToken, Transaction
from controller.why import Explanation


def figure(value: float | None) -> float | None:
    """Round for people; what is not a number is not known."""
    return None if value is None or not isfinite(value) else round(value, 3)


def phases(current: PhaseCurrents) -> m.Phases:
    """Show one figure per phase."""
    return m.Phases(l1=figure(current.l1_a), l2=figure(current.l2_a), l3=figure(current.l3_a))


def _maybe_phases(current: PhaseCurrents | None) -> m.Phases | None:
    return None if current is None else phases(current)


def id_token(token: IdToken | None, *, whole: bool) -> str | None:
    """Show a token, or for those who need not know it only its end."""
    if token is None or whole:
        return token
    return "…" + (token[-4:] if len(token) > 6 else "")


def sees_tokens(principal: Principal) -> bool:
    """Tell whether somebody may read id tokens: they open chargers."""
    return principal.is_at_least(Role.OPERATOR)


def session_id(station: StationId, transaction: str) -> str:
    """Name a transaction uniquely at this site; stations choose their own ids."""
    return f"{station}/{transaction}"


def reason(why: Reason) -> m.ReasonOut:
    """Show a reason."""
    return m.ReasonOut(
        code=why.code.value,
        text=why.text,
        bound_by=why.bound_by or None,
        wording=why.wording,
        values=dict(why.values),
    )


def alarm(entry: Alarm) -> m.AlarmOut:
    """Show an alarm."""
    return m.AlarmOut(
        code=entry.condition.code,
        subject=entry.condition.subject,
        text=entry.condition.text,
        severity=entry.condition.severity.value,
        begin=entry.begin,
        end=entry.end,
        values=dict(entry.condition.values),
    )


def circuit(live: Live, status: CircuitStatus) -> m.CircuitOut:
    """Show a circuit."""
    built = live.snapshot.site.circuits.get(status.id)
    return m.CircuitOut(
        id=status.id,
        parent=built.parent if built else None,
        mode=status.mode.value,
        device=built.device.value if built else None,
        meter=built.meter if built else None,
        rating_a=phases(status.rating_a),
        limit_a=phases(status.limit_a),
        operating_limit_a=_maybe_phases(live.overrides.circuit_limit_a.get(status.id)),
        measured_a=_maybe_phases(status.measured_a),
        measured_age_s=figure(status.measured_age_s),
        building_a=phases(status.building_a),
        committed_a=phases(status.committed_a),
        headroom_a=phases(status.headroom_a),
        thermal_ratio=phases(status.thermal_ratio),
    )


def circuits(live: Live) -> list[m.CircuitOut]:
    """Show all circuits."""
    return [circuit(live, status) for _, status in sorted(live.plan.circuits.items())]


def site(
    live: Live, *, alarms: Sequence[Alarm], stats: Mapping[str, float], now_s: float
) -> m.SiteOut:
    """Show the site."""
    built = live.snapshot.site
    return m.SiteOut(
        id=built.id,
        name=built.name,
        timezone=built.timezone,
        voltage_v=built.voltage_v,
        mode=live.plan.mode.value,
        alarms=[alarm(a) for a in alarms],
        last_cycle=last_cycle(live.plan, stats=stats, now_s=now_s),
        circuits=circuits(live),
    )


def last_cycle(plan: Plan, *, stats: Mapping[str, float], now_s: float) -> m.LastCycle:
    """Show the latest decision."""
    solve_s = stats.get("decision_s")
    return m.LastCycle(
        solver=plan.method,
        solve_ms=None if solve_s is None else figure(solve_s * 1000.0),
        age_s=round(max(0.0, now_s - plan.now_s), 3),
        at=plan.at,
    )


def lease_until(plan: Plan, status: EvseStatus) -> datetime | None:
    """Return the wall-clock end of a lease."""
    if status.lease_until_s is None or not isfinite(status.lease_until_s):
        return None
    return plan.at + timedelta(seconds=status.lease_until_s - plan.now_s)


def evse(
    live: Live,
    status: EvseStatus,
    *,
    whole_tokens: bool,
    labels: Mapping[str, str] | None = None,
) -> m.EvseOut:
    """Show an EVSE, its token with the label that operators gave it."""
    finish_at, finish_text = finish(live, status)
    built = live.built(status.id)
    wishes = live.override(status.id)
    station, _, number = status.id.rpartition("/")
    session = status.transaction
    priority = built.priority if built and wishes.priority is None else wishes.priority
    return m.EvseOut(
        id=status.id,
        station=station,
        evse=int(number),
        kind="load" if built and built.is_load else "vehicle",
        circuit=built.circuit if built else None,
        state=status.state.value,
        connected=status.connected,
        drawn_a=_maybe_phases(status.drawn_a),
        power_w=figure(status.power_w),
        energy_wh=figure(status.energy_wh),
        soc_percent=figure(status.soc_percent),
        setpoint_a=round(status.setpoint_a, 3),
        committed_a=round(status.committed_a, 3),
        lease_until=lease_until(live.plan, status),
        session_id=session_id(StationId(station), session) if session is not None else None,
        id_token=id_token(status.id_token, whole=whole_tokens),
        reason=reason(status.reason),
        priority=priority,
        max_a=most_a(live, status.id),
        min_a=built.min_a if built else None,
        rating_a=built.max_a if built else None,
        fallback_a=built.fallback_a if built else None,
        paused=wishes.paused,
        departure_at=wishes.departure_at,
        energy_need_wh=wishes.energy_need_wh,
        label=(labels or {}).get((status.id_token or "").casefold()),
        finish_at=finish_at,
        finish_text=finish_text,
    )


_LEAST_W = 100.0
"""Below this a vehicle is not charging towards anything. [W]"""
_LONGEST = timedelta(days=7)


def finish(live: Live, status: EvseStatus) -> tuple[datetime | None, str | None]:
    """Estimate when an EVSE's energy need is met, and say what that rests on."""
    need_wh = live.override(status.id).energy_need_wh
    if status.transaction is None or need_wh is None:
        return None, None
    if status.energy_wh is None:
        return None, "The energy of the session is not known."
    left_wh = need_wh - status.energy_wh
    if left_wh <= 0:
        return live.plan.at, "The energy need is met."
    power_w = status.power_w if status.power_w is not None else 0.0
    if power_w < _LEAST_W:
        return None, "The vehicle is not charging now."
    ahead = timedelta(hours=left_wh / power_w)
    if ahead > _LONGEST:
        return None, "At the present power not within a week."
    return live.plan.at + ahead, f"{left_wh / 1000:.1f} kWh more at {power_w / 1000:.1f} kW."


def most_a(live: Live, evse: EvseId) -> float | None:
    """Return what an EVSE may draw at most: its rating or an operator's lower value. [A]"""
    built = live.built(evse)
    wish = live.override(evse).max_a
    if built is None:
        return wish
    return built.max_a if wish is None else min(wish, built.max_a)


def evses(
    live: Live, *, whole_tokens: bool, labels: Mapping[str, str] | None = None
) -> list[m.EvseOut]:
    """Show all EVSEs, ordered by station and number."""

    def place(status: EvseStatus) -> tuple[str, int]:
        station, _, number = status.id.rpartition("/")
        return station, int(number)

    return [
        evse(live, s, whole_tokens=whole_tokens, labels=labels)
        for s in sorted(live.plan.evses.values(), key=place)
    ]


def explanation(found: Explanation) -> m.ExplanationOut:
    """Show what holds an EVSE and what would change it."""
    return m.ExplanationOut(
        text=found.text,
        held_by=[m.HeldByOut(subject=x.subject, phase=x.phase) for x in found.held_by],
        gain_per_ampere=_rounded(found.marginal_factor),
        missing_a=_rounded(found.missing_a),
        shared_with=list(found.shared_with),
        changes=[
            m.ChangeOut(
                kind=x.kind.value,
                gain_a=round(x.gain_a, 3),
                text=x.text,
                circuit=x.circuit,
                limit_a=x.limit_a,
                at=x.at,
            )
            for x in found.changes
        ],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def why(
    live: Live, status: EvseStatus, alarms: Sequence[Alarm], found: Explanation | None
) -> m.WhyOut:
    """Explain an EVSE's setpoint with the numbers from its circuit up to the grid."""
    built = live.built(status.id)
    path = live.snapshot.site.path_to_root(built.circuit) if built else ()
    steps = [
        _step(live.plan, status.id, live.plan.circuits[c]) for c in path if c in live.plan.circuits
    ]
    station = status.id.rpartition("/")[0]
    subjects = {status.id, station, "site", *path}
    meters = {c.meter for p in path if (c := live.snapshot.site.circuits[p]).meter is not None}
    return m.WhyOut(
        id=status.id,
        at=live.plan.at,
        state=status.state.value,
        setpoint_a=round(status.setpoint_a, 3),
        committed_a=round(status.committed_a, 3),
        drawn_a=_maybe_phases(status.drawn_a),
        max_a=most_a(live, status.id),
        reason=reason(status.reason),
        chain=steps,
        explanation=explanation(found) if found is not None else None,
        conditions=[alarm(a) for a in alarms if a.condition.subject in subjects | meters],
    )


def _step(plan: Plan, evse: EvseId, status: CircuitStatus) -> m.WhyStep:
    bound = plan.binding.get(evse)
    binds = bound is not None and bound[0] == status.id
    return m.WhyStep(
        circuit=status.id,
        mode=status.mode.value,
        binds=binds,
        bound_phase=bound[1].value if bound is not None and binds else None,
        limit_a=phases(status.limit_a),
        building_a=phases(status.building_a),
        committed_a=phases(status.committed_a),
        headroom_a=phases(status.headroom_a),
    )


def station(live: Live, name: StationId, record: StationRecord | None) -> m.StationOut:
    """Show a station: what it says now, else what it said at its last boot."""
    built = live.snapshot.site.stations.get(name)
    view = live.snapshot.stations.get(name, StationView(id=name, lease_mode=LeaseMode.UNKNOWN))
    info = view.info
    stored = record if record is not None else StationRecord(id=name)
    heard_s = view.last_heard_s
    return m.StationOut(
        id=name,
        configured=built is not None,
        connected=view.connected,
        protocol=view.protocol or stored.protocol or None,
        lease_mode=view.lease_mode.value,
        info=m.StationInfoOut(
            vendor=info.vendor or stored.vendor,
            model=info.model or stored.model,
            serial=info.serial or stored.serial,
            firmware=info.firmware or stored.firmware,
        ),
        last_boot_at=stored.last_boot_at,
        last_heard_age_s=None if heard_s is None else figure(live.snapshot.now_s - heard_s),
        clock_skew_s=figure(view.clock_skew_s),
        jobs={
            kind: m.JobOut(status=job.status, at=job.at, request_id=job.request_id)
            for kind, job in sorted(view.jobs.items())
        },
        has_secret=stored.has_secret,
        evses=[e.id for e in built.evses] if built else sorted(view.evses),
    )


def frame(entry: FrameLogged, *, whole: bool) -> m.FrameOut:
    """Show a frame; its text, which holds id tokens, only to those who may read them."""
    return m.FrameOut(
        at=entry.at,
        direction="in" if entry.inbound else "out",
        action=entry.action,
        text=entry.text if whole else None,
    )


def session(transaction: Transaction, *, whole_tokens: bool) -> m.SessionOut:
    """Show a transaction."""
    return m.SessionOut(
        id=session_id(transaction.station, transaction.id),
        transaction_id=transaction.id,
        station=transaction.station,
        evse=transaction.evse,
        id_token=id_token(transaction.id_token, whole=whole_tokens),
        started_at=transaction.started_at,
        ended_at=transaction.ended_at,
        end_reason=transaction.end_reason,
        energy_wh=figure(transaction.energy_wh),
        start_wh=figure(transaction.start_wh),
        last_wh=figure(transaction.last_wh),
    )


def token(record: TokenRecord) -> m.TokenOut:
    """Show a token."""
    return m.TokenOut(
        id=record.id,
        status=record.status,
        label=record.label,
        group=record.group,
        expires_at=record.expires_at,
        priority=record.priority,
        kind=record.kind,
        max_a=record.max_a,
        stations=list(record.stations),
        concurrent=record.concurrent,
    )


def audit(entry: AuditEntry) -> m.AuditOut:
    """Show an entry of the audit log."""
    return m.AuditOut(
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
    )
