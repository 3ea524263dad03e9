"""What a rise must be worth for a command: nothing is wasted, and nobody is told every tenth.

A rise that matters is told at once. A smaller one is told with the renewal of the lease, which goes
out anyway, and before that once what would have been lost is worth a command: the gap times the
time since the last one. Only a few are topped up in one cycle, and only from what nobody else is
committed to: for a small rise nobody gives way.
"""

from __future__ import annotations

from controller.policy import Policy

LEAST_SHARE = 0.04
"""For small limits a rise of this share is enough, if that is below the dead band."""
LEAST_RISE_A = 0.05
TOP_UP_WORTH_AS = 15.0
"""A smaller rise is worth a command once so much would have been lost: 0.3 A after 50 s. [As]"""
TOP_UP_SHARE = 8
"""At most one in so many of a cycle's calls."""


def is_worth_a_command(gap_a: float, target_a: float, policy: Policy) -> bool:
    """Tell whether a rise of `gap_a` to `target_a` is told at once. [A]"""
    return gap_a >= _dead_band_a(target_a, policy) and gap_a > LEAST_RISE_A


def is_worth_topping_up(gap_a: float, commanded_s: float | None, now_s: float) -> bool:
    """Tell whether so much has been lost since its last command that a small rise is worth one."""
    return gap_a > 0 and now_s >= top_up_s(gap_a, commanded_s)


def top_up_s(gap_a: float, commanded_s: float | None) -> float:
    """Return when a gap above 0 is worth a command, by the controller's clock. [s]"""
    return commanded_s + TOP_UP_WORTH_AS / gap_a if commanded_s is not None else 0.0


def least_gain_a(gap_a: float, target_a: float, step_a: float, policy: Policy) -> float:
    """Return the least part of a gap that is worth giving, where not all of it can be paid for. [A]"""
    return min(_dead_band_a(target_a, policy), max(step_a, gap_a / 2))


def top_ups_at_once(calls: int) -> int:
    """Return how many are topped up in a cycle of so many calls."""
    return max(1, calls // TOP_UP_SHARE)


def _dead_band_a(target_a: float, policy: Policy) -> float:
    return min(policy.increase_dead_band_a, LEAST_SHARE * target_a)
