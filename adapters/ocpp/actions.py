"""What an operator's action needs, read from its parameters once for both versions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.ocpp.clocks import parse_time, wire_time
from adapters.ocpp.provisioning import Request
from controller.transaction import TransactionId


class ParameterError(ValueError):
    """A parameter is missing or makes no sense; the text names it and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An action, addressed."""

    connector: int | None = None
    """Where; None: the station."""
    argument: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    running: TransactionId | None = None
    """The transaction that runs there."""
    now: datetime

    def text(self, name: str, *, most: int, otherwise: str | None = None) -> str:
        """Return a text parameter.

        Raises:
            ParameterError: It is missing without an alternative, empty or too long.
        """
        value = self.parameters.get(name, otherwise)
        if not isinstance(value, str) or not 1 <= len(value.strip()) <= most:
            raise ParameterError(f"{name}: give a text of 1 to {most} characters")
        return value.strip()

    def maybe_text(self, name: str, *, most: int) -> str | None:
        """Return a text parameter that may be absent."""
        return None if self.parameters.get(name) is None else self.text(name, most=most)

    def number(self, name: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
        """Return a whole number.

        Raises:
            ParameterError: It is none, or out of range.
        """
        value = self.parameters.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ParameterError(f"{name}: give a whole number from {least} to {most}")
        return value

    def maybe_number(self, name: str) -> int | None:
        """Return a whole number that may be absent."""
        return None if self.parameters.get(name) is None else self.number(name)

    def maybe_time(self, name: str) -> str | None:
        """Return a time, written for the wire; None: absent.

        Raises:
            ParameterError: It is no time.
        """
        value = self.parameters.get(name)
        if value is None:
            return None
        at = value if isinstance(value, datetime) else parse_time(value)
        if at is None:
            raise ParameterError(f"{name}: give a time such as 2026-01-31T12:00:00Z")
        return wire_time(at.replace(tzinfo=UTC) if at.tzinfo is None else at)

    def time(self, name: str) -> str:
        """Return a time; absent: now."""
        return self.maybe_time(name) or wire_time(self.now)

    def flag(self, name: str) -> bool:
        """Return a yes or no.

        Raises:
            ParameterError: It is neither.
        """
        value = self.parameters.get(name)
        if not isinstance(value, bool):
            raise ParameterError(f"{name}: give true or false")
        return value


Writer = Callable[[Asked], Request]
"""Writes one action; raises ParameterError where it cannot."""


def request_id() -> int:
    """Return an id for a request that reports will refer to."""
    return secrets.randbelow(2**31 - 1) + 1


def present(**members: Any) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}
