"""From targets to commands: decreases first, increases only when paid for, leases renewed in time.

An increase is sent only if every circuit on the way carries it *together with everything that is
still committed to others*. A decrease therefore pays for an increase only once the ledger has let go
of it: confirmed by the station, with time to act (invariant I2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import floor, inf
from zlib import crc32

from controller import ledger
from controller.assess import Assessment
from controller.commands import SetLimit
from controller.decision import SiteMode, Wave
from controller.draw import Draw
from controller.ledger import Account, Grant, GrantState
from controller.memory import EvseMemory, Memory
from controller.phases import ZERO, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseView, LeaseMode
from controller.worth import is_worth_a_command, is_worth_topping_up, least_gain_a, top_ups_at_once

RETRY_S = 5.0
"""An unanswered or refused command is repeated after this time, twice; then longer every time. [s]"""
RETRY_MOST_S = 120.0
RENEWAL_SLOT_S = 10.0
OVERTAKE_S = 1.0
"""A lower limit may overtake one whose answer is outstanding after this time. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an EVSE shall be limited to, and why."""

    evse: EvseId
    limit_a: float
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One EVSE on its way to its target."""

    draw: Draw
    target: Target
    account: Account
    held_a: float
    """What it holds: the latest grant, or what it may draw without one. [A]"""
    gap_a: float
    """What it lacks of its target. [A]"""
    void_s: float | None
    """What was sent before this is sent once more: it is not obeyed, or named a wrong time. [s]"""

    @property
    def step_a(self) -> float:
        """What its charger can tell apart. [A]"""
        return self.draw.evse.step_a


def _case(draw: Draw, target: Target, account: Account, void_s: float | None) -> _Case:
    latest = account.latest
    held_a = latest.limit_a if latest is not None else draw.committed_a
    return _Case(
        draw=draw,
        target=target,
        account=account,
        held_a=held_a,
        gap_a=target.limit_a - held_a,
        void_s=void_s,
    )


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
    cases = [
        _case(draws[evse], target, memory.evse(evse).account, _void_s(memory, evse, policy))
        for evse, target in targets.items()
    ]
    now_s = snapshot.now_s
    ready = [c for c in cases if _may_command(c, now_s)]
    wants_more = any(_is_worth_rising(c, policy) for c in cases)
    decreases = [
        _command(c, _decreased_a(c, assessment, snapshot), policy)
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
    able = [c for c in left if _may_rise(c, assessment, now_s, policy)]
    rising = [c for c in able if _is_worth_rising(c, policy)]
    rising += _topping_up(able, due, now_s, policy, most=top_ups_at_once(budget))
    purse = _purse(snapshot, assessment, draws, memory, reserve) if rising else None
    increases = _paid_increases(rising, purse, snapshot, assessment, policy) if purse else []
    done = {c.evse for c in increases}
    renewals = [
        _command(
            c, min(c.held_a, _renewal_cap_a(c), _surely_held_a(c, assessment, snapshot)), policy
        )
        for c in left
        if c.target.evse in due and c.target.evse not in done
    ]
    renewals = sorted(renewals, key=lambda c: _lease_end(memory, c))[:budget]
    increases = increases[: max(0, budget - len(renewals))]
    wave = Wave(decreases=tuple(decreases), renewals=tuple(renewals), increases=tuple(increases))
    return wave, _booked(wave, snapshot, draws, memory)


def at_least(target: Target, draw: Draw) -> Target:
    """Return a target that the station keeps to: not 0 where 0 is refused or read as no limit."""
    return target if target.limit_a >= draw.floor_a else replace(target, limit_a=draw.floor_a)


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


def _command(case: _Case, limit_a: float, policy: Policy) -> SetLimit:
    transaction = case.draw.view.transaction
    return SetLimit(
        evse=case.target.evse,
        limit_a=max(limit_a, case.draw.floor_a),
        lease_s=policy.lease_s,
        transaction=transaction.id if transaction is not None else None,
        cause=case.target.cause,
    )


# --- when to speak --------------------------------------------------------------------------------


def _may_command(case: _Case, now_s: float) -> bool:
    """Tell whether the EVSE may be spoken to: not right after a refusal or a silence."""
    account = case.account
    if account.commanded_s is None:
        return True
    if account.in_flight:
        in_flight_a = case.held_a
        is_lower = case.target.limit_a < in_flight_a - 0.5
        return is_lower and now_s - account.commanded_s > OVERTAKE_S
    return now_s - account.commanded_s >= retry_wait_s(account)


def _void_s(memory: Memory, evse: EvseId, policy: Policy) -> float | None:
    """Return the time before which what was sent no longer counts as understood. [s]"""
    remembered = memory.evse(evse)
    times_s = [t for t in (memory.clock.stepped_s,) if t is not None]
    if remembered.disobeys and remembered.over_since_s is not None:
        times_s.append(remembered.over_since_s + policy.disobey_after_s)
    return max(times_s, default=None)


def retry_wait_s(account: Account) -> float:
    """Return how long an EVSE is left alone after refusals and silences. [s]"""
    troubles = account.refusals + account.timeouts
    return min(RETRY_S * 2.0 ** max(0, troubles - 2), RETRY_MOST_S) if troubles else 0.0


def _must_decrease(
    case: _Case,
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


def _is_short(case: _Case, assessment: Assessment, snapshot: Snapshot) -> bool:
    """Tell whether a circuit on the way has more committed than it carries."""
    path = snapshot.site.path_to_root(case.draw.evse.circuit)
    headrooms = [assessment.circuits[circuit].headroom for circuit in path]
    return any(h.of(phase) < 0 for h in headrooms for phase in case.draw.phases)


def _decreased_a(case: _Case, assessment: Assessment, snapshot: Snapshot) -> float:
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


def _surely_held_a(case: _Case, assessment: Assessment, snapshot: Snapshot) -> float:
    """Return what a renewal cannot raise while a circuit is short; else no bound. [A].

    A station that connected anew may have lost its limit, or outlived its lease while we were away:
    what is counted for it is then more than it holds.
    """
    latest = case.account.latest
    if latest is None or latest.sent_s >= _connected_since_s(snapshot, case):
        return inf
    return case.draw.evse.fallback_a if _is_short(case, assessment, snapshot) else inf


def _is_worth_rising(case: _Case, policy: Policy) -> bool:
    """Tell whether the target is so much higher that it is told at once."""
    return is_worth_a_command(case.gap_a, case.target.limit_a, policy)


def _topping_up(
    able: list[_Case], due: set[EvseId], now_s: float, policy: Policy, *, most: int
) -> list[_Case]:
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


def _may_rise(case: _Case, assessment: Assessment, now_s: float, policy: Policy) -> bool:
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


def _connected_since_s(snapshot: Snapshot, case: _Case) -> float:
    since_s = snapshot.stations[case.draw.evse.station].connected_since_s
    return since_s if since_s is not None else 0.0


def _is_renewal_due(case: _Case, connected_since_s: float, now_s: float, policy: Policy) -> bool:
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
    return latest.until_s is not None and now_s >= renewal_s(latest, case.target.evse, policy)


def renewal_s(grant: Grant, evse: EvseId, policy: Policy) -> float:
    """Return when a lease is due for renewal, by the controller's clock. [s]

    Leases that were granted together are renewed apart; those of one slot go in one cycle, so that
    most cycles have nothing to send.
    """
    latest_s = grant.sent_s + policy.lease_s * (0.4 + 0.1 * _spread(evse))
    slot_s = floor(latest_s / RENEWAL_SLOT_S) * RENEWAL_SLOT_S
    return max(slot_s, grant.sent_s + 0.3 * policy.lease_s)


@lru_cache(maxsize=4096)
def _spread(evse: EvseId) -> float:
    """Return where in its span an EVSE's renewals lie, 0 to 1."""
    return (crc32(evse.encode()) % 1000) / 1000


def _renewal_cap_a(case: _Case) -> float:
    """Return the most that a renewal may say: never more than the target plus the dead band. [A]."""
    return case.target.limit_a if case.target.limit_a < case.held_a - 1.0 else case.held_a


def _lease_end(memory: Memory, command: SetLimit) -> float:
    latest = memory.evse(command.evse).account.latest
    return latest.until_s if latest is not None and latest.until_s is not None else 0.0


# --- paying for increases -------------------------------------------------------------------------


@dataclass(slots=True)
class _Purse:
    """What circuits can still give, now and once everybody has followed what it was told."""

    now: dict[CircuitId, PhaseCurrents]
    """What nobody is committed to; below 0: others have filled the circuit. [A]"""
    then: dict[CircuitId, PhaseCurrents]
    """The same once what was confirmed has settled. [A]"""
    settled: Mapping[EvseId, PhaseCurrents]
    """What each that has yet to follow a lower limit will then count with. [A]"""

    def settled_of(self, draw: Draw) -> PhaseCurrents:
        return self.settled.get(draw.evse.id, draw.committed)

    def pay(self, case: _Case, limit_a: float, path: tuple[CircuitId, ...]) -> None:
        """Take a rise out of it."""
        after = PhaseCurrents.on(case.draw.phases, limit_a)
        for circuit in path:
            self.now[circuit] -= (after - case.draw.committed).highest(ZERO)
            self.then[circuit] -= (after - self.settled_of(case.draw)).highest(ZERO)


def _purse(
    snapshot: Snapshot,
    assessment: Assessment,
    draws: Mapping[EvseId, Draw],
    memory: Memory,
    reserve: Mapping[CircuitId, PhaseCurrents],
) -> _Purse:
    now = {
        c: state.usable - state.committed - reserve[c] for c, state in assessment.circuits.items()
    }
    then, settled = dict(now), {}
    for evse, draw in draws.items():
        held_a = _will_settle_at_a(draw, memory.evse(evse))
        if held_a is None:
            continue
        settled[evse] = PhaseCurrents.on(draw.phases, held_a).lowest(draw.committed)
        for circuit in snapshot.site.path_to_root(draw.evse.circuit):
            then[circuit] += draw.committed - settled[evse]
    return _Purse(now=now, then=then, settled=settled)


def _will_settle_at_a(draw: Draw, memory: EvseMemory) -> float | None:
    """Return the lower limit that an EVSE has confirmed and will count with soon; None: no other. [A]"""
    latest = memory.account.latest
    if latest is None or latest.state is not GrantState.CONFIRMED:
        return None
    if not draw.connected or memory.disobeys:
        return None
    held_a = max(latest.limit_a, draw.floor_a)
    return held_a if held_a < draw.committed_a else None


def _paid_increases(
    rising: list[_Case],
    purse: _Purse,
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
) -> list[SetLimit]:
    """Grant rises out of what nobody is committed to, the lowest EVSE first."""
    commands = []
    for case in sorted(rising, key=lambda c: (c.held_a, c.target.evse)):
        limit_a = _affordable_a(case, purse, snapshot, assessment, policy)
        if limit_a is None:
            continue
        purse.pay(case, limit_a, snapshot.site.path_to_root(case.draw.evse.circuit))
        commands.append(_command(case, limit_a, policy))
    return commands


def _affordable_a(
    case: _Case,
    purse: _Purse,
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
) -> float | None:
    """Return the limit that can be paid for now; None when it is not worth a command. [A].

    What it has yet to give back pays for a rise now. But once it has settled at the rise, and all
    others at what they have confirmed, the circuits must carry that as well.
    """
    evse = case.draw.evse
    path = snapshot.site.path_to_root(evse.circuit)
    limit_a, settled = case.target.limit_a, purse.settled_of(case.draw)
    for circuit in path:
        for phase in case.draw.phases:
            now_a = case.draw.committed.of(phase) + max(0.0, purse.now[circuit].of(phase))
            then_a = settled.of(phase) + purse.then[circuit].of(phase)
            limit_a = min(limit_a, now_a, then_a)
        if assessment.circuits[circuit].is_ramping:
            limit_a = min(limit_a, max(case.held_a + policy.recovery_ramp_a, evse.min_a))
        if assessment.circuits[circuit].is_still:
            limit_a = min(limit_a, max(case.held_a, evse.min_a))
    limit_a = on_step(limit_a, evse.step_a)
    if limit_a < evse.min_a:
        return None
    reaches = limit_a >= case.target.limit_a - 1e-9
    gain_a = limit_a - case.held_a
    worth_a = least_gain_a(case.gap_a, case.target.limit_a, case.step_a, policy)
    return limit_a if gain_a > 0 and (reaches or gain_a >= worth_a - 1e-9) else None


def on_step(current_a: float, step_a: float) -> float:
    """Round down to the charger's step, cleanly. [A]."""
    return round(floor(current_a / step_a + 1e-6) * step_a, 3)


def targets_outside(
    snapshot: Snapshot,
    *,
    outside: frozenset[EvseId],
    draws: Mapping[EvseId, Draw],
    assessment: Assessment,
    memory: Memory,
    pauses: frozenset[EvseId],
) -> dict[EvseId, Target]:
    """Return targets of connected EVSEs that took no part in the allocation."""
    found: dict[EvseId, Target] = {}
    for evse in sorted(outside):
        draw = draws[evse]
        station = snapshot.stations[draw.evse.station]
        if not draw.connected or station.lease_mode is LeaseMode.UNCONTROLLABLE:
            continue
        account = memory.evse(evse).account
        if not draw.is_charging and account.latest is None:
            continue
        path = snapshot.site.path_to_root(draw.evse.circuit)
        target = _target_outside(
            draw,
            account,
            is_paused=evse in pauses,
            may_keep=_is_uncertain(account)
            and assessment.modes[evse] is not SiteMode.FALLBACK
            and not any(min(assessment.circuits[c].headroom) < 0 for c in path),
        )
        if target is not None:
            found[evse] = target
    return found


def _target_outside(
    draw: Draw, account: Account, *, is_paused: bool, may_keep: bool
) -> Target | None:
    fallback_a = draw.evse.fallback_a
    latest = account.latest
    if not draw.is_charging:
        is_left_over = latest is not None and latest.until_s is None
        if not is_left_over or latest is None or latest.limit_a == fallback_a:
            return None
        return Target(evse=draw.evse.id, limit_a=fallback_a, cause="back to its fallback")
    if is_paused:
        return Target(evse=draw.evse.id, limit_a=0.0, cause="paused")
    held_a = latest.limit_a if latest is not None else draw.committed_a
    if may_keep:
        return Target(evse=draw.evse.id, limit_a=held_a, cause="asked again")
    return Target(evse=draw.evse.id, limit_a=min(held_a, fallback_a), cause="held at its fallback")


def _is_uncertain(account: Account) -> bool:
    """Tell whether its latest command got no answer; it is repeated as it was."""
    return account.latest is not None and account.latest.state is GrantState.UNCERTAIN


def overdue(
    snapshot: Snapshot, draws: Mapping[EvseId, Draw], memory: Memory, policy: Policy
) -> tuple[EvseId, ...]:
    """Return EVSEs to be asked for their meter values, the longest silent first.

    Some stations send nothing before their next interval, or nothing by themselves; and many send
    nothing outside a transaction, so that after a fault nobody would know whether current still flows.
    """
    waiting: list[tuple[float, EvseId]] = []
    for evse, draw in draws.items():
        is_asked = draw.is_charging or is_unseen_fault(draw.view)
        if not draw.connected or not is_asked or draw.evse.is_load:
            continue
        sample = draw.view.sample
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
    return view.sample is None or view.sample.taken_s < view.faulted_since_s


def proof_due_s(memory: EvseMemory, policy: Policy) -> float | None:
    """Return when one more sample proves that an EVSE disobeys; it is asked for, not awaited. [s]"""
    if memory.over_since_s is None or memory.disobeys:
        return None
    return memory.over_since_s + policy.disobey_after_s
