"""The process image: the only mutable state of the controller. One writer: the control loop.

Adapters put readings, events and conditions in; the cycle freezes it into a snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from controller.commands import CommandOutcome
from controller.guidance import NO_GUIDANCE
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.ports import Clock
from controller.readings import EvseSample, GridReading, Reading
from controller.signals import GridSignal, limits_in_force
from controller.site import CircuitId, EvseId, MeterId, Site, StationId
from controller.snapshot import MeterView, Snapshot
from controller.station import (
    BehaviourFound,
    ChargingNeedsReported,
    EvseSampled,
    EvseState,
    EvseStateChanged,
    EvseView,
    ExternalLimitReported,
    FallbackConfirmed,
    FrameLogged,
    JobReported,
    LeaseMode,
    LeaseModeFound,
    StationBooted,
    StationConnected,
    StationDisconnected,
    StationEvent,
    StationHeard,
    StationView,
    TransactionChanged,
)
from controller.values import replace
from controller.virtual import calculated, dependents

FRAMES_KEPT = 200
EvseEvent = (
    FallbackConfirmed
    | EvseStateChanged
    | TransactionChanged
    | EvseSampled
    | ExternalLimitReported
    | ChargingNeedsReported
)


class ProcessImage:
    """Latest readings and views. Implements `MeterSink`; `post` takes station events."""

    def __init__(self, *, site: Site, clock: Clock, wake: Callable[[str], None]) -> None:
        """Start empty: every station unknown, every meter unread.

        Args:
            site: What is built.
            clock: Time.
            wake: Asks for a cycle at once, with the reason.
        """
        self._site = site
        self._clock = clock
        self._wake = wake
        self._meters = {meter: MeterView() for meter in site.meters}
        self._stations = {s: _empty_view(site, s) for s in site.stations}
        self._limits: dict[MeterId, PhaseCurrents] = {
            c.meter: c.limit_a for c in site.circuits.values() if c.meter is not None
        }
        self._outcomes: list[CommandOutcome] = []
        self._frames: dict[StationId, deque[FrameLogged]] = {}
        self.overrides = Overrides()
        self.guidance = NO_GUIDANCE
        self.signals: tuple[GridSignal, ...] = ()

    @property
    def site(self) -> Site:
        """What is built."""
        return self._site

    def rebuild(self, site: Site) -> None:
        """Take another site; what is known of meters and stations that stay, stays.

        To be called between two cycles, or a decision would meet EVSEs that its snapshot lacks.
        """
        old = self._site
        self._site = site
        self._meters = {
            m: self._meters[m] if old.meters.get(m) == meter else MeterView()
            for m, meter in site.meters.items()
        }
        self._stations = {s: _fitted(self._stations.get(s), site, s) for s in site.stations}
        self._frames = {s: f for s, f in self._frames.items() if s in site.stations}
        self._limits = {c.meter: c.limit_a for c in site.circuits.values() if c.meter is not None}
        self.overrides = fitted_overrides(self.overrides, site)

    # --- meters -----------------------------------------------------------------------------------

    def put_reading(self, meter: MeterId, reading: GridReading) -> None:
        """Take a plausible sample, taken just now; wake the cycle when it is over its limit.

        What is no number is no sample, whoever let it through.
        """
        before = self._meters.get(meter)
        if before is None or not reading.current.is_finite():
            return
        now_s = self._clock.monotonic_s()
        is_same = (
            before.reading is not None
            and reading.fingerprint != ""
            and before.reading.value.fingerprint == reading.fingerprint
        )
        self._meters[meter] = MeterView(
            reading=Reading(value=reading, taken_s=now_s),
            changed_s=before.changed_s if is_same else now_s,
        )
        self._wake_if_over(meter, reading.current)
        for virtual, sum_of in self.virtual_readings(meter):
            self._wake_if_over(virtual, sum_of.current)

    def virtual_readings(self, meter: MeterId) -> tuple[tuple[MeterId, GridReading], ...]:
        """Return the readings of the calculated meters that a meter is a part of."""
        touched = dependents(self._site, meter)
        views = self._calculated() if touched else {}
        readings = ((virtual, views[virtual].reading) for virtual in touched)
        return tuple((v, reading.value) for v, reading in readings if reading is not None)

    def _calculated(self) -> dict[MeterId, MeterView]:
        return calculated(self._site, self._meters, self._stations, now_s=self._clock.monotonic_s())

    def _wake_if_over(self, meter: MeterId, current: PhaseCurrents) -> None:
        limit = self._limits.get(meter)
        if limit is not None and not current.fits(limit):
            self._wake("overload")

    def put_fault(self, meter: MeterId, fault: str) -> None:
        """Keep why a meter gives no sample."""
        before = self._meters.get(meter)
        if before is not None:
            self._meters[meter] = replace(before, fault=fault)

    def watch_limit(self, circuit: CircuitId, limit: PhaseCurrents) -> None:
        """Set the current above which a reading of this circuit's meter wakes the cycle. [A]."""
        meter = self._site.circuits[circuit].meter
        if meter is not None:
            self._limits[meter] = limit

    def is_over(self, meter: MeterId) -> bool:
        """Tell whether a meter's latest reading is above the watched limit."""
        view, limit = self._meters.get(meter), self._limits.get(meter)
        if view is None or view.reading is None or limit is None:
            return False
        return not view.reading.value.current.fits(limit)

    # --- stations ---------------------------------------------------------------------------------

    def post(self, event: StationEvent) -> None:
        """Apply a station's event; unknown stations and EVSEs are ignored."""
        station = _station_of(event)
        view = self._stations.get(station)
        if view is None:
            return
        after = applied(view, event, now_s=self._clock.monotonic_s())
        self._stations[station] = after
        if not isinstance(event, EvseSampled) and _changes_the_plan(view, after):
            self._wake(type(event).__name__)

    def put_outcome(self, outcome: CommandOutcome) -> None:
        """Keep how a command ended until the next snapshot."""
        self._outcomes.append(outcome)

    def log_frame(self, frame: FrameLogged) -> None:
        """Keep a frame in the station's bounded log."""
        frames = self._frames.setdefault(frame.station, deque(maxlen=FRAMES_KEPT))
        frames.append(frame)

    def frames(self, station: StationId) -> tuple[FrameLogged, ...]:
        """Return the station's latest frames, oldest first. Safe from any thread."""
        kept = self._frames.get(station)
        return tuple(kept.copy()) if kept is not None else ()

    def station(self, station: StationId) -> StationView | None:
        """Return the latest view of a station."""
        return self._stations.get(station)

    def station_views(self) -> dict[StationId, StationView]:
        """Return the latest about all stations."""
        return dict(self._stations)

    # --- freezing ---------------------------------------------------------------------------------

    def freeze(self) -> Snapshot:
        """Return the image as it is now; outcomes are handed over once."""
        outcomes, self._outcomes = tuple(self._outcomes), []
        at = self._clock.now()
        return Snapshot(
            now_s=self._clock.monotonic_s(),
            at=at,
            site=self._site,
            meters=self._meters | self._calculated(),
            stations=dict(self._stations),
            overrides=self.overrides,
            guidance=self.guidance,
            signal_limit_a=limits_in_force(self.signals, at, self._site.voltage_v),
            outcomes=outcomes,
        )


def fitted_overrides(overrides: Overrides, site: Site) -> Overrides:
    """Return the overrides that a site allows: of things that exist, at or below their ratings."""
    evses = {e: o for e, o in overrides.evses.items() if site.evse(e) is not None}
    return Overrides(
        circuit_limit_a={
            c: x.lowest(site.circuits[c].limit_a)
            for c, x in overrides.circuit_limit_a.items()
            if c in site.circuits
        },
        evses={e: _fitted_override(o, site, e) for e, o in evses.items()},
    )


def _fitted_override(override: EvseOverride, site: Site, evse: EvseId) -> EvseOverride:
    built = site.evse(evse)
    if built is None or override.max_a is None or override.max_a <= built.max_a:
        return override
    return replace(override, max_a=built.max_a)


def _fitted(view: StationView | None, site: Site, station: StationId) -> StationView:
    """Keep what is known of the EVSEs that stay."""
    empty = _empty_view(site, station)
    if view is None:
        return empty
    return replace(view, evses={e: view.evses.get(e, v) for e, v in empty.evses.items()})


def _empty_view(site: Site, station: StationId) -> StationView:
    evses = {e.id: EvseView(id=e.id) for e in site.stations[station].evses}
    return StationView(id=station, evses=evses)


def _station_of(event: StationEvent) -> StationId:
    match event:
        case TransactionChanged(transaction=transaction):
            return transaction.station
        case (
            FallbackConfirmed(evse=evse)
            | EvseStateChanged(evse=evse)
            | EvseSampled(evse=evse)
            | ExternalLimitReported(evse=evse)
            | ChargingNeedsReported(evse=evse)
        ):
            return StationId(evse.rpartition("/")[0])
        case _:
            return event.station


def _changes_the_plan(before: StationView, after: StationView) -> bool:
    """Tell whether the next decision would be another one: not for mere signs of life."""
    if (before.connected, before.lease_mode) != (after.connected, after.lease_mode):
        return True
    if before.behaviour != after.behaviour:
        return True
    return _standing(before.evses) != _standing(after.evses)


def _standing(evses: Mapping[EvseId, EvseView]) -> list[tuple[object, ...]]:
    return [
        (
            e.id,
            e.state,
            e.fallback_a,
            e.transaction.id if e.transaction is not None else None,
            e.external_limit_a,
            e.needs,
        )
        for e in evses.values()
    ]


# --- the reducer: pure -----------------------------------------------------------------------------


def applied(view: StationView, event: StationEvent, *, now_s: float) -> StationView:
    """Return the station's view after an event."""
    match event:
        case EvseSampled():  # by far the most
            return _applied_to_evse(view, event, now_s)
        case StationConnected(protocol=protocol):
            return replace(
                view,
                connected=True,
                connected_since_s=now_s,
                lost_since_s=None,
                last_heard_s=now_s,
                protocol=protocol,
                evses=_unconfirmed(view, now_s),
            )
        case StationDisconnected():
            return replace(view, connected=False, connected_since_s=None, lost_since_s=now_s)
        case StationHeard(clock_skew_s=skew_s):
            known_s = skew_s if skew_s is not None else view.clock_skew_s
            return replace(view, last_heard_s=now_s, clock_skew_s=known_s)
        case StationBooted(info=info):
            return replace(view, info=info)
        case LeaseModeFound(mode=mode):
            return replace(view, lease_mode=mode)
        case BehaviourFound(behaviour=behaviour):
            return replace(view, behaviour=behaviour)
        case JobReported(kind=kind, job=job):
            return replace(view, jobs={**view.jobs, kind: job})
        case _:
            return _applied_to_evse(view, event, now_s)


def _unconfirmed(view: StationView, now_s: float) -> dict[EvseId, EvseView]:
    """Forget confirmed fallbacks and states: a vehicle may have come or gone while it was away.

    A new connection may follow a reboot, and confirms fallbacks anew. Not at BootNotification, which
    is also sent when it is asked for.
    """
    return {
        e: replace(
            v,
            fallback_a=None,
            fallback_since_s=None,
            state=EvseState.UNKNOWN,
            state_since_s=now_s,
        )
        for e, v in view.evses.items()
    }


def _faulted_since_s(before: EvseView, state: EvseState, now_s: float) -> float | None:
    if state is not EvseState.FAULTED:
        return None
    return before.faulted_since_s if before.faulted_since_s is not None else now_s


def _applied_to_evse(view: StationView, event: EvseEvent, now_s: float) -> StationView:
    evse = event.transaction.evse if isinstance(event, TransactionChanged) else event.evse
    before = view.evses.get(evse)
    if before is None:
        return view
    return replace(view, evses={**view.evses, evse: _evse_after(before, event, now_s)})


def _evse_after(before: EvseView, event: EvseEvent, now_s: float) -> EvseView:
    match event:
        case EvseSampled(sample=sample):
            return replace(before, sample=Reading(value=sample, taken_s=now_s))
        case FallbackConfirmed(fallback_a=fallback_a):
            since_s = before.fallback_since_s if fallback_a == before.fallback_a else now_s
            return replace(before, fallback_a=fallback_a, fallback_since_s=since_s)
        case EvseStateChanged(state=state, error_code=error_code):
            since_s = before.state_since_s if state is before.state else now_s
            return replace(
                before,
                state=state,
                state_since_s=since_s,
                error_code=error_code,
                faulted_since_s=_faulted_since_s(before, state, now_s),
            )
        case TransactionChanged(transaction=transaction):
            if transaction.ended_at is None:
                return replace(before, transaction=transaction)
            is_other = before.transaction is not None and before.transaction.id != transaction.id
            return before if is_other else replace(before, transaction=None, needs=None)
        case ExternalLimitReported(limit_a=limit_a):
            return replace(before, external_limit_a=limit_a)
        case ChargingNeedsReported(needs=needs):
            return replace(before, needs=needs)


__all__ = ["EvseSample", "EvseState", "LeaseMode", "ProcessImage", "applied"]
