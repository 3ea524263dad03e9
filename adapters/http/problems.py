"""Problem details (RFC 9457): every error says what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from controller.errors import StoreUnavailableError

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:wattkeeper:problem:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error as the client sees it."""

    status: int
    code: str
    """Stable, kebab-case; the last part of the problem's `type`."""
    title: str
    detail: str
    mend: str
    """One sentence: what to do about it."""
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, instance: str) -> Response:
        """Render the problem for the request path `instance`."""
        body: dict[str, Any] = {
            "type": _TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "mend": self.mend,
        }
        if self.errors:
            body["errors"] = [dict(e) for e in self.errors]
        return Response(
            orjson.dumps(body), self.status, headers=dict(self.headers), media_type=MEDIA_TYPE
        )


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def not_found(kind: str, name: str) -> ProblemError:
    """Say that there is no such thing."""
    return ProblemError(
        Problem(
            status=404,
            code="not-found",
            title="Not found",
            detail=f"There is no {kind} {name!r}.",
            mend=f"List what exists: the {kind} ids stand in the collection above this path.",
        )
    )


def unprocessable(detail: str, mend: str, *, code: str = "invalid-value") -> ProblemError:
    """Say that a value cannot be accepted."""
    return ProblemError(
        Problem(status=422, code=code, title="Invalid value", detail=detail, mend=mend)
    )


def unavailable(detail: str, mend: str, *, code: str = "busy") -> ProblemError:
    """Say that the answer cannot be given now."""
    return ProblemError(
        Problem(
            status=503,
            code=code,
            title="Not available now",
            detail=detail,
            mend=mend,
            headers={"Retry-After": "2"},
        )
    )


_BY_STATUS: dict[int, tuple[str, str, str]] = {
    400: (
        "bad-request",
        "Bad request",
        "Send a body that is valid JSON and matches /api/openapi.json.",
    ),
    404: ("not-found", "Not found", "Look up the paths in /api/openapi.json."),
    405: (
        "method-not-allowed",
        "Method not allowed",
        "Use one of the methods in the Allow header.",
    ),
    408: ("body-too-slow", "Body too slow", "Send the whole body at once."),
    413: ("body-too-large", "Body too large", "Send less at once."),
}


def _from_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code, title, mend = _BY_STATUS.get(
        error.status_code, ("refused", "Refused", "Compare the request with /api/openapi.json.")
    )
    problem = Problem(
        status=error.status_code,
        code=code,
        title=title,
        detail=f"{request.method} {request.url.path}: {title.lower()}.",
        mend=mend,
        headers=dict(error.headers or {}),
    )
    return problem.response(request.url.path)


def _from_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # The offending input is never echoed: it may be a password.
    errors = [
        {"field": ".".join(str(part) for part in e["loc"]), "text": str(e["msg"])}
        for e in error.errors()[:20]
    ]
    first = errors[0] if errors else {"field": "body", "text": "not valid"}
    problem = Problem(
        status=422,
        code="invalid-request",
        title="Invalid request",
        detail=f"{first['field']}: {first['text']}.",
        mend="Correct the fields named in `errors`; /api/openapi.json describes each of them.",
        errors=errors,
    )
    return problem.response(request.url.path)


def _from_problem_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return error.problem.response(request.url.path)


def _from_store(request: Request, error: Exception) -> Response:
    refused = unavailable(
        "The store cannot confirm a write now; nothing is certain about this change.",
        "Look at the alarms: STORE_UNWRITABLE says why. Then read the value back and try again.",
        code="store-unavailable",
    )
    return refused.problem.response(request.url.path)


def _from_bug(request: Request, _error: Exception) -> Response:
    problem = Problem(
        status=500,
        code="internal",
        title="Internal error",
        detail="The request met a defect in this program; control of the site is not affected.",
        mend="Report it with the time of day; the log of the controller names the place.",
        headers={"Connection": "close"},
    )
    return problem.response(request.url.path)


def install_handlers(app: FastAPI) -> None:
    """Turn every error of an application into a problem."""
    app.add_exception_handler(HTTPException, _from_http_exception)
    app.add_exception_handler(RequestValidationError, _from_validation_error)
    app.add_exception_handler(ProblemError, _from_problem_error)
    app.add_exception_handler(StoreUnavailableError, _from_store)
    app.add_exception_handler(Exception, _from_bug)
