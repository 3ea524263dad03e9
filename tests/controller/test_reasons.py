"""The log of what limited an EVSE when."""

from __future__ import annotations

from dataclasses import replace

from controller.decision import Plan, Reason, ReasonCode
from controller.reasons import ReasonLog
from tests.fakes.control import FakeControl, an_evse_status


def a_plan(*, at_s: float, bound_by: str) -> Plan:
    control = FakeControl()
    (evse, *_) = control.site.evses()
    reason = Reason(code=ReasonCode.CIRCUIT_FULL, text=f"at {at_s}", bound_by=bound_by)
    control.publish(now_s=at_s, evses={evse.id: an_evse_status(evse, reason=reason)})
    plan = control.plan()
    assert plan is not None
    return plan


def test_only_changes_are_kept_and_handed_over_once() -> None:
    log = ReasonLog()
    for at_s, bound_by in ((1000, "a L1"), (1002, "a L1"), (1010, "a L2"), (1012, "a L2")):
        log.see(a_plan(at_s=at_s, bound_by=bound_by))

    assert [c.bound_by for c in log.drain()] == ["a L1", "a L2"]
    assert log.drain() == ()


def test_a_reason_that_flickers_is_not_written_down_each_cycle() -> None:
    log = ReasonLog()
    for number in range(100):
        log.see(a_plan(at_s=1000 + 2.0 * number, bound_by=f"a L{number % 2}"))

    assert 40 > len(log.drain()) > 10


def test_without_a_store_the_oldest_go() -> None:
    log = ReasonLog(capacity=3)
    plan = a_plan(at_s=1000, bound_by="")
    for number in range(9):
        log.see(replace(a_plan(at_s=1000 + 10 * number, bound_by=f"c{number}"), at=plan.at))

    assert [c.bound_by for c in log.drain()] == ["c6", "c7", "c8"]
