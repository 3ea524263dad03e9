"""What a session and a translator owe each other, for every OCPP version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from controller.commands import ActionRequest, CommandResult, SetLimit
from controller.site import StationId


class CallError(Exception):
    """Raised by a handler to answer a station's CALL with a CALLERROR."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class CallFailed(Exception):  # noqa: N818 - an outcome, named as it is read in an except clause
    """A CALL of ours did not succeed.

    `timeout`: it was sent and not answered in time, so it may have taken effect. `error`: the
    station answered with a CALLERROR. `closed`: the connection ended or the call was superseded;
    `code` says which. `invalid`: our payload was never sent, or the answer is not valid.
    """

    def __init__(
        self,
        kind: Literal["timeout", "error", "closed", "invalid"],
        code: str = "",
        description: str = "",
    ) -> None:
        super().__init__(f"{kind} {code}: {description}")
        self.kind = kind
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """When a frame arrived."""

    monotonic_s: float
    """[s]"""
    at: datetime
    """UTC."""


class Caller(Protocol):
    """The way to a connected station. One CALL is in flight at a time, the others wait."""

    station: StationId
    protocol: str
    """`ocpp1.6` or `ocpp2.0.1`."""

    async def call(
        self,
        action: str,
        payload: dict[str, Any],
        *,
        timeout_s: float | None = None,
        urgent: bool = False,
        replaces: str | None = None,
    ) -> dict[str, Any]:
        """Send a CALL and wait for its answer. Both are validated; names are those of the wire.

        Args:
            action: For example `SetChargingProfile`.
            payload: The request, camelCase.
            timeout_s: From sending to the answer; None: the configured time. [s]
            urgent: Goes before everything that waits and is not urgent.
            replaces: A key; an older waiting call with the same key is dropped and fails with
                kind `closed` and code `Superseded`. A call already sent is never replaced.

        Raises:
            CallFailed: There is no valid answer.
        """


class Dialect(Protocol):
    """Translates between the wire and the controller; one object per connection."""

    async def on_call(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer a station's CALL. May wait for the desk, never for a call of its own.

        Raises:
            CallError: The station is to get a CALLERROR.
        """

    async def on_open(self) -> None:
        """Begin. Runs as a task of the session, cancelled when it ends, so it may call and take long."""

    async def on_close(self) -> None:
        """End. The connection is already closed."""

    async def apply(self, command: SetLimit) -> CommandResult:
        """Carry out one limit."""

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an operator's action."""


DialectFactory = Callable[[Caller], Dialect]
