"""One write request to a time-series server, and how it can end. Blocks; called in a thread."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final, Protocol
from urllib.parse import urlencode

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from adapters.influx.settings import InfluxSettings

MAX_REASON = 300
MAX_RETRY_AFTER_S = 300.0
REFUSES_LINES = frozenset({400, 413, 422})
_DROPPED = re.compile(r"dropped=(\d+)")
_WRONG_PLACE = re.compile(
    r"retention policy not found|database not found|database is required", re.I
)


@dataclass(frozen=True, slots=True)
class Written:
    """The server has stored the lines."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will never take at least one of the lines."""

    reason: str
    dropped: int | None
    """How many lines it says it left out; None: it does not say."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing can be written now; later it may."""

    reason: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Denied:
    """The server does not let us write there: credentials or the place are wrong."""

    reason: str


Outcome = Written | Refused | Unavailable | Denied


class Server(Protocol):
    """Takes line protocol with timestamps in milliseconds."""

    def write(self, body: bytes) -> Outcome:
        """Send one request."""

    def close(self) -> None:
        """Close its connections."""


def server_for(settings: InfluxSettings) -> Server:
    """Return the server that the settings name. Nothing is sent yet."""
    if settings.bucket is not None:
        return _Version2(settings)
    return _PlainHttp(
        settings, _version3(settings) if settings.is_version_3 else _version1(settings)
    )


class _Version2:
    """`/api/v2/write` of InfluxDB 2, InfluxDB 1.8 and VictoriaMetrics."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._client = InfluxDBClient(
            url=settings.url.rstrip("/"),
            token=_secret(settings.token_env) or "",
            org=settings.org,
            timeout=round(settings.timeout_s * 1000.0),
            enable_gzip=settings.gzip,
        )
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, body: bytes) -> Outcome:
        """Send one request."""
        try:
            self._writer.write(
                bucket=self._settings.bucket or "",
                record=body,
                write_precision=WritePrecision.MS,  # type: ignore[arg-type] # annotated wrongly
            )
        except ApiException as error:
            return outcome_of(error.status or 0, error.headers or {}, _text(error.body))
        except (HTTPError, OSError) as error:
            return Unavailable(plain_reason(error))
        return Written()

    def close(self) -> None:
        """Close its connections."""
        self._writer.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where and with what rights lines are posted."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


def _version1(settings: InfluxSettings) -> _Place:
    """`/write` of InfluxDB 1."""
    query = {"db": settings.database or "", "precision": "ms"}
    if settings.retention_policy is not None:
        query["rp"] = settings.retention_policy
    headers: dict[str, str] = {}
    if settings.username is not None:
        login = f"{settings.username}:{_secret(settings.password_env) or ''}"
        # In a header, because addresses are logged by servers and proxies.
        headers.update(urllib3.make_headers(basic_auth=login))
    return _Place(path="/write", query=query, headers=headers)


def _version3(settings: InfluxSettings) -> _Place:
    """`/api/v3/write_lp` of InfluxDB 3.

    Source: https://docs.influxdata.com/influxdb3/core/api/v3/. A request is taken whole or not at
    all, so that its bad lines are found by halving, as with the other versions.
    """
    token = _secret(settings.token_env)
    return _Place(
        path="/api/v3/write_lp",
        query={
            "db": settings.database or "",
            "precision": "millisecond",
            "accept_partial": "false",
        },
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )


class _PlainHttp:
    """Posts lines with nothing between us and the server but HTTP."""

    def __init__(self, settings: InfluxSettings, place: _Place) -> None:
        self._url = f"{settings.url.rstrip('/')}{place.path}?{urlencode(place.query)}"
        self._is_compressed = settings.gzip
        self._headers = {"Content-Type": "text/plain; charset=utf-8", **place.headers}
        if settings.gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(total=settings.timeout_s)
        )

    def write(self, body: bytes) -> Outcome:
        """Send one request."""
        content = gzip.compress(body, compresslevel=6) if self._is_compressed else body
        try:
            answer = self._pool.request(
                "POST", self._url, body=content, headers=self._headers, redirect=False
            )
        except (HTTPError, OSError) as error:
            return Unavailable(plain_reason(error))
        return outcome_of(answer.status, answer.headers, _text(answer.data))

    def close(self) -> None:
        """Close its connections."""
        self._pool.clear()


def missing_secret(settings: InfluxSettings) -> str | None:
    """Return the name of an environment variable that is asked for and empty."""
    names = (settings.token_env, settings.password_env)
    return next((name for name in names if name is not None and not os.environ.get(name)), None)


def outcome_of(status: int, headers: Mapping[str, str], text: str) -> Outcome:
    """Judge an answer."""
    reason = f"HTTP {status} {' '.join(text.split())[:MAX_REASON]}".strip()
    if 200 <= status < 300:
        return Written()
    if _WRONG_PLACE.search(text):
        return Denied(reason)
    if status in REFUSES_LINES:
        dropped = _DROPPED.search(text)
        return Refused(reason, int(dropped[1]) if dropped else None)
    if status == 429 or not 300 <= status < 500:
        return Unavailable(reason, retry_after_s(headers.get("Retry-After"), datetime.now(UTC)))
    return Denied(reason)


def retry_after_s(value: str | None, now: datetime) -> float:
    """Return what a Retry-After header asks for: seconds or a date, bounded; 0 when absent. [s]"""
    if value is None:
        return 0.0
    try:
        wait_s = float(value)
    except ValueError:
        try:
            wait_s = (parsedate_to_datetime(value).astimezone(UTC) - now).total_seconds()
        except ValueError:
            return 0.0
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S) if isfinite(wait_s) else 0.0


def _secret(variable: str | None) -> str | None:
    return None if variable is None else os.environ.get(variable)


def _text(body: bytes | str | None) -> str:
    if isinstance(body, bytes):
        return body[: 10 * MAX_REASON].decode(errors="replace")
    return (body or "")[: 10 * MAX_REASON]


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (NameResolutionError, "its name is not known to the network"),
    (ReadTimeoutError, "it took the request and did not answer in time"),
    (SSLError, "its certificate or encryption is not accepted"),
    (NewConnectionError, "nothing listens at that address and port"),
    (ConnectionRefusedError, "nothing listens at that address and port"),
    (ConnectTimeoutError, "nothing answers at that address"),
    (TimeoutError, "it did not answer in time"),
    (ProtocolError, "it closed the connection before it answered"),
    (OSError, "the network reports an error"),
)


def plain_reason(error: BaseException) -> str:
    """Say in plain words why there was no answer; the names of libraries help nobody."""
    causes: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in causes and len(causes) < 8:
        causes.append(at)
        reason = getattr(at, "reason", None)
        at = reason if isinstance(reason, BaseException) else at.__cause__ or at.__context__
    for kind, text in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return text
    return "the request failed"
