from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ocpp.clocks import parse_time
from adapters.ocpp.profiles import (
    LeaseStanding,
    ProfileForm,
    Purpose,
    RateUnit,
    default_forms,
    limit_forms,
    profile_for,
    profile_id,
    profile_v16,
    profile_v201,
    round_down_a,
)
from adapters.ocpp.translation import DialectSettings, EvseWiring
from controller.site import EvseId, StationId
from tests.adapters.ocpp.scripted_station import assert_valid
from tests.fakes.recording_desk import T0

THREE = EvseWiring(phases=3, max_a=32.0)
FALLBACK = ProfileForm(purpose=Purpose.TX_DEFAULT, level=0, is_leased=False)


def lease(limit_a: float = 16.0, lease_s: float = 300.0, **form: object):  # type: ignore[no-untyped-def]
    return profile_for(
        ProfileForm(**form),  # type: ignore[arg-type]
        connector=2,
        limit_a=limit_a,
        wiring=THREE,
        station_now=T0 + timedelta(microseconds=700_000),
        lease_s=lease_s,
        transaction="4711",
    )


def test_a_lease_ends_twice_at_the_same_moment() -> None:
    payload = profile_v16(lease())
    body = payload["csChargingProfiles"]
    schedule = body["chargingSchedule"]
    start, end = parse_time(schedule["startSchedule"]), parse_time(body["validTo"])
    assert start == T0 - timedelta(seconds=60)
    assert end == T0 + timedelta(seconds=300)
    assert schedule["duration"] == 360
    assert start + timedelta(seconds=schedule["duration"]) == end


def test_lease_v16() -> None:
    payload = profile_v16(lease(limit_a=12.34))
    assert_valid("ocpp1.6", "SetChargingProfile", payload)
    assert payload == {
        "connectorId": 2,
        "csChargingProfiles": {
            "chargingProfileId": 221,
            "transactionId": 4711,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "validTo": "2026-01-05T12:05:00Z",
            "chargingSchedule": {
                "startSchedule": "2026-01-05T11:59:00Z",
                "duration": 360,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 12.3}],
            },
        },
    }


def test_lease_v201() -> None:
    payload = profile_v201(lease(limit_a=12.34))
    assert_valid("ocpp2.0.1", "SetChargingProfile", payload)
    assert payload == {
        "evseId": 2,
        "chargingProfile": {
            "id": 221,
            "transactionId": "4711",
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "validTo": "2026-01-05T12:05:00Z",
            "chargingSchedule": [
                {
                    "id": 221,
                    "startSchedule": "2026-01-05T11:59:00Z",
                    "duration": 360,
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 12.3}],
                }
            ],
        },
    }


def test_the_fallback_never_ends_and_names_no_transaction() -> None:
    profile = profile_for(FALLBACK, connector=1, limit_a=6.0, wiring=THREE, station_now=T0)
    body = profile_v16(profile)["csChargingProfiles"]
    assert "validTo" not in body
    assert "duration" not in body["chargingSchedule"]
    assert "transactionId" not in body
    assert body["stackLevel"] == 0


def test_watts_are_all_phases_rounded_down_with_their_number() -> None:
    profile = lease(limit_a=10.1, unit=RateUnit.W)
    payload = profile_v16(profile)
    period = payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]
    assert_valid("ocpp1.6", "SetChargingProfile", payload)
    assert period == {"startPeriod": 0, "limit": 6969.0, "numberPhases": 3}


def test_amperes_carry_no_number_of_phases_and_no_minimum_rate() -> None:
    text = str(profile_v16(lease())) + str(profile_v201(lease()))
    assert "numberPhases" not in text
    assert "minChargingRate" not in text


def test_a_relative_profile_has_no_start() -> None:
    profile = lease(is_leased=False, is_relative=True)
    body = profile_v201(profile)["chargingProfile"]
    assert body["chargingProfileKind"] == "Relative"
    assert "startSchedule" not in body["chargingSchedule"][0]
    assert "validTo" not in body


@pytest.mark.parametrize(
    ("limit_a", "rounded_a"),
    [(30.9, 30.9), (15.96, 15.9), (30.900000000000002, 30.9), (6.25, 6.2), (0.0, 0.0), (5.99, 5.9)],
)
def test_round_down(limit_a: float, rounded_a: float) -> None:
    assert rounded_a == round_down_a(limit_a)


@pytest.mark.parametrize("limit_a", [-0.1, float("nan"), float("inf"), 1e9])
def test_no_limit_is_refused(limit_a: float) -> None:
    with pytest.raises(ValueError, match="no limit"):
        round_down_a(limit_a)


@settings(deadline=None)
@given(
    limit_a=st.floats(0, 1000), phases=st.sampled_from([1, 2, 3]), unit=st.sampled_from(RateUnit)
)
def test_every_limit_is_valid_on_the_wire_and_never_above(
    limit_a: float, phases: int, unit: RateUnit
) -> None:
    profile = profile_for(
        ProfileForm(unit=unit),
        connector=1,
        limit_a=limit_a,
        wiring=EvseWiring(phases=phases),
        station_now=T0,
        lease_s=60.0,
        transaction="1",
    )
    assert_valid("ocpp1.6", "SetChargingProfile", profile_v16(profile))
    assert_valid("ocpp2.0.1", "SetChargingProfile", profile_v201(profile))
    said_a = profile.limit if unit is RateUnit.A else profile.limit / 230.0 / phases
    assert said_a <= limit_a + 1e-6


def test_ids_never_collide() -> None:
    places = [(c, p, level) for c in range(40) for p in Purpose for level in range(10)]
    assert len({profile_id(*place) for place in places}) == len(places)


def test_a_lease_is_tried_in_all_forms_before_anything_weaker() -> None:
    forms = limit_forms(None, 3, standing=LeaseStanding.POSSIBLE, transaction_may_be_left_out=True)
    assert [f.is_leased for f in forms] == [True] * 5 + [False] * 4
    assert [(f.unit.value, f.level, f.names_transaction) for f in forms[:5]] == [
        ("A", 1, True),
        ("W", 1, True),
        ("A", 0, True),
        ("A", 1, False),
        ("A", 3, True),
    ]
    assert forms[5].purpose is Purpose.TX_DEFAULT


def test_a_station_that_names_watts_is_never_told_amperes() -> None:
    watts = frozenset({RateUnit.W})
    forms = limit_forms(
        watts, None, standing=LeaseStanding.POSSIBLE, transaction_may_be_left_out=False
    )
    assert {f.unit for f in (*forms, *default_forms(watts))} == {RateUnit.W}
    assert all(f.names_transaction for f in forms)


@pytest.mark.parametrize(
    ("level", "standing", "first"),
    [
        (0, LeaseStanding.POSSIBLE, Purpose.TX_DEFAULT),
        (3, LeaseStanding.CLOCK_WRONG, Purpose.TX),
        (3, LeaseStanding.NO_DEFAULT, Purpose.TX),
    ],
)
def test_no_lease_where_it_cannot_be_trusted(
    level: int, standing: LeaseStanding, first: Purpose
) -> None:
    forms = limit_forms(None, level, standing=standing, transaction_may_be_left_out=True)
    assert not any(f.is_leased for f in forms)
    assert forms[0].purpose is first


def test_a_dc_limit_is_the_power_at_the_vehicle_at_the_lowest_voltage() -> None:
    dc = EvseWiring(phases=3, max_a=80, dc_w_per_a=3 * 207 * 0.9)
    profile = profile_for(
        ProfileForm(unit=RateUnit.W), connector=1, limit_a=20.0, wiring=dc, station_now=T0
    )
    assert (profile.limit, profile.number_phases) == (11178.0, None)


@pytest.mark.parametrize(("dc_w_per_a", "is_dc"), [(None, False), (570.0, True)])
def test_a_station_with_a_dc_outlet_is_known(dc_w_per_a: float | None, is_dc: bool) -> None:
    wirings = {EvseId("CP001/1"): EvseWiring(dc_w_per_a=dc_w_per_a)}
    settings = DialectSettings(wirings=wirings)
    assert settings.is_dc(StationId("CP001")) is is_dc
    assert not settings.is_dc(StationId("CP00"))
