"""Every alarm begins once and ends once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controller.alarms import AlarmBook
from controller.decision import Alarm, Condition, Severity

AT = datetime(2026, 3, 1, tzinfo=UTC)


def condition(code: str = "METER_LOST", text: str = "lost") -> Condition:
    return Condition(code=code, subject="main", text=text, severity=Severity.ALARM)


def test_a_restated_condition_begins_once() -> None:
    book = AlarmBook()

    first = book.update([condition()], AT)
    again = book.update([condition(text="still lost")], AT + timedelta(seconds=2))

    assert [a.end for a in first] == [None]
    assert again == ()
    assert [(a.begin, a.condition.text) for a in book.active()] == [(AT, "still lost")]


def test_a_condition_that_is_not_restated_ends() -> None:
    book = AlarmBook()
    book.update([condition()], AT)

    changes = book.update([], AT + timedelta(seconds=9))

    assert [(a.begin, a.end) for a in changes] == [(AT, AT + timedelta(seconds=9))]
    assert book.active() == ()


def test_what_an_adapter_reports_lasts_until_it_says_so() -> None:
    book = AlarmBook()
    book.begin(condition("INFLUX_UNREACHABLE"))
    book.update([], AT)
    lasting = book.update([], AT + timedelta(seconds=2))
    book.end("INFLUX_UNREACHABLE", "main")

    over = book.update([], AT + timedelta(seconds=4))

    assert lasting == ()
    assert [a.condition.code for a in over] == ["INFLUX_UNREACHABLE"]


def test_the_end_of_an_unknown_condition_changes_nothing() -> None:
    book = AlarmBook()
    book.end("NOTHING", "main")

    assert book.update([], AT) == ()


def test_what_stood_before_a_restart_goes_on_and_does_not_begin_again() -> None:
    before = AlarmBook().update([condition()], AT)
    book = AlarmBook()

    twice = book.restore(before, AT + timedelta(minutes=5))
    early = book.update([], AT + timedelta(minutes=5))
    told = book.update([condition(text="still lost")], AT + timedelta(minutes=6))
    book.settle()
    over = book.update([], AT + timedelta(minutes=9))

    assert (twice, early, told) == ((), (), ())
    assert [(a.begin, a.end) for a in over] == [(AT, AT + timedelta(minutes=9))]


def test_what_is_not_told_again_after_a_restart_ends_once() -> None:
    before = AlarmBook().update([condition()], AT)
    book = AlarmBook()
    book.restore(before, AT + timedelta(minutes=5))
    book.settle()

    over = book.update([], AT + timedelta(minutes=7))
    after = book.update([], AT + timedelta(minutes=8))

    assert [(a.begin, a.end) for a in over] == [(AT, AT + timedelta(minutes=7))]
    assert after == ()


def test_what_nobody_could_tell_again_yet_goes_on_after_a_restart() -> None:
    before = AlarmBook().update([condition()], AT)
    book = AlarmBook()
    book.restore(before, AT)
    subject = condition().subject

    still_waits = book.settle(unheard={subject})
    early = book.update([], AT + timedelta(minutes=7))
    waits_no_more = not book.settle(unheard=set())
    over = book.update([], AT + timedelta(minutes=8))

    assert still_waits
    assert early == ()
    assert waits_no_more
    assert [a.end for a in over] == [AT + timedelta(minutes=8)]


def test_an_adapter_that_finds_all_well_ends_what_it_reported_before_the_restart() -> None:
    reported = condition("STORE_UNWRITABLE")
    before = AlarmBook().update([reported], AT)
    book = AlarmBook()
    book.restore(before, AT)
    book.end(reported.code, reported.subject)

    over = book.update([], AT + timedelta(seconds=2))

    assert [a.end for a in over] == [AT + timedelta(seconds=2)]


def test_of_two_open_alarms_of_one_condition_the_later_is_ended() -> None:
    first, second = (
        Alarm(condition=condition(), begin=AT + timedelta(minutes=m), end=None) for m in (0, 3)
    )
    book = AlarmBook()

    twice = book.restore([second, first], AT + timedelta(minutes=5))

    assert [(a.begin, a.end) for a in twice] == [(second.begin, AT + timedelta(minutes=5))]
    assert [a.begin for a in book.active()] == [AT]
