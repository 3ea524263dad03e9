"""Memory and overrides survive a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller import baseload, persist
from controller.ledger import GrantState
from controller.memory import Memory
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.site import CircuitId, EvseId
from tests.controller.test_decide import a_bench

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
EVSE = EvseId("CP001/1")


def a_memory() -> tuple[Memory, float]:
    bench = a_bench().plug_in()
    bench.run(60)
    return bench.memory, bench.now_s


@pytest.mark.parametrize("down_s", [20, 86_400])
def test_grants_keep_their_lease_over_a_restart_whatever_the_wall_clock_says(down_s: int) -> None:
    """A clock that jumped a day ahead while we were down must not end leases that stations hold."""
    memory, now_s = a_memory()
    text = persist.memory_to_text(memory, now_s=now_s, at=AT)

    restored = persist.memory_from_text(text, now_s=5.0, at=AT + timedelta(seconds=down_s))

    before = memory.evse(EVSE).account.latest
    after = restored.evse(EVSE).account.latest
    assert before is not None
    assert after is not None
    assert before.until_s is not None
    assert after.until_s == pytest.approx(before.until_s - now_s + 5.0)
    assert after.limit_a == before.limit_a
    assert restored.evse(EVSE).transaction == memory.evse(EVSE).transaction


@pytest.mark.parametrize(("down_s", "is_kept"), [(30, True), (1000, False)])
def test_the_buildings_load_is_known_again_after_a_short_stop(down_s: int, is_kept: bool) -> None:
    memory, now_s = a_memory()
    text = persist.memory_to_text(memory, now_s=now_s, at=AT)

    restored = persist.memory_from_text(text, now_s=5.0, at=AT + timedelta(seconds=down_s))

    base = restored.circuit(CircuitId("main")).base
    assert (base is not None) is is_kept
    assert base is None or list(baseload.value(base)) == pytest.approx([20.0] * 3)


def test_a_wall_clock_that_went_back_does_not_make_leases_longer() -> None:
    memory, now_s = a_memory()
    text = persist.memory_to_text(memory, now_s=now_s, at=AT)

    restored = persist.memory_from_text(text, now_s=now_s, at=AT - timedelta(hours=2))

    assert restored.evse(EVSE).account.latest == memory.evse(EVSE).account.latest


def test_a_command_on_its_way_is_uncertain_after_the_restart() -> None:
    bench = a_bench().plug_in()
    while not bench.memory.evse(EVSE).account.in_flight:
        bench.step()
    text = persist.memory_to_text(bench.memory, now_s=bench.now_s, at=AT)

    restored = persist.memory_from_text(text, now_s=bench.now_s, at=AT)

    assert restored.evse(EVSE).account.grants[-1].state is GrantState.UNCERTAIN


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "memory/9"}', "null", '{"format": 1'])
def test_a_damaged_memory_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        persist.memory_from_text(text, now_s=0.0, at=AT)


def test_overrides_come_back_as_they_were() -> None:
    overrides = Overrides(
        circuit_limit_a={CircuitId("main"): PhaseCurrents(l1_a=40.0, l2_a=50.0, l3_a=60.0)},
        evses={EVSE: EvseOverride(priority=2, max_a=16.0, paused=True, departure_at=AT)},
    )

    assert persist.overrides_from_text(persist.overrides_to_text(overrides)) == overrides


def test_the_line_and_the_account_survive_a_restart() -> None:
    memory, now_s = a_memory()
    turn = replace(memory.turn(EVSE), surplus_ah=-2.5)
    memory = replace(memory, turns={EVSE: turn})
    text = persist.memory_to_text(memory, now_s=now_s, at=AT)

    restored = persist.memory_from_text(text, now_s=5.0, at=AT + timedelta(seconds=20)).turn(EVSE)

    assert turn.in_line_s is not None
    assert restored.in_line_s == pytest.approx(turn.in_line_s - now_s + 5.0 - 20.0)
    assert (restored.transaction, restored.surplus_ah) == (turn.transaction, -2.5)


def test_a_memory_of_a_version_without_turns_is_read() -> None:
    memory, now_s = a_memory()
    data = json.loads(persist.memory_to_text(memory, now_s=now_s, at=AT))
    del data["turns"]
    for evse in data["evses"].values():
        del evse["ran"]

    restored = persist.memory_from_text(json.dumps(data), now_s=5.0, at=AT)

    assert (restored.turns, len(restored.evses)) == ({}, len(memory.evses))
