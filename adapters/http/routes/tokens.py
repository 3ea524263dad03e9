"""Id tokens: who may charge."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator

from adapters.http import models as m
from adapters.http import views
from adapters.http.preconditions import IfMatch, etag_of, require_match
from adapters.http.problems import not_found, unprocessable
from adapters.http.services import Services, Uses, Who
from controller.records import AuditEntry, TokenRecord
from controller.site import StationId
from controller.token_table import TableError, tokens_from_csv, tokens_to_csv
from controller.transaction import IdToken

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])
table = APIRouter(prefix="/api/v1", tags=["tokens"])
_MOST_PROBLEMS = 20
_IMPORT_S = 30.0
_EXAMPLE = (
    "id,status,label,group,expires_at,priority\r\n04A1B2C3,accepted,Van 7,FLEET,2027-12-31,2\r\n"
)


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable, without spaces around it")
    return text


Token = Annotated[str, Path(alias="id", min_length=1, max_length=36), AfterValidator(_printable)]


@router.get("")
async def list_tokens(
    services: Uses,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> m.Tokens:
    """Return known tokens by id."""
    records = await services.bridge.run(services.store.tokens())
    end = offset + limit
    return m.Tokens(
        items=[views.token(r) for r in records[offset:end]],
        next_offset=end if end < len(records) else None,
    )


@table.get(
    "/tokens.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_tokens(services: Uses) -> Response:
    """Return all tokens as CSV; spreadsheets read no cell of it as a formula."""
    records = await services.bridge.run(services.store.tokens())
    return Response(
        tokens_to_csv(records),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="tokens.csv"'},
    )


@table.put(
    "/tokens.csv",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
)
async def import_tokens(
    request: Request,
    services: Uses,
    who: Who,
    replace: Annotated[bool, Query(description="Delete tokens that are not in the table.")] = False,
) -> m.TokensImported:
    """Add or replace all tokens of a CSV table, or none when a line of it is wrong."""
    try:
        records = tokens_from_csv((await request.body()).decode("utf-8"))
    except UnicodeDecodeError:
        raise unprocessable(
            "The table is not UTF-8 text.", "Save it as `CSV UTF-8`.", code="not-utf-8"
        ) from None
    except TableError as error:
        raise unprocessable(
            "; ".join(str(p) for p in error.problems[:_MOST_PROBLEMS]),
            "Mend these lines and send the table again; nothing was changed.",
            code="bad-table",
        ) from None
    report = await services.bridge.carry_out(
        services.store.import_tokens(records, replace=replace), timeout_s=_IMPORT_S
    )
    await services.bridge.carry_out(
        services.store.audit(
            AuditEntry(
                at=services.clock.now(),
                actor=who.name,
                action="tokens.import",
                subject="tokens",
                after=orjson.dumps(asdict(report)).decode(),
            )
        )
    )
    return m.TokensImported(**asdict(report))


@router.get("/{id:path}")
async def read_token(token: Token, services: Uses, response: Response) -> m.TokenOut:
    """Return one token."""
    record = await _known(services, IdToken(token))
    response.headers["ETag"] = _etag(record)
    return views.token(record)


@router.put("/{id:path}")
async def put_token(
    token: Token,
    asked: m.TokenIn,
    services: Uses,
    who: Who,
    response: Response,
    if_match: IfMatch = None,
) -> m.TokenOut:
    """Add or replace a token; doing it again changes nothing."""
    before = await services.bridge.run(services.store.token(IdToken(token)))
    require_match(if_match, _etag(before) if before is not None else None)
    after = TokenRecord(
        id=before.id if before is not None else IdToken(token),
        status=asked.status,
        label=asked.label,
        group=IdToken(asked.group) if asked.group is not None else None,
        expires_at=asked.expires_at,
        priority=asked.priority,
        kind=asked.kind,
        max_a=asked.max_a,
        stations=tuple(StationId(s) for s in asked.stations),
        concurrent=asked.concurrent,
    )
    if after != before:
        await services.bridge.carry_out(services.store.put_token(after))
        await _audit(services, who, "token.put", before, after)
    response.headers["ETag"] = _etag(after)
    return views.token(after)


@router.delete("/{id:path}", status_code=204)
async def delete_token(token: Token, services: Uses, who: Who, if_match: IfMatch = None) -> None:
    """Delete a token."""
    before = await _known(services, IdToken(token))
    require_match(if_match, _etag(before))
    await services.bridge.carry_out(services.store.delete_token(before.id))
    await _audit(services, who, "token.delete", before, None)


def _etag(record: TokenRecord) -> str:
    return etag_of(views.token(record).model_dump(mode="json"))


async def _known(services: Services, token: IdToken) -> TokenRecord:
    record = await services.bridge.run(services.store.token(token))
    if record is None:
        raise not_found("token", token)
    return record


async def _audit(
    services: Services,
    who: Who,
    action: str,
    before: TokenRecord | None,
    after: TokenRecord | None,
) -> None:
    subject = after or before
    entry = AuditEntry(
        at=services.clock.now(),
        actor=who.name,
        action=action,
        subject=subject.id if subject is not None else "",
        before=_json(before),
        after=_json(after),
    )
    await services.bridge.carry_out(services.store.audit(entry))


def _json(record: TokenRecord | None) -> str:
    if record is None:
        return ""
    return orjson.dumps(views.token(record).model_dump(mode="json")).decode()
