"""What goes over the wire about plans, prices, forecasts, signals, demand limits and policies."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from pydantic import Field

from adapters.http.models import (
    Answer,
    Instant,
    InstantIn,
    Number,
    PhaseLimits,
    Phases,
    Request,
    Text,
    example,
)

SignalId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class Policy(Enum):
    """By what rule current is shared."""

    EQUAL_SHARE = "equal_share"
    FIRST_COME = "first_come"
    PRIORITY = "priority"
    LEAST_LAXITY = "least_laxity"
    CHEAPEST = "cheapest"
    SOLAR_FIRST = "solar_first"


class PolicyOut(Answer):
    """The policy in force."""

    model_config = example(name="least_laxity", configured="equal_share")

    name: Policy
    configured: Policy
    """The site file's."""


class PolicyIn(Request):
    """The policy to use; null: the site file's again."""

    model_config = example(name="least_laxity")

    name: Policy | None


class SeriesIn(Request):
    """Consecutive values from `begin_at` on."""

    model_config = example(begin_at="2026-03-03T00:00:00Z", step_s=3600, values=[0.21, 0.19, 0.18])

    begin_at: InstantIn
    step_s: int = Field(ge=300, le=3600)
    """300, 900, 1800 or 3600. [s]"""
    values: list[float] = Field(max_length=1000)
    """Prices per kWh, or power in W."""


class SeriesOut(Answer):
    """A stored series; no values when there is none."""

    model_config = example(
        begin_at="2026-03-03T00:00:00.000Z",
        end_at="2026-03-03T03:00:00.000Z",
        step_s=3600,
        values=[0.21, 0.19, 0.18],
    )

    begin_at: Instant | None
    end_at: Instant | None
    step_s: float | None
    values: list[Number]


class HeartbeatOut(Answer):
    """How the heartbeat of the sender of grid signals is."""

    model_config = example(state="alive", heartbeat_s=120.0, failsafe_until=None)

    state: Literal["waiting", "alive", "failsafe"]
    """`waiting`: none has ever come, so none is missed."""
    heartbeat_s: Number
    """Silence that counts as lost. [s]"""
    failsafe_until: Instant | None
    """Until when the failsafe limit stays at least; null: it is not in force."""


class SignalIn(Request):
    """A temporary limit on a circuit: per phase, or on all phases together."""

    model_config = example(
        circuit="main",
        begin_at="2026-03-03T17:00:00Z",
        end_at="2026-03-03T19:00:00Z",
        limit_w=40000,
        note="DSO event 4711",
    )

    circuit: Annotated[str, Field(max_length=48)]
    begin_at: InstantIn
    end_at: InstantIn
    limit_a: PhaseLimits | Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] | None = (
        None
    )
    limit_w: Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)] | None = None
    note: Annotated[Text, Field(max_length=200)] = ""


class SignalOut(Answer):
    """A signal, and whether it holds now."""

    model_config = example(
        id="dso-4711",
        circuit="main",
        begin_at="2026-03-03T17:00:00.000Z",
        end_at="2026-03-03T19:00:00.000Z",
        limit_a=None,
        limit_w=40000.0,
        note="DSO event 4711",
        in_force=False,
    )

    id: str
    circuit: str
    begin_at: Instant
    end_at: Instant
    limit_a: Phases | None
    limit_w: Number | None
    note: str
    in_force: bool


class Signals(Answer):
    """All signals that have not ended."""

    model_config = example(items=[])

    items: list[SignalOut]


class DemandOut(Answer):
    """A demand limit, and what has been measured."""

    model_config = example(
        circuit="main",
        interval_s=900.0,
        limit_w=80000.0,
        threshold_w=84000.0,
        interval_energy_wh=9100.0,
        allowed_w=71000.0,
        month="2026-03",
        peak_w=84000.0,
    )

    circuit: str
    interval_s: Number
    limit_w: Number
    threshold_w: Number
    """The limit, or the month's peak where that is higher and counts. [W]"""
    interval_energy_wh: Number
    """Of the running interval so far. [Wh]"""
    allowed_w: Number
    """Mean power that the rest of the interval may have. [W]"""
    month: str
    peak_w: Number
    """Highest mean power of an interval this month. [W]"""


class Demand(Answer):
    """All demand limits."""

    model_config = example(items=[])

    items: list[DemandOut]


class PlannedEvse(Answer):
    """What is planned for an EVSE."""

    model_config = example(
        evse="CP07/1",
        departure_at="2026-03-03T15:00:00.000Z",
        stated=True,
        need_wh=40000.0,
        expected_wh=31000.0,
        feasible=False,
        text="CP07/1 will leave with 31 of 40 kWh: garage-a is full from 06:10.",
        target_a=16.0,
        note="goes on",
        current_a=[16.0, 16.0, 9.5],
    )

    evse: str
    departure_at: Instant
    stated: bool
    """Whether departure and need were told; otherwise both are typical values."""
    need_wh: Number
    expected_wh: Number
    feasible: bool
    text: str
    target_a: Number | None
    """What the policy asks for it now; null: nothing in particular. [A]"""
    note: str
    current_a: list[Number]
    """Planned mean per slot. [A]"""


class PlannedCircuit(Answer):
    """What is planned for a circuit, per phase and slot."""

    model_config = example(
        circuit="main",
        limit_a={"l1": [63.0], "l2": [63.0], "l3": [63.0]},
        building_a={"l1": [20.0], "l2": [18.0], "l3": [22.0]},
        charging_a={"l1": [40.0], "l2": [40.0], "l3": [38.0]},
    )

    circuit: str
    limit_a: dict[str, list[Number]]
    building_a: dict[str, list[Number]]
    """Expected. [A]"""
    charging_a: dict[str, list[Number]]
    """Planned. [A]"""


class PlanOut(Answer):
    """The hours to come."""

    model_config = example(
        made_at="2026-03-03T06:00:00.000Z",
        policy="cheapest",
        slot_begin_at=["2026-03-03T06:00:00.000Z"],
        slot_s=[900.0],
        price_per_kwh=[0.21],
        price_note="",
        energy_wh=182000.0,
        cost=31.4,
        cost_at_once=40.2,
        evses=[],
        circuits=[],
    )

    made_at: Instant | None
    """When it was made; null: there is no plan yet, or the planner failed (see the alarms)."""
    policy: Policy
    slot_begin_at: list[Instant]
    slot_s: list[Number]
    price_per_kwh: list[Number] | None
    price_note: str
    """What prices were missing and how that was filled."""
    energy_wh: Number
    """All that is planned. [Wh]"""
    cost: Number | None
    """Of that, in the currency of the prices."""
    cost_at_once: Number | None
    """What charging at once would cost instead; null where nothing is put off."""
    evses: list[PlannedEvse]
    circuits: list[PlannedCircuit]
