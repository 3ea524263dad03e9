"""The event loop: uvloop where it exists."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

THREAD_SWITCH_S = 0.0005
"""A thread that computes lets the loop in after so long. The default, 5 ms, delayed each turn of the
loop by 5 ms while an outage of the time-series server was made up for (`benchmarks/history.py`). [s]"""


def run_on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a fresh loop."""
    sys.setswitchinterval(THREAD_SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
