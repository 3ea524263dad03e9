"""Watches this machine's memory and processor, and sheds what is no control before control suffers.

Runs in a thread of its own: it is heard when the control loop is late, and never delays it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink

EVERY_S: Final = 5.0
WAIT_S: Final = 55.0
"""Shortage that lasts so long is told, and so long it must be over to end: with one look, 60 s. [s]"""
LEAST_FREE_BYTES: Final = 64 * 2**20
MOST_FREE_BYTES: Final = 256 * 2**20
FREE_SHARE: Final = 0.05
"""Share of all memory that is to stay free, between the two bounds above."""
EASED_FACTOR: Final = 1.25
"""So much more than the floor is free before a shortage is over."""
BUSY_RATIO: Final = 0.9
"""Processor time over time at which the interpreter, which runs one thread at a time, is full."""
CALM_RATIO: Final = 0.75
MEMORY: Final = "MEMORY_LOW"
PROCESSOR: Final = "PROCESSOR_BUSY"
SUBJECT: Final = "site"
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLoad:
    """What one look showed. None: this system does not say."""

    rss_bytes: int | None
    """Memory of this process."""
    available_bytes: int | None
    """What can still be had, of the machine or of the control group's limit."""
    total_bytes: int | None
    """The machine's memory, or the control group's limit where that is less."""
    busy_ratio: float | None
    """Processor time of this process over time since the last look; 1: one core."""

    @property
    def floor_bytes(self) -> float:
        """Memory that is to stay available."""
        share = FREE_SHARE * (self.total_bytes or 0)
        return max(LEAST_FREE_BYTES, min(MOST_FREE_BYTES, share))


class Gauge:
    """Reads /proc and the control group (versions 1 and 2)."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._seen: tuple[float, float] | None = None

    def look(self) -> MachineLoad:
        """Read everything once. Takes well below a millisecond."""
        memory = self._numbers("proc/meminfo", scale=1024)
        available, total = memory.get("MemAvailable"), memory.get("MemTotal")
        limit, used = self._group()
        if limit is not None and used is not None and (total is None or limit < total):
            total = limit
            left = max(0, limit - used)
            available = left if available is None else min(available, left)
        return MachineLoad(
            rss_bytes=self._numbers("proc/self/status", scale=1024).get("VmRSS"),
            available_bytes=available,
            total_bytes=total,
            busy_ratio=self._busy(),
        )

    def _busy(self) -> float | None:
        before, self._seen = self._seen, (time.monotonic(), time.process_time())
        if before is None or self._seen[0] <= before[0]:
            return None
        return (self._seen[1] - before[1]) / (self._seen[0] - before[0])

    def _group(self) -> tuple[int | None, int | None]:
        """Return limit and use of the control group's memory; what can be dropped is not used."""
        for line in self._text("proc/self/cgroup").splitlines():
            _, _, rest = line.partition(":")
            kinds, _, path = rest.partition(":")
            if kinds not in ("", "memory"):
                continue
            base = "sys/fs/cgroup" + ("/memory" if kinds else "")
            names = ("limit_in_bytes", "usage_in_bytes") if kinds else ("max", "current")
            # In a container the group's own path may not be visible: its files are at the top.
            for place in (f"{base}{path.rstrip('/')}", base):
                limit, used = (self._number(f"{place}/memory.{name}") for name in names)
                if limit is not None and used is not None:
                    cache = self._numbers(f"{place}/memory.stat").get("inactive_file", 0)
                    return limit, max(0, used - cache)
        return None, None

    def _number(self, path: str) -> int | None:
        text = self._text(path).strip()
        return int(text) if text.isdigit() else None

    def _numbers(self, path: str, *, scale: int = 1) -> dict[str, int]:
        """Read lines of a name and a number."""
        words = [line.replace(":", " ").split() for line in self._text(path).splitlines()]
        return {w[0]: int(w[1]) * scale for w in words if len(w) > 1 and w[1].isdigit()}

    def _text(self, path: str) -> str:
        try:
            return (self._root / path).read_text("ascii", "replace")
        except OSError:
            return ""


@dataclass(slots=True)
class _Lasting:
    """Something that is so only when it was so for a while, and over only likewise."""

    is_on: bool = False
    since_s: float | None = None
    """Since when it is otherwise than `is_on` says. [s]"""

    def see(self, *, is_short: bool, is_eased: bool, now_s: float) -> bool:
        """Take a look's answer; return whether `is_on` changed."""
        turns = is_eased if self.is_on else is_short
        if not turns:
            self.since_s = None
            return False
        if self.since_s is None:
            self.since_s = now_s
        if now_s - self.since_s < WAIT_S:
            return False
        self.is_on, self.since_s = not self.is_on, None
        return True


@dataclass(slots=True)
class Pressure:
    """Tells of lasting shortage, and whether to shed. `is_shedding` is read from any thread."""

    conditions: ConditionSink
    clock: Clock
    look: Callable[[], MachineLoad] = field(default_factory=lambda: Gauge().look)
    every_s: float = EVERY_S
    last: MachineLoad | None = None
    is_shedding: bool = False
    _memory: _Lasting = field(default_factory=_Lasting)
    _processor: _Lasting = field(default_factory=_Lasting)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Look every few seconds until `stop`."""
        self._thread = threading.Thread(target=self._watch, name="pressure", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self.every_s)

    def figures(self) -> dict[str, float]:
        """Return the last look for the metrics."""
        last = self.last
        if last is None:
            return {}
        named = {
            "process_memory_bytes": last.rss_bytes,
            "memory_available_bytes": last.available_bytes,
            "process_busy_ratio": last.busy_ratio,
        }
        return {name: float(value) for name, value in named.items() if value is not None}

    def judge(self) -> None:
        """Look once, tell what began or ended, and shed or stop shedding."""
        load, now_s = self.look(), self.clock.monotonic_s()
        self.last = load
        free, floor = load.available_bytes, load.floor_bytes
        if self._memory.see(
            is_short=free is not None and free < floor,
            is_eased=free is None or free >= EASED_FACTOR * floor,
            now_s=now_s,
        ):
            self._tell(self._memory, _memory_low(load))
        busy = load.busy_ratio
        if self._processor.see(
            is_short=busy is not None and busy >= BUSY_RATIO,
            is_eased=busy is None or busy < CALM_RATIO,
            now_s=now_s,
        ):
            self._tell(self._processor, _processor_busy(load))
        self.is_shedding = self._memory.is_on or self._processor.is_on

    def _tell(self, lasting: _Lasting, condition: Condition) -> None:
        if lasting.is_on:
            self.conditions.begin(condition)
        else:
            self.conditions.end(condition.code, condition.subject)

    def _watch(self) -> None:
        while not self._ended.wait(self.every_s):
            self.judge()


def _memory_low(load: MachineLoad) -> Condition:
    values = {
        "free_mb": f"{(load.available_bytes or 0) / _MIB:.0f}",
        "floor_mb": f"{load.floor_bytes / _MIB:.0f}",
        "own_mb": f"{(load.rss_bytes or 0) / _MIB:.0f}",
    }
    return Condition(
        code=MEMORY,
        subject=SUBJECT,
        text=f"Only {values['free_mb']} MB of memory are left ({values['floor_mb']} MB should be; "
        f"Wattkeeper itself takes {values['own_mb']} MB). Uploads and new live screens wait so that "
        "control goes on; samples are kept. End other programs, or give this machine or its container "
        "more memory.",
        severity=Severity.WARNING,
        values=values,
    )


def _processor_busy(load: MachineLoad) -> Condition:
    values = {"busy_percent": f"{100.0 * (load.busy_ratio or 0.0):.0f}"}
    return Condition(
        code=PROCESSOR,
        subject=SUBJECT,
        text=f"Wattkeeper takes {values['busy_percent']} % of a processor core for a minute already. "
        "Uploads and new live screens wait so that control goes on; samples are kept. Close dashboards, "
        "ask the API less often, or use a faster machine.",
        severity=Severity.WARNING,
        values=values,
    )
