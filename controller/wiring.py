"""Finds wiring mistakes: steps of our own EVSEs must show at the meter, on their phase, with their sign.

Only vehicles that begin or end to draw are used. Steps that we command follow the building's load,
so that the meter hardly moves: they would look like a meter that does not see the EVSE. What is found
is told and changes no limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Final, Literal

from controller.decision import Condition, Severity
from controller.phases import PHASES, ZERO, Phase, PhaseCurrents
from controller.site import CircuitId, EvseId, MeterId, Site
from controller.snapshot import Snapshot

STEP_A: Final = 4.0
"""Smaller steps drown in the building's noise. [A]"""
IDLE_A: Final = 0.5
NOISE_A: Final = 0.7
"""Least assumed error of one comparison: meters and stations do not sample together. [A]"""
SIGMAS: Final = 4.0
"""So many standard errors must lie between what is seen and what would be right."""
ENOUGH: Final = 4
"""Least number of steps for a finding."""
FORGETTING_FACTOR: Final = 0.93
"""Weight of the past at each new step, so that a mended mistake is forgotten."""
SPAN_S: Final = 90.0
"""Longest time between the two sides of a step. [s]"""
NEAR_S: Final = 5.0
"""How far in time a meter's reading may be from the station's. [s]"""
OTHERS_RATIO: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One EVSE began or ended to draw, and what a meter saw meanwhile."""

    drawn: PhaseCurrents
    """Change of the EVSE's current per grid phase. [A]"""
    seen: PhaseCurrents
    """Change of the meter's current. [A]"""


@dataclass(slots=True)
class Response:
    """How one phase of a meter follows one phase of EVSEs: a regression through the origin."""

    weight: float = 0.0
    """Number of steps, older ones counting less."""
    drawn_factor: float = 0.0
    """Sum of drawn by drawn. [A^2]"""
    both_factor: float = 0.0
    """Sum of drawn by seen. [A^2]"""
    seen_factor: float = 0.0
    """Sum of seen by seen. [A^2]"""

    def add(self, drawn_a: float, seen_a: float) -> None:
        """Take one step. [A]"""
        self.weight = FORGETTING_FACTOR * self.weight + 1.0
        self.drawn_factor = FORGETTING_FACTOR * self.drawn_factor + drawn_a * drawn_a
        self.both_factor = FORGETTING_FACTOR * self.both_factor + drawn_a * seen_a
        self.seen_factor = FORGETTING_FACTOR * self.seen_factor + seen_a * seen_a

    def merged(self, other: Response) -> Response:
        """Return both together."""
        return Response(
            self.weight + other.weight,
            self.drawn_factor + other.drawn_factor,
            self.both_factor + other.both_factor,
            self.seen_factor + other.seen_factor,
        )

    @property
    def is_known(self) -> bool:
        """Tell whether there are enough steps to judge."""
        return self.weight >= ENOUGH * FORGETTING_FACTOR**ENOUGH and self.drawn_factor > 0.0

    @property
    def gain_ratio(self) -> float:
        """Seen over drawn: 1 where all is well."""
        return self.both_factor / self.drawn_factor

    @property
    def error_ratio(self) -> float:
        """`SIGMAS` standard errors of the gain."""
        left = max(0.0, self.seen_factor - self.both_factor * self.both_factor / self.drawn_factor)
        variance = max(NOISE_A * NOISE_A, left / max(1.0, self.weight - 1.0))
        return SIGMAS * sqrt(variance / self.drawn_factor)

    def is_below(self, limit_ratio: float) -> bool:
        """Tell whether the gain is surely below a value."""
        return self.is_known and self.gain_ratio + self.error_ratio < limit_ratio

    def is_above(self, limit_ratio: float) -> bool:
        """Tell whether the gain is surely above a value."""
        return self.is_known and self.gain_ratio - self.error_ratio > limit_ratio


@dataclass(slots=True)
class Evidence:
    """What the steps of one EVSE showed at one circuit's meter."""

    own: dict[Phase, Response] = field(default_factory=dict)
    """The meter's phase against the same phase of the EVSE."""
    cross: dict[tuple[Phase, Phase], Response] = field(default_factory=dict)
    """Drawn on the first phase alone, seen on the second."""
    steps: int = 0
    """How many there were."""

    def add(self, step: Step) -> None:
        """Take one step."""
        self.steps += 1
        loaded = [p for p in PHASES if abs(step.drawn.of(p)) >= STEP_A]
        for phase in loaded:
            self.own.setdefault(phase, Response()).add(step.drawn.of(phase), step.seen.of(phase))
        if len(loaded) == 1:
            for phase in PHASES:
                response = self.cross.setdefault((loaded[0], phase), Response())
                response.add(step.drawn.of(loaded[0]), step.seen.of(phase))


Known = Mapping[CircuitId, Mapping[EvseId, Evidence]]
Verdict = Literal["right", "reversed", "phases", "unseen", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WiringView:
    """How far the wiring between an EVSE and the meter of a circuit above it is known."""

    circuit: CircuitId
    meter: MeterId
    evse: EvseId
    verdict: Verdict
    """`unknown`: too few steps, or too much else moved meanwhile."""
    steps: int = 0
    gain_ratio: Mapping[Phase, float] = field(default_factory=dict)
    """What the meter saw of each ampere drawn, per grid phase: 1 where all is well."""
    tells_phases: bool = False
    """The EVSE was seen to load one phase alone; three at once cannot tell exchanged phases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the watch has found so far. Replaced as a whole, so that other threads may read it."""

    views: Mapping[tuple[CircuitId, EvseId], WiringView] = field(default_factory=dict)
    turned: Mapping[CircuitId, frozenset[Phase]] = field(default_factory=dict)
    """Phases that the meter of a circuit counts the wrong way round."""


def views(site: Site, seen: Seen) -> tuple[WiringView, ...]:
    """Return every EVSE with every metered circuit above it, also those without a step so far."""
    found: list[WiringView] = []
    for evse in site.evses():
        for circuit in site.path_to_root(evse.circuit):
            meter = site.circuits[circuit].meter
            if meter is None:
                continue
            nothing = WiringView(circuit=circuit, meter=meter, evse=evse.id, verdict="unknown")
            view = seen.views.get((circuit, evse.id), nothing)
            is_turned = not seen.turned.get(circuit, frozenset()).isdisjoint(view.gain_ratio)
            found.append(replace(view, verdict="reversed") if is_turned else view)
    return tuple(found)


def _view(circuit: CircuitId, meter: MeterId, evse: EvseId, evidence: Evidence) -> WiringView:
    own = evidence.own
    verdict: Verdict = "unknown"
    if next(_elsewhere(evidence), None) is not None:
        verdict = "phases"
    elif _is_unseen(evidence):
        verdict = "unseen"
    elif own and all(response.is_above(0.5) for response in own.values()):
        verdict = "right"
    return WiringView(
        circuit=circuit,
        meter=meter,
        evse=evse,
        verdict=verdict,
        steps=evidence.steps,
        gain_ratio={p: r.gain_ratio for p, r in own.items() if r.drawn_factor > 0.0},
        tells_phases=bool(evidence.cross),
    )


def findings(site: Site, known: Known) -> Iterator[Condition]:
    """Return what is surely wired wrongly."""
    for circuit, by_evse in known.items():
        meter = site.circuits[circuit].meter
        if meter is None:
            continue
        turned = turned_phases(by_evse)
        if turned:
            yield _turned(meter, turned)
        for evse, evidence in sorted(by_evse.items()):
            elsewhere = next(_elsewhere(evidence), None)
            if elsewhere is not None:
                yield _swapped(evse, meter, *elsewhere)
            elif _is_unseen(evidence):
                yield _unseen(evse, circuit, meter)


def turned_phases(by_evse: Mapping[EvseId, Evidence]) -> tuple[Phase, ...]:
    """Return the phases of a meter whose current surely falls when charging begins."""
    return tuple(phase for phase in PHASES if _is_turned(by_evse, phase))


def _is_turned(by_evse: Mapping[EvseId, Evidence], phase: Phase) -> bool:
    total = Response()
    for evidence in by_evse.values():
        total = total.merged(evidence.own.get(phase, Response()))
    return total.is_below(-0.3)


def _elsewhere(evidence: Evidence) -> Iterator[tuple[Phase, Phase]]:
    """Yield phases whose current shows on another phase."""
    for drawn in PHASES:
        own = evidence.cross.get((drawn, drawn))
        if own is None or not own.is_below(0.5):
            continue
        for seen in PHASES:
            if seen is not drawn and evidence.cross[drawn, seen].is_above(0.5):
                yield drawn, seen


def _is_unseen(evidence: Evidence) -> bool:
    """Tell whether the meter surely does not follow the EVSE on any phase, neither way round."""
    responses: list[Response] = [*evidence.own.values(), *evidence.cross.values()]
    return bool(evidence.own) and all(r.is_below(0.4) and r.is_above(-0.4) for r in responses)


def _turned(meter: MeterId, phases: Sequence[Phase]) -> Condition:
    names = " and ".join(phase.name for phase in phases)
    return Condition(
        code="WIRING_CT_REVERSED",
        subject=meter,
        text=f"Meter {meter} counts {names} the wrong way round: when a vehicle begins to charge, its "
        "current falls there. Turn the current transformer around, or exchange its two wires (S1, S2). "
        "Until then the building's load is estimated wrongly.",
        severity=Severity.ALARM,
    )


def _swapped(evse: EvseId, meter: MeterId, drawn: Phase, seen: Phase) -> Condition:
    return Condition(
        code="WIRING_PHASES",
        subject=evse,
        text=f"{evse} should load {drawn.name}, and meter {meter} sees it on {seen.name}. If only this "
        "EVSE is named, correct its `rotation` in the site file; if others are named too, the phases "
        "of the meter are exchanged: correct the order of its voltage and current connections.",
        severity=Severity.ALARM,
    )


def _unseen(evse: EvseId, circuit: CircuitId, meter: MeterId) -> Condition:
    return Condition(
        code="WIRING_CIRCUIT",
        subject=evse,
        text=f"Meter {meter} of {circuit} does not see {evse} begin and end to charge. Find out which "
        "circuit feeds it and correct `circuit` in the site file; or the meter's transformers do not "
        "embrace that cable.",
        severity=Severity.ALARM,
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """What was known to flow at one instant."""

    at_s: float
    current: PhaseCurrents


class WiringWatch:
    """Gathers steps from snapshots. One per process; not part of the decision."""

    def __init__(self) -> None:
        self._meters: dict[MeterId, deque[_Level]] = {}
        self._evses: dict[EvseId, deque[_Level]] = {}
        self._waiting: list[tuple[EvseId, _Level, _Level]] = []
        self.evidence: dict[CircuitId, dict[EvseId, Evidence]] = {}
        self.seen = Seen()
        self._found: tuple[Condition, ...] = ()

    def observe(self, snapshot: Snapshot) -> tuple[Condition, ...]:
        """Look at one snapshot; return what is wired wrongly as far as is known."""
        for meter, view in snapshot.meters.items():
            if view.reading is not None:
                _keep(
                    self._meters.setdefault(meter, deque()),
                    _Level(view.reading.taken_s, view.reading.value.current),
                )
        self._settle(snapshot)
        for evse, level in _levels(snapshot):
            self._take(evse, level)
        return self._found

    def _take(self, evse: EvseId, level: _Level) -> None:
        history = self._evses.setdefault(evse, deque())
        if not history:
            history.append(level)
            return
        if history[-1].at_s >= level.at_s:
            return
        if level.current is ZERO and history[-1].current is ZERO:
            history[-1] = level
            return
        if _is_start_or_stop(history[-1], level):
            self._waiting.append((evse, history[-1], level))
        _keep(history, level)

    def _settle(self, snapshot: Snapshot) -> None:
        """Compare the steps of which the meters have now seen the other side."""
        due = [w for w in self._waiting if snapshot.now_s - w[2].at_s >= NEAR_S]
        if not due:
            return
        self._waiting = [w for w in self._waiting if w not in due]
        for evse, before, after in due:
            self._compare(snapshot.site, evse, before, after)
        self._found = tuple(findings(snapshot.site, self.evidence))

    def _compare(self, site: Site, evse: EvseId, before: _Level, after: _Level) -> None:
        entry = site.evse(evse)
        drawn = after.current - before.current
        if entry is None:
            return
        for circuit in site.path_to_root(entry.circuit):
            meter = site.circuits[circuit].meter
            if meter is None or not self._is_alone(site, circuit, evse, before, after):
                continue
            first, last = (_nearest(self._meters.get(meter), x.at_s) for x in (before, after))
            if first is not None and last is not None:
                step = Step(drawn=drawn, seen=last.current - first.current)
                self._note(circuit, meter, evse, step)

    def _note(self, circuit: CircuitId, meter: MeterId, evse: EvseId, step: Step) -> None:
        by_evse = self.evidence.setdefault(circuit, {})
        evidence = by_evse.setdefault(evse, Evidence())
        evidence.add(step)
        turned = frozenset(turned_phases(by_evse))
        self.seen = Seen(
            views={**self.seen.views, (circuit, evse): _view(circuit, meter, evse, evidence)},
            turned={**self.seen.turned, circuit: turned},
        )

    def _is_alone(
        self, site: Site, circuit: CircuitId, evse: EvseId, before: _Level, after: _Level
    ) -> bool:
        """Tell whether the other EVSEs below a circuit hardly moved meanwhile."""
        moved_a = 0.0
        for other in site.evses_below(circuit):
            if other.id == evse:
                continue
            levels = self._evses.get(other.id, ())
            span = [
                x.current for x in levels if before.at_s - SPAN_S <= x.at_s <= after.at_s + NEAR_S
            ]
            if span:
                moved_a += max(max(x) for x in span) - min(max(x) for x in span)
        return moved_a <= OTHERS_RATIO * max(abs(x) for x in after.current - before.current)


def _levels(snapshot: Snapshot) -> Iterator[tuple[EvseId, _Level]]:
    """Yield what the EVSEs are known to draw, and since when."""
    idle = _Level(snapshot.now_s, ZERO)
    for station in snapshot.site.stations.values():
        seen = snapshot.stations.get(station.id)
        if seen is None or not seen.connected:
            continue
        for evse in station.evses:
            view = seen.evses[evse.id]
            if view.transaction is None:
                yield evse.id, idle
            elif view.sample is not None and view.sample.value.terminal_a is not None:
                current = evse.rotation.to_grid(view.sample.value.terminal_a)
                yield evse.id, _Level(view.sample.taken_s, current)


def _is_start_or_stop(before: _Level, after: _Level) -> bool:
    low_a, high_a = sorted((max(before.current), max(after.current)))
    return low_a < IDLE_A and high_a >= STEP_A and after.at_s - before.at_s <= SPAN_S


def _keep(history: deque[_Level], level: _Level) -> None:
    if history and history[-1].at_s >= level.at_s:
        return
    history.append(level)
    while history[0].at_s < level.at_s - 2.0 * SPAN_S:
        history.popleft()


def _nearest(history: Sequence[_Level] | None, at_s: float) -> _Level | None:
    nearest = min(history or (), key=lambda level: abs(level.at_s - at_s), default=None)
    return nearest if nearest is not None and abs(nearest.at_s - at_s) <= NEAR_S else None
