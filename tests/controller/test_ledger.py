"""The committed-current ledger: what was granted counts until it is surely over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import ledger
from controller.commands import (
    Applied,
    CommandOutcome,
    CommandResult,
    NotConnected,
    Rejected,
    SetLimit,
    TimedOut,
)
from controller.ledger import Account, GrantState
from controller.site import EvseId
from controller.transaction import TransactionId

FALLBACK_A = 6.0
SETTLE_S = 10.0
TX = TransactionId("1")


def grant(account: Account, limit_a: float, now_s: float, lease_s: float = 300.0) -> Account:
    return ledger.granted(account, command(limit_a, lease_s), now_s=now_s)


def command(limit_a: float, lease_s: float = 300.0) -> SetLimit:
    return SetLimit(
        evse=EvseId("CP001/1"), limit_a=limit_a, lease_s=lease_s, transaction=TX, cause="test"
    )


def answer(account: Account, result: CommandResult, sent_s: float, done_s: float) -> Account:
    sent = next(g for g in account.grants if g.sent_s == sent_s and g.state is GrantState.SENT)
    lease_s = sent.until_s - sent_s if sent.until_s is not None else 300.0
    outcome = CommandOutcome(
        command=command(0.0, lease_s), result=result, sent_s=sent_s, done_s=done_s
    )
    return ledger.booked(account, outcome)


def committed(account: Account, now_s: float) -> float:
    account = ledger.tidied(account, now_s=now_s, settle_s=SETTLE_S)
    return ledger.committed_a(account, without_grant_a=FALLBACK_A, now_s=now_s, settle_s=SETTLE_S)


def holding(limit_a: float, since_s: float = 0.0) -> Account:
    return answer(grant(Account(), limit_a, since_s), Applied(self_expiring=True), since_s, since_s)


def test_without_a_grant_the_fallback_is_committed() -> None:
    assert committed(Account(), 0.0) == FALLBACK_A


def test_a_raise_counts_from_the_moment_it_is_sent() -> None:
    assert committed(grant(holding(8.0), 20.0, 50.0), 50.0) == 20.0


@pytest.mark.parametrize(
    "result", [TimedOut(), Rejected(reason="no"), NotConnected()], ids=lambda r: type(r).__name__
)
def test_a_decrease_that_was_not_confirmed_never_lowers(result: CommandResult) -> None:
    account = answer(grant(holding(20.0), 8.0, 50.0), result, 50.0, 51.0)

    assert committed(account, 100.0) == 20.0


def test_a_confirmed_decrease_counts_only_after_it_had_time_to_act() -> None:
    account = answer(grant(holding(20.0), 8.0, 50.0), Applied(self_expiring=True), 50.0, 51.0)

    assert [committed(account, t) for t in (51.0, 60.9, 61.0)] == [20.0, 20.0, 8.0]


def test_a_raise_without_an_answer_counts_until_its_lease_ends() -> None:
    account = answer(grant(holding(8.0), 20.0, 50.0, lease_s=60.0), TimedOut(), 50.0, 60.0)

    assert [committed(account, t) for t in (61.0, 110.0, 119.9, 121.0)] == [20.0, 20.0, 20.0, 8.0]


def test_a_refused_raise_never_counts() -> None:
    account = answer(grant(holding(8.0), 20.0, 50.0), Rejected(reason="no"), 50.0, 51.0)

    assert committed(account, 52.0) == 8.0


def test_after_the_lease_the_fallback_counts_again() -> None:
    account = holding(20.0)

    assert [committed(account, t) for t in (290.0, 309.0, 311.0)] == [20.0, 20.0, FALLBACK_A]


def test_a_pause_counts_as_nothing_only_while_its_lease_surely_holds() -> None:
    account = holding(0.0)

    assert [committed(account, t) for t in (100.0, 294.0, 296.0)] == [0.0, 0.0, FALLBACK_A]


def test_a_permanent_limit_never_ends() -> None:
    account = answer(grant(Account(), 16.0, 0.0), Applied(self_expiring=False), 0.0, 0.0)

    assert committed(account, 1e6) == 16.0


def test_an_unanswered_limit_of_a_station_without_leases_never_ends() -> None:
    account = ledger.granted(Account(), command(20.0), now_s=0.0, may_stay=True)
    silent = answer(account, TimedOut(), 0.0, 10.0)
    confirmed = answer(account, Applied(self_expiring=True), 0.0, 1.0)

    assert committed(silent, 1e6) == 20.0
    assert committed(ledger.closed(silent, TransactionId("2")), 1e6) == 20.0
    assert committed(confirmed, 400.0) == FALLBACK_A


def test_a_new_transaction_forgets_leases_but_not_permanent_limits() -> None:
    permanent = answer(grant(Account(), 16.0, 0.0), Applied(self_expiring=False), 0.0, 0.0)

    assert ledger.closed(holding(20.0), TransactionId("2")).grants == ()
    assert committed(ledger.closed(permanent, TransactionId("2")), 1e6) == 16.0


def test_a_limit_without_an_end_may_have_ended_with_its_transaction_all_the_same() -> None:
    """A station that refuses a default holds it as a limit of the transaction: found by the lease machine."""
    paused = answer(grant(Account(), 0.0, 0.0), Applied(self_expiring=False), 0.0, 0.0)

    assert committed(paused, 1e6) == 0.0
    assert committed(ledger.closed(paused, TransactionId("2")), 1e6) == FALLBACK_A


def test_after_a_restart_what_was_on_its_way_may_be_in_force() -> None:
    account = ledger.restored(grant(holding(8.0), 20.0, 50.0))

    assert account.grants[-1].state is GrantState.UNCERTAIN
    assert committed(account, 60.0) == 20.0


RESULTS = st.sampled_from(
    [Applied(self_expiring=True), Rejected(reason="no"), TimedOut(), NotConnected()]
)


@settings(max_examples=400, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 32.0), RESULTS, st.floats(1.0, 40.0), st.booleans()), max_size=12
    )
)
def test_no_station_ever_holds_more_than_the_ledger_says(
    steps: list[tuple[float, CommandResult, float, bool]],
) -> None:
    """A station draws at most the highest limit that was in force during the last ten seconds."""
    account, now_s = Account(), 0.0
    in_force: list[tuple[float, float]] = [(-1000.0, FALLBACK_A)]
    ends_s = float("inf")
    for limit_a, result, wait_s, heard in steps:
        account = grant(account, limit_a, now_s)
        if isinstance(result, Applied) or (isinstance(result, TimedOut) and heard):
            in_force.append((now_s, limit_a))
            ends_s = now_s + 300.0
        account = answer(account, result, now_s, now_s)
        now_s += wait_s
        if now_s > ends_s:
            in_force.append((ends_s, FALLBACK_A))
            ends_s = float("inf")
        assert committed(account, now_s) >= highest_of_late_a(in_force, now_s) - 1e-9
        account = ledger.tidied(account, now_s=now_s, settle_s=SETTLE_S)


def highest_of_late_a(in_force: list[tuple[float, float]], now_s: float) -> float:
    """The highest limit that was in force at some time during the last ten seconds. [A]."""
    ends_s = [start_s for start_s, _ in in_force[1:]] + [float("inf")]
    return max(
        limit_a
        for (_, limit_a), end_s in zip(in_force, ends_s, strict=True)
        if end_s > now_s - SETTLE_S + 1e-6
    )
