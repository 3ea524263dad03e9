from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.influx import InfluxSettings
from adapters.influx.plan import unsent
from adapters.influx.server import Denied, Outcome, Refused, Unavailable, outcome_of, retry_after_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "unable to parse", Refused),
        (422, "outside retention", Refused),
        (413, "too large", Refused),
        (401, "unauthorized", Denied),
        (404, "bucket not found", Denied),
        (500, "retention policy not found: x", Denied),
        (302, "", Denied),
        (429, "", Unavailable),
        (503, "", Unavailable),
        (0, "", Unavailable),
    ],
)
def test_answers_are_judged(status: int, text: str, kind: type[Outcome]) -> None:
    assert kind is type(outcome_of(status, {}, text))


def test_number_of_dropped_lines_is_read() -> None:
    outcome = outcome_of(400, {}, '{"error":"partial write: field type conflict dropped=3"}')
    assert isinstance(outcome, Refused)
    assert outcome.dropped == 3


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        (None, 0.0),
        ("7", 7.0),
        ("-1", 0.0),
        ("1e9", 300.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected_s: float) -> None:
    assert expected_s == retry_after_s(value, NOW)


@pytest.mark.parametrize(
    ("uploaded", "newest", "expected"),
    [
        ((), 0, ()),
        ((), 5, ((1, 5),)),
        (((1, 5),), 5, ()),
        (((3, 4), (7, 9)), 12, ((1, 2), (5, 6), (10, 12))),
        (((1, 9),), 5, ()),
        (((2, 3), (8, 9)), 5, ((1, 1), (4, 5))),
    ],
)
def test_unsent_is_what_is_not_uploaded(uploaded: Any, newest: int, expected: Any) -> None:
    assert expected == unsent(uploaded, newest)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"bucket": "b", "database": "d"},
        {"bucket": "b", "url": "127.0.0.1:8086"},
        {"bucket": "b", "url": "http://me:secret@127.0.0.1:8086"},
        {"bucket": "b", "url": "http://127.0.0.1:8086/?token=secret"},
    ],
)
def test_wrong_settings_are_refused_without_repeating_secrets(arguments: Any) -> None:
    with pytest.raises(ValueError, match="influx") as caught:
        InfluxSettings(**{"url": "http://127.0.0.1:8086", "site": "s", **arguments})
    assert "secret" not in str(caught.value)
