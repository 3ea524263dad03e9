"""Conditions of stations and EVSEs: what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.decision import Condition, Severity
from controller.draw import FLOWS_A, Draw
from controller.memory import EvseMemory, Memory, Outage
from controller.questions import OPENS_WITHIN_S
from controller.site import EvseId, StationId
from controller.snapshot import MeterView, Snapshot
from controller.station import EvseState, EvseView, LeaseMode, StationView

OFFLINE_AFTER_S = 60.0
WELDED_AFTER_S = 30.0
SILENT_AFTER_S = 60.0
STILL_AFTER_S = 5.0
"""Registers that move do so sooner. [s]"""
REFUSALS_TOLD = 3
OUTAGE_WITHIN_S = 10.0
OUTAGE_LEAST = 3
"""Fewer stations are told one by one."""
OUTAGE_BACK_S = 60.0
"""Most stations are back for so long before an outage is over. [s]"""
_NOTHING_FLOWS = frozenset({EvseState.AVAILABLE, EvseState.RESERVED, EvseState.UNAVAILABLE})
_WEAK = frozenset({LeaseMode.PERMANENT, LeaseMode.UNCONTROLLABLE})
_DANGEROUS = frozenset({"GroundFailure", "OverCurrentFailure", "PowerSwitchFailure"})


def conditions_of(
    snapshot: Snapshot, draws: Mapping[EvseId, Draw], memory: Memory
) -> tuple[Condition, ...]:
    """Return what is wrong with stations and EVSEs now, ordered by subject."""
    started_s = memory.started_s if memory.started_s is not None else snapshot.now_s
    built = snapshot.site.stations
    found: list[Condition] = []
    for station in snapshot.stations.values():
        is_amiss = not station.connected or station.lease_mode in _WEAK
        if is_amiss and not (station.id in built and built[station.id].is_load):
            # of a load its adapter tells more
            found.extend(_of_station(station, snapshot.now_s, started_s))
    if memory.outage is not None:
        found.append(_outage(snapshot))
    for evse, draw in draws.items():
        remembered, view = memory.evse(evse), draw.view
        if draw.connected and draw.floor_a > draw.evse.fallback_a:
            found.append(_cannot_pause(draw))
        if remembered.account.refusals or view.faulted_since_s is not None:
            found.extend(_of_evse(draw, refusals=remembered.account.refusals))
        if _may_be_amiss(draw, snapshot.now_s):
            at = snapshot.stations.get(draw.evse.station)
            if at is not None:
                found.extend(_of_current(draw, at, now_s=snapshot.now_s))
        if remembered.disobeys or remembered.stop_asked_s is not None:
            found.extend(_of_disobedience(draw, remembered))
    return tuple(sorted(found, key=lambda c: (c.subject, c.code)))


def unheard(snapshot: Snapshot) -> frozenset[str]:
    """Return of what too little was heard since the start to say that something is over.

    Of stations that are away or not set up yet, and their EVSEs; of EVSEs in a session that have sent no
    sample yet; and of meters that have stood still since they were read first, or just now.
    """
    found: list[str] = []
    for station in snapshot.stations.values():
        is_silent = not station.connected or station.lease_mode is LeaseMode.UNKNOWN
        if is_silent:
            found.append(station.id)
        found += [e for e, view in station.evses.items() if is_silent or _is_unsampled(view)]
    found += [m for m, view in snapshot.meters.items() if _stands_still(view, snapshot.now_s)]
    return frozenset(found)


def _is_unsampled(view: EvseView) -> bool:
    return view.sample is None and (view.transaction is not None or view.state is EvseState.UNKNOWN)


def _stands_still(view: MeterView, now_s: float) -> bool:
    return view.changed_s is not None and now_s - view.changed_s > STILL_AFTER_S


def outage_of(snapshot: Snapshot, before: Outage | None) -> Outage | None:
    """Return whether more than half of the stations were lost within ten seconds, and are not back.

    Source: `docs/fault-times.md`, row "network partition".
    """
    if _is_most_lost(snapshot):
        return Outage()
    if before is None:
        return None
    since_s = before.back_since_s if before.back_since_s is not None else snapshot.now_s
    is_over = snapshot.now_s - since_s >= OUTAGE_BACK_S
    return None if is_over else Outage(back_since_s=since_s)


def _is_most_lost(snapshot: Snapshot) -> bool:
    lost_s = sorted(
        s.lost_since_s
        for s in snapshot.stations.values()
        if not s.connected and s.lost_since_s is not None
    )
    needed = max(OUTAGE_LEAST, len(snapshot.stations) // 2 + 1)
    spans = zip(lost_s, lost_s[needed - 1 :], strict=False)
    return any(last_s - first_s <= OUTAGE_WITHIN_S for first_s, last_s in spans)


def _outage(snapshot: Snapshot) -> Condition:
    away = sum(not s.connected for s in snapshot.stations.values())
    return Condition(
        code="NETWORK_LOST",
        subject="site",
        text=f"Most stations were lost at the same moment; {away} of {len(snapshot.stations)} are away. "
        "Look at the switch, the router or the access point between them and this machine. They fall "
        "back by themselves when their leases end.",
        severity=Severity.CRITICAL,
        values={"away": f"{away}", "stations": f"{len(snapshot.stations)}"},
    )


def _of_station(station: StationView, now_s: float, started_s: float) -> Iterator[Condition]:
    """Yield what is wrong with a station; one that has never come was lost when we started."""
    lost_s = station.lost_since_s if station.lost_since_s is not None else started_s
    if not station.connected and now_s - lost_s > OFFLINE_AFTER_S:
        yield Condition(
            code="STATION_OFFLINE",
            subject=station.id,
            text=f"Station {station.id} has been disconnected for more than a minute. Check its "
            "power and network; its fallback current stays reserved.",
            severity=Severity.WARNING,
        )
    if station.lease_mode is LeaseMode.PERMANENT:
        yield _no_lease(station.id)
    if station.lease_mode is LeaseMode.UNCONTROLLABLE:
        yield Condition(
            code="NOT_CONTROLLABLE",
            subject=station.id,
            text=f"Station {station.id} refuses every charging profile. Its full rating is "
            "reserved. Enable smart charging or load management in its own settings.",
            severity=Severity.ALARM,
        )


def _no_lease(station: StationId) -> Condition:
    return Condition(
        code="NO_LEASE",
        subject=station,
        text=f"Station {station} keeps its last limit when it loses us. While it is unreachable "
        "its full rating is reserved. Install newer firmware or set its own fallback.",
        severity=Severity.WARNING,
    )


def _cannot_pause(draw: Draw) -> Condition:
    evse = draw.evse
    return Condition(
        code="CANNOT_PAUSE",
        subject=evse.id,
        text=f"{evse.id} does not keep to a limit of 0 A, so it cannot hold its fallback of "
        f"{evse.fallback_a:g} A; {draw.floor_a:g} A are reserved. Set its fallback_a to "
        f"{draw.floor_a:g} in the site file, so that the certificate counts it.",
        severity=Severity.ALARM,
    )


def _of_evse(draw: Draw, *, refusals: int) -> Iterator[Condition]:
    evse = draw.evse.id
    if refusals >= REFUSALS_TOLD:
        yield Condition(
            code="LIMIT_REFUSED",
            subject=evse,
            text=f"{evse} refused its limit {refusals} times in a row. What it may draw stays "
            "reserved. Look at its log for the reason.",
            severity=Severity.ALARM,
            values={"refusals": f"{refusals}"},
        )
    if draw.view.faulted_since_s is not None:
        code = draw.view.error_code or "no code"
        severity = Severity.CRITICAL if code in _DANGEROUS else Severity.ALARM
        yield Condition(
            code="EVSE_FAULTED",
            subject=evse,
            text=f"{evse} reports a fault: {code}. Do not use it until it has been inspected.",
            severity=severity,
            values={"fault": code},
        )
        if _last_sampled_a(draw, draw.view.faulted_since_s) > FLOWS_A:
            yield Condition(
                code="CONTACTOR_WELDED",
                subject=evse,
                text=f"{evse} is faulted and still carries current: its contactor may be welded. "
                "Switch it off at its breaker.",
                severity=Severity.CRITICAL,
            )


def _last_sampled_a(draw: Draw, since_s: float) -> float:
    """Return the highest phase of the last sample, however old; 0 if it is from before an instant. [A].

    A contactor that was seen to be welded is not sound because its station samples rarely.
    """
    sample = draw.view.sample
    if sample is None or sample.taken_s < since_s or sample.value.terminal_a is None:
        return 0.0
    return max(sample.value.terminal_a)


def _may_be_amiss(draw: Draw, now_s: float) -> bool:
    """Tell whether its current, or the lack of a report, could tell anything. Asked in every cycle."""
    view = draw.view
    if view.transaction is not None:
        return view.sample is None or now_s - view.sample.taken_s > SILENT_AFTER_S
    return view.state in _NOTHING_FLOWS and (draw.measured_max_a or 0.0) > FLOWS_A


def _of_current(draw: Draw, station: StationView, *, now_s: float) -> Iterator[Condition]:
    """Yield what its current, or the lack of a report of it, tells about an EVSE."""
    evse, view = draw.evse.id, draw.view
    if not station.connected:
        return
    since_s = max(view.state_since_s, station.connected_since_s or 0.0)
    is_since = view.sample is not None and view.sample.taken_s > since_s + OPENS_WITHIN_S
    drawn_a = (draw.measured_max_a or 0.0) if is_since else 0.0
    is_idle = view.transaction is None and view.state in _NOTHING_FLOWS
    if drawn_a > FLOWS_A and is_idle and now_s - since_s > WELDED_AFTER_S:
        yield Condition(
            code="CURRENT_WITHOUT_SESSION",
            subject=evse,
            text=f"{evse} carries {drawn_a:.1f} A though nobody charges there: its contactor "
            "may be welded. Switch it off at its breaker and have it inspected.",
            severity=Severity.CRITICAL,
            values={"drawn_a": f"{drawn_a:.1f}"},
        )
    last_s = view.sample.taken_s if view.sample is not None else since_s
    is_awaited = view.transaction is not None and not draw.evse.is_load
    if is_awaited and now_s - max(last_s, since_s) > SILENT_AFTER_S:
        yield Condition(
            code="EVSE_METER_SILENT",
            subject=evse,
            text=f"{evse} has reported no meter values for more than a minute of a session. What it may "
            "draw stays reserved. Look at its meter, and at MeterValueSampleInterval.",
            severity=Severity.WARNING,
        )


def _of_disobedience(draw: Draw, memory: EvseMemory) -> Iterator[Condition]:
    """Yield that a station draws more than it was granted, and what came of it."""
    evse = draw.evse.id
    if memory.disobeys:
        yield Condition(
            code="DISOBEYS",
            subject=evse,
            text=f"{evse} draws more than it was granted. What it draws is reserved and the "
            "others are reduced. Update its firmware, or stop its transaction.",
            severity=Severity.ALARM,
        )
    if memory.stop_asked_s is not None:
        yield Condition(
            code="SESSION_STOPPED",
            subject=evse,
            text=f"{evse} drew more than it was granted, and its circuit would have carried more than "
            "its rating even with all others paused: its session was stopped. Unplug the vehicle to "
            "charge again; update the station's firmware or have it repaired.",
            severity=Severity.CRITICAL,
        )
