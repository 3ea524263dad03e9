"""When a simulated station is down: while it reboots, and while it has no supply."""

from __future__ import annotations

RESET_AFTER_S = 1.0
"""From the answer to a reset to going down. [s]"""
REBOOT_S = 3.0


class Uptime:
    """The reboots of a station. Times are those of its own clock. [s]"""

    def __init__(self) -> None:
        self._down_until_s = 0.0
        self._reset_at_s: float | None = None
        self._next_by_habit_s: float | None = None

    def is_down(self, now_s: float) -> bool:
        """Tell whether the station is rebooting or has no supply."""
        return now_s < self._down_until_s

    def go_down(self, now_s: float) -> None:
        """Begin a reboot."""
        self._down_until_s = now_s + REBOOT_S

    def reset_soon(self, now_s: float) -> None:
        """Plan a reboot, late enough to tell the controller before."""
        self._reset_at_s = now_s + RESET_AFTER_S

    def must_reboot(self, now_s: float, *, is_powered: bool, every_s: float | None) -> bool:
        """Tell whether a reboot begins now.

        Args:
            now_s: Station time. [s]
            is_powered: Whether there is supply; without, the station stays down.
            every_s: Time between reboots by habit; None: never. [s]
        """
        is_reset = self._reset_at_s is not None and now_s >= self._reset_at_s
        if is_reset:
            self._reset_at_s = None
        by_habit = False
        if every_s is not None:
            by_habit = self._next_by_habit_s is not None and now_s >= self._next_by_habit_s
            if by_habit or self._next_by_habit_s is None:
                self._next_by_habit_s = now_s + every_s
        return is_reset or by_habit or not is_powered
