"""Wiring mistakes are found from sessions that begin and end, and nothing is found where all is well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from random import Random

import pytest

from controller.phases import PHASES, ZERO, Phase, PhaseCurrents, PhaseRotation
from controller.readings import EvseSample, GridReading, Reading
from controller.site import Evse, EvseId, Site, StationId
from controller.snapshot import MeterView, Snapshot
from controller.station import EvseState, EvseView, StationView
from controller.transaction import IdToken, Transaction, TransactionId
from controller.wiring import Evidence, Step, WiringWatch, views
from tests.controller.builders import METER, START, a_circuit, a_site, an_evse

CYCLE_S = 2.0
SAMPLES_S = 10.0
Distort = Callable[[PhaseCurrents, PhaseCurrents], PhaseCurrents]
"""What the meter says of the building's and the vehicles' current."""


def honest(building: PhaseCurrents, vehicles: PhaseCurrents) -> PhaseCurrents:
    return building + vehicles


def turned_l2(building: PhaseCurrents, vehicles: PhaseCurrents) -> PhaseCurrents:
    total = building + vehicles
    return PhaseCurrents(l1_a=total.l1_a, l2_a=-total.l2_a, l3_a=total.l3_a)


def swapped(building: PhaseCurrents, vehicles: PhaseCurrents) -> PhaseCurrents:
    total = building + vehicles
    return PhaseCurrents(l1_a=total.l2_a, l2_a=total.l1_a, l3_a=total.l3_a)


def elsewhere(building: PhaseCurrents, vehicles: PhaseCurrents) -> PhaseCurrents:
    return building


class NoisyBuilding:
    """Slow drift, fridges and compressors that switch, now and then a large machine."""

    def __init__(self, dice: Random, *, loud: float = 1.0) -> None:
        self.dice = dice
        self.loud = loud
        self.base = [40.0, 35.0, 45.0]
        self.machines = [0.0, 0.0, 0.0]

    def step(self) -> PhaseCurrents:
        for phase in range(3):
            self.base[phase] += self.dice.gauss(0.0, 0.15 * self.loud)
            if self.dice.random() < CYCLE_S / 120.0:
                self.machines[phase] = self.dice.choice([0.0, 3.0, 6.0, 12.0]) * self.loud
        if self.dice.random() < CYCLE_S / 900.0:
            machine_a = self.dice.choice([0.0, 20.0 * self.loud])
            self.machines = [machine_a] * 3
        l1_a, l2_a, l3_a = (
            b + m + self.dice.gauss(0.0, 0.2) for b, m in zip(self.base, self.machines, strict=True)
        )
        return PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a)


class Yard:
    """Vehicles come and go; the watch sees what meter and stations report."""

    def __init__(
        self, *, seed: int, distort: Distort = honest, evses: Sequence[Evse] = (), loud: float = 1.0
    ) -> None:
        self.dice = Random(seed)
        chosen = evses or [
            an_evse("CP001"),
            an_evse("CP002", phases=1),
            an_evse("CP003", phases=1, rotation=PhaseRotation.STR),
            an_evse("CP004", phases=1, rotation=PhaseRotation.TRS),
        ]
        self.site: Site = a_site(circuits=[a_circuit(limit_a=250.0)], evses=chosen)
        self.distort = distort
        self.building = NoisyBuilding(self.dice, loud=loud)
        self.watch = WiringWatch()
        self.now_s = 1000.0
        self.draw_a: dict[EvseId, float] = {}
        self.sampled: dict[EvseId, Reading[EvseSample]] = {}
        self.moves: list[tuple[float, EvseId]] = []
        """When which vehicle began or ended to draw. [s]"""
        self.told_s: dict[tuple[str, str], float] = {}

    def terminals(self, evse: Evse) -> PhaseCurrents:
        current_a = self.draw_a.get(evse.id, 0.0)
        return PhaseCurrents(
            l1_a=current_a,
            l2_a=current_a if evse.phases == 3 else 0.0,
            l3_a=current_a if evse.phases == 3 else 0.0,
        )

    def run(self, hours: float) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for _ in range(round(hours * 3600.0 / CYCLE_S)):
            self.now_s += CYCLE_S
            self.come_and_go()
            now = {(c.code, c.subject) for c in self.watch.observe(self.snapshot())}
            for finding in now - found:
                self.told_s.setdefault(finding, self.now_s)
            found |= now
        return found

    def moves_until(self, finding: tuple[str, str], evses: Collection[str] = ()) -> list[float]:
        """Return when these vehicles, or all, began or ended to draw before a finding. [s]"""
        told_s = self.told_s[finding]
        return [s for s, evse in self.moves if s <= told_s and (not evses or evse in evses)]

    def come_and_go(self) -> None:
        for evse in self.site.evses():
            mean_s = 600.0 if evse.id in self.draw_a else 300.0
            if self.dice.random() < CYCLE_S / mean_s:
                self.moves.append((self.now_s, evse.id))
                if evse.id in self.draw_a:
                    del self.draw_a[evse.id]
                    self.sampled.pop(evse.id, None)
                else:
                    self.draw_a[evse.id] = self.dice.choice([6.0, 10.0, 16.0, 32.0])
            known = self.sampled.get(evse.id)
            is_due = known is None or self.now_s - known.taken_s >= SAMPLES_S
            if evse.id in self.draw_a and is_due:
                sample = EvseSample(terminal_a=tuple(self.terminals(evse)))  # type: ignore[arg-type]
                self.sampled[evse.id] = Reading(value=sample, taken_s=self.now_s)

    def snapshot(self) -> Snapshot:
        vehicles = ZERO
        for evse in self.site.evses():
            l1_a, l2_a, l3_a = self.terminals(evse)
            vehicles = vehicles + evse.rotation.to_grid((l1_a, l2_a, l3_a))
        current = self.distort(self.building.step(), vehicles)
        reading = Reading(value=GridReading(current=current), taken_s=self.now_s)
        return Snapshot(
            now_s=self.now_s,
            at=START + timedelta(seconds=self.now_s),
            site=self.site,
            meters={METER: MeterView(reading=reading, changed_s=self.now_s)},
            stations={s: self.station(s) for s in self.site.stations},
        )

    def station(self, station: StationId) -> StationView:
        evses = {}
        for evse in self.site.stations[station].evses:
            is_charging = evse.id in self.draw_a
            evses[evse.id] = EvseView(
                id=evse.id,
                state=EvseState.CHARGING if is_charging else EvseState.AVAILABLE,
                transaction=transaction(evse) if is_charging else None,
                sample=self.sampled.get(evse.id),
            )
        return StationView(id=station, connected=True, evses=evses)


def transaction(evse: Evse) -> Transaction:
    return Transaction(
        id=TransactionId("1"),
        station=evse.station,
        evse=evse.id,
        id_token=IdToken("A"),
        started_at=START,
        start_wh=0.0,
    )


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_all_is_well(seed: int) -> None:
    assert Yard(seed=seed).run(6.0) == set()


@pytest.mark.parametrize("seed", range(2))
def test_loud_building_raises_no_false_alarm(seed: int) -> None:
    assert Yard(seed=100 + seed, loud=2.5).run(6.0) == set()


@pytest.mark.long
def test_false_alarms_are_rarer_than_one_in_a_thousand_hours() -> None:
    wrong = {seed: found for seed in range(100) if (found := Yard(seed=seed, loud=1.5).run(12.0))}
    assert wrong == {}


def tell_times(
    yard: Yard,
    finding: tuple[str, str],
    tell: Callable[[str, object], None],
    evses: Collection[str] = (),
) -> None:
    """Tell for docs/fault-times.md how much it took from the first begin of a session on."""
    moves = yard.moves_until(finding, evses)
    tell("fault_moves", len(moves))
    tell("fault_t_d_s", yard.told_s[finding] - moves[0])


@pytest.mark.parametrize("seed", range(2))
def test_turned_transformer_is_found(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    yard = Yard(seed=seed, distort=turned_l2)

    assert ("WIRING_CT_REVERSED", "main") in yard.run(3.0)
    three_phase = [e.id for e in yard.site.evses() if e.phases == 3]
    tell_times(yard, ("WIRING_CT_REVERSED", "main"), record_property, three_phase)


def test_turned_transformer_names_its_phase_and_the_mend() -> None:
    yard = Yard(seed=1, distort=turned_l2)
    yard.run(3.0)
    texts = [c.text for c in yard.watch.observe(yard.snapshot()) if c.code == "WIRING_CT_REVERSED"]
    assert len(texts) == 1
    assert "counts L2 the wrong way round" in texts[0]
    assert "Turn the current transformer around" in texts[0]


def test_exchanged_phases_are_found(record_property: Callable[[str, object], None]) -> None:
    yard = Yard(seed=1, distort=swapped)
    found = yard.run(4.0)
    assert {("WIRING_PHASES", "CP002/1"), ("WIRING_PHASES", "CP003/1")} <= found
    assert not any(code == "WIRING_CT_REVERSED" for code, _ in found)
    tell_times(yard, ("WIRING_PHASES", "CP002/1"), record_property, ["CP002/1"])


def test_wrong_circuit_is_found(record_property: Callable[[str, object], None]) -> None:
    yard = Yard(seed=1, distort=elsewhere)
    found = yard.run(6.0)
    assert ("WIRING_CIRCUIT", "CP001/1") in found
    assert {code for code, _ in found} == {"WIRING_CIRCUIT"}
    tell_times(yard, ("WIRING_CIRCUIT", "CP001/1"), record_property, ["CP001/1"])


def test_mended_mistake_is_forgotten() -> None:
    yard = Yard(seed=1, distort=turned_l2)
    before = yard.run(3.0)
    yard.distort = honest
    yard.run(12.0)
    assert before != set()
    assert yard.watch.observe(yard.snapshot()) == ()


def test_step_that_the_building_answers_says_nothing() -> None:
    """Limits that follow the building keep the meter still; such steps are no starts and no stops."""
    yard = Yard(seed=1, evses=[an_evse("CP001")])
    yard.draw_a[EvseId("CP001/1")] = 16.0
    for cycle in range(600):
        yard.now_s += CYCLE_S
        wave_a = 6.0 if cycle % 30 < 15 else 0.0
        yard.draw_a[EvseId("CP001/1")] = 16.0 - wave_a
        sample = EvseSample(terminal_a=(16.0 - wave_a,) * 3)
        yard.sampled[EvseId("CP001/1")] = Reading(value=sample, taken_s=yard.now_s)
        yard.distort = lambda building, vehicles, wave_a=wave_a: (  # type: ignore[misc]
            vehicles + PhaseCurrents.balanced(wave_a)
        )
        yard.watch.observe(yard.snapshot())
    assert yard.watch.evidence == {}


def test_evidence_of_one_phase_is_kept_apart() -> None:
    evidence = Evidence()
    for _ in range(6):
        step_a = PhaseCurrents(l1_a=16.0, l2_a=0.0, l3_a=0.0)
        evidence.add(Step(drawn=step_a, seen=PhaseCurrents(l1_a=0.0, l2_a=16.0, l3_a=0.0)))
    assert evidence.cross[Phase.L1, Phase.L2].is_above(0.5)
    assert evidence.cross[Phase.L1, Phase.L1].is_below(0.5)
    assert {drawn for drawn, _ in evidence.cross} == {Phase.L1}
    assert len(PHASES) == 3


@pytest.mark.parametrize(
    ("distort", "verdict", "gain"),
    [
        (honest, "right", {Phase.L1: 1.0}),
        (swapped, "phases", {Phase.L1: 0.0}),
        (elsewhere, "unseen", {Phase.L1: 0.0}),
    ],
)
def test_view_says_what_each_phase_showed(
    distort: Distort, verdict: str, gain: dict[Phase, float]
) -> None:
    yard = Yard(seed=1, distort=distort)
    assert {v.verdict for v in views(yard.site, yard.watch.seen)} == {"unknown"}
    yard.run(6.0)
    found = {v.evse: v for v in views(yard.site, yard.watch.seen)}
    single = found[EvseId("CP002/1")]
    assert (single.verdict, single.tells_phases, single.meter) == (verdict, True, METER)
    assert dict(single.gain_ratio) == pytest.approx(gain, abs=0.2)
    assert single.steps >= 4
    assert found[EvseId("CP001/1")].tells_phases is False


def test_view_names_a_turned_phase_for_every_evse_on_it() -> None:
    yard = Yard(seed=1, distort=turned_l2)
    yard.run(3.0)
    found = {v.evse: v for v in views(yard.site, yard.watch.seen)}
    assert found[EvseId("CP001/1")].verdict == "reversed"
    assert found[EvseId("CP001/1")].gain_ratio[Phase.L2] == pytest.approx(-1.0, abs=0.2)
    assert found[EvseId("CP002/1")].verdict == "right"


@pytest.mark.parametrize(
    ("distort", "verdict"),
    [(honest, "right"), (turned_l2, "reversed"), (swapped, "phases"), (elsewhere, "unseen")],
)
def test_two_pauses_of_a_charging_vehicle_are_enough(distort: Distort, verdict: str) -> None:
    """What `wattkeeper wiring check` does: the transaction goes on, the current stops and returns."""
    evse = an_evse("CP001", phases=1, rotation=PhaseRotation.STR)
    yard = Yard(seed=3, distort=distort, evses=[evse], loud=0.2)
    for drawn_a in (16.0, 0.0, 16.0, 0.0, 16.0):
        for cycle in range(15):
            yard.now_s += CYCLE_S
            yard.draw_a[evse.id] = drawn_a
            if cycle % 5 == 0:
                sample = EvseSample(terminal_a=(drawn_a, 0.0, 0.0))
                yard.sampled[evse.id] = Reading(value=sample, taken_s=yard.now_s)
            yard.watch.observe(yard.snapshot())
    (found,) = views(yard.site, yard.watch.seen)
    assert (found.verdict, found.steps) == (verdict, 4)
