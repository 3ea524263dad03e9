"""Signals of the grid operator."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller.phases import PhaseCurrents
from controller.signals import GridSignal, SignalError, check_signal, limits_in_force
from controller.site import CircuitId
from tests.controller.builders import a_site

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MAIN = CircuitId("main")
A_SIGNAL = GridSignal(
    id="dso-1",
    circuit=MAIN,
    begin_at=NOW,
    end_at=NOW + timedelta(hours=1),
    limit_a=PhaseCurrents.balanced(40),
)


def test_a_signal_holds_from_its_begin_to_its_end() -> None:
    instants = [NOW - timedelta(seconds=1), NOW, NOW + timedelta(hours=1)]

    assert [bool(limits_in_force([A_SIGNAL], at, 230)) for at in instants] == [False, True, False]


def test_of_two_signals_the_lower_counts_phase_by_phase() -> None:
    other = replace(A_SIGNAL, limit_a=PhaseCurrents(l1_a=10, l2_a=50, l3_a=50))

    limits = limits_in_force([A_SIGNAL, other], NOW, 230)

    assert limits == {MAIN: PhaseCurrents(l1_a=10, l2_a=40, l3_a=40)}


def test_a_total_is_kept_whatever_the_phases() -> None:
    total = replace(A_SIGNAL, limit_a=None, limit_w=20_700.0)

    assert limits_in_force([total], NOW, 230) == {MAIN: PhaseCurrents.balanced(30)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"circuit": CircuitId("nowhere")}, "there are main"),
        ({"end_at": NOW}, "after begin_at"),
        ({"limit_w": 5.0}, "one of both"),
        ({"limit_a": None}, "one of both"),
        ({"limit_a": PhaseCurrents.balanced(float("nan"))}, "finite"),
        ({"begin_at": NOW - timedelta(days=2), "end_at": NOW - timedelta(days=1)}, "ended"),
    ],
)
def test_a_bad_signal_is_refused_with_a_reason(change: dict[str, object], reason: str) -> None:
    signal = replace(A_SIGNAL, **change)  # type: ignore[arg-type]

    with pytest.raises(SignalError, match=reason):
        check_signal(signal, a_site(), NOW)
