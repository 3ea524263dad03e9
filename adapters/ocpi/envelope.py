"""How every answer is wrapped, and OCPI's own status codes.

Source: OCPI 2.2.1 `transport_and_format`, `status_codes`: a request that is valid JSON from a known
partner never gets an HTTP error for what it says; the status code in the body tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import orjson
from starlette.responses import Response

from adapters.ocpi.models.base import time_text


class Status(IntEnum):
    """Status codes."""

    SUCCESS = 1000
    CLIENT_ERROR = 2000
    INVALID_PARAMETERS = 2001
    NOT_ENOUGH_INFORMATION = 2002
    UNKNOWN_LOCATION = 2003
    UNKNOWN_TOKEN = 2004
    SERVER_ERROR = 3000
    CANNOT_USE_API = 3001
    UNSUPPORTED_VERSION = 3002
    NO_MATCHING_ENDPOINTS = 3003
    HUB_ERROR = 4000
    UNKNOWN_RECEIVER = 4001
    TIMEOUT_FORWARDED = 4002
    CONNECTION_PROBLEM = 4003


class OcpiError(Exception):
    """Ends a request with an OCPI status, and perhaps an HTTP one."""

    def __init__(
        self,
        status: Status,
        message: str,
        *,
        http: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.http = http
        self.headers = dict(headers or {})


def answer(
    data: Any = None,
    *,
    status: Status = Status.SUCCESS,
    message: str = "",
    http: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Wrap data; absent data is left out."""
    body: dict[str, Any] = {
        "status_code": int(status),
        "status_message": message or status.name.capitalize().replace("_", " "),
        "timestamp": time_text(datetime.now(UTC)),
    }
    if data is not None:
        body["data"] = data
    return Response(
        orjson.dumps(body), http, headers=dict(headers or {}), media_type="application/json"
    )


def refused(error: OcpiError) -> Response:
    """Wrap an error."""
    return answer(
        status=error.status, message=error.message, http=error.http, headers=error.headers
    )
