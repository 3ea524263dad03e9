"""Every alarm begins once and ends once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controller.alarms import AlarmBook
from controller.decision import Condition, Severity

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
