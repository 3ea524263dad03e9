from __future__ import annotations

import gzip
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from adapters.influx.plan import unsent
from adapters.influx.server import (
    Denied,
    Outcome,
    Refused,
    Unavailable,
    Written,
    outcome_of,
    plain_reason,
    retry_after_s,
    server_for,
)
from adapters.influx.settings import InfluxSettings

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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "refused"), "nothing listens at that address and port"),
        (TimeoutError(), "it did not answer in time"),
        (ValueError("?"), "the request failed"),
    ],
)
def test_reason_is_said_in_plain_words(error: Exception, said: str) -> None:
    assert plain_reason(error) == said


def test_reason_of_a_refused_connection_names_no_library() -> None:
    settings = InfluxSettings(url="http://127.0.0.1:1", site="depot", database="x")
    outcome = server_for(settings).write(b"a v=1 1")
    assert outcome == Unavailable("nothing listens at that address and port")


def test_version_3_is_written_through_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    asked: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], gzip.decompress(body)))
            self.send_response(204 if len(asked) == 1 else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        settings = InfluxSettings(
            url=f"http://127.0.0.1:{http.server_port}",
            site="depot",
            database="wattkeeper",
            is_version_3=True,
            token_env="TOKEN",
        )
        server = server_for(settings)
        outcomes = [server.write(b"a v=1 1"), server.write(b"a v= 1")]
        server.close()
        http.shutdown()
        thread.join()
    path, authorization, body = asked[0]
    assert path == ("/api/v3/write_lp?db=wattkeeper&precision=millisecond&accept_partial=false")
    assert (authorization, body) == ("Bearer secret", b"a v=1 1")
    assert isinstance(outcomes[0], Written)
    assert isinstance(outcomes[1], Refused)
