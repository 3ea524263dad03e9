"""When an EVSE may be spoken to, and when it must be: retries, renewals, the next rise."""

from __future__ import annotations

from functools import lru_cache
from math import floor
from zlib import crc32

from controller.ledger import Account, Grant
from controller.memory import Memory
from controller.policy import Policy
from controller.site import EvseId

RETRY_S = 5.0
"""An unanswered or refused command is repeated after this time, twice; then longer every time. [s]"""
RETRY_MOST_S = 120.0
RENEWAL_SLOT_S = 10.0
LEAST_SHARE = 0.3
"""No lease is renewed before so much of it is over."""
OVERTAKE_S = 1.0
"""A lower limit may overtake one whose answer is outstanding after this time. [s]"""


def retry_wait_s(account: Account) -> float:
    """Return how long an EVSE is left alone after refusals and silences. [s]"""
    troubles = account.refusals + account.timeouts
    return min(RETRY_S * 2.0 ** max(0, troubles - 2), RETRY_MOST_S) if troubles else 0.0


def renewal_s(grant: Grant, evse: EvseId, policy: Policy) -> float:
    """Return when a lease is due for renewal, by the controller's clock. [s]

    Leases that were granted together are renewed apart; those of one slot go in one cycle, so that
    most cycles have nothing to send.
    """
    latest_s = grant.sent_s + policy.lease_s * (0.4 + 0.1 * _spread(evse))
    slot_s = floor(latest_s / RENEWAL_SLOT_S) * RENEWAL_SLOT_S
    return max(slot_s, grant.sent_s + LEAST_SHARE * policy.lease_s)


def is_renewal_due(grant: Grant, evse: EvseId, policy: Policy, now_s: float) -> bool:
    """Tell whether a lease is due for renewal; most are too young, whatever their slot."""
    if now_s < grant.sent_s + LEAST_SHARE * policy.lease_s:
        return False
    return now_s >= renewal_s(grant, evse, policy)


@lru_cache(maxsize=4096)
def _spread(evse: EvseId) -> float:
    """Return where in its span an EVSE's renewals lie, 0 to 1."""
    return (crc32(evse.encode()) % 1000) / 1000


def next_rise_s(memory: Memory, policy: Policy, now_s: float) -> float | None:
    """Return when the first of those that shall have more may be told so, if later than now. [s]"""
    found = []
    for remembered in memory.evses.values():
        account, latest = remembered.account, remembered.account.latest
        if latest is None or remembered.setpoint_a - latest.limit_a < policy.increase_dead_band_a:
            continue
        times_s = [account.commanded_s, account.raised_s]
        waits_s = [policy.command_interval_s, policy.increase_interval_s]
        at_s = max(
            (t + w for t, w in zip(times_s, waits_s, strict=True) if t is not None), default=now_s
        )
        if at_s > now_s:
            found.append(at_s)
    return min(found, default=None)
