"""The configuration that stations are to keep, as the site file wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SECRET: Final = re.compile(r"authorizationkey|password|secret|apikey", re.IGNORECASE)
"""Names of settings whose values are secret: never shown, and never in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredConfiguration:
    """What one station is to keep, for either version; it takes what its own version knows."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Configuration keys of OCPP 1.6 by name."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of OCPP 2.0.1 and later by `Component.Variable`."""

    def of(self, protocol: str) -> Mapping[str, str]:
        """Return what a station that speaks `protocol` is to keep: `ocpp1.6`, `ocpp2.0.1`."""
        return self.keys if protocol == "ocpp1.6" else self.variables

    def over(self, other: DesiredConfiguration) -> DesiredConfiguration:
        """Return both; where they differ, this one counts."""
        return DesiredConfiguration(
            keys={**other.keys, **self.keys}, variables={**other.variables, **self.variables}
        )
