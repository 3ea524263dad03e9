"""A firmware update of a simulated station: told, fetched, installed when nobody charges, restarted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

FIRST_VERSION: Final = "1.0.0"
STAGE_S: Final = 1.0
"""How long fetching and installing take each. [s]"""
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")


class Stage(Enum):
    """How far an update is, as both protocols name it."""

    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    INSTALLING = "Installing"
    RESTARTING = "InstallRebooting"
    INSTALLED = "Installed"
    DOWNLOAD_FAILED = "DownloadFailed"


_OVER: Final = frozenset({Stage.INSTALLED, Stage.DOWNLOAD_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An update that the controller asked for."""

    location: str
    request_id: int | None
    at_s: float
    was_charging: bool
    """Whether a transaction ran when the order came."""


class Firmware:
    """The firmware of one station; the version is read off the file's name."""

    def __init__(self, tell: Callable[[str, int | None], None]) -> None:
        self.version = FIRST_VERSION
        self.orders: list[Order] = []
        self.restarted_while_charging = 0
        self._tell = tell
        self._stage: Stage | None = None
        self._next_s = 0.0

    def order(self, order: Order) -> None:
        """Begin an update; a newer order takes the place of one under way."""
        self.orders.append(order)
        self._stage = None
        self._next_s = order.at_s

    def tick(self, now_s: float, *, is_charging: bool) -> bool:
        """Go on with an update.

        Returns:
            Whether the station has to restart now.
        """
        if not self.orders or now_s < self._next_s or self._stage in _OVER:
            return False
        self._next_s = now_s + STAGE_S
        match self._stage:
            case None:
                self._enter(Stage.DOWNLOADING)
            case Stage.DOWNLOADING:
                has_version = _VERSION.search(self.orders[-1].location) is not None
                self._enter(Stage.DOWNLOADED if has_version else Stage.DOWNLOAD_FAILED)
            case Stage.DOWNLOADED if not is_charging:
                self._enter(Stage.INSTALLING)
            case Stage.INSTALLING:
                self._stage = Stage.RESTARTING
                self.restarted_while_charging += is_charging
                found = _VERSION.search(self.orders[-1].location)
                self.version = found[0] if found is not None else self.version
                return True
            case Stage.RESTARTING:
                self._enter(Stage.INSTALLED)
        return False

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        self._tell(stage.value, self.orders[-1].request_id)
