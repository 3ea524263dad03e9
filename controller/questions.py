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

OPENS_WITHIN_S = 5.0
"""So long after a fault or the end of a session a sample may still have been taken with the contactor closed. [s]"""
LOOK_FOR_S = 60.0
"""So long after the end of a session a station is asked whether current still flows. [s]"""


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
        view = draw.view
        is_doubtful = is_unseen_fault(view) or is_unseen_end(view, snapshot.now_s)
        is_asked = draw.is_charging or is_doubtful
        if not draw.connected or not is_asked or draw.evse.is_load:
            continue
        sample = view.sample
        heard_s = sample.taken_s if sample is not None else 0.0
        asked_s = memory.evse(evse).asked_s
        since_s = heard_s if asked_s is None else max(heard_s, asked_s)
        is_silent = snapshot.now_s - since_s >= policy.ask_after_s
        proof_s = proof_due_s(memory.evse(evse), policy)
        if is_silent or (proof_s is not None and since_s < proof_s <= snapshot.now_s):
            waiting.append((heard_s, evse))
    most = max(1, floor(policy.calls_per_s * policy.interval_s / 2))
    return tuple(evse for _, evse in sorted(waiting)[:most])


def is_unseen_fault(view: EvseView) -> bool:
    """Tell whether an EVSE reports a fault and has not shown since then whether current flows."""
    if view.faulted_since_s is None:
        return False
    return view.sample is None or view.sample.taken_s <= view.faulted_since_s + OPENS_WITHIN_S


def is_unseen_end(view: EvseView, now_s: float) -> bool:
    """Tell whether current flowed when an EVSE where nobody charges was heard last.

    As a rule that was before its transaction ended, and is counted until the sample is stale. One that
    carries current after that is asked on; one that never answers is left alone after a while.
    """
    sample = view.sample
    if view.transaction is not None or view.state not in CALM_STATES:
        return False
    if sample is None or sample.value.terminal_a is None or max(sample.value.terminal_a) <= FLOWS_A:
        return False
    ended_s = view.state_since_s
    return sample.taken_s > ended_s + OPENS_WITHIN_S or now_s < ended_s + LOOK_FOR_S


def proof_due_s(memory: EvseMemory, policy: Policy) -> float | None:
    """Return when one more sample proves that an EVSE disobeys; it is asked for, not awaited. [s]"""
    if memory.over_since_s is None or memory.disobeys:
        return None
    return memory.over_since_s + policy.disobey_after_s
