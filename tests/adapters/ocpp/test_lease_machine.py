"""Whatever a station takes, refuses or leaves unanswered, it never holds more than the ledger counts (I1, I3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from adapters.ocpp.clocks import parse_time
from adapters.ocpp.dialect import CallFailed
from controller import ledger
from controller.commands import Applied, CommandOutcome, CommandResult, SetLimit
from controller.ledger import Account
from controller.site import EvseId
from controller.station import FallbackConfirmed, LeaseMode, LeaseModeFound
from controller.transaction import TransactionId
from tests.adapters.ocpp.connections import Connection, V16Dialect
from tests.adapters.ocpp.scripted_station import Reply, accept_everything, stamp
from tests.fakes.recording_desk import T0

EVSE, MAX_A, FALLBACK_A, LEASE_S = EvseId("CP1/1"), 32.0, 6.0, 60.0
WATTS_PER_A = 690.0
T = TypeVar("T")
REFUSES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "nothing": lambda profile: False,
    "everything": lambda profile: True,
    "an end": lambda profile: "validTo" in profile,
    "amperes": lambda profile: profile["chargingSchedule"]["chargingRateUnit"] == "A",
    "a running limit": lambda profile: profile["chargingProfilePurpose"] == "TxProfile",
    "a default": lambda profile: profile["chargingProfilePurpose"] == "TxDefaultProfile",
}


@dataclass(frozen=True)
class Held:
    """A profile that the station took."""

    limit_a: float
    starts: datetime | None
    ends: datetime | None

    def is_valid(self, now: datetime) -> bool:
        begun = self.starts is None or self.starts <= now
        return begun and (self.ends is None or now < self.ends)


def held(profile: dict[str, Any]) -> Held:
    schedule = profile["chargingSchedule"]
    (period,) = schedule["chargingSchedulePeriod"]
    per_a = 1.0 if schedule["chargingRateUnit"] == "A" else WATTS_PER_A
    starts, ends = parse_time(schedule.get("startSchedule")), parse_time(profile.get("validTo"))
    return Held(limit_a=period["limit"] / per_a, starts=starts, ends=ends)


class Station:
    """Takes profiles as OCPP 1.6 says, when it takes them; answers when it likes."""

    def __init__(self) -> None:
        self.profiles: dict[tuple[str, int], Held] = {}
        self.refuses = "nothing"
        self.answers = "answers"
        """Or `takes` or `loses` without an answer, or `breaks`: the connection ends amid the call."""

    def __call__(self, action: str, payload: dict[str, Any]) -> Reply:
        if action != "SetChargingProfile":
            return accept_everything(action, payload)
        profile = payload["csChargingProfiles"]
        is_taken = not REFUSES[self.refuses](profile) and self.answers != "loses"
        if is_taken and payload["connectorId"] == 1:
            key = (profile["chargingProfilePurpose"], profile["stackLevel"])
            self.profiles[key] = held(profile)
        if self.answers in ("takes", "loses"):
            raise CallFailed("timeout", action)
        if self.answers == "breaks":
            raise CallFailed("closed", action)
        return {"status": "Accepted" if is_taken else "Rejected"}

    def limit_a(self, now: datetime) -> float:
        """Return what is in force: the highest valid level, a running limit before the default. [A]"""
        for purpose in ("TxProfile", "TxDefaultProfile"):
            valid = [
                (k[1], p) for k, p in self.profiles.items() if k[0] == purpose and p.is_valid(now)
            ]
            if valid:
                return max(valid, key=lambda entry: entry[0])[1].limit_a
        return MAX_A


class LeaseManager(RuleBasedStateMachine):
    """The OCPP adapter between a station with moods and the ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.station = Station()
        self.site: Connection[V16Dialect] = Connection(V16Dialect, self.station)
        self.account = Account()
        self.transaction: TransactionId | None = None

    def teardown(self) -> None:
        self.loop.close()

    def do(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    # --- what happens

    @initialize(refuses=st.sampled_from(sorted(REFUSES)))
    def connect(self, refuses: str) -> None:
        self.station.refuses = refuses
        self.do(self.site.provision())
        self.station.refuses = "nothing"
        self.start()

    @rule()
    def start(self) -> None:
        """Another vehicle; the limits of the one before ended with its transaction."""
        self.stop()
        start = {
            "connectorId": 1,
            "idTag": "C",
            "meterStart": 0,
            "timestamp": stamp(self.site.clock),
        }
        number = self.do(self.site.tell("StartTransaction", start))["transactionId"]
        self.transaction = TransactionId(str(number))

    def stop(self) -> None:
        if self.transaction is None:
            return
        stop = {
            "transactionId": int(self.transaction),
            "meterStop": 10,
            "timestamp": stamp(self.site.clock),
        }
        self.do(self.site.tell("StopTransaction", stop))
        self.transaction = None
        for key in [k for k in self.station.profiles if k[0] == "TxProfile"]:
            del self.station.profiles[key]
        self.account = ledger.closed(self.account, None)

    @rule(
        refuses=st.sampled_from(sorted(REFUSES)),
        answers=st.sampled_from(["answers", "answers", "takes", "loses", "breaks"]),
    )
    def mood(self, refuses: str, answers: str) -> None:
        self.station.refuses, self.station.answers = refuses, answers

    @rule(limit_a=st.sampled_from([0.0, 6.0, 10.0, 16.04, 32.0]))
    def limit(self, limit_a: float) -> None:
        command = SetLimit(
            evse=EVSE, limit_a=limit_a, lease_s=LEASE_S, transaction=self.transaction, cause=""
        )
        now_s = self.site.clock.monotonic_s()
        may_stay = self.mode is LeaseMode.PERMANENT
        self.account = ledger.granted(self.account, command, now_s=now_s, may_stay=may_stay)
        result = self.do(self.site.dialect.apply(command))
        self.book(command, result, now_s)
        self.site.clock.advance(1.0)

    def book(self, command: SetLimit, result: CommandResult, sent_s: float) -> None:
        if isinstance(result, Applied) and result.self_expiring:
            assert any(p.ends is not None for p in self.station.profiles.values())
        outcome = CommandOutcome(
            command=command, result=result, sent_s=sent_s, done_s=self.site.clock.monotonic_s()
        )
        self.account = ledger.booked(self.account, outcome)

    @rule(seconds=st.sampled_from([2.0, 20.0, 50.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.site.clock.advance(seconds)
        now_s = self.site.clock.monotonic_s()
        self.account = ledger.tidied(self.account, now_s=now_s, settle_s=0.0)

    # --- what must hold

    @property
    def mode(self) -> LeaseMode:
        found = self.site.desk.of(LeaseModeFound)
        return found[-1].mode if found else LeaseMode.UNKNOWN

    @property
    def default_a(self) -> float | None:
        found = [e for e in self.site.desk.of(FallbackConfirmed) if e.evse == EVSE]
        return found[-1].fallback_a if found else None

    @invariant()
    def holds_no_more_than_is_counted(self) -> None:
        if self.transaction is None:
            return
        without_a = MAX_A if self.default_a is None else self.default_a
        if self.mode is LeaseMode.UNCONTROLLABLE:
            without_a = MAX_A
        counted_a = ledger.committed_a(
            self.account,
            without_grant_a=without_a,
            now_s=self.site.clock.monotonic_s(),
            settle_s=0.0,
        )
        assert self.station.limit_a(self.site.clock.now()) <= counted_a + 0.05

    @invariant()
    def the_confirmed_default_lies_in_the_station(self) -> None:
        if self.default_a is None or self.station.answers != "answers":
            return
        now = self.site.clock.now()
        defaults = [
            p.limit_a
            for k, p in self.station.profiles.items()
            if k[0] == "TxDefaultProfile" and p.is_valid(now)
        ]
        assert defaults
        assert min(defaults) <= max(self.default_a, FALLBACK_A) + 0.05

    @invariant()
    def no_profile_begins_in_the_future(self) -> None:
        now = self.site.clock.now()
        assert all(p.starts is None or p.starts <= now for p in self.station.profiles.values())
        assert now >= T0


@pytest.mark.timeout(600)
class TestLeaseManager(LeaseManager.TestCase):  # type: ignore[misc, valid-type, name-defined]
    settings = settings(max_examples=25, stateful_step_count=20, deadline=None, derandomize=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
class TestLeaseManagerLong(LeaseManager.TestCase):  # type: ignore[misc, valid-type, name-defined]
    settings = settings(max_examples=1_000, stateful_step_count=40, deadline=None)
