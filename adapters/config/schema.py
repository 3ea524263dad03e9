"""The JSON schema of site files, for editors: `python -m adapters.config.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from adapters.config.keys import SiteDocument

SCHEMA_FILE: Final = Path(__file__).resolve().parents[2] / "config" / "schema" / "site.schema.json"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def site_schema() -> dict[str, Any]:
    """Return the schema. Rules that span several keys are not in it; `wattkeeper check` knows them."""
    schema: dict[str, Any] = _strict(SiteDocument.model_json_schema())
    return {"$schema": _DIALECT, **schema, "title": "Wattkeeper site file"}


def schema_text() -> str:
    """Return the schema as it stands in the repository."""
    return json.dumps(site_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the schema into the repository."""
    SCHEMA_FILE.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")


def _strict(node: Any) -> Any:
    """Refuse ids of another form, and null: an absent key is not written, an empty one a mistake."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _strict(value) for key, value in node.items() if key != "title"}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    options = kept.pop("anyOf", None)
    if options is None:
        return kept
    filled = [option for option in options if option != {"type": "null"}]
    return {**filled[0], **kept} if len(filled) == 1 else {**kept, "anyOf": filled}


if __name__ == "__main__":
    main()
