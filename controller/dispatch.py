"""From targets to commands: decreases first, increases only when paid for, leases renewed in time.

An increase is sent only if every circuit on the way carries it *together with everything that is
still committed to others*. A decrease therefore pays for an increase only once the ledger has let go
of it: confirmed by the station, with time to act (invariant I2).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, inf

from controller import ledger
from controller.assess import Assessment
from controller.case import Case, case_of, command_of
from controller.commands import SetLimit
from controller.decision import SiteMode, Wave
from controller.draw import Draw
from controller.ledger import Account, GrantState
from controller.memory import Memory
from controller.paying import paid_increases, purse_of
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from controller.station import LeaseMode
from controller.targets import Target
from controller.timing import OVERTAKE_S, is_renewal_due, retry_wait_s
from controller.worth import is_worth_a_command, is_worth_topping_up, top_ups_at_once


def dispatch(
    snapshot: Snapshot,
    *,
    targets: Mapping[EvseId, Target],
    draws: Mapping[EvseId, Draw],
    assessment: Assessment,
    memory: Memory,
    policy: Policy,
    reserve: Mapping[CircuitId, PhaseCurrents],
) -> tuple[Wave, dict[EvseId, Account]]:
    """Choose this cycle's commands; `reserve` is kept free for newcomers. [A]

    Returns:
        The commands, and the ledger pages with these commands booked.
    """
    cases = [case_of(draws[evse], target, memory, policy) for evse, target in targets.items()]
    now_s = snapshot.now_s
    ready = [c for c in cases if _may_command(c, now_s)]
    wants_more = any(_is_worth_rising(c, policy) for c in cases)
    decreases = [
        command_of(c, _decreased_a(c, assessment, snapshot), policy)
        for c in ready
        if _must_decrease(c, assessment, snapshot, policy, wants_more=wants_more)
    ]
    done = {c.evse for c in decreases}
    left = [c for c in ready if c.target.evse not in done]
    due = {
        c.target.evse
        for c in left
        if _is_renewal_due(c, _connected_since_s(snapshot, c), now_s, policy)
    }
    budget = max(1, floor(policy.calls_per_s * policy.interval_s))
    able = [c for c in left if c.gap_a > 0 and _may_rise(c, assessment, now_s, policy)]
    rising = [c for c in able if _is_worth_rising(c, policy)]
    rising += _topping_up(able, due, now_s, policy, most=top_ups_at_once(budget))
    purse = purse_of(snapshot, assessment, draws, memory, reserve) if rising else None
    increases = paid_increases(rising, purse, snapshot, assessment, policy) if purse else []
    done = {c.evse for c in increases}
    renewals = [
        command_of(
            c, min(c.held_a, _renewal_cap_a(c), _surely_held_a(c, assessment, snapshot)), policy
        )
        for c in left
        if c.target.evse in due and c.target.evse not in done
    ]
    renewals = sorted(renewals, key=lambda c: _lease_end(memory, c))[:budget]
    increases = increases[: max(0, budget - len(renewals))]
    wave = Wave(decreases=tuple(decreases), renewals=tuple(renewals), increases=tuple(increases))
    return wave, _booked(wave, snapshot, draws, memory)


def _booked(
    wave: Wave, snapshot: Snapshot, draws: Mapping[EvseId, Draw], memory: Memory
) -> dict[EvseId, Account]:
    booked = {}
    for command in (*wave.decreases, *wave.renewals, *wave.increases):
        station = snapshot.stations[draws[command.evse].evse.station]
        booked[command.evse] = ledger.granted(
            memory.evse(command.evse).account,
            command,
            now_s=snapshot.now_s,
            may_stay=station.lease_mode is LeaseMode.PERMANENT,
        )
    return booked


def _may_command(case: Case, now_s: float) -> bool:
    """Tell whether the EVSE may be spoken to: not right after a refusal or a silence."""
    account = case.account
    if account.commanded_s is None:
        return True
    if account.in_flight:
        in_flight_a = case.held_a
        is_lower = case.target.limit_a < in_flight_a - 0.5
        return is_lower and now_s - account.commanded_s > OVERTAKE_S
    return now_s - account.commanded_s >= retry_wait_s(account)


def _must_decrease(
    case: Case,
    assessment: Assessment,
    snapshot: Snapshot,
    policy: Policy,
    *,
    wants_more: bool,
) -> bool:
    gap_a = case.held_a - case.target.limit_a
    if gap_a < policy.decrease_dead_band_a - 1e-9:
        return False
    if wants_more or gap_a >= policy.increase_dead_band_a or case.target.limit_a == 0.0:
        return True
    return _is_short(case, assessment, snapshot)


def _is_short(case: Case, assessment: Assessment, snapshot: Snapshot) -> bool:
    """Tell whether a circuit on the way has more committed than it carries."""
    path = snapshot.site.path_to_root(case.draw.evse.circuit)
    headrooms = [assessment.circuits[circuit].headroom for circuit in path]
    return any(h.of(phase) < 0 for h in headrooms for phase in case.draw.phases)


def _decreased_a(case: Case, assessment: Assessment, snapshot: Snapshot) -> float:
    """Return the limit of a decrease. [A].

    What counts as committed is the most that may be in force; the station may really hold less:
    an older grant, or its fallback. While a circuit is short, a decrease from the one must not
    turn out to be an increase from the other.
    """
    if not _is_short(case, assessment, snapshot):
        return case.target.limit_a
    grants = case.account.grants
    lowest_a = min((g.limit_a for g in grants), default=case.draw.evse.fallback_a)
    if case.account.confirmed is None:
        lowest_a = min(lowest_a, case.draw.evse.fallback_a)
    return min(case.target.limit_a, lowest_a)


def _surely_held_a(case: Case, assessment: Assessment, snapshot: Snapshot) -> float:
    """Return what a renewal cannot raise while a circuit is short; else no bound. [A].

    A station that connected anew may have lost its limit, or outlived its lease while we were away:
    what is counted for it is then more than it holds.
    """
    latest = case.account.latest
    if latest is None or latest.sent_s >= _connected_since_s(snapshot, case):
        return inf
    return case.draw.evse.fallback_a if _is_short(case, assessment, snapshot) else inf


def _is_worth_rising(case: Case, policy: Policy) -> bool:
    """Tell whether the target is so much higher that it is told at once."""
    return is_worth_a_command(case.gap_a, case.target.limit_a, policy)


def _topping_up(
    able: list[Case], due: set[EvseId], now_s: float, policy: Policy, *, most: int
) -> list[Case]:
    """Return who is given a small rise: whose lease is renewed anyway, and a few of the others."""
    small = [c for c in able if not is_worth_a_command(c.gap_a, c.target.limit_a, policy)]
    small = [c for c in small if c.gap_a >= c.step_a - 1e-9]
    by_the_way = [c for c in small if c.target.evse in due]
    waiting = [
        c
        for c in small
        if c.target.evse not in due and is_worth_topping_up(c.gap_a, c.account.commanded_s, now_s)
    ]
    waiting.sort(key=lambda c: (-c.gap_a, c.target.evse))
    return by_the_way + waiting[:most]


def _may_rise(case: Case, assessment: Assessment, now_s: float, policy: Policy) -> bool:
    """Tell whether it may be given more now, if there is more."""
    account = case.account
    if assessment.modes[case.target.evse] is not SiteMode.NORMAL:
        return False
    if case.draw.view.fallback_a is None:
        return False  # nothing would lie beneath the lease
    if account.latest is not None and account.latest.state is not GrantState.CONFIRMED:
        return False
    if account.commanded_s is not None and now_s - account.commanded_s < policy.command_interval_s:
        return False
    return account.raised_s is None or now_s - account.raised_s >= policy.increase_interval_s


def _connected_since_s(snapshot: Snapshot, case: Case) -> float:
    since_s = snapshot.stations[case.draw.evse.station].connected_since_s
    return since_s if since_s is not None else 0.0


def _is_renewal_due(case: Case, connected_since_s: float, now_s: float, policy: Policy) -> bool:
    """Tell whether the lease should be renewed, or a silence be asked again.

    Renewals are spread over 40-50 % of the lease so that not all come together. A station that
    connected anew gets its limit again: some forget it with the connection. One that refused until
    its lease ended is offered its fallback now and then: who is never asked never accepts.
    """
    latest = case.account.latest
    if latest is None:
        return case.draw.is_charging and retry_wait_s(case.account) > 0.0
    if latest.state is GrantState.UNCERTAIN or latest.sent_s < connected_since_s:
        return True
    if case.void_s is not None and latest.sent_s < case.void_s:
        return True
    return latest.until_s is not None and is_renewal_due(latest, case.target.evse, policy, now_s)


def _renewal_cap_a(case: Case) -> float:
    """Return the most that a renewal may say: never more than the target plus the dead band. [A]."""
    return case.target.limit_a if case.target.limit_a < case.held_a - 1.0 else case.held_a


def _lease_end(memory: Memory, command: SetLimit) -> float:
    latest = memory.evse(command.evse).account.latest
    return latest.until_s if latest is not None and latest.until_s is not None else 0.0
