"""What would have been decided: a recorded cycle with another fuse, charger or policy, or with more chargers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

from controller.ledger import Account
from controller.memory import EvseMemory, Memory
from controller.phases import ZERO, PhaseCurrents
from controller.policies import PolicyName
from controller.policy import Policy
from controller.readings import GridReading, Reading
from controller.site import CircuitId, EvseId, MeterId, Site, Station, StationId
from controller.snapshot import MeterView, Snapshot
from controller.station import EvseView, StationView
from controller.transaction import Transaction, TransactionId

MOST_COPIES = 200
EVSE_KEYS = frozenset({"max_a", "min_a", "fallback_a"})


class ReplayError(Exception):
    """The recording or the question cannot be used; the text says how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One recorded cycle, ready to be decided again."""

    number: int
    snapshot: Snapshot
    memory: Memory
    policy: Policy
    plan: Mapping[str, Any] = field(default_factory=dict)
    """As recorded, plain."""


@dataclass(frozen=True, slots=True)
class Question:
    """One change of what was recorded."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"

    @property
    def number(self) -> float:
        """The value as a number.

        Raises:
            ReplayError: It is none.
        """
        try:
            number = float(self.value)
        except ValueError:
            number = float("nan")
        if not isfinite(number):
            raise ReplayError(f"--set {self}: {self.value!r} is not a number.")
        return number


def parsed(text: str) -> Question:
    """Read a question.

    Raises:
        ReplayError: It is no question.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip() or not value.strip():
        raise ReplayError(
            f"--set {text}: write KEY=VALUE, as main.limit_a=80, CP001/1.max_a=16, CP001.copies=3, "
            "policy.lease_s=60 or policy.name=first_come."
        )
    return Question(key.strip(), value.strip())


def changed(moment: Moment, question: Question) -> Moment:
    """Return the moment as it would have been.

    Raises:
        ReplayError: This recording has no such thing, or the value does not suit it.
    """
    subject, _, name = question.key.rpartition(".")
    site = moment.snapshot.site
    if subject == "policy":
        return replace(moment, policy=_policy(moment.policy, name, question))
    if CircuitId(subject) in site.circuits and name == "limit_a":
        circuit = site.circuits[CircuitId(subject)]
        circuit = replace(circuit, limit_a=PhaseCurrents.balanced(_positive(question)))
        return _on(moment, replace(site, circuits={**site.circuits, circuit.id: circuit}))
    if site.evse(EvseId(subject)) is not None and name in EVSE_KEYS:
        return _on(moment, _with_evse(site, subject, name, _positive(question, least=0.0)))
    if StationId(subject) in site.stations and name == "copies":
        count = _positive(question)
        if count != int(count) or count > MOST_COPIES:
            raise ReplayError(f"--set {question}: give a whole number up to {MOST_COPIES}.")
        for number in range(1, int(count) + 1):
            moment = _with_copy(moment, StationId(subject), f"+{number}")
        return moment
    raise ReplayError(
        f"--set {question}: this recording has no such key. Ask for CIRCUIT.limit_a, EVSE.max_a, "
        "STATION.copies or policy.NAME."
    )


def _positive(question: Question, least: float = 1e-9) -> float:
    if question.number < least:
        raise ReplayError(f"--set {question}: the value is too small.")
    return question.number


def _policy(policy: Policy, name: str, question: Question) -> Policy:
    known = {f.name: getattr(policy, f.name) for f in fields(Policy)}
    if name not in known:
        raise ReplayError(f"--set {question}: a policy has {', '.join(sorted(known))}.")
    if name == "name":
        names = sorted(p.value for p in PolicyName)
        if question.value not in names:
            raise ReplayError(f"--set {question}: policies are {', '.join(names)}.")
        return replace(policy, name=question.value)
    value = type(known[name])(question.number)
    return replace(policy, **{name: value})


def _on(moment: Moment, site: Site) -> Moment:
    return replace(moment, snapshot=replace(moment.snapshot, site=site))


def _with_evse(site: Site, evse: str, name: str, value: float) -> Site:
    stations = {
        s: replace(
            station,
            evses=tuple(
                replace(e, **{name: value}) if e.id == evse else e  # type: ignore[arg-type]
                for e in station.evses
            ),
        )
        for s, station in site.stations.items()
    }
    return replace(site, stations=stations)


# --- more chargers ------------------------------------------------------------------------------------


def _with_copy(moment: Moment, original: StationId, mark: str) -> Moment:
    """Add a station that does what another one did, vehicle and all; the meters see it too."""
    copy = StationId(f"{original}{mark}")
    snapshot, site = moment.snapshot, moment.snapshot.site
    if copy in site.stations:
        raise ReplayError(f"--set {original}.copies: asked for twice.")
    built = site.stations[original]
    names = {e.id: EvseId(e.id.replace(original, copy, 1)) for e in built.evses}
    evses = tuple(replace(e, id=names[e.id], station=copy) for e in built.evses)
    station = Station(id=copy, evses=evses)
    stations = dict(snapshot.stations)
    if original in stations:
        stations[copy] = _view(stations[original], copy, names, mark)
    overrides = snapshot.overrides
    wishes = {names[e]: o for e, o in overrides.evses.items() if e in names}
    return replace(
        moment,
        snapshot=replace(
            snapshot,
            site=replace(site, stations=dict(sorted({**site.stations, copy: station}.items()))),
            stations=dict(sorted(stations.items())),
            meters=_meters(snapshot, original),
            overrides=replace(overrides, evses={**overrides.evses, **wishes}),
        ),
        memory=_memory(moment.memory, names, mark),
    )


def _view(
    view: StationView, copy: StationId, names: Mapping[EvseId, EvseId], mark: str
) -> StationView:
    evses = {names[e]: _evse_view(v, names[e], copy, mark) for e, v in view.evses.items()}
    return replace(view, id=copy, evses=evses)


def _evse_view(view: EvseView, name: EvseId, copy: StationId, mark: str) -> EvseView:
    transaction: Transaction | None = view.transaction
    if transaction is not None:
        number = _renamed(transaction.id, mark)
        transaction = replace(transaction, id=number, station=copy, evse=name)
    return replace(view, id=name, transaction=transaction)


def _renamed(transaction: TransactionId, mark: str) -> TransactionId:
    return TransactionId(f"{transaction}{mark}")


def _memory(memory: Memory, names: Mapping[EvseId, EvseId], mark: str) -> Memory:
    evses = {names[e]: _evse_memory(m, mark) for e, m in memory.evses.items() if e in names}
    turns = {
        names[e]: t
        if t.transaction is None
        else replace(t, transaction=_renamed(t.transaction, mark))
        for e, t in memory.turns.items()
        if e in names
    }
    return replace(memory, evses={**memory.evses, **evses}, turns={**memory.turns, **turns})


def _evse_memory(memory: EvseMemory, mark: str) -> EvseMemory:
    account: Account = memory.account
    grants = tuple(
        g if g.transaction is None else replace(g, transaction=_renamed(g.transaction, mark))
        for g in account.grants
    )
    memory = replace(memory, account=replace(account, grants=grants))
    if memory.transaction is None:
        return memory
    return replace(memory, transaction=_renamed(memory.transaction, mark))


def _meters(snapshot: Snapshot, original: StationId) -> dict[MeterId, MeterView]:
    """Return the meters with what a copy of a station draws beside it."""
    site, meters = snapshot.site, dict(snapshot.meters)
    view = snapshot.stations.get(original)
    for evse in site.stations[original].evses:
        seen = view.evses.get(evse.id) if view is not None else None
        if seen is None or seen.sample is None or seen.sample.value.terminal_a is None:
            continue
        drawn = evse.rotation.to_grid(seen.sample.value.terminal_a)
        for circuit in site.path_to_root(evse.circuit):
            meter = site.circuits[circuit].meter
            if meter is not None and drawn != ZERO:
                meters[meter] = _raised(meters.get(meter, MeterView()), drawn)
    return meters


def _raised(view: MeterView, drawn: PhaseCurrents) -> MeterView:
    reading: Reading[GridReading] | None = view.reading
    if reading is None:
        return view
    value = replace(reading.value, current=reading.value.current + drawn)
    return replace(view, reading=replace(reading, value=value))
