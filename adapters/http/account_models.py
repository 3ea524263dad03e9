"""Accounts over the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from adapters.http.models import Answer, Instant, InstantIn, Request, Text, example
from controller.records import Role

LEAST_PASSWORD = 10


def _spaceless(text: str) -> str:
    if text != text.strip() or "/" in text:
        raise ValueError("must not contain a slash or begin or end with a space")
    return text


UserName = Annotated[
    Text, Field(min_length=1, max_length=64, examples=["ada"]), AfterValidator(_spaceless)
]
NewPassword = Annotated[
    str,
    StringConstraints(strip_whitespace=False, min_length=LEAST_PASSWORD, max_length=256),
    Field(json_schema_extra={"format": "password"}),
]
OldPassword = Annotated[
    str,
    StringConstraints(strip_whitespace=False, min_length=1, max_length=256),
    Field(json_schema_extra={"format": "password"}),
]
_SECRET = ConfigDict(str_strip_whitespace=False, hide_input_in_errors=True)


class SetupOut(Answer):
    """Whether the first account is still to be made."""

    model_config = example(needed=True, code_required=True)

    needed: bool
    code_required: bool = Field(
        description="True: the code is needed that the controller printed when it started."
    )


class SetupIn(Request):
    """The first account; it becomes an administrator."""

    model_config = _SECRET | ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "ada", "password": "a long sentence is best", "code": "ABCDE-FGHJK"}
            ]
        }
    )
    name: UserName
    password: NewPassword
    code: Annotated[str, Field(max_length=32)] | None = None


class ApiTokenOut(Answer):
    """An API token without its secret."""

    model_config = example(
        id="5f2b8c01d9ae",
        label="billing",
        created_at="2026-03-01T12:00:00.000Z",
        expires_at=None,
        last_used_at="2026-03-02T08:00:00.000Z",
    )

    id: str
    label: str
    created_at: Instant | None
    expires_at: Instant | None
    last_used_at: Instant | None


class UserOut(Answer):
    """An account."""

    model_config = example(
        name="ada",
        role="admin",
        has_password=True,
        created_at="2026-03-01T12:00:00.000Z",
        last_seen_at="2026-03-02T08:00:00.000Z",
        sessions=1,
        tokens=[],
    )

    name: str
    role: Role
    has_password: bool
    created_at: Instant | None
    last_seen_at: Instant | None
    sessions: int = Field(description="Browsers signed in now.")
    tokens: list[ApiTokenOut]


class Users(Answer):
    """A page of accounts by name."""

    items: list[UserOut]
    next_offset: int | None


class UserIn(Request):
    """An account's role; a password only when it shall be set or changed."""

    model_config = _SECRET | ConfigDict(json_schema_extra={"examples": [{"role": "operator"}]})
    role: Role
    password: NewPassword | None = None


class ApiTokenIn(Request):
    """What an API token is for and how long it holds."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"label": "billing", "expires_at": "2027-01-01T00:00:00Z"}]}
    )
    label: Annotated[Text, Field(max_length=100)] = ""
    expires_at: InstantIn | None = None


class ApiTokenMade(Answer):
    """A new API token. It is shown this once."""

    model_config = example(id="5f2b8c01d9ae", token="wk_...")  # noqa: S106 - no secret

    id: str
    token: str


class PasswordChange(Request):
    """One's own password."""

    model_config = _SECRET | ConfigDict(
        json_schema_extra={
            "examples": [{"old": "the one until now", "new": "a long sentence is best"}]
        }
    )
    old: OldPassword
    new: NewPassword
