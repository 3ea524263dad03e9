"""The building's load, told apart from the vehicles behind the same meter."""

from __future__ import annotations

from controller import baseload
from controller.baseload import BaseLoad, DrawBounds
from controller.phases import ZERO, PhaseCurrents

BELIEVE_S = 12.0


class Scene:
    """One phase-balanced meter; the test says what stations reported and what they may draw."""

    def __init__(self) -> None:
        self.base: BaseLoad | None = None
        self.now_s = 0.0

    def read(
        self,
        meter_a: float,
        *,
        least_a: float,
        reported_a: float,
        most_a: float,
        last_seen_a: float | None = None,
        limit_a: float = 1000.0,
        seconds: float = 1.0,
    ) -> float:
        for _ in range(max(1, round(seconds))):
            self.now_s += 1.0
            self.base = baseload.estimated(
                self.base,
                meter=PhaseCurrents.balanced(meter_a),
                bounds=DrawBounds(
                    least=PhaseCurrents.balanced(least_a),
                    last_seen=PhaseCurrents.balanced(
                        least_a if last_seen_a is None else last_seen_a
                    ),
                    reported=PhaseCurrents.balanced(reported_a),
                    most=PhaseCurrents.balanced(most_a),
                ),
                overloaded=PhaseCurrents.balanced(meter_a - limit_a),
                now_s=self.now_s,
                believe_after_s=BELIEVE_S,
            )
        assert self.base is not None
        return baseload.value(self.base).l1_a


def settled(scene: Scene) -> float:
    """20 A of building and a vehicle that draws the 16 A it may."""
    return scene.read(36.0, least_a=16.0, reported_a=16.0, most_a=16.0, seconds=14)


def test_with_exact_samples_the_rest_is_the_building() -> None:
    assert settled(Scene()) == 20.0


def test_the_first_samples_after_the_start_count_at_once() -> None:
    scene = Scene()
    unknown = scene.read(
        36.0, least_a=0.0, last_seen_a=6.0, reported_a=16.0, most_a=16.0, seconds=3
    )
    known = scene.read(36.0, least_a=16.0, reported_a=16.0, most_a=16.0)

    assert (unknown, known) == (30.0, 20.0)


def test_after_the_start_a_vehicle_that_was_just_lowered_does_not_look_like_a_falling_building() -> (
    None
):
    """It fell before its next sample; the building counted with -13 A, and others were raised."""
    scene = Scene()
    at_once_a = scene.read(36.0, least_a=16.0, last_seen_a=16.0, reported_a=16.0, most_a=16.0)
    lowered_a = scene.read(20.0, least_a=0.0, last_seen_a=16.0, reported_a=16.0, most_a=16.0)

    assert (at_once_a, lowered_a) == (20.0, 20.0)


def test_a_vehicle_that_follows_a_raise_does_not_look_like_the_building() -> None:
    scene = Scene()
    settled(scene)

    rising = scene.read(50.0, least_a=16.0, reported_a=32.0, most_a=32.0, seconds=9)
    arrived = scene.read(52.0, least_a=32.0, reported_a=32.0, most_a=32.0, seconds=20)

    assert (rising, arrived) == (20.0, 20.0)


def test_a_building_step_beyond_what_vehicles_may_draw_counts_at_once() -> None:
    scene = Scene()
    settled(scene)

    assert scene.read(66.0, least_a=16.0, reported_a=16.0, most_a=16.0) == 50.0


def test_a_rise_that_a_vehicle_could_explain_is_believed_when_its_samples_do_not() -> None:
    scene = Scene()
    scene.read(26.0, least_a=6.0, reported_a=6.0, most_a=32.0, seconds=14)

    assert scene.read(40.0, least_a=6.0, reported_a=6.0, most_a=32.0, seconds=10) == 20.0
    assert scene.read(40.0, least_a=6.0, reported_a=6.0, most_a=32.0, seconds=4) == 34.0


def test_a_fall_is_believed_only_after_stations_had_time_to_report() -> None:
    """A vehicle that stopped looks like a building that fell until its station says so."""
    scene = Scene()
    settled(scene)

    unreported = scene.read(20.0, least_a=16.0, reported_a=16.0, most_a=16.0, seconds=10)
    reported = scene.read(20.0, least_a=0.0, reported_a=0.0, most_a=16.0, seconds=30)

    assert (unreported, reported) == (20.0, 20.0)


def test_a_lasting_fall_gives_the_current_back() -> None:
    scene = Scene()
    settled(scene)

    assert scene.read(21.0, least_a=16.0, reported_a=16.0, most_a=16.0, seconds=14) == 5.0


def test_of_a_noisy_fall_the_highest_value_counts() -> None:
    scene = Scene()
    settled(scene)
    for noise_a in (0.0, 2.0, 1.0) * 5:
        value = scene.read(21.0 + noise_a, least_a=16.0, reported_a=16.0, most_a=16.0)

    assert value == 7.0


def test_over_the_limit_the_cautious_end_counts_at_once() -> None:
    """30 A of unused grants could explain the rise, but the conductor is over its limit now."""
    scene = Scene()
    scene.read(26.0, least_a=6.0, reported_a=6.0, most_a=32.0, seconds=14)

    assert scene.read(70.0, least_a=6.0, reported_a=6.0, most_a=32.0, limit_a=63.0) == 64.0


def test_vehicles_that_have_yet_to_follow_a_cut_do_not_look_like_the_building() -> None:
    """The limit is exceeded and the vehicle was cut from 32 A to 10 A a second ago."""
    scene = Scene()
    scene.read(52.0, least_a=32.0, reported_a=32.0, most_a=32.0, seconds=14)

    over = scene.read(
        52.0, least_a=10.0, last_seen_a=32.0, reported_a=32.0, most_a=32.0, limit_a=40.0
    )

    assert over == 20.0


def test_phases_are_told_apart() -> None:
    base = baseload.estimated(
        None,
        meter=PhaseCurrents(l1_a=30.0, l2_a=20.0, l3_a=10.0),
        bounds=DrawBounds(least=ZERO, last_seen=ZERO, reported=ZERO, most=ZERO),
        overloaded=ZERO,
        now_s=0.0,
        believe_after_s=BELIEVE_S,
    )

    assert list(baseload.value(base)) == [30.0, 20.0, 10.0]


def test_a_rise_that_is_covered_for_a_while_is_believed_once_it_is_seen_again() -> None:
    scene = Scene()
    settled(scene)
    scene.read(38.0, least_a=16.0, reported_a=16.0, most_a=22.0, seconds=6)
    covered = scene.read(38.0, least_a=16.0, reported_a=22.0, most_a=22.0, seconds=20)
    assert covered == 20.0
    assert scene.read(38.0, least_a=16.0, reported_a=16.0, most_a=22.0) == 22.0


def test_a_rise_that_samples_refute_begins_anew() -> None:
    scene = Scene()
    settled(scene)
    scene.read(38.0, least_a=16.0, reported_a=16.0, most_a=22.0, seconds=6)
    scene.read(38.0, least_a=18.0, reported_a=18.0, most_a=22.0, seconds=20)
    assert scene.read(40.0, least_a=18.0, reported_a=18.0, most_a=22.0, seconds=11) == 20.0


def test_of_a_covered_rise_no_more_is_believed_than_was_possible_meanwhile() -> None:
    scene = Scene()
    settled(scene)
    scene.read(38.0, least_a=16.0, reported_a=16.0, most_a=22.0, seconds=6)
    scene.read(38.0, least_a=17.0, reported_a=22.0, most_a=22.0, seconds=20)
    assert scene.read(38.0, least_a=16.0, reported_a=16.0, most_a=22.0) == 21.0
