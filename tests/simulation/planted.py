"""Twelve defects, each as somebody might write it one day. The campaign must find every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from controller import assess, baseload, dispatch, draw, due, ledger, persist, quiet
from controller.commands import CommandOutcome, TimedOut
from controller.decision import SiteMode
from controller.ledger import Account, Grant
from controller.memory import CircuitMemory, Memory
from controller.phases import PHASES, PhaseCurrents, PhaseRotation, PhaseSet
from controller.site import Evse
from controller.station import EvseView, StationView

Patch = tuple[Any, str, Any]


def ledger_lowered_on_timeout() -> list[Patch]:
    """A command without an answer is forgotten."""
    true = ledger.booked

    def booked(account: Account, outcome: CommandOutcome) -> Account:
        if isinstance(outcome.result, TimedOut):
            kept = tuple(g for g in account.grants if g.sent_s != outcome.sent_s)
            return replace(account, grants=kept)
        return true(account, outcome)

    return [(ledger, "booked", booked)]


def lease_without_fallback() -> list[Patch]:
    """A limit is raised although nothing is known to lie beneath its lease."""
    true = dispatch._may_rise

    def may_rise(case: Any, *rest: Any) -> bool:
        view = replace(case.draw.view, fallback_a=case.draw.evse.fallback_a)
        return true(replace(case, draw=replace(case.draw, view=view)), *rest)

    return [(dispatch, "_may_rise", may_rise)]


def increase_before_decrease() -> list[Patch]:
    """A decrease pays for an increase as soon as it is sent."""

    def committed_a(account: Account, **_: float) -> float:
        latest = account.latest
        return latest.limit_a if latest is not None else _["without_grant_a"]

    return [(ledger, "committed_a", committed_a)]


def nan_accepted() -> list[Patch]:
    """What is no number passes for a sample."""
    return [(PhaseCurrents, "is_finite", lambda self: True)]


def one_phase_ignored() -> list[Patch]:
    """The building counts on two phases."""
    true = baseload.value

    def value(base: baseload.BaseLoad) -> PhaseCurrents:
        return replace(true(base), l2_a=0.0)

    return [(baseload, "value", value)]


def stale_meter_used() -> list[Patch]:
    """The age of a reading does not matter."""
    return [(assess, "_rung", lambda age_s, policy: SiteMode.NORMAL)]


def recovery_jump() -> list[Patch]:
    """As soon as the meter is back everything is as before."""

    def climbed(before: CircuitMemory, rung: SiteMode, **_: Any) -> CircuitMemory:
        return replace(before, worst=SiteMode.NORMAL, good_since_s=None)

    return [(assess, "_climbed", climbed)]


def rotation_skipped() -> list[Patch]:
    """Every EVSE is taken to be wired straight."""

    def to_grid(self: PhaseRotation, terminal_a: tuple[float, float, float]) -> PhaseCurrents:
        return PhaseCurrents(l1_a=terminal_a[0], l2_a=terminal_a[1], l3_a=terminal_a[2])

    def grid_phases(self: Evse) -> PhaseSet:
        return PHASES[: self.phases]

    return [
        (PhaseRotation, "to_grid", to_grid),
        (Evse, "grid_phases", property(grid_phases)),
    ]


def clock_jump_trusted() -> list[Patch]:
    """How long we were down is what the wall clock says."""
    true = persist._evse_in

    def evse_in(data: Mapping[str, Any], zero_s: float, *, now_s: float) -> Any:
        return true(data, zero_s, now_s=zero_s)

    return [(persist, "_evse_in", evse_in)]


def skew_ignored() -> list[Patch]:
    """Leases end by our clock, to the second."""
    true = due.ledger_instants_s

    def is_over(self: Grant, now_s: float) -> bool:
        return self.until_s is not None and now_s > self.until_s

    def instants_s(account: Account, settle_s: float) -> Iterator[float]:
        yield from true(account, settle_s)
        yield from (g.until_s + due.AFTER_S for g in account.grants if g.until_s is not None)

    return [
        (Grant, "is_over", is_over),
        (due, "ledger_instants_s", instants_s),
        (quiet, "ledger_instants_s", instants_s),
    ]


def restart_forgets_limits() -> list[Patch]:
    """After a restart nothing is known of what stations were granted."""
    true = persist.memory_from_text

    def memory_from_text(text: str, **rest: Any) -> Memory:
        return replace(true(text, **rest), evses={})

    return [(persist, "memory_from_text", memory_from_text)]


def offline_station_counted_as_zero() -> list[Patch]:
    """Who cannot be reached draws nothing."""
    true = draw._without_grant_a

    def without_grant_a(evse: Evse, station: StationView, view: EvseView, now_s: float) -> float:
        return true(evse, station, view, now_s) if station.connected else 0.0

    return [(draw, "_without_grant_a", without_grant_a)]


DEFECTS: Mapping[str, Callable[[], list[Patch]]] = {
    defect.__name__: defect
    for defect in (
        ledger_lowered_on_timeout,
        lease_without_fallback,
        increase_before_decrease,
        nan_accepted,
        one_phase_ignored,
        stale_meter_used,
        recovery_jump,
        rotation_skipped,
        clock_jump_trusted,
        skew_ignored,
        restart_forgets_limits,
        offline_station_counted_as_zero,
    )
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant a defect for a while."""
    patches = [mock.patch.object(*patch) for patch in DEFECTS[name]()]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
