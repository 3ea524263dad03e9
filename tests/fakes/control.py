"""A controller that decides nothing: it shows what it is given and remembers what it is asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controller.commands import ActionRequest, Applied, CommandResult
from controller.decision import (
    Alarm,
    CircuitStatus,
    Condition,
    EvseStatus,
    Plan,
    Reason,
    ReasonCode,
    Severity,
    SiteMode,
)
from controller.operator import EvseOverride, Overrides
from controller.phases import ZERO, Phase, PhaseCurrents, PhaseRotation
from controller.readings import GridReading, Reading
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    EvseId,
    Meter,
    MeterId,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
    evse_id,
)
from controller.snapshot import MeterView, Snapshot
from controller.station import (
    EvseState,
    EvseView,
    FrameLogged,
    LeaseMode,
    StationInfo,
    StationView,
)
from controller.transaction import IdToken, TransactionId
from controller.why import Explanation
from controller.wiring import WiringView

NOW = datetime(2026, 3, 2, 8, 0, 0, tzinfo=UTC)
MAIN = CircuitId("main")
GARAGE = CircuitId("garage-a")
CARD = "04A1B2C3D4"


def a_circuit(
    name: str,
    *,
    parent: CircuitId | None = None,
    limit_a: float = 125.0,
    meter: MeterId | None = None,
) -> Circuit:
    return Circuit(
        id=CircuitId(name),
        parent=parent,
        limit_a=PhaseCurrents.balanced(limit_a),
        device=ProtectiveDevice.MCB,
        meter=meter,
        building_peak_a=PhaseCurrents.balanced(40.0),
        margin_a=1.0,
    )


def an_evse(station: StationId, number: int, *, circuit: CircuitId = GARAGE) -> Evse:
    return Evse(
        id=evse_id(station, number),
        station=station,
        number=number,
        circuit=circuit,
        phases=3,
        rotation=PhaseRotation.RST,
        min_a=6.0,
        max_a=32.0,
        step_a=0.1,
        fallback_a=6.0,
        holds_lease=True,
        priority=0,
    )


def a_site(*, stations: int = 3, evses_each: int = 1) -> Site:
    ids = [StationId(f"CP{n:03d}") for n in range(1, stations + 1)]
    meter = MeterId("main")
    return Site(
        id="depot-nord",
        name="Depot Nord",
        timezone="Europe/Stockholm",
        voltage_v=230.0,
        circuits={
            GARAGE: a_circuit("garage-a", parent=MAIN),
            MAIN: a_circuit("main", limit_a=250.0, meter=meter),
        },
        stations={
            s: Station(id=s, evses=tuple(an_evse(s, n) for n in range(1, evses_each + 1)))
            for s in ids
        },
        meters={
            meter: Meter(
                id=meter, model="eastron/sdm630", connection="tcp://127.0.0.1:5020", unit=1
            )
        },
    )


def a_circuit_status(
    circuit: Circuit,
    *,
    building_a: float = 40.0,
    committed_a: float = 48.0,
    measured_a: float | None = None,
    mode: SiteMode = SiteMode.NORMAL,
) -> CircuitStatus:
    building = PhaseCurrents.balanced(building_a)
    committed = PhaseCurrents.balanced(committed_a)
    return CircuitStatus(
        id=circuit.id,
        mode=mode,
        rating_a=circuit.limit_a,
        limit_a=circuit.limit_a,
        measured_a=None if measured_a is None else PhaseCurrents.balanced(measured_a),
        measured_age_s=None if measured_a is None else 0.4,
        building_a=building,
        committed_a=committed,
        headroom_a=circuit.limit_a - building - committed,
        thermal_ratio=ZERO,
    )


def an_evse_status(
    evse: Evse,
    *,
    state: EvseState = EvseState.CHARGING,
    connected: bool = True,
    setpoint_a: float = 16.0,
    drawn_a: float | None = 15.2,
    transaction: str | None = "17",
    id_token: str | None = CARD,
    lease_until_s: float | None = 1300.0,
    reason: Reason | None = None,
) -> EvseStatus:
    return EvseStatus(
        id=evse.id,
        state=state,
        connected=connected,
        drawn_a=None if drawn_a is None else PhaseCurrents.balanced(drawn_a),
        power_w=None if drawn_a is None else drawn_a * 690.0,
        energy_wh=4200.0 if transaction else None,
        soc_percent=None,
        setpoint_a=setpoint_a,
        committed_a=setpoint_a,
        lease_until_s=lease_until_s,
        transaction=TransactionId(transaction) if transaction else None,
        id_token=IdToken(id_token) if id_token else None,
        reason=reason
        or Reason(
            code=ReasonCode.CIRCUIT_FULL,
            text="16.0 A: garage-a is full on L1; 3 vehicles share 48 A.",
            bound_by="garage-a L1",
        ),
    )


def an_alarm(
    code: str = "METER_LOST",
    *,
    subject: str = "main",
    text: str = "No answer from 127.0.0.1:5020; check the cable.",
    begin: datetime = NOW,
    end: datetime | None = None,
) -> Alarm:
    condition = Condition(code=code, subject=subject, text=text, severity=Severity.ALARM)
    return Alarm(condition=condition, begin=begin, end=end)


class FakeControl:
    """Implements `Control`; tests publish plans with `publish`."""

    def __init__(self, site: Site | None = None, *, now_s: float = 1000.0) -> None:
        self.site = site or a_site()
        self.now_s = now_s
        self.result: CommandResult = Applied(self_expiring=True)
        self.failure: Exception | None = None
        self.actions: list[tuple[ActionRequest, str]] = []
        self.actors: list[str] = []
        self.threads: set[int] = set()
        self.in_force: tuple[Alarm, ...] = ()
        self.figures: dict[str, float] = {"cycles": 7, "overruns": 0, "decision_s": 0.0042}
        self.logged: dict[StationId, tuple[FrameLogged, ...]] = {}
        self.explanations: dict[EvseId, Explanation] = {}
        self.wired: tuple[WiringView, ...] = ()
        self._overrides = Overrides()
        self._plan: Plan | None = None
        self._snapshot: Snapshot | None = None

    def publish(
        self,
        *,
        now_s: float | None = None,
        evses: Mapping[EvseId, EvseStatus] | None = None,
        circuits: Mapping[CircuitId, CircuitStatus] | None = None,
        mode: SiteMode = SiteMode.NORMAL,
    ) -> None:
        """Publish the next cycle."""
        self.now_s = self.now_s + 2.0 if now_s is None else now_s
        at = NOW + timedelta(seconds=self.now_s - 1000.0)
        built = {e.id: e for e in self.site.evses()}
        self._plan = Plan(
            now_s=self.now_s,
            at=at,
            mode=mode,
            method="lp",
            circuits=circuits
            or {c.id: a_circuit_status(c, measured_a=85.0) for c in self.site.circuits.values()},
            evses=evses or {e: an_evse_status(b) for e, b in built.items()},
            binding=dict.fromkeys(built, (GARAGE, Phase.L1)),
        )
        reading = Reading(
            value=GridReading(current=PhaseCurrents.balanced(85.0)), taken_s=self.now_s - 0.4
        )
        self._snapshot = Snapshot(
            now_s=self.now_s,
            at=at,
            site=self.site,
            meters={m: MeterView(reading=reading) for m in self.site.meters},
            stations={s.id: self._view(s) for s in self.site.stations.values()},
            overrides=self._overrides,
        )

    def _view(self, station: Station) -> StationView:
        return StationView(
            id=station.id,
            connected=True,
            last_heard_s=self.now_s - 1.0,
            protocol="ocpp1.6",
            info=StationInfo(vendor="Acme", model="Wall 22", serial="S1", firmware="1.2.3"),
            lease_mode=LeaseMode.LEASED,
            evses={e.id: EvseView(id=e.id) for e in station.evses},
        )

    def plan(self) -> Plan | None:
        return self._plan

    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def alarms(self) -> tuple[Alarm, ...]:
        return self.in_force

    def overrides(self) -> Overrides:
        return self._overrides

    def stats(self) -> Mapping[str, float]:
        return self.figures

    def frames(self, station: StationId) -> tuple[FrameLogged, ...]:
        return self.logged.get(station, ())

    def explain(self, evse: EvseId) -> Explanation | None:
        self.threads.add(threading.get_ident())
        return self.explanations.get(evse)

    def wiring(self) -> tuple[WiringView, ...]:
        return self.wired

    async def set_circuit_limit(
        self, circuit: CircuitId, limit_a: PhaseCurrents | None, actor: str
    ) -> None:
        self._called(actor)
        limits = dict(self._overrides.circuit_limit_a)
        limits.pop(circuit, None)
        if limit_a is not None:
            limits[circuit] = limit_a
        self._overrides = replace(self._overrides, circuit_limit_a=limits)

    async def set_evse_override(self, evse: EvseId, override: EvseOverride, actor: str) -> None:
        self._called(actor)
        self._overrides = replace(self._overrides, evses={**self._overrides.evses, evse: override})

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        self._called(actor)
        self.actions.append((request, actor))
        return self.result

    def _called(self, actor: str) -> None:
        self.threads.add(threading.get_ident())
        if self.failure is not None:
            raise self.failure
        self.actors.append(actor)
