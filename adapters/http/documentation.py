"""The OpenAPI document: routes as declared, plus problems, sign-in and the role of each."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from adapters.http import models as m
from adapters.http.examples import add_examples
from adapters.http.problems import MEDIA_TYPE
from adapters.http.roles import required_role

_DESCRIPTION = (
    "Smart-charging controller. Currents are amperes per phase, + towards the loads; times are "
    "RFC 3339 in UTC; errors are problem details (RFC 9457) with a `mend` sentence."
)
_METHODS = ("get", "put", "post", "delete", "patch")
_PROBLEM: dict[str, Any] = {
    "description": "Problem details",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def describe(api: FastAPI) -> None:
    """Give an application its OpenAPI document."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _document(api)
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _document(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=api.title, version=api.version, description=_DESCRIPTION, routes=api.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = m.Problem.model_json_schema()
    add_examples(schemas)
    components["securitySchemes"] = {
        "api_token": {"type": "http", "scheme": "bearer"},
        "browser_session": {"type": "apiKey", "in": "cookie", "name": "wattkeeper_session"},
    }
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(item[method], method.upper(), path)
    return document


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    role = required_role(method, path)
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = _PROBLEM
    operation["x-required-role"] = role.value if role is not None else "none"
    operation["security"] = [] if role is None else [{"api_token": []}, {"browser_session": []}]


def plain_page(document: dict[str, Any]) -> str:
    """Render the document's paths as a plain page that needs nothing from elsewhere."""
    rows = "".join(
        f"<tr><td>{method.upper()}<td><code>{escape(path)}</code>"
        f"<td>{escape(item[method]['x-required-role'])}"
        f"<td>{escape(item[method].get('description', ''))}"
        for path, item in sorted(document["paths"].items())
        for method in _METHODS
        if method in item
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Wattkeeper API</title>"
        f"<h1>Wattkeeper API</h1><p>{escape(_DESCRIPTION)}"
        '<p>The full description is <a href="openapi.json">openapi.json</a>.'
        f"<table><tr><th>Method<th>Path<th>Role<th>What{rows}</table></html>"
    )
