"""The dashboard, as built from `web/` (`scripts/web`), and the description of the API."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from adapters.http.documentation import plain_page
from adapters.http.problems import not_found

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parent.parent / "page"
_MEDIA_TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# The build puts a hash of its content into the name of each asset.
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file of the build, ready to send."""

    body: bytes
    zipped: bytes
    media_type: str
    etag: str
    cache: str


@router.get("/")
async def read_page(request: Request) -> Response:
    """Return the dashboard."""
    return _answer(request, "index.html")


@router.get("/assets/{name}")
async def read_asset(request: Request, name: str) -> Response:
    """Return a script, style or picture of the dashboard."""
    return _answer(request, f"assets/{name}")


@router.get("/api/openapi.json")
async def read_document(request: Request) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@router.get("/api/docs")
async def read_plain_page(request: Request) -> Response:
    """Return the list of paths."""
    return HTMLResponse(plain_page(request.app.openapi()))


def _answer(request: Request, name: str) -> Response:
    file = _files().get(name)
    if file is None:
        raise not_found("file", name)
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": file.cache,
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    body = file.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = file.zipped
    return Response(body, media_type=file.media_type, headers=headers)


@cache
def _files() -> dict[str, _File]:
    """Read and compress the whole build once; requests name files, never paths."""
    found = sorted(p for p in _FOLDER.rglob("*") if p.suffix in _MEDIA_TYPES)
    return {path.relative_to(_FOLDER).as_posix(): _read(path) for path in found}


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(
        body=body,
        zipped=gzip.compress(body, 9, mtime=0),
        media_type=_MEDIA_TYPES[path.suffix],
        etag=f'"{sha256(body).hexdigest()[:32]}"',
        cache=_FOR_EVER if path.parent.name == "assets" else _ASK_AGAIN,
    )
