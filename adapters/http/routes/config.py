"""The site file: read, try, change, take back."""

from __future__ import annotations

import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from adapters.http import config_views as views
from adapters.http.config_models import (
    ConfigChanged,
    ConfigIn,
    ConfigOut,
    DryRunOut,
    RestoreIn,
    Versions,
)
from adapters.http.preconditions import IfMatch
from adapters.http.problems import Problem, ProblemError, not_found, unavailable
from adapters.http.services import Services, Uses, Who
from controller.administration import ConfigVersion
from controller.configuration import (
    Changed,
    ChangeRefused,
    Configuration,
    Proposal,
    RefusalKind,
    Review,
)

router = APIRouter(prefix="/api/v1/config", tags=["config"])
Number = Annotated[int, Path(alias="n", ge=1, le=2**53)]
_YAML = "application/yaml"
_YAML_TYPES = frozenset({_YAML, "text/yaml", "text/x-yaml", "application/x-yaml", "text/plain"})
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": ConfigIn.model_json_schema()},
            _YAML: {"schema": {"type": "string"}},
        },
    }
}


async def _body(request: Request) -> ConfigIn:
    """Read the new configuration: JSON, the text itself, or its content as JSON."""
    raw = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in _YAML_TYPES:
            return ConfigIn(text=raw.decode("utf-8"))
        data = orjson.loads(raw)
        if isinstance(data, dict) and "format" in data:
            return ConfigIn(data=data)
        return ConfigIn.model_validate(data)
    except ValidationError as error:
        raise RequestValidationError(
            [{**e, "loc": ("body", *e["loc"])} for e in error.errors()]
        ) from None
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        raise ProblemError(
            Problem(
                status=400,
                code="bad-request",
                title="Bad request",
                detail="The body is neither JSON nor UTF-8 text.",
                mend='Send {"text": "..."} as application/json, or the file as application/yaml.',
            )
        ) from None


Asked = Annotated[ConfigIn, Depends(_body)]


@router.get("", responses={200: {"content": {_YAML: {"schema": {"type": "string"}}}}})
async def read_config(request: Request, response: Response, services: Uses) -> ConfigOut:
    """Return the site file in force; as its text with `Accept: application/yaml`."""
    current = await services.bridge.run(_configuration(services).current())
    if _YAML in request.headers.get("accept", ""):
        headers = {"ETag": _etag(current.version)}
        return Response(current.version.text, media_type=_YAML, headers=headers)  # type: ignore[return-value]
    response.headers["ETag"] = _etag(current.version)
    return views.current(current)


@router.put("", openapi_extra=_BODY)
async def put_config(
    asked: Asked,
    response: Response,
    services: Uses,
    who: Who,
    dry_run: Annotated[bool, Query(description="Only say what it would do.")] = False,
    if_match: IfMatch = None,
) -> ConfigChanged | DryRunOut:
    """Change the site file; it counts from the next cycle and is taken back when cycles fail."""
    proposal = Proposal(
        text=asked.text,
        data=asked.data,
        actor=who.name,
        note=asked.note,
        expected=_expected(if_match),
        overwrite=asked.overwrite,
    )
    if dry_run:
        review = await services.bridge.carry_out(
            _configuration(services).review(proposal),
            timeout_s=services.settings.change_timeout_s,
        )
        return views.review(review)
    return await _change(services, proposal, response)


@router.get("/versions")
async def list_config_versions(
    services: Uses,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Versions:
    """Return the versions of the site file, newest first."""
    found = await services.bridge.run(services.store.versions(limit=limit + 1, offset=offset))
    return Versions(
        items=[views.version(v) for v in found[:limit]],
        next_offset=offset + limit if len(found) > limit else None,
    )


@router.get("/versions/{n}")
async def read_config_version(number: Number, services: Uses) -> ConfigOut:
    """Return a version with its text."""
    return views.old_version(await _known(services, number))


@router.post("/versions/{n}/restore")
async def restore_config_version(
    number: Number,
    response: Response,
    services: Uses,
    who: Who,
    asked: Annotated[RestoreIn | None, Body()] = None,
    if_match: IfMatch = None,
) -> ConfigChanged:
    """Put an older version in force again, as a new version."""
    wanted = asked if asked is not None else RestoreIn()
    old = await _known(services, number)
    proposal = Proposal(
        text=old.text,
        actor=who.name,
        note=wanted.note or f"version {number} again",
        expected=_expected(if_match),
        overwrite=wanted.overwrite,
    )
    return await _change(services, proposal, response)


async def _change(services: Services, proposal: Proposal, response: Response) -> ConfigChanged:
    result = await services.bridge.carry_out(
        _configuration(services).change(proposal), timeout_s=services.settings.change_timeout_s
    )
    match result:
        case Changed():
            response.headers["ETag"] = _etag(result.version)
            return views.changed(result)
        case Review():
            raise _invalid(result)
        case ChangeRefused():
            raise _refused(result)


def _configuration(services: Services) -> Configuration:
    if services.configuration is None:
        raise unavailable(
            "This controller was started without a site file.",
            "Start it with `wattkeeper run SITE.yaml`.",
            code="no-site-file",
        )
    return services.configuration


async def _known(services: Services, number: int) -> ConfigVersion:
    found = await services.bridge.run(services.store.version(number))
    if found is None:
        raise not_found("version", str(number))
    return found


def _etag(version: ConfigVersion) -> str:
    return f'"v{version.number}"'


def _expected(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'(?:W/)?"v(\d{1,15})"', if_match.strip())
    return int(found.group(1)) if found else 0


def _invalid(review: Review) -> ProblemError:
    first = review.problems[0]
    return ProblemError(
        Problem(
            status=422,
            code="invalid-configuration",
            title="Invalid configuration",
            detail=f"{len(review.problems)} problems; line {first.line}: {first.path}: "
            f"{first.text}.",
            mend=first.mend + ".",
            errors=[
                {
                    "field": p.path,
                    "text": p.text,
                    "mend": p.mend,
                    "line": str(p.line or ""),
                    "column": str(p.column or ""),
                }
                for p in review.problems[:200]
            ],
        )
    )


def _refused(refusal: ChangeRefused) -> ProblemError:
    return ProblemError(
        Problem(
            status=412 if refusal.kind is RefusalKind.OUTDATED else 409,
            code=refusal.kind.value,
            title="Not changed",
            detail=refusal.text,
            mend=refusal.mend,
        )
    )
