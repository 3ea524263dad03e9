"""Takes secrets out of frames before anyone may look at them."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

MAX_TEXT: Final = 4096
"""Longer frames are cut in the log. [character]"""
HIDDEN: Final = "***"

_TOKEN_NAMES: Final = frozenset(
    {"idtag", "idtoken", "parentidtag", "groupidtoken", "additionalidtoken"}
)
_SECRET_NAME: Final = re.compile(
    r"password|authorizationkey|secret|csr|certificate$|certificatechain|apikey", re.I
)
_SECRET_SETTING: Final = re.compile(r"authorizationkey|password|secret|apikey", re.I)
"""Names of configuration keys and variables whose value is a secret."""
_SETTING_VALUES: Final = ("value", "attributeValue", "variableAttribute")
_SUSPECT: Final = re.compile(
    rb"idtag|idtoken|password|authorizationkey|secret|csr|certificate|apikey|://|\\u", re.I
)
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s]*@")
_UPLOAD_CREDENTIALS: Final = re.compile(r"(?<=/uploads/)[^/?#\s]+")
"""One-time credentials in the URLs of our own receiver."""


def redacted(raw: bytes) -> str:
    """Return a frame as text for the log: no secrets, tokens shortened, bounded.

    A frame that cannot be read is described, not shown, when it might hold a secret.
    """
    if _SUSPECT.search(raw) is None:
        return raw[:MAX_TEXT].decode(errors="replace")
    try:
        message = orjson.loads(raw.strip(b"\x00\xef\xbb\xbf \t\r\n"))
        return orjson.dumps(_clean("", message)).decode()[:MAX_TEXT]
    except (ValueError, RecursionError):
        return f"({len(raw)} bytes, not shown: unreadable)"


def shortened(token: str) -> str:
    """Return the beginning of an id token."""
    return f"{token[:4]}…" if len(token) > 4 else "…"


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _clean_object(value)
    if isinstance(value, list):
        return [_clean(name, entry) for entry in value]
    if not isinstance(value, str):
        return value
    if name.lower() in _TOKEN_NAMES:
        return shortened(value)
    if _SECRET_NAME.search(name):
        return HIDDEN
    if "://" not in value:
        return value
    return _UPLOAD_CREDENTIALS.sub(HIDDEN, _URL_CREDENTIALS.sub(f"{HIDDEN}@", value))


def _clean_object(value: dict[str, Any]) -> dict[str, Any]:
    setting = value.get("key")
    variable = value.get("variable")
    if isinstance(variable, dict):
        setting = variable.get("name")
    cleaned = {key: _clean(key, entry) for key, entry in value.items()}
    if isinstance(setting, str) and _SECRET_SETTING.search(setting):
        cleaned |= {key: HIDDEN for key in _SETTING_VALUES if key in cleaned}
    return cleaned
