"""The built-in status page and the description of the API."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from adapters.http.documentation import plain_page

router = APIRouter(include_in_schema=False)
_FILE = Path(__file__).parent.parent / "page" / "index.html"


@router.get("/")
async def read_page() -> Response:
    """Return the status page."""
    html, policy = _page()
    return HTMLResponse(
        html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    )


@router.get("/api/openapi.json")
async def read_document(request: Request) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@router.get("/api/docs")
async def read_plain_page(request: Request) -> Response:
    """Return the list of paths."""
    return HTMLResponse(plain_page(request.app.openapi()))


@cache
def _page() -> tuple[str, str]:
    """Return the page and a policy that runs its own script and style and nothing else."""
    html = _FILE.read_text(encoding="utf-8")
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; "
        f"script-src {_hash(html, 'script')}; style-src {_hash(html, 'style')}; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return html, policy


def _hash(html: str, element: str) -> str:
    found = re.search(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    text = found.group(1) if found else ""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
