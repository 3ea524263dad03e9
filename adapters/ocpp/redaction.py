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
_EMPTY_RESULT: Final = 48
"""Longest CALLRESULT without a payload: type and unique id only. [byte]"""
_SUSPECTS: Final = (
    b"idtag",
    b"idtoken",
    b"password",
    b"authorizationkey",
    b"secret",
    b"csr",
    b"certificate",
    b"apikey",
    b"://",
    b"\\u",
)
"""Lower case; a plain search for each is ten times as fast as one expression for all."""
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s]*@")
_UPLOAD_CREDENTIALS: Final = re.compile(r"(?<=/uploads/)[^/?#\s]+")
"""One-time credentials in the URLs of our own receiver."""


PLAIN_ACTIONS: Final = frozenset({"Heartbeat", "MeterValues"})
"""Messages of either direction that hold neither tokens nor secrets, and come by the thousand."""


def redacted(raw: bytes, action: str = "") -> str:
    """Return a frame as text for the log: no secrets, tokens shortened, bounded.

    A frame that cannot be read is described, not shown, when it might hold a secret.
    """
    if action in PLAIN_ACTIONS:
        return raw[:MAX_TEXT].decode(errors="replace")
    if len(raw) <= _EMPTY_RESULT and raw.endswith(b",{}]"):
        return raw.decode(errors="replace")
    lowered = raw.lower()
    if not any(suspect in lowered for suspect in _SUSPECTS):
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
