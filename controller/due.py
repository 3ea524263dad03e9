"""When a decision would turn out differently although nothing new was heard.

Every comparison with the clock in a decision has the form `now - since >= threshold`. Between two
such instants the same inputs give the same decision, so it need not be taken again. An instant is
told a little early: a decision too many costs time, one too few would be a defect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from controller.draw import (
    ACTIVE_STATES,
    UNKNOWN_TRANSACTION_S,
    believe_after_s,
    followed_from_s,
    governed_from_s,
)
from controller.ledger import FOLLOW_S, LEASE_GUARD_S, Account
from controller.memory import EvseMemory
from controller.policy import Policy
from controller.station import EvseView

EARLY_S = 1e-6
"""More than rounding can shift an instant. [s]"""
AFTER_S = 2e-6
"""Added to the instant of a comparison that turns out differently only after it: `>`, not `>=`. [s]"""


def first_due_s(instants_s: Iterable[float], now_s: float) -> float:
    """Return the earliest instant that is not surely over. [s]

    One that is exactly now is over: what was decided now has seen it.
    """
    soonest_s, limit_s = inf, now_s - EARLY_S
    for instant_s in instants_s:
        if limit_s <= instant_s < soonest_s and instant_s != now_s:
            soonest_s = instant_s
    return soonest_s - EARLY_S


def step_instants_s(
    memory: EvseMemory, view: EvseView, policy: Policy, *, settle_s: float
) -> Iterator[float]:
    """Yield the instants at which an EVSE's draw, demand or obedience may be judged differently. [s]

    Without those of the sample's age.
    """
    if view.fallback_since_s is not None:
        yield view.fallback_since_s + settle_s
    yield from state_instants_s(view)
    yield from learning_instants_s(memory, policy)
    yield from ledger_instants_s(memory.account, settle_s)


def fading_instants_s(view: EvseView, policy: Policy) -> Iterator[float]:
    """Yield when a sample is believed less, and no more. [s]"""
    if view.sample is not None:
        yield view.sample.taken_s + policy.sample_stale_s + AFTER_S
        yield view.sample.taken_s + believe_after_s(policy) + AFTER_S


def fresh_for_s(policy: Policy) -> float:
    """Return until what age a sample is believed fully. [s]"""
    return min(policy.sample_stale_s, believe_after_s(policy))


def sample_due_s(
    memory: EvseMemory, view: EvseView, policy: Policy, *, settle_s: float, now_s: float
) -> float:
    """Return from when on a sample with the same values may be judged differently; -inf: at once. [s]

    One that is believed less by now would be believed if it came again.
    """
    sample = view.sample
    if sample is None or now_s - sample.taken_s >= fresh_for_s(policy):
        return -inf
    judged_s = _judged_from_s(memory, view, policy, settle_s)
    return min((at_s for at_s in judged_s if at_s > sample.taken_s), default=inf)


def _judged_from_s(
    memory: EvseMemory, view: EvseView, policy: Policy, settle_s: float
) -> Iterator[float]:
    """Yield the instants that the time of a sample is compared with. [s]"""
    grants = memory.account.grants
    if grants:
        yield max(map(followed_from_s, grants)) + settle_s
    governed_s = governed_from_s(memory, view, settle_s)
    if governed_s is not None:
        yield governed_s
    if memory.over_since_s is not None:
        yield memory.over_since_s + policy.disobey_after_s


def state_instants_s(view: EvseView) -> Iterator[float]:
    """Yield when a state without a known transaction is taken seriously. [s]"""
    if view.transaction is None and view.state in ACTIVE_STATES:
        yield view.state_since_s + UNKNOWN_TRANSACTION_S


def learning_instants_s(memory: EvseMemory, policy: Policy) -> Iterator[float]:
    """Yield when a vehicle's demand or its station's obedience is believed. [s]"""
    if memory.under_since_s is not None:
        yield memory.under_since_s + policy.reclaim_after_s
    if memory.disobeys and memory.obeyed_since_s is not None:
        yield memory.obeyed_since_s + policy.obey_for_s


def ledger_instants_s(account: Account, settle_s: float) -> Iterator[float]:
    """Yield when grants end, may have ended, or have surely taken effect. [s]"""
    for grant in account.grants:
        if grant.until_s is not None:
            yield grant.until_s + LEASE_GUARD_S + FOLLOW_S + AFTER_S
            yield grant.until_s - LEASE_GUARD_S + AFTER_S
        if grant.confirmed_s is not None:
            yield grant.confirmed_s + settle_s
