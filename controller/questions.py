"""Who is asked for its meter values, and when."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

from controller.draw import CALM_STATES, FLOWS_A, Draw
from controller.memory import EvseMemory, Memory
from controller.policy import Policy
from controller.site import EvseId
from controller.snapshot import Snapshot
from controller.station import EvseView
from controller.values import replace
from controller.wishes import view_of

OPENS_WITHIN_S = 10.0
"""So long after the end of a session a sample may still have been taken with the contactor closed. [s]"""
UNANSWERED_MOST = 2
"""So often a station without a session is asked in vain; a third silence would end its connection."""


def overdue(
    snapshot: Snapshot, draws: Mapping[EvseId, Draw], memory: Memory, policy: Policy
) -> tuple[EvseId, ...]:
    """Return EVSEs to be asked for their meter values, the longest silent first.

    Some stations send nothing before their next interval, or nothing by themselves; and many send
    nothing outside a transaction, so that after it, or after a fault, nobody would know whether current
    still flows.
    """
    waiting: list[tuple[float, EvseId]] = []
    for evse, draw in draws.items():
        view, remembered = draw.view, memory.evse(evse)
        is_asked = draw.is_charging or (is_doubtful(view) and _may_answer(view, remembered))
        if not draw.connected or not is_asked or draw.evse.is_load:
            continue
        sample = view.sample
        heard_s = sample.taken_s if sample is not None else 0.0
        asked_s = remembered.asked_s
        since_s = heard_s if asked_s is None else max(heard_s, asked_s)
        is_silent = snapshot.now_s - since_s >= policy.ask_after_s
        proof_s = proof_due_s(remembered, policy)
        if is_silent or (proof_s is not None and since_s < proof_s <= snapshot.now_s):
            waiting.append((heard_s, evse))
    most = max(1, floor(policy.calls_per_s * policy.interval_s / 2))
    return tuple(evse for _, evse in sorted(waiting)[:most])


def is_doubtful(view: EvseView) -> bool:
    """Tell whether current may flow where nobody charges.

    So it is when an EVSE that reports a fault has not shown since then that none flows; and when current
    flowed while an EVSE without a transaction was heard last. As a rule that was before the transaction
    ended, and is counted until the sample is stale.
    """
    sample = view.sample
    terminal_a = sample.value.terminal_a if sample is not None else None
    flows = terminal_a is not None and max(terminal_a) > FLOWS_A
    if view.faulted_since_s is not None:
        is_old = sample is None or sample.taken_s < view.faulted_since_s
        return is_old or flows
    return flows and view.transaction is None and view.state in CALM_STATES


def asked(memory: EvseMemory, snapshot: Snapshot, evse: EvseId) -> EvseMemory:
    """Return what is remembered once an EVSE is asked for its meter values now."""
    view = view_of(snapshot, evse)
    is_silent = view is None or not _has_answered(view, memory)
    unanswered = memory.unanswered + 1 if is_silent else 1
    return replace(memory, asked_s=snapshot.now_s, unanswered=unanswered)


def _has_answered(view: EvseView, memory: EvseMemory) -> bool:
    return memory.asked_s is None or (
        view.sample is not None and view.sample.taken_s > memory.asked_s
    )


def _may_answer(view: EvseView, memory: EvseMemory) -> bool:
    return memory.unanswered < UNANSWERED_MOST or _has_answered(view, memory)


def proof_due_s(memory: EvseMemory, policy: Policy) -> float | None:
    """Return when one more sample proves that an EVSE disobeys; it is asked for, not awaited. [s]"""
    if memory.over_since_s is None or memory.disobeys:
        return None
    return memory.over_since_s + policy.disobey_after_s
