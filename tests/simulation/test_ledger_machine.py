"""Whatever happens to commands, a station never holds more than the ledger counts (I1, I3)."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
from controller.ledger import Account
from controller.site import EvseId
from controller.transaction import TransactionId

EVSE, TX = EvseId("CP001/1"), TransactionId("1")
FALLBACK_A, LEASE_S, SETTLE_S = 6.0, 60.0, 10.0
FOLLOW_S = 9.0
"""What EVSE and vehicle take at most to follow. [s]"""


class LedgerAndStation(RuleBasedStateMachine):
    """A station that holds leases, a network that loses answers, and our page of the ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.account = Account()
        self.flying: list[tuple[SetLimit, float]] = []
        self.held: list[tuple[float, float, float]] = []
        """Limits that the station took: since, until, amperes."""

    def book(self, result: CommandResult, *, taken: bool) -> None:
        command, sent_s = self.flying.pop(0)
        if taken:
            self.held.append((self.now_s, sent_s + command.lease_s, command.limit_a))
        outcome = CommandOutcome(command=command, result=result, sent_s=sent_s, done_s=self.now_s)
        self.account = ledger.booked(self.account, outcome)

    @precondition(lambda self: not self.flying)
    @rule(limit_a=st.sampled_from([0.0, 6.0, 10.0, 16.0, 32.0]))
    def send(self, limit_a: float) -> None:
        command = SetLimit(
            evse=EVSE, limit_a=limit_a, lease_s=LEASE_S, transaction=TX, cause="test"
        )
        self.account = ledger.granted(self.account, command, now_s=self.now_s)
        self.flying.append((command, self.now_s))

    @precondition(lambda self: self.flying)
    @rule()
    def confirm(self) -> None:
        self.book(Applied(self_expiring=True), taken=True)

    @precondition(lambda self: self.flying)
    @rule(taken=st.booleans())
    def lose_the_answer(self, taken: bool) -> None:
        self.book(TimedOut(), taken=taken)

    @precondition(lambda self: self.flying)
    @rule(result=st.sampled_from([Rejected(reason="no"), NotConnected()]))
    def refuse(self, result: CommandResult) -> None:
        self.book(result, taken=False)

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 11.0, 40.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.account = ledger.tidied(self.account, now_s=self.now_s, settle_s=SETTLE_S)

    @rule()
    def restart(self) -> None:
        self.account = ledger.restored(self.account)
        self.flying = []

    def drawn_a(self) -> float:
        """What may flow: the limit in force, or one that was in force while the vehicle follows."""
        latest = self.held[-1] if self.held else None
        allowed = [FALLBACK_A]
        if latest is not None and self.now_s < latest[1]:
            allowed = [latest[2]]
        for index, (_, until_s, limit_a) in enumerate(self.held):
            replaced_s = self.held[index + 1][0] if index + 1 < len(self.held) else until_s
            ended_s = min(replaced_s, until_s)
            if index + 1 < len(self.held) and self.now_s - ended_s < FOLLOW_S:
                allowed.append(limit_a)
        return max(allowed)

    @invariant()
    def counts_all_that_may_flow(self) -> None:
        counted_a = ledger.committed_a(
            self.account, without_grant_a=FALLBACK_A, now_s=self.now_s, settle_s=SETTLE_S
        )
        assert self.drawn_a() <= counted_a + 1e-9


TestLedgerAndStation = LedgerAndStation.TestCase
TestLedgerAndStation.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, derandomize=True
)
