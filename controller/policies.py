"""Policies by name: each a composition of the same four terms, tier, weight, target and cap.

equal_share   nothing is asked: the allocator shares equally and lets vehicles take turns;
first_come    tiers by arrival, and targets that fill up one vehicle after the other;
priority      weights by priority class; who is started first is the turns' matter, priority included;
least_laxity  targets of the horizon plan, turns by the roster: who has least time goes first;
cheapest      the same with prices, and caps that wait for cheaper hours as long as all is in time;
solar_first   the same with the forecast of the site's own surplus in the place of prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from controller.guidance import EvseGuidance
from controller.outlook import Terms
from controller.roster import Room, TurnRules, filled_in_order, roster
from controller.site import CircuitId, EvseId
from controller.visit import Visit

PRIORITY_CLASSES: Mapping[str, int] = {"low": -10, "normal": 0, "high": 10, "urgent": 20}
"""Named classes on the integer scale of `priority`."""
CLASS_STEP = 10
PRICE_FACTOR = 0.6
"""What the dearest slot loses against the cheapest; less than 1, so energy comes before price."""


class PolicyName(Enum):
    """What a facility manager picks."""

    EQUAL_SHARE = "equal_share"
    FIRST_COME = "first_come"
    PRIORITY = "priority"
    LEAST_LAXITY = "least_laxity"
    CHEAPEST = "cheapest"
    SOLAR_FIRST = "solar_first"

    @property
    def looks_ahead(self) -> bool:
        """Whether it needs the horizon plan."""
        return self in (PolicyName.LEAST_LAXITY, PolicyName.CHEAPEST, PolicyName.SOLAR_FIRST)

    @property
    def waits_for_price(self) -> bool:
        """Whether it may put charging off though there is room."""
        return self in (PolicyName.CHEAPEST, PolicyName.SOLAR_FIRST)


def class_of(priority: int) -> str:
    """Return the named class that a priority belongs to."""
    names = [name for name, least in PRIORITY_CLASSES.items() if priority >= least]
    return names[-1] if names else "low"


def terms_for(policy: PolicyName) -> Terms:
    """Return the weights of the horizon program."""
    if policy.waits_for_price:
        return replace(Terms(), price_factor=PRICE_FACTOR)
    return Terms()


def composed(
    policy: PolicyName,
    visits: Sequence[Visit],
    *,
    wish_a: Mapping[EvseId, float],
    rooms: Mapping[CircuitId, Room],
    rules: TurnRules,
) -> dict[EvseId, EvseGuidance]:
    """Say what a policy asks for every vehicle.

    Args:
        policy: Which one.
        visits: The vehicles.
        wish_a: What the horizon plan gives them now; empty for policies that do not look ahead. [A]
        rooms: What the circuits leave.
        rules: Promises about turns.
    """
    match policy:
        case PolicyName.EQUAL_SHARE:
            return {}
        case PolicyName.FIRST_COME:
            order = sorted(visits, key=lambda v: (-v.here_h, v.evse))
            targets = filled_in_order(order, rooms)
            return {
                v.evse: EvseGuidance(
                    target_a=targets[v.evse], tier=n, note=f"is number {n + 1} to come"
                )
                for n, v in enumerate(order)
            }
        case PolicyName.PRIORITY:
            return _by_class(visits)
        case PolicyName.LEAST_LAXITY:
            return roster(visits, wish_a=wish_a, rooms=rooms, rules=rules)
        case PolicyName.CHEAPEST | PolicyName.SOLAR_FIRST:
            return _waiting_for_price(policy, visits, wish_a, rooms, rules)


def _by_class(visits: Iterable[Visit]) -> dict[EvseId, EvseGuidance]:
    guidance = {}
    for visit in visits:
        step = PRIORITY_CLASSES[class_of(visit.priority)] // CLASS_STEP
        guidance[visit.evse] = EvseGuidance(
            weight=2.0**step, note=f"has priority {class_of(visit.priority)}"
        )
    return guidance


def _waiting_for_price(
    policy: PolicyName,
    visits: Sequence[Visit],
    wish_a: Mapping[EvseId, float],
    rooms: Mapping[CircuitId, Room],
    rules: TurnRules,
) -> dict[EvseId, EvseGuidance]:
    """Hold back those whose charge can wait; nobody is made to wait who did not say how long."""
    reason = "cheaper hours" if policy is PolicyName.CHEAPEST else "the sun"
    late = [v for v in visits if v.stated and wish_a.get(v.evse, 0.0) < v.min_a / 2]
    held = {v.evse for v in late}
    now = [v for v in visits if v.evse not in held]
    guidance = roster(now, wish_a=wish_a, rooms=rooms, rules=rules)
    for visit in now:
        if visit.stated:
            most_a = max(visit.min_a, wish_a.get(visit.evse, 0.0) + visit.step_a)
            asked = guidance[visit.evse]
            guidance[visit.evse] = replace(
                asked, cap_a=most_a, target_a=min(asked.target_a or 0.0, most_a)
            )
    waits = EvseGuidance(target_a=0.0, cap_a=0.0, tier=len(visits), note=f"waits for {reason}")
    return guidance | dict.fromkeys(held, waits)
