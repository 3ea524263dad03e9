"""A meter that sends wrong numbers now and then is believed; one that sends many is not."""

from __future__ import annotations

import pytest

from adapters.modbus.credit import Credit


def booked(*samples: bool, every_s: float = 1.0) -> Credit:
    credit = Credit()
    for count, is_plausible in enumerate(samples):
        credit.book(count * every_s, is_plausible=is_plausible)
    return credit


@pytest.mark.parametrize("wrong_of_ten", [3, 5, 9])
def test_many_wrong_samples_cast_doubt_on_the_others(wrong_of_ten: int) -> None:
    ten = [n * wrong_of_ten % 10 >= wrong_of_ten for n in range(10)]

    doubt = booked(*ten * 3).doubt()

    assert ten.count(False) == wrong_of_ten
    assert doubt is not None
    assert f"wrong in {3 * wrong_of_ten} of its last 30 seconds" in doubt


def test_one_wrong_sample_in_five_costs_only_itself() -> None:
    assert booked(*[False, True, True, True, True] * 6).doubt() is None


def test_two_wrong_samples_at_the_start_are_no_pattern() -> None:
    assert booked(False, False, True).doubt() is None


def test_an_outage_that_is_over_is_no_pattern() -> None:
    outage = [False] * 30

    assert booked(*outage, *[True] * 4).doubt() is not None
    assert booked(*outage, *[True] * 6).doubt() is None


def test_that_a_meter_is_read_again_sooner_after_a_wrong_sample_does_not_count_against_it() -> None:
    credit = Credit()
    for second in range(60):
        is_disturbed = second % 15 == 0
        for part in range(4 if is_disturbed else 1):
            credit.book(second + 0.2 * part, is_plausible=not is_disturbed)
        assert credit.doubt() is None


def test_what_is_long_ago_is_forgotten() -> None:
    credit = booked(False, False, False, False)
    credit.book(100.0, is_plausible=False)
    credit.book(101.0, is_plausible=True)

    assert credit.doubt() is None
