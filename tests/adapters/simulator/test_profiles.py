from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.simulator.admission import PROFILES_MAX, refusal
from adapters.simulator.charger import Charger
from adapters.simulator.habits import SOUND, StationHabits
from adapters.simulator.link import CallRefusedError
from adapters.simulator.outlet import Outlet, Transaction, Trigger
from adapters.simulator.profile_format import profile_from_16, profile_from_201
from adapters.simulator.profiles import Demand, Kind, Period, Profile, ProfileStore, Purpose
from tests.adapters.simulator.sites import an_evse

NOW_S = 1_800_000_000.0
RATING_A = 32.0
CHARGING = Demand(evse=1, rating_a=RATING_A, tx_start_s=NOW_S - 600.0)
IDLE = Demand(evse=1, rating_a=RATING_A)


def a_profile(limit: float, purpose: Purpose = Purpose.TX, **changes: object) -> Profile:
    profile = Profile(
        id=1,
        evse=0 if purpose is Purpose.MAX else 1,
        purpose=purpose,
        stack_level=0,
        kind=Kind.ABSOLUTE,
        unit="A",
        periods=(Period(start_s=0.0, limit=limit),),
        start_s=NOW_S - 60.0,
    )
    return replace(profile, **changes)  # type: ignore[arg-type]


def a_default(limit: float, **changes: object) -> Profile:
    return a_profile(limit, Purpose.TX_DEFAULT, **({"id": 2} | changes))


def a_max(limit: float, **changes: object) -> Profile:
    return a_profile(limit, Purpose.MAX, **({"id": 3} | changes))


def limit_a(
    *profiles: Profile,
    demand: Demand = CHARGING,
    at_s: float = 0.0,
    habits: StationHabits = SOUND,
) -> float:
    store = ProfileStore(voltage_v=230.0)
    for profile in profiles:
        store.add(profile)
    return store.limit_a(demand, NOW_S + at_s, habits)


def test_without_profiles_the_rating_holds() -> None:
    assert limit_a() == RATING_A


@pytest.mark.parametrize(
    ("profiles", "expected_a"),
    [
        ((a_default(10.0),), 10.0),
        ((a_profile(20.0), a_default(10.0)), 20.0),  # a TxProfile replaces the default
        ((a_profile(20.0), a_default(10.0), a_max(16.0)), 16.0),  # the lowest of the purposes
        ((a_profile(8.0), a_max(16.0)), 8.0),
        ((a_profile(60.0),), RATING_A),
        ((a_profile(0.0),), 0.0),
        ((a_profile(6.0), a_profile(14.0, id=9, stack_level=1)), 14.0),  # the highest level wins
        ((a_profile(14.0), a_profile(6.0, id=9)), 6.0),  # same level: replaced
        ((a_profile(14.0), a_profile(6.0, stack_level=3)), 6.0),  # same id: replaced
        ((a_default(6.0, evse=0), a_default(9.0, id=7)), 9.0),  # the EVSE's own goes first
        ((a_default(6.0, evse=0),), 6.0),
        ((a_default(6.0, evse=2),), RATING_A),
        ((a_profile(11_040.0, unit="W"),), 16.0),
        (
            (
                a_profile(
                    2300.0, unit="W", periods=(Period(start_s=0, limit=2300, number_phases=1),)
                ),
            ),
            10.0,
        ),
    ],
)
def test_profiles_combine(profiles: tuple[Profile, ...], expected_a: float) -> None:
    assert limit_a(*profiles) == pytest.approx(expected_a)


def test_a_tx_profile_needs_a_transaction() -> None:
    assert limit_a(a_profile(20.0), a_default(10.0), demand=IDLE) == 10.0


def test_a_stations_maximum_is_shared() -> None:
    assert limit_a(a_max(24.0), demand=replace(CHARGING, sharing=2)) == 12.0


LEASES = {
    "valid_to": a_profile(20.0, valid_to_s=NOW_S + 30.0),
    "duration": a_profile(20.0, duration_s=90.0),
    "both": a_profile(20.0, valid_to_s=NOW_S + 30.0, duration_s=90.0),
}


@pytest.mark.parametrize(
    ("lease", "habits", "expected_a"),
    [
        ("valid_to", SOUND, 6.0),
        ("duration", SOUND, 6.0),
        ("both", SOUND, 6.0),
        ("valid_to", StationHabits(ignores_valid_to=True), 20.0),
        ("duration", StationHabits(ignores_valid_to=True), 6.0),
        ("both", StationHabits(ignores_valid_to=True), 6.0),
        ("valid_to", StationHabits(ignores_duration=True), 6.0),
        ("duration", StationHabits(ignores_duration=True), 20.0),
        ("both", StationHabits(ignores_duration=True), 6.0),
    ],
)
def test_a_lease_ends_by_itself(lease: str, habits: StationHabits, expected_a: float) -> None:
    profiles = (LEASES[lease], a_default(6.0))
    assert limit_a(*profiles, at_s=29.9, habits=habits) == 20.0
    assert limit_a(*profiles, at_s=30.0, habits=habits) == expected_a


def test_a_profile_waits_for_its_time() -> None:
    assert limit_a(a_profile(8.0, valid_from_s=NOW_S + 5.0)) == RATING_A
    assert limit_a(a_profile(8.0, start_s=NOW_S + 5.0)) == RATING_A
    assert limit_a(a_profile(8.0, start_s=NOW_S + 5.0), at_s=5.0) == 8.0


PERIODS = (Period(start_s=0.0, limit=16.0), Period(start_s=100.0, limit=6.0))


@pytest.mark.parametrize(
    ("at_s", "expected_a"), [(0.0, 16.0), (39.0, 16.0), (40.0, 6.0), (1e6, 6.0)]
)
def test_the_last_period_holds(at_s: float, expected_a: float) -> None:
    assert limit_a(a_profile(0.0, periods=PERIODS), at_s=at_s) == expected_a


def test_a_relative_schedule_counts_from_the_start_of_the_transaction() -> None:
    relative = a_profile(0.0, kind=Kind.RELATIVE, start_s=None, periods=PERIODS)
    demand = replace(CHARGING, tx_start_s=NOW_S - 50.0)
    assert limit_a(relative, demand=demand) == 16.0
    assert limit_a(relative, demand=demand, at_s=51.0) == 6.0


def test_a_daily_schedule_repeats() -> None:
    daily = a_default(0.0, kind=Kind.RECURRING, recurrence_s=86_400.0, periods=PERIODS)
    seen_a = [limit_a(daily, at_s=3 * 86_400.0 + at_s) for at_s in (-61.0, -59.0, 39.0, 41.0)]
    assert seen_a == [6.0, 16.0, 16.0, 6.0]


def test_who_ignores_limits_takes_its_rating() -> None:
    assert limit_a(a_profile(6.0), habits=StationHabits(ignores_limits=True)) == RATING_A


def test_the_composite_schedule_tells_what_will_hold() -> None:
    store = ProfileStore(voltage_v=230.0)
    for profile in (LEASES["both"], a_default(6.0), a_max(16.0, valid_to_s=NOW_S + 10.0)):
        store.add(profile)
    periods = store.composite(CHARGING, NOW_S, 120.0)
    assert [(p.start_s, p.limit) for p in periods] == [(0.0, 16.0), (10.0, 20.0), (30.0, 6.0)]


def refused(profile: Profile, *, charges: bool = True, **habits: bool) -> str | None:
    outlet = Outlet(1, Charger(an_evse()))
    if charges:
        outlet.transaction = Transaction(
            id="77", card="A", trigger=Trigger.CARD, start_s=NOW_S, meter_start_wh=0
        )
    return refusal(
        profile,
        outlets={1: outlet},
        store=ProfileStore(voltage_v=230.0),
        habits=StationHabits(**habits),
    )


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (a_profile(16.0), None),
        (a_profile(16.0, transaction="77"), None),
        (a_profile(16.0, transaction="78"), "InvalidTransactionId"),
        (a_profile(16.0, evse=0), "TxNotFound"),
        (a_profile(16.0, evse=2), "UnknownEvse"),
        (a_profile(16.0, stack_level=9), "InvalidStackLevel"),
        (a_profile(-1.0), "InvalidSchedule"),
        (a_profile(16.0, periods=()), "InvalidSchedule"),
        (a_max(16.0, evse=1), "MaxOnEvse"),
        (a_max(16.0, kind=Kind.RELATIVE), "RelativeMax"),
    ],
)
def test_unsound_profiles_are_refused(profile: Profile, reason: str | None) -> None:
    assert refused(profile) == reason


def test_a_tx_profile_without_transaction_is_refused() -> None:
    assert refused(a_profile(16.0), charges=False) == "TxNotFound"


@pytest.mark.parametrize(
    ("habit", "profile"),
    [
        ("rejects_all", a_default(6.0)),
        ("rejects_tx_profile", a_profile(6.0)),
        ("rejects_max_profile", a_max(6.0)),
        ("rejects_unit_ampere", a_default(6.0)),
    ],
)
def test_defective_stations_refuse(habit: str, profile: Profile) -> None:
    assert refused(profile) is None
    assert refused(profile, **{habit: True}) is not None


def test_there_is_an_end_to_profiles() -> None:
    store = ProfileStore(voltage_v=230.0)
    for index in range(PROFILES_MAX):
        store.add(a_default(6.0, id=index, evse=index, stack_level=1))
    outlets = {1: Outlet(1, Charger(an_evse()))}
    new = a_default(6.0, id=99)
    reasons = [
        refusal(profile, outlets=outlets, store=store, habits=SOUND)
        for profile in (new, replace(new, id=3))
    ]
    assert reasons == ["TooManyProfiles", None]


SCHEDULE = {
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 12.5}],
    "startSchedule": "2027-01-15T08:00:00Z",
    "duration": 300,
}
COMMON = {
    "stackLevel": 1,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Absolute",
    "validTo": "2027-01-15T08:05:00+00:00",
}


def test_both_formats_mean_the_same() -> None:
    old = profile_from_16(
        1, COMMON | {"chargingProfileId": 7, "transactionId": 77, "chargingSchedule": SCHEDULE}
    )
    new = profile_from_201(
        1, COMMON | {"id": 7, "transactionId": "77", "chargingSchedule": [SCHEDULE | {"id": 1}]}
    )
    assert replace(old, raw={}) == replace(new, raw={})
    assert old.start_s == NOW_S
    assert old.valid_to_s == NOW_S + 300.0


@pytest.mark.parametrize(
    "changes",
    [
        {"chargingSchedule": {}},
        {"chargingProfileKind": "Sometimes"},
        {"chargingProfilePurpose": "ChargingStationExternalConstraints"},
        {"validTo": "tomorrow"},
    ],
)
def test_malformed_profiles_are_refused(changes: dict[str, object]) -> None:
    raw = COMMON | {"chargingProfileId": 7, "chargingSchedule": SCHEDULE} | changes
    with pytest.raises(CallRefusedError):
        profile_from_16(1, raw)
